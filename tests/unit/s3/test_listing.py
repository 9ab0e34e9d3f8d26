from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.doubles.s3_service import RECORD
from tests.unit.s3.wire import BUCKET, Wire, content, texts, version
from vault.service.results import ListedVersion, Page

if TYPE_CHECKING:
    from collections.abc import Sequence


def page(*entries: ListedVersion, prefixes: Sequence[str] = (), **changes: Any) -> Page:
    fields: dict[str, Any] = {
        "bucket": BUCKET, "entries": list(entries), "prefixes": list(prefixes), "truncated": False, "next_token": "",
        "next_marker": "", "next_version": "", "record": RECORD,
    }  # fmt: skip
    return Page(**fields | changes)


ENTRY = ListedVersion("a b\x01", version(), "v1", content())
MARKER = ListedVersion("m", version(marker=True), "v9", None, latest=False)


def test_list_objects() -> None:
    wire = Wire()
    found = page(ENTRY, prefixes=["p/"], truncated=True, next_marker="p/", next_token="t")
    target = "/bucket?delimiter=%2F&encoding-type=url&marker=A&max-keys=2&prefix="
    answer = wire.ask("GET", target, objects__list=found)
    assert wire.service.call.args == ("bucket", "", "/", "A", 2)
    assert texts(answer) == {
        "Name": "bucket",
        "Prefix": "",
        "Delimiter": "/",
        "MaxKeys": "2",
        "EncodingType": "url",
        "IsTruncated": "true",
        "Marker": "A",
        "NextMarker": "p/",
        "Contents/Key": "a%20b%01",
        "Contents/LastModified": "2026-11-22T16:46:08.123Z",
        "Contents/ETag": '"' + "e" * 32 + '"',
        "Contents/Size": "11",
        "Contents/StorageClass": "STANDARD",
        "Contents/Owner/ID": "p-1",
        "Contents/Owner/DisplayName": "p-1",
        "CommonPrefixes/Prefix": "p/",
    }


def test_without_a_delimiter_the_last_key_says_where_to_go_on() -> None:
    found = page(ENTRY, truncated=True, next_marker="a b\x01")
    assert b"NextMarker" not in Wire().ask("GET", "/bucket", objects__list=found).body


def test_a_key_that_xml_cannot_hold_is_listed_as_s3_lists_it() -> None:
    answer = Wire().ask("GET", "/bucket", objects__list=page(ENTRY))
    assert b"<Key>a b&#x1;</Key>" in answer.body


def test_list_objects_v2() -> None:
    wire = Wire()
    found = page(ENTRY, prefixes=["p/"], truncated=True, next_marker="p/", next_token="t2")
    target = "/bucket?list-type=2&continuation-token=t1&start-after=s&fetch-owner=true&max-keys=5000&encoding-type=url"
    answer = wire.ask("GET", target, objects__list_v2=found)
    assert wire.service.call.args == ("bucket", "", "", "s", "t1", 1000)
    shown = texts(answer)
    assert shown["KeyCount"] == "2"
    assert (shown["ContinuationToken"], shown["NextContinuationToken"], shown["StartAfter"]) == ("t1", "t2", "s")
    assert (shown["MaxKeys"], shown["Contents/Owner/ID"]) == ("1000", "p-1")
    answer = wire.ask("GET", "/bucket?list-type=2", objects__list_v2=page(ENTRY))
    assert b"Owner" not in answer.body


def test_list_object_versions() -> None:
    wire = Wire()
    plain = ListedVersion("a", version(), "", content())
    found = page(plain, MARKER, truncated=True, next_marker="m", next_version="v9")
    answer = wire.ask("GET", "/bucket?versions&key-marker=k&version-id-marker=v", objects__list_versions=found)
    assert wire.service.call.args == ("bucket", "", "", "k", "v", 1000)
    shown = texts(answer)
    assert (shown["NextKeyMarker"], shown["NextVersionIdMarker"]) == ("m", "v9")
    assert (shown["Version/VersionId"], shown["Version/IsLatest"]) == ("null", "true")
    assert (shown["DeleteMarker/VersionId"], shown["DeleteMarker/IsLatest"]) == ("v9", "false")
    assert "DeleteMarker/ETag" not in shown


def test_a_page_of_nothing() -> None:
    wire = Wire()
    answer = wire.ask("GET", "/bucket?max-keys=0", objects__list=page())
    assert texts(answer)["IsTruncated"] == "false"
    assert wire.service.call.args[-1] == 0
