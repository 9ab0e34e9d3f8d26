from __future__ import annotations

import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.archives import BLOCK, END, Hostile, archive, block, hostile, member, pax
from vault.archive import contents
from vault.archive.contents import checked_prefix, read_contents
from vault.errors import S3Error
from vault.service.unpacking import Held

LIMIT = 1 << 30
FORMS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def read(data: bytes, *, prefix: str = "", tolerant: bool = False, max_size: int = LIMIT) -> dict[str, bytes]:
    """What the good members of an archive hold."""
    found = read_contents(Held(data), prefix=prefix, max_size=max_size, tolerant=tolerant)
    return {each.key: data[each.offset : each.offset + each.size] for each in found if each.error is None}


def refusal(data: bytes, **options: int) -> S3Error:
    with pytest.raises(S3Error) as caught:
        read_contents(Held(data), max_size=options.get("max_size", LIMIT))
    return caught.value


@pytest.mark.parametrize("form", FORMS)
def test_what_python_writes_is_read(form: int) -> None:
    members = {"a": b"", "b/c.txt": b"x" * 511, "ü/€": b"y" * 512, "d" * 99: b"z" * 513, "e/" * 100 + "f": b"long"}
    assert read(archive(members, form, times=1.5)) == members
    assert read(archive(members, form), prefix="p/q/") == {f"p/q/{name}": data for name, data in members.items()}


def test_one_dot_at_the_beginning_goes_and_directories_make_nothing() -> None:
    data = block(b"./", kind=b"5") + member(b"./a") + block(b"./sub/", kind=b"5") + member(b"./sub/b") + END
    assert read(data) == {"a": b"data", "sub/b": b"data"}


def test_v7_headers_have_no_prefix() -> None:
    old = bytearray(block(b"old", 4, b"\0", magic=bytes(8), prefix=b"not looked at"))
    assert read(bytes(old) + b"data".ljust(BLOCK, b"\0") + END) == {"old": b"data"}


def test_a_prefix_of_the_header_comes_before_the_name() -> None:
    assert read(block(b"b", 0, prefix=b"a/long/way") + END) == {"a/long/way/b": b""}


@pytest.mark.parametrize(
    "size", [b"00000000004 ", b"0000000004\0\0", b"000000000004", b"          4\0", b"4\0\0\0\0\0\0\0\0\0\0\0"]
)
def test_numbers_as_others_write_them(size: bytes) -> None:
    assert read(block(b"n", size) + b"data".ljust(BLOCK, b"\0") + END) == {"n": b"data"}


def test_times_owners_and_comments_are_passed_over() -> None:
    said = {"mtime": b"1.5", "uid": b"9" * 30, "SCHILY.xattr.user.a": b"\xff\0\n=", "comment": b"c", "size": b"4"}
    assert read(pax({"comment": b"of all"}, b"g") + pax(said) + member(b"n") + END) == {"n": b"data"}


def test_metadata_of_a_member_is_told() -> None:
    data = pax({"minio.metadata.Content-Type": b"text/plain", "minio.metadata.X-Amz-Meta-A": b"b"}) + member(b"n") + END
    (found,) = read_contents(Held(data), max_size=LIMIT)
    assert found.fields == {"content-type": "text/plain", "x-amz-meta-a": "b"}


def test_bytes_may_follow_only_as_zeros() -> None:
    assert read(member(b"n") + END + bytes(20 * BLOCK)) == {"n": b"data"}


#: What is told elsewhere: by ``vault.archive.coding``, and by whoever knows which metadata can be stored.
_ELSEWHERE = (
    "gzip",
    "zstd",
    "lz4",
    "s2",
    "bzip2",
    "xz",
    "zip",
    "metadata-lock",
    "metadata-control",
    "metadata-too-large",
)
_HERE = [each for each in hostile() if not each.name.partition("-")[2].startswith(_ELSEWHERE)]


@pytest.mark.parametrize("each", _HERE, ids=[each.name for each in _HERE])
def test_what_is_hostile_is_refused(each: Hostile) -> None:
    assert refusal(each.data).http_status == 400
    if each.whole:
        with pytest.raises(S3Error):
            read(each.data, tolerant=True)
    else:
        found = read_contents(Held(each.data), max_size=LIMIT, tolerant=True)
        assert any(member.error is not None for member in found)


def test_bad_members_stand_in_the_result_where_they_are_tolerated() -> None:
    data = member(b"a") + block(b"link", kind=b"2") + member(b"../b") + member(b"a", b"again") + member(b"c") + END
    found = read_contents(Held(data), max_size=LIMIT, tolerant=True)
    assert [(each.key, each.error.reason if each.error else "") for each in found] == [
        ("a", ""), ("link", "archive_kind"), ("../b", "archive_name"), ("a", "archive_duplicate"), ("c", ""),
    ]  # fmt: skip


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(member(b"n", b"x" * 100) + END, max_size=99).s3_code == "EntityTooLarge"
    monkeypatch.setattr(contents, "MAX_MEMBERS", 3)
    three = b"".join(block(b"%d" % number, kind=b"5") for number in range(2)) + member(b"a")
    assert read(three + END) == {"a": b"data"}
    assert refusal(three + block(b"d/", kind=b"5") + END).s3_code == "EntityTooLarge"
    monkeypatch.setattr(contents, "MAX_NAMES_BYTES", 10)
    assert refusal(member(b"a" * 11) + END).s3_code == "EntityTooLarge"


def test_a_key_has_1024_bytes_at_most_with_its_prefix() -> None:
    name = "ü/" * 300 + "ü" * 12
    assert list(read(archive({name: b""}), prefix="p" * 99 + "/")) == ["p" * 99 + "/" + name]
    with pytest.raises(S3Error, match="1024"):
        read(archive({name: b""}), prefix="p" * 100 + "/")


@pytest.mark.parametrize(("prefix", "kept"), [("", ""), ("/", ""), ("a", "a/"), ("/a/b/", "a/b/"), ("ü", "ü/")])
def test_slashes_around_a_prefix_are_of_no_account(prefix: str, kept: str) -> None:
    assert checked_prefix(prefix) == kept


@pytest.mark.parametrize("prefix", ["..", "a/../b", "a//b", "a\\b", "a\nb", "."])
def test_a_prefix_that_leads_elsewhere_is_refused(prefix: str) -> None:
    with pytest.raises(S3Error, match="prefix"):
        checked_prefix(prefix)


@given(st.text(st.sampled_from("a./\\\0\x1f\x7f\x9f\u00a0é\n"), max_size=12))
def test_what_is_told_plain_in_half_the_time_is_safe(name: str) -> None:
    if contents._plain(name) is not None:
        assert contents._unsafe(name) is None
    elif not any(segment.startswith(".") for segment in name.split("/")):
        assert contents._unsafe(name) is not None
