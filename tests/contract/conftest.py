"""S3 servers for the anchor's contract: our own in its own process, MinIO, and one that fails as it is told to."""

from __future__ import annotations

import shutil
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import boto3
import pytest
from botocore.config import Config

from audit.anchor import s3
from audit.anchor.url import open_anchor
from audit.config import AnchorSection
from tests.bench.peers import build, serve_minio
from tests.doubles.s3_server import FakeS3, serving
from tests.golang import GO
from tests.integration.served import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit.anchor import Anchor

_BUCKET = "anchors"
_prefixes = count()


class Bucket(NamedTuple):
    """A bucket that keeps versions under Object Lock, and who may use it."""

    endpoint: str
    access_key: str
    secret_key: str

    def make(self) -> Bucket:
        """Create it."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
        client.create_bucket(Bucket=_BUCKET, ObjectLockEnabledForBucket=True)
        client.put_object_lock_configuration(
            Bucket=_BUCKET,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
            },
        )
        client.close()
        return self

    def connecting(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Anchor]:
        """Connect to a place of its own there, as often as it is called."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", self.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", self.secret_key)
        url = f"s3://{_BUCKET}/place-{next(_prefixes)}?endpoint={self.endpoint}"
        return lambda: open_anchor(url, AnchorSection())


@pytest.fixture(scope="session")
def strongroom_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    server = Server(tmp_path_factory.mktemp("strongroom"))
    yield Bucket(server.endpoint, server.access_key, server.secret_key).make()
    assert server.stop() == 0, server.errors


@pytest.fixture(scope="session")
def minio_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    if shutil.which("go") is None:
        pytest.skip("Go, which MinIO is built with, is not installed")
    with serve_minio(build(GO), tmp_path_factory.mktemp("minio")) as target:
        yield Bucket(f"http://{target.address}", target.access_key, target.secret_key).make()


@pytest.fixture
def on_strongroom(strongroom_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Anchor]:
    return strongroom_bucket.connecting(monkeypatch)


@pytest.fixture
def on_minio(minio_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Anchor]:
    return minio_bucket.connecting(monkeypatch)


@pytest.fixture
def fake_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ACCESS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(s3, "CALL_SECONDS", 1.5)
    with serving() as fake:
        fake.spared = s3.PROBE
        yield fake
