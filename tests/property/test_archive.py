"""Our reader of tar against Python's: whatever one of the usual writers makes, both see the same members."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.archives import archive
from vault.archive.contents import read_contents
from vault.errors import S3Error
from vault.service.unpacking import Held

FORMS: Final = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
_SEGMENT: Final = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=40
).filter(lambda text: text not in {".", ".."} and "\0" not in text)
NAMES: Final = st.lists(_SEGMENT, min_size=1, max_size=8).map("/".join).filter(lambda name: len(name.encode()) <= 1000)
MEMBERS: Final = st.dictionaries(NAMES, st.binary(max_size=1600), min_size=1, max_size=8)


def ours(data: bytes) -> dict[str, bytes]:
    found = read_contents(Held(data), max_size=1 << 30)
    return {each.key: data[each.offset : each.offset + each.size] for each in found}


def pythons(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as read:
        return {each.name: found.read() for each in read if (found := read.extractfile(each)) is not None}


@given(members=MEMBERS, form=st.sampled_from(FORMS), times=st.sampled_from([0, 1_800_000_000, 1.25]))
def test_what_python_writes_we_read_as_python_does(members: dict[str, bytes], form: int, times: float) -> None:
    try:
        data = archive(members, form, times)
    except ValueError:  # a name that ustar has no room for
        return
    assert ours(data) == pythons(data) == members


@settings(max_examples=300)
@given(members=MEMBERS, form=st.sampled_from(FORMS), changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255))))
def test_of_a_damaged_archive_we_read_what_python_does_or_nothing(
    members: dict[str, bytes], form: int, changes: list[tuple[int, int]]
) -> None:
    try:
        data = bytearray(archive(members, form, 1.25))
    except ValueError:
        return
    for place, value in changes:
        data[place % len(data)] = value
    try:
        found = ours(bytes(data))
    except S3Error:
        return
    assert found == pythons(bytes(data))


@given(data=st.binary(max_size=3000))
def test_any_bytes_are_an_archive_or_refused(data: bytes) -> None:
    with suppress(S3Error):
        ours(data)
