"""A real MinIO brings its audit events by its own webhook, set up with README's lines; also what it could not send."""

from __future__ import annotations

import json
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.bench.peers import build, serve_minio
from tests.golang import GO
from tests.integration.served import Server
from tests.readme import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.load import Target

pytestmark = pytest.mark.timeout(2400)
PATIENCE = 60


def set_up(monkeypatch: pytest.MonkeyPatch, server: Server, token: str, queue: Path) -> None:
    """README's lines, with this test's names in the place of its examples'."""
    lines = re.findall(r"^export (MINIO_AUDIT\w+)=(.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == 5
    for name, value in lines:
        here = value.replace("https://vault.example:9001", server.audit_endpoint).strip('"')
        here = here.replace("$(cat minio-a.token)", token).replace("/var/lib/minio/audit", str(queue))
        monkeypatch.setenv(name, here)


def events(server: Server) -> list[Any]:
    """What came, oldest first: each event's own text, read back."""
    shown = server.cli("records", "--json", "--oldest-first", "--limit", "1000", "--source", "minio-a")
    assert shown.returncode == 0, shown.stderr
    found = [row["record"] for row in json.loads(shown.stdout)["records"]]
    return [record for record in found if record["op"] == "ingest.event"]


def until(server: Server, action: str, count: int) -> list[Any]:
    """Wait until so many events of one action have come."""
    end = time.monotonic() + PATIENCE
    while True:
        found = [record for record in events(server) if record["ingest"].get("action") == action]
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.5)


def puts(target: Target, keys: list[str]) -> list[str]:
    """Store objects; the request ids that MinIO gave."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{target.address}",
        aws_access_key_id=target.access_key,
        aws_secret_access_key=target.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket="audited") if "first" in keys else None
    made = [client.put_object(Bucket="audited", Key=key, Body=b"x")["ResponseMetadata"]["RequestId"] for key in keys]
    client.close()
    return made


@pytest.fixture
def server(tmp_path: Path) -> Any:
    server = Server(tmp_path)
    yield server
    if server.running:
        assert server.stop() == 0, server.errors


def test_what_minio_says_of_its_requests_is_kept_also_where_the_vault_was_away(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("go") is None:
        pytest.skip("Go, which MinIO is built with, is not installed")
    made = json.loads(server.cli("principal", "add", "collector", "--role", "writer", "--json").stdout)
    added = server.cli("token", "add", made["access_key"], "--source", "minio-a", "--format", "minio")
    assert added.returncode == 0, added.stderr
    queue = tmp_path / "queue"
    set_up(monkeypatch, server, added.stdout.strip(), queue)
    with serve_minio(build(GO), tmp_path) as target:
        sent = puts(target, ["first", "path/ü", "third"])
        came = until(server, "PutObject", 3)
        assert sorted(record["ingest"]["id"] for record in came) == sorted(sent)
        assert {record["ingest"]["what"] for record in came} == {"audited/first", "audited/path/ü", "audited/third"}
        assert {record["ingest"]["who"] for record in came} == {target.access_key}
        assert server.stop() == 0, server.errors
        late = puts(target, ["late-1", "late-2"])
        server.start()
        came = until(server, "PutObject", 5)
    assert sorted(record["ingest"]["id"] for record in came) == sorted(sent + late)  # each once
    exact = json.loads(came[0]["ingest"]["event"])
    assert exact["requestID"] == came[0]["ingest"]["id"]
    assert exact["api"]["name"] == "PutObject"
