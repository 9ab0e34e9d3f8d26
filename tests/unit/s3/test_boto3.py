"""What boto3 really sends, captured before it reaches a socket, against what verifies and decodes it here."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from tests.unit.s3.signer import ACCESS_KEY, SECRET, lookup
from vault.checksums import BodyDigests, find_algorithm
from vault.errors import S3Error
from vault.s3.authorization import Payload, Reason
from vault.s3.chunked import decoder
from vault.s3.claims import check_body, read_claims
from vault.s3.sigv4 import Verified, verify

ODD_KEYS = ["plain", "//x/../y", "a b/ü+&=%25", "./.", "trailing/", "?#;:@$,(!)'*~", "日本語", "%2F", "a\tb"]


class _NoBody:
    def stream(self) -> list[bytes]:
        return []


class Wire:
    """A client whose requests go nowhere; the last one is kept."""

    def __init__(self, scheme: str = "http", **config: Any) -> None:
        self.client = boto3.client(
            "s3",
            endpoint_url=f"{scheme}://vault.test:9000",
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET.decode(),
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, **config),
        )
        self.client.meta.events.register("before-send.s3", self._keep)
        self.sent: Any = None

    def _keep(self, request: Any, **_: Any) -> AWSResponse:
        self.sent = request
        return AWSResponse(request.url, 200, {}, _NoBody())

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(name.lower().encode(), _bytes(value)) for name, value in self.sent.headers.items()]

    def verify(self) -> Verified[str]:
        url = urlsplit(self.sent.url)
        return verify(
            self.sent.method,
            url.path.encode(),
            url.query.encode(),
            self.headers,
            now=time.time(),
            lookup=lookup,
        )


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def plain() -> Wire:
    return Wire()


@pytest.fixture(scope="module")
def tls() -> Wire:
    return Wire("https")


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_put_of_any_key_verifies(plain: Wire, key: str) -> None:
    plain.client.put_object(Bucket="bucket", Key=key, Body=b"abc", Metadata={"a": "1  2"})

    result = plain.verify()

    assert (result.principal, result.payload) == ("alice", Payload.SIGNED)
    claims = read_claims(plain.headers)
    digests = BodyDigests(claims.algorithm)
    digests.update(plain.sent.body.read() if hasattr(plain.sent.body, "read") else plain.sent.body)
    check_body(claims, digests, result.content_sha256)
    assert claims.algorithm is find_algorithm("CRC32")


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("list_buckets", {}),
        ("list_objects_v2", {"Bucket": "bucket", "Prefix": "a b/ü+&=%25", "Delimiter": "/", "StartAfter": "x~y"}),
        ("list_object_versions", {"Bucket": "bucket", "KeyMarker": "//x/../y"}),
        ("get_object", {"Bucket": "bucket", "Key": "//x/../y", "VersionId": "a/+=", "Range": "bytes=0-9"}),
        ("delete_objects", {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "a"}]}}),
        ("create_multipart_upload", {"Bucket": "bucket", "Key": "a b", "ChecksumAlgorithm": "CRC64NVME"}),
        (
            "put_object_retention",
            {"Bucket": "bucket", "Key": "k", "Retention": {"Mode": "COMPLIANCE", "RetainUntilDate": "2030-01-01"}},
        ),
    ],
)
def test_every_kind_of_request_verifies(plain: Wire, operation: str, arguments: dict[str, Any]) -> None:
    getattr(plain.client, operation)(**arguments)

    assert plain.verify().principal == "alice"


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "XXHASH64", "XXHASH128"])
def test_the_trailing_checksum_of_a_streamed_body_verifies(tls: Wire, name: str) -> None:
    tls.client.put_object(Bucket="bucket", Key="k", Body=b"x" * 70_000, ChecksumAlgorithm=name)
    headers = dict(tls.headers)

    stream = decoder(tls.verify(), headers[b"x-amz-decoded-content-length"], headers[b"x-amz-trailer"])
    payload = b"".join(piece for data in iter(lambda: tls.sent.body.read(9000), b"") for piece in stream.feed(data))
    trailers = stream.finish()

    assert payload == b"x" * 70_000
    claims = read_claims(tls.headers, tuple(trailers))
    assert claims.trailing is find_algorithm(name)
    digests = BodyDigests(claims.algorithm)
    digests.update(payload)
    check_body(claims, digests, trailers=trailers)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_presigned_url_of_any_key_verifies(plain: Wire, key: str) -> None:
    url = urlsplit(plain.client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key}))

    headers = [(b"host", url.netloc.encode())]
    result = verify("GET", url.path.encode(), url.query.encode(), headers, now=time.time(), lookup=lookup)

    assert result.presigned


def test_the_presigned_url_that_boto3_makes_by_default_is_refused_with_what_to_set() -> None:
    client = boto3.client(
        "s3", endpoint_url="http://vault.test", aws_access_key_id=ACCESS_KEY, aws_secret_access_key="x"
    )
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}))

    with pytest.raises(S3Error, match="signature_version='s3v4'") as caught:
        verify("GET", url.path.encode(), url.query.encode(), [(b"host", b"vault.test")], now=0, lookup=lookup)

    assert caught.value.reason == Reason.SIGNATURE_V2
