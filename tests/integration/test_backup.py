"""``strongroom backup`` and ``restore``: what they refuse, and what they record."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.integration.served import Server, command
from tests.integration.test_keys import BUCKET, connected, store
from vault.times import NS, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def target(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    client = connected(server)
    client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    store(client, 2090)
    client.close()
    place = tmp_path_factory.mktemp("backups") / "target"
    made = server.cli("backup", place)
    assert made.returncode == 0, made.stderr
    return place


def newest(target: Path) -> Path:
    return max(path for path in target.iterdir() if path.name.isdecimal())


def test_it_is_recorded_with_its_digest(server: Server, target: Path) -> None:
    asked = server.cli("records", "--op", "ledger.backup", "--ndjson")
    assert asked.returncode == 0, asked.stderr
    last = json.loads(asked.stdout.splitlines()[0])
    head = (newest(target) / "backup.json").read_bytes()
    assert last["backup"]["digest"] == hashlib.sha256(head).hexdigest()
    assert last["backup"]["records"] == json.loads(head)["streams"][-1]["records"]
    assert last["actor"]["person"].endswith(f"(uid {server.data.stat().st_uid})")
    assert server.cli("verify").returncode in {0, 2}


def test_doctor_and_metrics_know_when_the_last_one_was_made_also_from_the_ledger_alone(
    server: Server, target: Path
) -> None:
    def told() -> tuple[bool, float]:
        page = httpx.get(f"{server.audit_endpoint}/metrics").text
        (made,) = re.findall(r"^strongroom_backup_timestamp_seconds\{.*\} (\S+)$", page, re.MULTILINE)
        return "backup of the data directory" in server.cli("doctor").stdout, float(made)

    last = json.loads(server.cli("records", "--op", "ledger.backup", "--ndjson").stdout.splitlines()[0])
    made = parse_rfc3339(last["time"]) / NS
    assert told() == (False, made)
    assert server.stop() == 0
    shutil.rmtree(server.data / "views" / "index")
    server.start()
    assert told() == (False, made)


def test_its_digests_can_be_checked_without_us(target: Path) -> None:
    place = newest(target)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=place, check=True)
    head = json.loads((place / "backup.json").read_text())
    assert hashlib.sha256((place / "SHA256SUMS").read_bytes()).hexdigest() == head["sums"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "blob": (lambda place: flip(next(path for path in (place / "data/blobs").rglob("*") if path.is_file())), "changed"),
    "commit log": (lambda place: flip(min((place / "data/streams/site-a.node-1/commit").iterdir())), "changed"),
    "keyring": (lambda place: flip(place / "data/keys/keyring-a"), "changed"),
    "sums": (lambda place: flip(place / "SHA256SUMS"), "changed"),
    "missing": (lambda place: (place / "data/keys/keyring-b").unlink(), "keyring-b"),
    "more": (lambda place: (place / "data/keys/kek").write_bytes(b"x"), "not part of"),
    "link": (lambda place: (place / "data/keys/kek").symlink_to("/etc/passwd"), "not part of"),
    "version": (
        lambda place: (place / "backup.json").write_text(
            (place / "backup.json").read_text().replace('"v": 1', '"v": 2')
        ),
        "version 2",
    ),
    "head": (lambda place: (place / "backup.json").write_text("{}"), "damaged"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_backup_that_was_changed_is_refused_and_nothing_is_made(target: Path, tmp_path: Path, name: str) -> None:
    tamper, why = TAMPERINGS[name]
    place = shutil.copytree(newest(target), tmp_path / "one", copy_function=shutil.copyfile)
    tamper(place)
    refused = command("restore", place, "--data", tmp_path / "data")
    assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "data").exists()


def test_what_was_changed_and_given_new_digests_is_found_by_the_verifier(target: Path, tmp_path: Path) -> None:
    place = shutil.copytree(newest(target), tmp_path / "one", copy_function=shutil.copyfile)
    blob = next(path for path in (place / "data/blobs").rglob("*") if path.is_file())
    flip(blob)
    name = f"data/{blob.relative_to(place / 'data').as_posix()}"
    lines = [line for line in (place / "SHA256SUMS").read_text().splitlines() if not line.endswith(name)]
    lines.append(f"{hashlib.sha256(blob.read_bytes()).hexdigest()}  {name}")
    (place / "SHA256SUMS").write_text("".join(f"{line}\n" for line in lines))
    head = json.loads((place / "backup.json").read_text())
    head["sums"] = hashlib.sha256((place / "SHA256SUMS").read_bytes()).hexdigest()
    (place / "backup.json").write_text(json.dumps(head))
    refused = command("restore", place, "--data", tmp_path / "data")
    assert (refused.returncode, "the verifier does not accept" in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("line", ["../vault.json", "/etc/passwd", "keys//kek", "./x", "keys/../../x"])
def test_a_name_that_leads_out_of_the_directory_is_refused(target: Path, tmp_path: Path, line: str) -> None:
    place = shutil.copytree(newest(target), tmp_path / "one", copy_function=shutil.copyfile)
    with (place / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  data/{line}\n")
    head = json.loads((place / "backup.json").read_text())
    head["sums"] = hashlib.sha256((place / "SHA256SUMS").read_bytes()).hexdigest()
    head["files"] += 1
    (place / "backup.json").write_text(json.dumps(head))
    refused = command("restore", place, "--data", tmp_path / "data")
    assert (refused.returncode, "names no file" in refused.stderr) == (2, True), refused.stderr


def test_another_vaults_directory_and_one_with_something_else_are_refused(
    server: Server, target: Path, tmp_path: Path
) -> None:
    assert command("init", "--data", tmp_path / "other").returncode == 0
    refused = command("backup", target, "--data", tmp_path / "other")
    assert (refused.returncode, "another vault" in refused.stderr) == (2, True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    refused = server.cli("backup", tmp_path / "full")
    assert (refused.returncode, "something else" in refused.stderr) == (2, True)
    for inside in (server.data / "backup", server.data.parent, server.data):
        refused = server.cli("backup", inside)
        assert (refused.returncode, "within the other" in refused.stderr) == (2, True)
    assert not (server.data / "backup").exists()


def test_what_a_link_leads_to_is_not_touched(server: Server, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "letter").write_text("mine")
    assert server.cli("backup", tmp_path / "target").returncode == 0
    (tmp_path / "target" / "unfinished").symlink_to(tmp_path / "others")
    refused = server.cli("backup", tmp_path / "target")
    assert (refused.returncode, "is a link" in refused.stderr) == (2, True)
    assert (tmp_path / "others" / "letter").read_text() == "mine"


def test_only_the_servers_user_reads_it(target: Path) -> None:
    modes = {path: path.stat().st_mode & 0o777 for path in target.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_restore_is_into_a_new_directory_and_of_the_digest_that_was_asked_for(
    server: Server, target: Path, tmp_path: Path
) -> None:
    refused = command("restore", target, "--data", server.data)
    assert (refused.returncode, "holds a vault" in refused.stderr) == (2, True)
    refused = command("restore", target, "--data", tmp_path / "data", "--digest", "00" * 32)
    assert (refused.returncode, "not the one that was asked for" in refused.stderr) == (2, True)
    (tmp_path / "data").mkdir()
    digest = hashlib.sha256((newest(target) / "backup.json").read_bytes()).hexdigest()
    done = command("restore", target, "--data", tmp_path / "data", "--digest", digest)
    assert (done.returncode, "strongroom recover" in done.stdout) == (1, True), done.stderr


def test_a_damaged_earlier_backup_does_not_spoil_the_next_one(server: Server, target: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(target, tmp_path / "target")
    flip(next(path for path in (newest(copy) / "data/blobs").rglob("*") if path.is_file()))
    made = server.cli("backup", copy)
    assert made.returncode == 0, made.stderr
    assert command("restore", copy, "--data", tmp_path / "data").returncode == 1


def test_a_newer_keyring_takes_the_place_of_the_backups_and_an_older_one_does_not(
    server: Server, target: Path, tmp_path: Path
) -> None:
    older = shutil.copy2(server.data / "keys" / "keyring-a", tmp_path / "older")
    client = connected(server)
    store(client, 2091)
    client.close()
    newer = server.data / "keys" / "keyring-a"
    done = command("restore", target, "--data", tmp_path / "data", "--keyring", newer)
    assert done.returncode == 1, done.stderr
    assert {(tmp_path / "data/keys" / name).read_bytes() for name in ("keyring-a", "keyring-b")} == {newer.read_bytes()}
    assert server.cli("backup", target).returncode == 0
    refused = command("restore", target, "--data", tmp_path / "again", "--keyring", older)
    assert (refused.returncode, "older" in refused.stderr) == (2, True)
