from __future__ import annotations

from typing import Any, Final

import pytest
from lxml import etree

from tests.doubles.asgi import Client
from tests.doubles.s3_service import RECORD
from tests.unit.s3.signer import Signer
from tests.unit.s3.wire import XMLNS, Wire, error, md5, texts
from vault.errors import S3Error
from vault.record import LockRef
from vault.s3.extract import described_by
from vault.service.results import Extracted

EXTRACT: Final = {"x-amz-meta-snowball-auto-extract": "true"}
MADE: Final = [
    Extracted("p/a", 5, "v1", "e" * 32, RECORD),
    Extracted("p/<b>&", 0, "", "f" * 32, RECORD),
]
REFUSED: Final = Extracted("p/c", record=RECORD, error=S3Error("AccessDenied", "A strict bucket", reason="strict"))
UNWRITTEN: Final = Extracted("p/d", error=S3Error("ServiceUnavailable"))


def put(headers: dict[str, str], made: Any = MADE) -> tuple[Any, Wire]:
    wire = Wire()
    answer = wire.ask("PUT", "/bucket/any.tar", headers, b"tar", Client([b"t", b"ar"]), extraction__put=made)
    return answer, wire


@pytest.mark.parametrize("value", ["true", "True", "TRUE", " true "])
def test_each_member_is_answered(value: str) -> None:
    answer, wire = put({"x-amz-meta-snowball-auto-extract": value})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/xml"
    root = etree.fromstring(answer.body)
    assert root.tag == f"{XMLNS}ExtractResult"
    told = [{leaf.tag.replace(XMLNS, ""): leaf.text for leaf in each} for each in root]
    assert told == [
        {"Key": "p/a", "VersionId": "v1", "ETag": '"' + "e" * 32 + '"', "Size": "5", "Record": RECORD},
        {"Key": "p/<b>&", "ETag": '"' + "f" * 32 + '"', "Size": "0", "Record": RECORD},
    ]
    spec = wire.service.call.args[0]
    assert (spec.bucket, spec.key, spec.length, spec.prefix, spec.tolerant) == ("bucket", "any.tar", 3, "", False)
    assert wire.service.call.body == b"tar"


def test_what_is_asked_for_reaches_every_member() -> None:
    _, wire = put(
        EXTRACT
        | md5(b"tar")
        | {
            "x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00Z",
            "x-amz-object-lock-legal-hold": "ON", "if-none-match": "*", "x-amz-meta-minio-snowball-prefix": "/p/q/",
            "x-amz-meta-minio-snowball-ignore-errors": "TRUE", "x-amz-meta-minio-snowball-ignore-dirs": "true",
            "x-amz-meta-desk": "rates", "content-type": "application/x-tar", "content-encoding": "gzip",
        }
    )  # fmt: skip
    spec = wire.service.call.args[0]
    assert spec.lock == LockRef("COMPLIANCE", "2140-01-01T00:00:00.000000000Z")
    assert (spec.hold, spec.if_none_match, spec.prefix, spec.tolerant) == (True, True, "p/q/", True)
    assert spec.described({}) == ({"content-type": "binary/octet-stream"}, {"desk": "rates"})


def test_a_prefix_is_utf_8() -> None:
    _, wire = put(EXTRACT | {"x-amz-meta-minio-snowball-prefix": "ü".encode().decode("latin-1")})
    assert wire.service.call.args[0].prefix == "ü/"
    answer, _ = put(EXTRACT | {"x-amz-meta-minio-snowball-prefix": "\xfc"})
    assert error(answer) == (400, "InvalidArgument")


@pytest.mark.parametrize("value", ["false", "yes", ""])
def test_another_value_is_metadata_like_any(value: str) -> None:
    wire = Wire()
    wire.ask(
        "PUT",
        "/bucket/any.tar",
        {"x-amz-meta-snowball-auto-extract": value},
        b"tar",
        objects__put=S3Error("NoSuchBucket"),
    )
    assert wire.service.call.args[0].metadata == {"snowball-auto-extract": value}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"if-match": '"e"'}, (501, "NotImplemented")),
        ({"x-amz-meta-minio-snowball-ignore-dirs": "false"}, (501, "NotImplemented")),
        ({"x-amz-meta-minio-snowball-ignore-dirs": "no"}, (400, "InvalidArgument")),
        ({"x-amz-meta-minio-snowball-ignore-errors": "1"}, (400, "InvalidArgument")),
        ({"x-amz-meta-minio-snowball-prefix": "../a"}, (400, "InvalidArgument")),
        ({"x-amz-object-lock-legal-hold": "ON"}, (400, "InvalidRequest")),
        ({"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, (400, "BadDigest")),
        ({"x-amz-tagging": "a=b"}, (501, "NotImplemented")),
    ],
)
def test_what_cannot_be_asked_for_is_refused(headers: dict[str, str], expected: tuple[int, str]) -> None:
    answer, wire = put(EXTRACT | headers)
    assert error(answer) == expected
    assert wire.recorded == 1


def test_a_member_that_is_not_stored_makes_the_answer_an_error_that_lists_all() -> None:
    answer, _ = put(EXTRACT, [*MADE, REFUSED, UNWRITTEN])
    assert error(answer) == (403, "AccessDenied")
    root = etree.fromstring(answer.body)
    assert root.findtext("Message") == "2 of 4 members are not stored; the first: A strict bucket"
    assert root.findtext("Resource") == "/bucket/any.tar"
    (listed,) = root.findall("ExtractResult")
    assert [each.tag for each in listed] == ["Extracted", "Extracted", "Error", "Error"]
    assert [[leaf.text for leaf in each] for each in listed.findall("Error")] == [
        ["p/c", "AccessDenied", "A strict bucket", RECORD],
        ["p/d", "ServiceUnavailable", "The service cannot take this request now; try again."],
    ]


def test_errors_that_are_to_be_ignored_are_told() -> None:
    answer, _ = put(EXTRACT | {"x-amz-meta-minio-snowball-ignore-errors": "true"}, [*MADE, REFUSED])
    assert answer.status == 200
    assert texts(answer)["Error/Code"] == "AccessDenied"


def test_a_name_that_no_document_can_hold_is_shown_as_far_as_one_can() -> None:
    bad = Extracted("a\x01b\ufffe", record=RECORD, error=S3Error("InvalidRequest"))
    answer, _ = put(EXTRACT | {"x-amz-meta-minio-snowball-ignore-errors": "true"}, [bad])
    assert texts(answer)["Error/Key"] == "a\ufffdb\ufffd"


@pytest.mark.parametrize("refused", [0, 1])
def test_a_long_answer_comes_in_pieces(refused: int) -> None:
    made = [Extracted(f"k{number}", 1, "v", "e" * 32, RECORD) for number in range(2500)] + [REFUSED] * refused
    answer, _ = put(EXTRACT, made)
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert len(etree.fromstring(answer.body).findall(f".//{'' if refused else XMLNS}Key")) == 2500 + refused


def test_an_archive_is_not_sent_in_parts() -> None:
    wire = Wire()
    answer = wire.ask("POST", "/bucket/any.tar?uploads", EXTRACT)
    assert error(answer) == (501, "NotImplemented")
    assert wire.recorded == 1


def test_an_unsigned_header_makes_no_archive_of_a_body() -> None:
    wire = Wire()
    request = Signer().header("PUT", "/bucket/k", "", {"content-length": "0"})
    request.headers.append((b"x-amz-meta-snowball-auto-extract", b"true"))
    assert wire.send(request).status == 403
    assert wire.service.calls == []


@pytest.mark.parametrize(
    "name", ["x-amz-object-lock-mode", "x-amz-tagging", "x-amz-meta-", "range", "x-amz-meta-snowball-auto-extract"]
)
def test_a_member_sets_stored_headers_alone(name: str) -> None:
    with pytest.raises(S3Error, match="not implemented"):
        described_by({})({name: "x"})


def test_a_member_sets_no_header_that_could_not_be_one() -> None:
    with pytest.raises(S3Error):
        described_by({})({"content-type": "a\r\nb: c"})
    with pytest.raises(S3Error):
        described_by({})({"x-amz-meta-a\n": "b"})
