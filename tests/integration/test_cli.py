"""Commands beside a running server and without one; what they write and how they end."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.served import STRONGROOM, Server, command

if TYPE_CHECKING:
    from pathlib import Path

STREAM = "site-a.node-1"


def test_init_makes_a_first_principal_that_only_its_owner_can_read(server: Server) -> None:
    credentials = server.data / "root.credentials"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert server.secret_key in credentials.read_text()


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "without one"])
def test_a_principal_is_added_used_and_disabled(server: Server, running: bool) -> None:  # noqa: FBT001 - a table's column
    if not running:
        assert server.stop() == 0
    try:
        made = server.cli("principal", "add", "trader", "--role", "owner", "--json")
        assert made.returncode == 0, made.stderr
        keys = json.loads(made.stdout)
    finally:
        if not running:
            server.start()
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    client.create_bucket(Bucket=f"of-{keys['principal']}")
    assert server.cli("principal", "disable", keys["access_key"]).returncode == 0
    with pytest.raises(ClientError):
        client.list_buckets()
    client.close()
    listed = {row["access_key"]: row for row in json.loads(server.cli("principal", "list", "--json").stdout)}
    assert listed[keys["access_key"]]["enabled"] is False


def test_a_secret_from_standard_input_is_used_and_never_shown(server: Server) -> None:
    made = server.cli(
        "principal", "add", "a", "--role", "reader", "--access-key", "AKEY", "--secret-stdin", stdin="my-own-secret\n"
    )
    assert made.returncode == 0, made.stderr
    assert "access_key = AKEY\n" in made.stdout
    assert "my-own-secret" not in made.stdout + made.stderr + server.errors
    for path in server.data.rglob("*"):
        if path.is_file() and not path.is_socket():
            assert b"my-own-secret" not in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("principal", "add", "x", "--role", "auditor", "--role", "operator"), "nobody holds two of"),
        (("principal", "disable", "NOBODY"), "no such principal"),
    ],
)
def test_a_change_the_vault_refuses_is_a_no_and_recorded(server: Server, arguments: tuple[str, ...], says: str) -> None:
    refused = server.cli(*arguments)
    assert refused.returncode == 1
    assert says in refused.stderr


def test_changes_name_the_user_of_the_host(server: Server, tmp_path: Path) -> None:
    server.cli("principal", "disable", "NAMED-IN-THE-RECORD")
    assert server.stop() == 0
    server.start()
    assert server.cli("log", "export", STREAM, tmp_path / "x").returncode == 0
    records = b"".join(path.read_bytes() for path in (tmp_path / "x" / "tile" / "entries").rglob("*") if path.is_file())
    assert b"NAMED-IN-THE-RECORD" in records
    assert b'"person":"' in records
    assert f"(uid {os.getuid()})".encode() in records


def test_the_log_is_listed_and_its_key_written(server: Server) -> None:
    name, size, origin = server.cli("log", "list").stdout.strip().split("\t")
    assert name == STREAM
    assert int(size) > 0
    assert server.cli("log", "vkey", name).stdout.startswith(f"{origin}+")
    missing = server.cli("log", "vkey", "../../etc/passwd")
    assert missing.returncode == 2
    assert "has no log" in missing.stderr


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "without one"])
def test_an_export_verifies_against_the_logs_key(server: Server, tmp_path: Path, running: bool) -> None:  # noqa: FBT001
    (tmp_path / "vkey").write_text(server.cli("log", "vkey", STREAM).stdout)
    if not running:
        assert server.stop() == 0
    try:
        exported = server.cli("log", "export", STREAM, tmp_path / "x", "--json")
        assert exported.returncode == 0, exported.stderr
    finally:
        if not running:
            server.start()
    size = json.loads(exported.stdout)["size"]
    assert (tmp_path / "x" / "checkpoint").read_text().split("\n")[1] == str(size)
    verified = command("verify", tmp_path / "x", "--vkey", tmp_path / "vkey", "--require-anchor")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    again = server.cli("log", "export", STREAM, tmp_path / "x")
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_a_changed_export_does_not_verify(server: Server, tmp_path: Path) -> None:
    assert server.cli("log", "export", STREAM, tmp_path / "x").returncode == 0
    bundle = next(path for path in (tmp_path / "x" / "tile" / "entries").rglob("*") if path.is_file())
    bundle.write_bytes(bundle.read_bytes().replace(b"ledger.open", b"ledger.stop", 1))
    assert command("verify", tmp_path / "x").returncode == 1


def test_an_export_shows_its_progress_on_a_terminal(server: Server, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    exported = subprocess.run(
        [STRONGROOM, "log", "export", STREAM, tmp_path / "x", "--data", server.data],
        stdout=subprocess.PIPE,
        stderr=slave,
        check=False,
    )
    os.close(slave)
    shown = os.read(master, 65536)
    os.close(master)
    assert exported.returncode == 0
    assert b"100%" in shown
    assert exported.stdout.startswith(b"exported ")


def test_doctor_finds_what_a_new_vault_still_needs(server: Server) -> None:
    found = server.cli("doctor")
    assert found.returncode == 1
    assert "advice: anchor=local" in found.stdout
    assert f"strongroom principal disable {server.access_key}" in found.stdout
    assert all(item["kind"] == "advice" for item in json.loads(server.cli("doctor", "--json").stdout))
