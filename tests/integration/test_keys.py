"""Keys beside a running server, and on an empty machine: everything that was stored is read again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSPHRASE = "a passphrase of the test"
BUCKET = "ledgers"


def connected(server: Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def s3(server: Server) -> Iterator[Any]:
    client = connected(server)
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    yield client
    client.close()


def store(s3: Any, *years: int) -> None:
    """An object in each of these years' domains: small, and large enough for a file of its own."""
    for year in years:
        for size in (10, 300_000):
            s3.put_object(
                Bucket=BUCKET, Key=f"{year}/{size}", Body=b"%d" % year * size, ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=f"{year}-06-01T00:00:00Z",
            )  # fmt: skip


def read_all(s3: Any) -> dict[str, bool]:
    """Whether each object holds what was stored."""
    found = {}
    for row in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        year, size = map(int, row["Key"].split("/"))
        found[row["Key"]] = s3.get_object(Bucket=BUCKET, Key=row["Key"])["Body"].read() == b"%d" % year * size
    return found


def backup(server: Server, file: Path) -> None:
    made = server.cli("key", "backup", file, "--passphrase-stdin", stdin=f"{PASSPHRASE}\n")
    assert made.returncode == 0, made.stderr


def advice(server: Server) -> str:
    return " ".join(
        item["text"] for item in json.loads(server.cli("doctor", "--json").stdout) if "key backup" in item["text"]
    )


def moved(server: Server, to: Path) -> Path:
    """A copy of the stopped vault without its keys, as a data backup restored on an empty machine."""
    copy = shutil.copytree(server.data, to / "data", ignore=shutil.ignore_patterns("keys", "views"))
    shutil.copytree(server.data.with_name("data.anchor"), to / "data.anchor")
    return Path(copy)


def test_doctor_counts_what_no_backup_has(server: Server, s3: Any, tmp_path: Path) -> None:
    assert "no backup of the keys was recorded" in advice(server)
    store(s3, 2090)
    backup(server, tmp_path / "k1")
    assert advice(server) == ""
    store(s3, 2090, 2091, 2092)
    assert "domain keys made: 2;" in advice(server)
    assert server.stop() == 0
    server.start()
    assert "domain keys made: 2;" in advice(server)
    assert server.cli("key", "rotate").returncode == 0
    assert "domain keys made: 2, rotations of the key-encryption key: 1;" in advice(server)
    backup(server, tmp_path / "k2")
    assert advice(server) == ""


def test_a_backup_restored_on_an_empty_machine_reads_every_object(server: Server, s3: Any, tmp_path: Path) -> None:
    store(s3, 2090, 2093)
    backup(server, tmp_path / "k")
    assert server.cli("key", "rotate").returncode == 0  # the backup has the KEK of its time
    assert server.stop() == 0
    data = moved(server, tmp_path / "there")
    server.start()
    done = command("key", "restore", tmp_path / "k", "--passphrase-stdin", "--data", data, stdin=PASSPHRASE)
    assert done.returncode == 0, done.stderr
    there = Server(tmp_path / "there")
    client = connected(there)
    found = read_all(client)
    assert len(found) >= 4
    assert all(found.values())
    store(client, 2094)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(
            Bucket=BUCKET, Key="2093/10", VersionId=client.head_object(Bucket=BUCKET, Key="2093/10")["VersionId"]
        )
    client.close()
    assert there.stop() == 0, there.errors
    verified = command("verify", data)
    assert verified.returncode == 0, verified.stdout


def test_a_backup_from_before_a_domain_key_was_made_is_refused_by_name(server: Server, s3: Any, tmp_path: Path) -> None:
    backup(server, tmp_path / "k")
    store(s3, 2095)
    assert server.stop() == 0
    data = moved(server, tmp_path / "there")
    restore = ("key", "restore", tmp_path / "k", "--passphrase-stdin", "--data")
    refused = command(*restore, data, stdin=PASSPHRASE)
    assert (refused.returncode, "1 domain keys that the ledger needs" in refused.stderr) == (2, True), refused.stderr
    assert not any(path.is_file() for path in (data / "keys").rglob("*"))
    beside = command(*restore, server.data, stdin=PASSPHRASE)
    assert (beside.returncode, "nothing was put back" in beside.stdout) == (0, True), beside.stderr
    server.start()
    assert all(read_all(s3).values())


def test_a_restore_does_not_touch_a_vault_that_is_being_served(server: Server, s3: Any, tmp_path: Path) -> None:
    backup(server, tmp_path / "k")
    refused = server.cli("key", "restore", tmp_path / "k", "--passphrase-stdin", stdin=PASSPHRASE)
    assert (refused.returncode, "is open in another process" in refused.stderr) == (2, True)
    assert all(read_all(s3).values())


def test_a_kek_lost_under_a_running_server_is_saved_by_a_backup(server: Server, s3: Any, tmp_path: Path) -> None:
    (server.data / "keys" / "kek").unlink()
    backup(server, tmp_path / "k")
    assert server.stop() == 0
    assert command("doctor", "--data", server.data).returncode == 2
    done = server.cli("key", "restore", tmp_path / "k", "--passphrase-stdin", stdin=PASSPHRASE)
    assert [line for line in done.stdout.splitlines() if line.startswith("put back")] == ["put back keys/kek"]
    server.start()
    assert all(read_all(s3).values())


def test_no_passphrase_and_no_key_reaches_the_servers_log_or_the_ledger(server: Server, tmp_path: Path) -> None:
    backup(server, tmp_path / "k")
    assert server.cli("key", "rotate").returncode == 0
    kek = (server.data / "keys" / "kek").read_text().strip()
    assert PASSPHRASE not in server.errors
    assert kek not in server.errors
    for path in (server.data / "streams").rglob("*"):
        if path.is_file():
            assert kek.encode() not in path.read_bytes()
            assert PASSPHRASE.encode() not in path.read_bytes()
