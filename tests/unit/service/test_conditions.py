from __future__ import annotations

import pytest

from vault.errors import S3Error
from vault.service.conditions import check_conditions, resolve_part, resolve_range
from vault.service.context import ByteRange, Conditions
from vault.times import NS

ETAG = "5d41402abc4b2a76b9719d911017c592"
SECOND = 1_800_000_000
CREATED = SECOND * NS + 999_999_999

#: RFC 9110 §13.2.2, in its order; None: the version is released.
CASES = {
    "none": (Conditions(), None),
    "if-match holds": (Conditions(if_match=("x", ETAG)), None),
    "if-match any": (Conditions(if_match=("*",)), None),
    "if-match fails": (Conditions(if_match=("x",)), "PreconditionFailed"),
    "if-match holds, if-unmodified-since fails": (Conditions(if_match=(ETAG,), unmodified_since=SECOND - 1), None),
    "if-unmodified-since holds": (Conditions(unmodified_since=SECOND), None),
    "if-unmodified-since fails": (Conditions(unmodified_since=SECOND - 1), "PreconditionFailed"),
    "if-none-match holds": (Conditions(if_none_match=("x",)), None),
    "if-none-match fails": (Conditions(if_none_match=("x", ETAG)), "NotModified"),
    "if-none-match any": (Conditions(if_none_match=("*",)), "NotModified"),
    "if-none-match holds, if-modified-since fails": (Conditions(if_none_match=("x",), modified_since=SECOND), None),
    "if-modified-since holds": (Conditions(modified_since=SECOND - 1), None),
    "if-modified-since fails": (Conditions(modified_since=SECOND), "NotModified"),
    "if-match fails before if-none-match": (Conditions(if_match=("x",), if_none_match=("*",)), "PreconditionFailed"),
}


@pytest.mark.parametrize(("asked", "code"), CASES.values(), ids=CASES)
def test_conditions(asked: Conditions, code: str | None) -> None:
    if code is None:
        check_conditions(asked, ETAG, CREATED)
        return
    with pytest.raises(S3Error) as caught:
        check_conditions(asked, ETAG, CREATED)
    assert caught.value.s3_code == code


RANGES: list[tuple[ByteRange | None, int, tuple[int, int] | None]] = [
    (None, 10, (0, 9)),
    (None, 0, (0, -1)),
    ((0, 0), 10, (0, 0)),
    ((9, 9), 10, (9, 9)),
    ((3, None), 10, (3, 9)),
    ((3, 99), 10, (3, 9)),
    ((None, 3), 10, (7, 9)),
    ((None, 99), 10, (0, 9)),
    ((None, 0), 10, None),
    ((10, 11), 10, None),
    ((10, None), 10, None),
    ((0, 0), 0, None),
    ((None, 1), 0, None),
]


@pytest.mark.parametrize(("asked", "size", "expected"), RANGES)
def test_ranges(asked: ByteRange | None, size: int, expected: tuple[int, int] | None) -> None:
    if expected is not None:
        assert resolve_range(asked, size) == expected
        return
    with pytest.raises(S3Error) as caught:
        resolve_range(asked, size)
    assert caught.value.s3_code == "InvalidRange"
    assert caught.value.headers == {"content-range": f"bytes */{size}"}


@pytest.mark.parametrize(
    ("number", "sizes", "expected"),
    [
        (1, [5, 6, 2], (0, 4)),
        (3, [5, 6, 2], (11, 12)),
        (1, [], (0, 12)),
        (2, [], None),
        (4, [5, 6, 2], None),
        (0, [], None),
    ],
)
def test_parts(number: int, sizes: list[int], expected: tuple[int, int] | None) -> None:
    if expected is not None:
        assert resolve_part(number, sizes, 13) == expected
        return
    with pytest.raises(S3Error) as caught:
        resolve_part(number, sizes, 13)
    assert caught.value.s3_code == "InvalidPartNumber"
