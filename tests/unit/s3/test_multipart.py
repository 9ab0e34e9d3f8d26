from __future__ import annotations

from tests.doubles.s3_service import RECORD
from tests.unit.s3.wire import CREATED, STORED, Wire, content, crc32, error, texts
from vault.errors import S3Error
from vault.manifest import Checksum
from vault.service.context import CompletedPart
from vault.service.results import (
    Done,
    ListedPart,
    ListedUpload,
    PartResult,
    PartsPage,
    PutResult,
    UploadResult,
    UploadsPage,
)
from vault.state.rows import PartRow, UploadRow

UPLOAD = UploadRow("u1", "bucket", "a\x01", 7, CREATED, "p-1", "c", STORED)


def test_create_multipart_upload() -> None:
    wire = Wire()
    headers = {
        "content-type": "text/plain", "x-amz-meta-a": "b", "x-amz-object-lock-legal-hold": "ON",
        "x-amz-checksum-algorithm": "crc32", "content-length": "0",
    }  # fmt: skip
    made = UploadResult("u1", "CRC32", "COMPOSITE", RECORD)
    answer = wire.ask("POST", "/bucket/key?uploads", headers, uploads__create=made)
    assert texts(answer) == {"Bucket": "bucket", "Key": "key", "UploadId": "u1"}
    assert answer.headers["x-amz-checksum-algorithm"] == "CRC32"
    assert answer.headers["x-amz-checksum-type"] == "COMPOSITE"
    spec = wire.service.call.args[0]
    assert (spec.metadata, spec.hold, spec.lock) == ({"a": "b"}, True, None)
    assert (spec.algorithm, spec.checksum_type) == ("CRC32", "COMPOSITE")


def test_upload_part() -> None:
    wire = Wire()
    made = PartResult("e", Checksum("CRC32", "FULL_OBJECT", "DUoRhQ=="), RECORD)
    headers = {"x-amz-checksum-crc32": crc32(b"hello world")}
    answer = wire.ask("PUT", "/bucket/key?partNumber=2&uploadId=u1", headers, b"hello world", uploads__part=made)
    assert (answer.status, answer.headers["etag"]) == (200, '"e"')
    assert answer.headers["x-amz-checksum-crc32"] == "DUoRhQ=="
    assert wire.service.call.args[:5] == ("bucket", "key", "u1", 2, 11)
    assert wire.service.call.body == b"hello world"


def test_complete_multipart_upload() -> None:
    wire = Wire()
    document = (
        b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"e"</ETag>'
        b"<ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>"
    )
    headers = {
        "x-amz-checksum-crc32": "DUoRhQ==-1",  # the object's, not the document's
        "x-amz-checksum-type": "COMPOSITE", "if-none-match": "*", "x-amz-mp-object-size": "11",
    }  # fmt: skip
    made = PutResult("v1", "e-1", Checksum("CRC32", "COMPOSITE", "DUoRhQ==-1"), RECORD)
    answer = wire.ask("POST", "/bucket/key?uploadId=u1", headers, document, uploads__complete=made)
    assert texts(answer) == {
        "Location": "/bucket/key",
        "Bucket": "bucket",
        "Key": "key",
        "ETag": '"e-1"',
        "ChecksumCRC32": "DUoRhQ==-1",
        "ChecksumType": "COMPOSITE",
    }
    assert answer.headers["x-amz-version-id"] == "v1"
    assert wire.service.call.args == ("bucket", "key", "u1", [CompletedPart(1, "e", ("CRC32", "AAAAAA=="))])
    assert wire.service.call.kwargs == {
        "if_none_match": True,
        "if_match": "",
        "checksum": ("CRC32", "DUoRhQ==-1"),
        "checksum_type": "COMPOSITE",
        "size": 11,
    }
    for size in ("", "-1", "eleven", "1" * 19):
        headers["x-amz-mp-object-size"] = size
        assert error(wire.ask("POST", "/bucket/key?uploadId=u1", headers, document)) == (400, "InvalidRequest")


def test_abort_multipart_upload() -> None:
    wire = Wire()
    answer = wire.ask("DELETE", "/bucket/key?uploadId=u1", uploads__abort=Done(RECORD))
    assert (answer.status, wire.service.call.args) == (204, ("bucket", "key", "u1"))
    missing = wire.ask("DELETE", "/bucket/key?uploadId=u1", uploads__abort=S3Error("NoSuchUpload"))
    assert error(missing) == (404, "NoSuchUpload")


def test_list_parts() -> None:
    wire = Wire()
    row = PartRow(3, 8, 11, CREATED, "c", STORED)
    parts = [ListedPart(row, content(checksum=Checksum("CRC32", "FULL_OBJECT", "DUoRhQ==")))]
    found = PartsPage(UPLOAD, parts, "CRC32", "COMPOSITE", truncated=True, next_number=3, record=RECORD)
    answer = wire.ask("GET", "/bucket/key?uploadId=u1&part-number-marker=2&max-parts=1", uploads__parts=found)
    assert wire.service.call.args == ("bucket", "key", "u1", 2, 1)
    shown = texts(answer)
    assert (shown["NextPartNumberMarker"], shown["PartNumberMarker"], shown["IsTruncated"]) == ("3", "2", "true")
    assert (shown["Part/PartNumber"], shown["Part/Size"], shown["Part/ChecksumCRC32"]) == ("3", "11", "DUoRhQ==")
    assert (shown["ChecksumAlgorithm"], shown["ChecksumType"]) == ("CRC32", "COMPOSITE")


def test_list_multipart_uploads() -> None:
    wire = Wire()
    found = UploadsPage(
        [ListedUpload(UPLOAD, "", "")], ["p/"], truncated=True, next_key="a\x01", next_upload="u1", record=RECORD
    )
    target = "/bucket?uploads&prefix=a&delimiter=%2F&key-marker=k&upload-id-marker=u0&max-uploads=1&encoding-type=url"
    answer = wire.ask("GET", target, uploads__list=found)
    assert wire.service.call.args == ("bucket", "a", "/", "k", "u0", 1)
    shown = texts(answer)
    assert (shown["Upload/Key"], shown["Upload/UploadId"], shown["NextKeyMarker"]) == ("a%01", "u1", "a%01")
    assert (shown["CommonPrefixes/Prefix"], shown["EncodingType"], shown["MaxUploads"]) == ("p/", "url", "1")


def test_a_completion_of_many_parts_is_read_off_the_event_loop() -> None:
    wire = Wire()
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{n:032x}</ETag></Part>" for n in range(1, 2001))
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    made = PutResult("v1", "e-2000", None, RECORD)
    assert wire.ask("POST", "/bucket/key?uploadId=u1", {}, document, uploads__complete=made).status == 200
    assert [part.number for part in wire.service.call.args[3]] == list(range(1, 2001))
    malformed = document.replace(b"<PartNumber>2000<", b"<PartNumber>x<")
    assert error(wire.ask("POST", "/bucket/key?uploadId=u1", {}, malformed)) == (400, "MalformedXML")
    assert wire.recorded == 1
