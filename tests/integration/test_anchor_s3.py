"""A vault whose anchor is a bucket of another one, over TLS: ``strongroom`` as its operator meets it."""

from __future__ import annotations

import json
import shutil
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.config import Config

from tests.doubles.certificates import Authority
from tests.integration.served import PATIENCE, Server, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Keeper(Server):
    """The vault that keeps the anchor, with a bucket for it."""

    def __init__(self, root: Path) -> None:
        self.authority = Authority(root)
        cert, key = self.authority.issue("server")
        super().__init__(root, {"STRONGROOM_S3__TLS_CERT_FILE": str(cert), "STRONGROOM_S3__TLS_KEY_FILE": str(key)})
        self.client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            verify=str(self.authority.ca),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        self.client.create_bucket(Bucket="anchors", ObjectLockEnabledForBucket=True)
        self.credentials = root / "credentials"
        self.credentials.touch(0o600)
        self.credentials.write_text(
            f"[default]\naws_access_key_id = {self.access_key}\naws_secret_access_key = {self.secret_key}\n"
        )

    def anchoring(self, prefix: str, bucket: str = "anchors") -> dict[str, str]:
        """What another vault is told."""
        return {
            "STRONGROOM_ANCHOR__URL": f"s3://{bucket}/{prefix}?endpoint={self.endpoint}",
            "STRONGROOM_ANCHOR__CREDENTIALS_FILE": str(self.credentials),
            "STRONGROOM_ANCHOR__CA_FILE": str(self.authority.ca),
        }


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    served = Keeper(tmp_path_factory.mktemp("keeper"))
    yield served
    served.client.close()
    assert served.stop() == 0, served.errors


@pytest.fixture
def anchored(keeper: Keeper, tmp_path: Path) -> Iterator[Server]:
    served = Server(tmp_path, keeper.anchoring(tmp_path.name))
    yield served
    if served.running:
        assert served.stop() == 0, served.errors


def readiness(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.audit_endpoint}/readyz").json()
    return found


def awaited(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def write(server: Server, bucket: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    client.create_bucket(Bucket=bucket)
    client.close()


def sealed(server: Server) -> bool:
    status = readiness(server)
    return bool(status["sealed"] == status["durable"])


def test_every_checkpoint_is_anchored_there_and_vouches_for_the_log(
    keeper: Keeper, anchored: Server, tmp_path: Path
) -> None:
    write(anchored, "first")
    awaited(lambda: sealed(anchored), "it is not sealed")
    anchored.kill()
    anchored.start()
    write(anchored, "second")
    awaited(lambda: sealed(anchored), "it is not sealed")
    assert anchored.stop() == 0
    published = (anchored.data / "streams/site-a.node-1/checkpoint").read_bytes()
    key = f"{tmp_path.name}/{sha256(published.splitlines()[0]).hexdigest()}"
    held = keeper.client.get_object(Bucket="anchors", Key=key)["Body"].read()
    assert held == published
    versions = keeper.client.list_object_versions(Bucket="anchors", Prefix=key)["Versions"]
    assert len(versions) >= 3
    (tmp_path / "checkpoint").write_bytes(held)
    verified = command("verify", anchored.data, "--checkpoint", tmp_path / "checkpoint", "--require-anchor", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["result"]) == (0, "good"), verified.stdout


def test_a_restored_backup_does_not_sign_a_second_history(keeper: Keeper, anchored: Server, tmp_path: Path) -> None:
    assert anchored.stop() == 0
    shutil.copytree(anchored.data, tmp_path / "backup")
    anchored.start()
    write(anchored, "later")
    assert anchored.stop() == 0
    shutil.rmtree(anchored.data)
    shutil.copytree(tmp_path / "backup", anchored.data)
    env = keeper.anchoring(tmp_path.name)
    refused = command("serve", "--data", anchored.data, "--s3", "127.0.0.1:0", "--audit", "127.0.0.1:0", env=env)
    assert refused.returncode == 2
    assert "nothing more is signed in this stream" in refused.stderr
    recovered = command("recover", "--data", anchored.data, env=env)
    assert recovered.returncode == 0, recovered.stderr
    anchored.start()


def test_a_file_anchor_moves_there_by_copying_its_files(keeper: Keeper, tmp_path: Path) -> None:
    served = Server(tmp_path)
    assert served.stop() == 0
    env = keeper.anchoring("moved")
    options = ("--s3", "127.0.0.1:0", "--audit", "127.0.0.1:0")
    early = command("serve", "--data", served.data, *options, env=env)
    assert (early.returncode, "is empty, while this ledger has published" in early.stderr) == (2, True)
    (value,) = (path for path in served.data.with_name("data.anchor").iterdir() if path.suffix != ".lock")
    keeper.client.put_object(Bucket="anchors", Key=f"moved/{value.name}", Body=value.read_bytes())
    served.start(env)
    write(served, "after")
    awaited(lambda: sealed(served), "it is not sealed")
    assert served.stop() == 0


def test_while_the_anchor_is_away_records_are_kept_and_nothing_is_signed(keeper: Keeper, anchored: Server) -> None:
    assert keeper.stop() == 0
    try:
        write(anchored, "meanwhile")
        awaited(
            lambda: any("sealer: the anchor s3://" in text for text in readiness(anchored)["warnings"]), "it is silent"
        )
        status = readiness(anchored)
        assert status["ready"]
        assert status["sealed"] < status["durable"]
        told = command("doctor", "--data", anchored.data, env=anchored._env).stdout
        assert "advice: asked from here: the anchor s3://anchors/" in told
        assert "advice: sealer: the anchor s3://anchors/" in told
    finally:
        keeper.start()
    awaited(lambda: sealed(anchored), "it does not go on")
    told = command("doctor", "--data", anchored.data, env=anchored._env).stdout
    assert "s3://anchors/" not in told.replace("anchor=local: s3://anchors/", "")


def test_a_server_that_nobody_vouches_for_is_not_believed(keeper: Keeper, tmp_path: Path) -> None:
    env = keeper.anchoring("x")
    del env["STRONGROOM_ANCHOR__CA_FILE"]
    refused = command("init", "--data", tmp_path / "data", env=env)
    assert refused.returncode == 2
    assert (
        "its certificate is not trusted: unable to get local issuer certificate; see anchor.ca_file" in refused.stderr
    )


@pytest.mark.parametrize(
    ("prefix", "bucket", "says"),
    [("x", "nowhere", "404 NoSuchBucket: make the bucket"), ("x/../y", "anchors", "anchor.url: the prefix")],
)
def test_a_vault_is_not_made_with_an_anchor_that_cannot_be_used(
    keeper: Keeper, tmp_path: Path, prefix: str, bucket: str, says: str
) -> None:
    refused = command("init", "--data", tmp_path / "data", env=keeper.anchoring(prefix, bucket))
    assert refused.returncode == 2
    assert says in refused.stderr
    assert keeper.secret_key not in refused.stderr
    assert not (tmp_path / "data").exists()
