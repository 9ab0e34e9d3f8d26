from __future__ import annotations

import json
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from audit.ingest.formats import MAX_ID, MAX_SEQUENCE, MAX_WORD, READERS, Words


def read(form: str = "json", **fields: object) -> Words | None:
    return READERS[form](json.dumps(fields).encode())


def test_the_first_name_that_is_there_counts() -> None:
    assert read(id="a", event_id="b") == Words("a")
    assert read(id="", event_id="b") == Words("b")
    assert read(id=0) == Words("0")
    assert read(id=None) == Words()


def test_a_long_id_goes_by_its_digest_and_a_long_word_is_left_to_the_event() -> None:
    long = "x" * (MAX_ID + 1)
    assert read(id=long) == Words(f"sha256:{sha256(long.encode()).hexdigest()}")
    assert read(id="x" * MAX_ID, time="t" * (MAX_WORD + 1)) == Words("x" * MAX_ID)


def test_only_whole_numbers_that_a_record_holds_are_sequences() -> None:
    assert read(sequence=MAX_SEQUENCE) == Words(sequence=MAX_SEQUENCE)
    assert read(sequence=0) == Words(sequence=0)
    for value in (-1, MAX_SEQUENCE + 1, 2**70, "7", 1.5):
        assert read(sequence=value) == Words()


def test_a_nul_and_what_json_escapes_is_part_of_an_id() -> None:
    assert read(id='a\0"\\\u2028') == Words('a\0"\\\u2028')


def test_a_rustfs_entry_by_itself_is_read_too() -> None:
    assert read("rustfs", requestID="r") == read("rustfs", records=[{"requestID": "r"}]) == Words("r")
    assert read("rustfs", Records=[]) == Words()


def test_a_kubernetes_event_without_a_user_or_an_object_is_one() -> None:
    assert read("kubernetes", auditID="a", stage="Panic", user=None) == Words("a/Panic")
    assert read("kubernetes", stage="Panic") == Words()


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
def test_any_bytes_are_words_or_none(form: str, data: bytes) -> None:
    words = READERS[form](data)
    assert words is None or len(words.id) <= MAX_ID
