"""boto3: over TLS it signs no body and sends a checksum behind it; presigned URLs; every algorithm that it knows."""

from __future__ import annotations

import http.client
import ssl
from base64 import b64encode
from contextlib import closing
from hashlib import md5
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.strangers.conftest import PATIENCE
from tests.strangers.material import LARGE, ODD_KEYS, PARTS, SMALL, UNTIL
from vault.checksums import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.strangers.conftest import Door

LOCK = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": UNTIL, "ObjectLockLegalHoldStatus": "ON"}


@pytest.fixture
def forms(client: Any) -> Iterator[list[str]]:
    """How each body that was sent was signed."""
    seen: list[str] = []

    def watch(request: Any, **_: object) -> None:
        seen.append(request.headers["X-Amz-Content-SHA256"].decode())

    client.meta.events.register("before-send.s3", watch)
    yield seen
    client.meta.events.unregister("before-send.s3", watch)


def refused(client: Any, bucket: str, key: str, version: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.delete_object(Bucket=bucket, Key=key, VersionId=version)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    [error] = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key, "VersionId": version}]})["Errors"]
    assert (error["Code"], error["Key"], error["VersionId"]) == ("AccessDenied", key, version)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.keys() - {"MD5"}))  # which boto3 knows and does not compute
def test_locked_objects_are_stored_with_every_checksum(
    door: Door, client: Any, bucket: str, forms: list[str], algorithm: str
) -> None:
    for key, body in (("empty", b""), ("small", SMALL), ("large", LARGE)):
        forms.clear()
        made = client.put_object(Bucket=bucket, Key=key, Body=BytesIO(body), ChecksumAlgorithm=algorithm, **LOCK)
        assert (forms == ["STREAMING-UNSIGNED-PAYLOAD-TRAILER"]) == (door.ca is not None)
        found = client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert found["Body"].read() == body
        assert found[f"Checksum{algorithm}"] == made[f"Checksum{algorithm}"]
        assert {name: found[name] for name in LOCK} == LOCK
        refused(client, bucket, key, found["VersionId"])


def test_large_objects_are_sent_in_parts(client: Any, bucket: str) -> None:
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    client.upload_fileobj(BytesIO(PARTS), bucket, "parts", ExtraArgs=LOCK, Config=parts)
    back = BytesIO()
    client.download_fileobj(bucket, "parts", back, Config=parts)
    assert back.getvalue() == PARTS
    found = client.head_object(Bucket=bucket, Key="parts", PartNumber=3)
    assert (found["PartsCount"], found["ContentLength"]) == (3, len(PARTS) - (10 << 20))
    assert {name: found[name] for name in LOCK} == LOCK
    refused(client, bucket, "parts", found["VersionId"])


def test_odd_keys_stay_what_they_are(client: Any, bucket: str) -> None:
    for key in ODD_KEYS:
        client.put_object(Bucket=bucket, Key=key, Body=SMALL)
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == SMALL
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    assert {found["Key"] for page in pages for found in page["Versions"]} == set(ODD_KEYS)
    [common] = client.list_objects_v2(Bucket=bucket, Prefix="//x/", Delimiter="/")["CommonPrefixes"]
    assert common["Prefix"] == "//x/../"


def test_buckets_are_listed_in_pages(client: Any, bucket: str) -> None:
    for number in range(5):
        client.create_bucket(Bucket=f"{bucket}-page-{number}")
    pages = list(
        client.get_paginator("list_buckets").paginate(Prefix=f"{bucket}-page-", PaginationConfig={"PageSize": 2})
    )
    assert [len(page["Buckets"]) for page in pages] == [2, 2, 1]
    assert [made["Name"] for page in pages for made in page["Buckets"]] == [f"{bucket}-page-{n}" for n in range(5)]
    whole = {made["Name"] for page in client.get_paginator("list_buckets").paginate() for made in page["Buckets"]}
    assert {bucket, f"{bucket}-page-0"} <= whole


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_lock_in_a_presigned_url_is_what_is_stored(door: Door, client: Any, bucket: str, key: str) -> None:
    named = {"Bucket": bucket, "Key": key}
    digest = b64encode(md5(SMALL, usedforsecurity=False).digest()).decode()
    put = client.generate_presigned_url("put_object", Params={**named, **LOCK, "ContentMD5": digest})
    headers = {
        "Content-MD5": digest,
        "x-amz-object-lock-mode": "COMPLIANCE",
        "x-amz-object-lock-retain-until-date": f"{UNTIL:%Y-%m-%dT%H:%M:%SZ}",
        "x-amz-object-lock-legal-hold": "ON",
    }
    assert followed(door, "PUT", put, LARGE, headers)[0] == 400
    assert followed(door, "PUT", put, SMALL, headers)[0] == 200
    assert followed(door, "GET", client.generate_presigned_url("get_object", Params=named)) == (200, SMALL)
    found = client.head_object(**named)
    assert {name: found[name] for name in LOCK} == LOCK
    refused(client, bucket, key, found["VersionId"])


def followed(
    door: Door, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of the answer; the URL is sent as it is, which programs that resolve dots do not do."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.netloc, timeout=PATIENCE)
    if door.ca:
        trust = ssl.create_default_context(cafile=door.ca)
        connection = http.client.HTTPSConnection(where.netloc, timeout=PATIENCE, context=trust)
    with closing(connection):
        connection.request(method, f"{where.path}?{where.query}", body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
