"""kill -9 at every named point of a production: going on ends with one archive, one record, and no upload left."""

from __future__ import annotations

import json
import os
import signal
import zipfile
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from audit.production.keep import BUCKET, PART_BYTES
from audit.verify.command import main as verify
from tests.fault.judge import verified
from tests.fault.test_kill import PRODUCE
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)


def client(server: Server) -> Any:
    return boto3.client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1",
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A vault without a server, with one object that makes an archive of two parts."""
    server = Server(tmp_path_factory.mktemp("produced"))
    s3 = client(server)
    s3.create_bucket(Bucket="trades")
    s3.put_object(Bucket="trades", Key="long", Body=os.urandom(PART_BYTES + 1_000_000))
    s3.close()
    assert server.stop() == 0
    yield server
    if server.running:
        server.kill()


@pytest.mark.parametrize("point", PRODUCE)
def test_a_kill_leaves_what_going_on_makes_whole(stopped: Server, tmp_path: Path, point: str) -> None:
    out = tmp_path / "out"
    asked = ("production", "create", "--bucket", "trades", "--reason", point, "--dir", out, "--data", stopped.data)
    killed = command(*asked, env={"STRONGROOM_CRASH_POINT": f"{point}:{PRODUCE[point]}"})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (out / ".unfinished.json").exists()
    done = command(*asked, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == []
    assert verify([str(out)]) == 0
    stopped.start()
    try:
        s3 = client(stopped)
        of_it = s3.list_object_versions(Bucket=BUCKET, Prefix=f"{said['id']}.zip")["Versions"]
        assert [version["VersionId"] for version in of_it] == [said["kept"]["version_id"]]
        assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
        s3.close()
        assert stopped.cli("production", "fetch", said["id"], tmp_path / "it.zip").returncode == 0
        data = (tmp_path / "it.zip").read_bytes()
        assert sha256(data).hexdigest() == said["kept"]["sha256"]
        lines = stopped.cli("records", "--op", "production.complete", "--ndjson", "--all").stdout.splitlines()
        counts = Counter(json.loads(line)["production"]["id"] for line in lines)
        assert counts[said["id"]] == 1
    finally:
        assert stopped.stop() == 0
    assert verified(stopped.data) == ""
    with zipfile.ZipFile(tmp_path / "it.zip") as packed:
        packed.extractall(tmp_path / "unpacked")
    assert verify([str(tmp_path / "unpacked" / f"production-{said['id']}")]) == 0
