from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import raw, refused

if TYPE_CHECKING:
    from tests.integration.served import Server

KEYS = ["a", "b/1", "b/2", "b/c/3", "d+e", "f g", "ü"]


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    """A bucket with :data:`KEYS`."""
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def names(page: Any) -> tuple[list[str], list[str]]:
    keys = [each["Key"] for each in page.get("Contents", [])]
    return keys, [each["Prefix"] for each in page.get("CommonPrefixes", [])]


@pytest.mark.parametrize(
    ("asked", "keys", "prefixes"),
    [
        ({}, KEYS, []),
        ({"Delimiter": "/"}, ["a", "d+e", "f g", "ü"], ["b/"]),
        ({"Prefix": "b/"}, ["b/1", "b/2", "b/c/3"], []),
        ({"Prefix": "b/", "Delimiter": "/"}, ["b/1", "b/2"], ["b/c/"]),
        ({"Prefix": "none"}, [], []),
        ({"Delimiter": "+"}, ["a", "b/1", "b/2", "b/c/3", "f g", "ü"], ["d+"]),
    ],
)
def test_prefix_and_delimiter(s3: Any, filled: str, asked: Any, keys: list[str], prefixes: list[str]) -> None:
    assert names(s3.list_objects(Bucket=filled, **asked)) == (keys, prefixes)
    page = s3.list_objects_v2(Bucket=filled, **asked)
    assert names(page) == (keys, prefixes)
    assert (page["KeyCount"], page["IsTruncated"]) == (len(keys) + len(prefixes), False)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_make_a_whole(s3: Any, filled: str, size: int, delimiter: str) -> None:
    whole = names(s3.list_objects_v2(Bucket=filled, Delimiter=delimiter))
    for operation in ("list_objects", "list_objects_v2"):
        paginator = s3.get_paginator(operation)
        pages = list(paginator.paginate(Bucket=filled, Delimiter=delimiter, PaginationConfig={"PageSize": size}))
        assert all(len(keys) + len(prefixes) == size for keys, prefixes in map(names, pages[:-1]))
        found = [names(page) for page in pages]
        assert ([key for keys, _ in found for key in keys], [each for _, these in found for each in these]) == whole


def test_start_after_and_marker(s3: Any, filled: str) -> None:
    assert names(s3.list_objects_v2(Bucket=filled, StartAfter="b/2"))[0] == KEYS[3:]
    assert names(s3.list_objects(Bucket=filled, Marker="b/2"))[0] == KEYS[3:]
    assert names(s3.list_objects(Bucket=filled, Marker="zzz"))[0] == ["ü"]


def test_an_entry_says_what_it_is(s3: Any, filled: str) -> None:
    (entry,) = s3.list_objects_v2(Bucket=filled, Prefix="a", FetchOwner=True)["Contents"]
    head = s3.head_object(Bucket=filled, Key="a")
    assert (entry["ETag"], entry["Size"], entry["StorageClass"]) == (head["ETag"], 1, "STANDARD")
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert entry["Owner"]["ID"] == s3.list_buckets()["Owner"]["ID"]
    assert "Owner" not in s3.list_objects_v2(Bucket=filled, Prefix="a")["Contents"][0]


def test_no_entries_are_wanted(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (names(page), page["IsTruncated"]) == (([], []), False)


@pytest.mark.parametrize("query", ["max-keys=x", "max-keys=-1", "encoding-type=x", "list-type=3"])
def test_parameters_that_are_none_are_refused(server: Server, filled: str, query: str) -> None:
    answer = raw(server, "GET", f"/{filled}?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_token_that_is_none_is_refused(s3: Any, filled: str) -> None:
    assert refused(s3.list_objects_v2, Bucket=filled, ContinuationToken="x").brief == (400, "InvalidArgument")


def test_a_key_that_xml_cannot_hold_is_listed(server: Server, s3: Any, bucket: str) -> None:
    key = "a\x01b\x1f\r\n"
    s3.put_object(Bucket=bucket, Key=key)
    assert names(s3.list_objects_v2(Bucket=bucket))[0] == [key]  # boto3 asks for encoding-type=url
    assert b"<Key>a&#x1;b&#x1f;&#xd;&#xa;</Key>" in raw(server, "GET", f"/{bucket}?list-type=2").body


def test_versions_and_markers_newest_first(s3: Any, versioned: str) -> None:
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=bytes(n))["VersionId"] for n in range(3)]
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    other = s3.put_object(Bucket=versioned, Key="l")["VersionId"]
    page = s3.list_object_versions(Bucket=versioned)
    assert [each["VersionId"] for each in page["Versions"]] == [*reversed(ids), other]
    assert [each["IsLatest"] for each in page["Versions"]] == [False, False, False, True]
    assert [(each["VersionId"], each["IsLatest"]) for each in page["DeleteMarkers"]] == [(marker, True)]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_of_versions_make_a_whole_and_end(s3: Any, versioned: str, size: int) -> None:
    for key in ("a", "b/1", "b/2", "c"):
        for _ in range(2):
            s3.put_object(Bucket=versioned, Key=key)
    s3.delete_object(Bucket=versioned, Key="a")
    for delimiter, expected in (("", 9), ("/", 6)):
        pages = []
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=versioned, Delimiter=delimiter, PaginationConfig={"PageSize": size}
        ):
            pages.append(page)
            assert len(pages) <= expected
        entries = [
            each.get("VersionId", each.get("Prefix"))
            for page in pages
            for kind in ("Versions", "DeleteMarkers", "CommonPrefixes")
            for each in page.get(kind, [])
        ]
        assert len(entries) == len(set(entries)) == expected


def test_an_unversioned_object_is_listed_as_null(s3: Any, filled: str) -> None:
    page = s3.list_object_versions(Bucket=filled, Prefix="a")
    assert [(each["VersionId"], each["IsLatest"]) for each in page["Versions"]] == [("null", True)]


def test_a_version_marker_needs_a_key_marker(server: Server, filled: str) -> None:
    answer = raw(server, "GET", f"/{filled}?versions&version-id-marker=v")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
