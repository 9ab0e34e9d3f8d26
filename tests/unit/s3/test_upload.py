from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import S3Error
from vault.record import LockRef
from vault.s3 import upload

MODE = "x-amz-object-lock-mode"
UNTIL = "x-amz-object-lock-retain-until-date"
HOLD = "x-amz-object-lock-legal-hold"


def test_headers_that_reads_give_back_are_stored() -> None:
    fields = {
        "content-type": "text/plain", "cache-control": "no-cache", "content-disposition": "inline",
        "content-encoding": "gzip", "content-language": "de", "expires": "0", "host": "h", "x-amz-date": "d",
    }  # fmt: skip
    stored = upload.stored_headers(fields)
    assert stored == {name: value for name, value in fields.items() if name not in {"host", "x-amz-date"}}
    assert upload.stored_headers({}) == {"content-type": "binary/octet-stream"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("aws-chunked", None), ("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip"), ("gzip", "gzip")],
)
def test_aws_chunked_is_how_the_body_travelled_and_not_stored(sent: str, kept: str | None) -> None:
    assert upload.stored_headers({"content-encoding": sent}).get("content-encoding") == kept


def test_metadata_has_no_prefix() -> None:
    assert upload.metadata({"x-amz-meta-a": "1", "host": "h", "x-amz-meta-": "2"}) == {"a": "1", "": "2"}


def test_a_lock_is_read() -> None:
    assert upload.lock({}) == (None, None)
    assert upload.lock({HOLD: "ON"}) == (None, True)
    assert upload.lock({HOLD: "OFF"}) == (None, False)
    assert upload.lock({MODE: "COMPLIANCE", UNTIL: "2140-01-01T00:00:00Z"}) == (
        LockRef("COMPLIANCE", "2140-01-01T00:00:00.000000000Z"),
        None,
    )


@pytest.mark.parametrize(
    ("fields", "message", "argument"),
    [
        ({MODE: "GOVERNANCE"}, f"{UNTIL} and {MODE} must both be supplied", UNTIL),
        ({UNTIL: "2140-01-01T00:00:00Z"}, f"{UNTIL} and {MODE} must both be supplied", MODE),
        ({MODE: "abc", UNTIL: "2140-01-01T00:00:00Z"}, "Unknown wormMode directive.", MODE),
        ({MODE: "governance", UNTIL: "2140-01-01T00:00:00Z"}, "Unknown wormMode directive.", MODE),
        (
            {MODE: "GOVERNANCE", UNTIL: "tomorrow"},
            "The retain until date must be provided in ISO 8601 format",
            UNTIL,
        ),
        ({HOLD: "on"}, "Legal Hold must be either of 'ON' or 'OFF'", HOLD),
    ],
)
def test_a_lock_is_refused_as_s3_words_it(fields: dict[str, str], message: str, argument: str) -> None:
    with pytest.raises(S3Error) as caught:
        upload.lock(fields)
    assert (caught.value.s3_code, caught.value.message) == ("InvalidArgument", message)
    assert caught.value.fields["ArgumentName"] == argument


@given(st.dictionaries(st.sampled_from([MODE, UNTIL, HOLD]), st.text()))
def test_a_lock_is_read_or_refused(fields: dict[str, str]) -> None:
    with contextlib.suppress(S3Error):
        lock, hold = upload.lock(fields)
        assert lock is None or (lock.mode, bool(lock.until)) == (fields[MODE], True)
        assert hold is (None if HOLD not in fields else fields[HOLD] == "ON")


def test_preconditions_are_read() -> None:
    assert upload.preconditions({}) == (False, "")
    assert upload.preconditions({"if-none-match": "*"}) == (True, "")
    assert upload.preconditions({"if-match": '"abc"'}) == (False, "abc")


@pytest.mark.parametrize(
    "fields",
    [
        {"if-none-match": '"abc"'},
        {"if-none-match": "*", "if-match": "a"},
        {"if-match": "*"},
        {"if-match": '"a","b"'},
        {"if-match": ""},
    ],
)
def test_preconditions_that_s3_does_not_have_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(S3Error) as caught:
        upload.preconditions(fields)
    assert caught.value.s3_code == "NotImplemented"
