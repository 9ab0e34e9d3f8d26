from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.query.filter import QueryInvalid
from audit.query.page import Continuation, question, seal, unseal

KEY = bytes(32)
ASKED = question("ann", "desc", [("op", "object.get"), ("bucket", "b")])


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_continuation_comes_back_as_it_was(snapshot: int, after: int) -> None:
    continuation = Continuation(ASKED, snapshot, after)
    assert unseal(KEY, seal(KEY, continuation), ASKED) == continuation


def test_the_order_of_filters_does_not_matter_and_all_else_does() -> None:
    assert question("ann", "desc", [("bucket", "b"), ("op", "object.get")]) == ASKED
    others = [
        question("bob", "desc", [("op", "object.get"), ("bucket", "b")]),
        question("ann", "asc", [("op", "object.get"), ("bucket", "b")]),
        question("ann", "desc", [("op", "object.get")]),
        question("ann", "desc", [("op", "object.get,bucket=b")]),
    ]
    assert len({ASKED, *others}) == 5


def test_a_continuation_of_another_question_is_refused() -> None:
    text = seal(KEY, Continuation(question("bob", "desc", []), 10, 5))
    with pytest.raises(QueryInvalid, match="of another question, or given to somebody else"):
        unseal(KEY, text, ASKED)


def test_every_changed_character_is_noticed() -> None:
    continuation = Continuation(ASKED, 10, 5)
    text = seal(KEY, continuation)
    assert len(text) % 4 == 0  # no bits that count for nothing
    for at, character in enumerate(text):
        with pytest.raises(QueryInvalid):
            unseal(KEY, text[:at] + ("B" if character != "B" else "C") + text[at + 1 :], ASKED)


@given(st.text(max_size=600))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(QueryInvalid, match="begin again without it"):
        unseal(KEY, text, ASKED)


def test_another_vaults_continuation_is_refused() -> None:
    with pytest.raises(QueryInvalid, match="not one that this vault gave out"):
        unseal(bytes(31) + b"x", seal(KEY, Continuation(ASKED, 10, 5)), ASKED)
