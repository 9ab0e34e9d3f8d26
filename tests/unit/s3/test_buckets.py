from __future__ import annotations

from urllib.parse import quote

import msgspec
import pytest
from lxml import etree

from tests.doubles.s3_service import RECORD
from tests.unit.s3.wire import BUCKET, CREATED, Wire, crc32, error, md5, texts
from vault.record import DefaultRetention
from vault.service.results import BucketResult, BucketsResult, DefaultResult, Done
from vault.state.rows import BucketRow


def test_list_buckets() -> None:
    answer = Wire().ask("GET", "/", buckets__list=BucketsResult([BUCKET], RECORD))
    assert texts(answer) == {
        "Owner/ID": "p-1",
        "Owner/DisplayName": "p-1",
        "Buckets/Bucket/Name": "bucket",
        "Buckets/Bucket/CreationDate": "2026-11-22T16:46:08.123Z",
        "Buckets/Bucket/BucketRegion": "us-east-1",
    }


def test_buckets_come_in_pages_where_a_page_is_asked_for() -> None:
    rows = [msgspec.structs.replace(BUCKET, name=name) for name in ("a", "b-1", "b-2", "b-3", "c")]

    def page(query: str) -> dict[str, str]:
        return texts(Wire().ask("GET", f"/?{query}", buckets__list=BucketsResult(rows, RECORD)))

    first = page("max-buckets=1&prefix=b")
    assert (first["Buckets/Bucket/Name"], first["Prefix"]) == ("b-1", "b")
    second = page(f"max-buckets=1&prefix=b-2&continuation-token={quote(first['ContinuationToken'])}")
    assert second["Buckets/Bucket/Name"] == "b-2"
    assert "ContinuationToken" not in second
    assert "Buckets/Bucket/Name" not in page("bucket-region=eu-north-1")
    for query in ("max-buckets=0", "max-buckets=10001", "continuation-token=%C3%A4"):
        assert error(Wire().ask("GET", f"/?{query}")) == (400, "InvalidArgument")


def test_create_bucket() -> None:
    wire = Wire(region="eu-central-2")
    headers = {"x-amz-bucket-object-lock-enabled": "True", "x-strongroom-bucket-strict": "true"}
    body = (
        b"<CreateBucketConfiguration><LocationConstraint>eu-central-2</LocationConstraint></CreateBucketConfiguration>"
    )
    answer = wire.ask("PUT", "/bucket", headers, body, buckets__create=Done(RECORD))
    assert (answer.status, answer.headers["location"]) == (200, "/bucket")
    assert (wire.service.call.args, wire.service.call.kwargs) == (("bucket",), {"lock": True, "strict": True})
    assert answer.headers["x-strongroom-record"] == RECORD


def test_a_bucket_elsewhere_is_refused() -> None:
    body = (
        b"<CreateBucketConfiguration><LocationConstraint>eu-central-2</LocationConstraint></CreateBucketConfiguration>"
    )
    wire = Wire()
    assert error(wire.ask("PUT", "/bucket", {}, body)) == (400, "InvalidLocationConstraint")
    assert wire.recorded == 1


def test_bucket_reads() -> None:
    wire = Wire(region="eu-central-2")
    answer = wire.ask("HEAD", "/bucket", buckets__head=BucketResult(BUCKET, RECORD))
    assert (answer.status, answer.headers["x-amz-bucket-region"]) == (200, "eu-central-2")
    answer = wire.ask("GET", "/bucket?location", buckets__location=BucketResult(BUCKET, RECORD))
    assert etree.fromstring(answer.body).text == "eu-central-2"
    answer = Wire().ask("GET", "/bucket?location", buckets__location=BucketResult(BUCKET, RECORD))
    assert etree.fromstring(answer.body).text is None
    answer = wire.ask("GET", "/bucket?versioning", buckets__get_versioning=BucketResult(BUCKET, RECORD))
    assert texts(answer) == {"Status": "Enabled"}
    never = BucketRow("bucket", "p-1", CREATED, lock=False, strict=False)
    answer = wire.ask("GET", "/bucket?versioning", buckets__get_versioning=BucketResult(never, RECORD))
    assert len(etree.fromstring(answer.body)) == 0


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        (None, {}),
        (DefaultRetention("GOVERNANCE", days=3), {"Mode": "GOVERNANCE", "Days": "3"}),
        (DefaultRetention("COMPLIANCE", years=2), {"Mode": "COMPLIANCE", "Years": "2"}),
    ],
)
def test_the_lock_configuration_comes_back_as_it_was_put(
    default: DefaultRetention | None, expected: dict[str, str]
) -> None:
    wire = Wire()
    answer = wire.ask("GET", "/bucket?object-lock", buckets__get_lock=DefaultResult(default, RECORD))
    rule = {f"Rule/DefaultRetention/{name}": value for name, value in expected.items()}
    assert texts(answer) == {"ObjectLockEnabled": "Enabled", **rule}
    again = wire.ask("PUT", "/bucket?object-lock", md5(answer.body), answer.body, buckets__put_lock=Done(RECORD))
    assert again.status == 200
    assert wire.service.calls[-1].args == ("bucket", default)


LOCKED = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"


@pytest.mark.parametrize(
    ("target", "document"),
    [
        ("/bucket?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
        ("/bucket?object-lock", LOCKED),
        ("/bucket/key?retention", b"<Retention/>"),
        ("/bucket/key?legal-hold", b"<LegalHold><Status>ON</Status></LegalHold>"),
    ],
)  # fmt: skip
def test_a_document_needs_a_checksum_that_is_right(target: str, document: bytes) -> None:
    wire = Wire()
    for name in ("buckets.put_versioning", "buckets.put_lock", "locks.put_retention", "locks.put_hold"):
        wire.service.answers[name] = Done(RECORD)
    missing = wire.ask("PUT", target, {}, document)
    assert error(missing) == (400, "InvalidRequest")
    assert texts(missing)["Message"] == "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
    assert missing.received == 0
    assert error(wire.ask("PUT", target, md5(b"other"), document)) == (400, "BadDigest")
    assert error(wire.ask("PUT", target, {"x-amz-checksum-crc32": crc32(b"other")}, document)) == (400, "BadDigest")
    assert wire.service.calls == []
    assert wire.ask("PUT", target, md5(document), document).status == 200
    assert wire.ask("PUT", target, {"x-amz-checksum-crc32": crc32(document)}, document).status == 200
    assert wire.service.records == 5
