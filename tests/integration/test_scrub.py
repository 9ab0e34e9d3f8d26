"""A server that verifies its own vault: what is bad is found within one cycle, recorded, shown, and left as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.config import Config

from tests.integration.served import PATIENCE, STRONGROOM, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARES = 3
SETTINGS = {
    "STRONGROOM_LEDGER__SEGMENT_MIB": "1",
    "STRONGROOM_SCRUB__CYCLE_DAYS": "1",
    "STRONGROOM_SCRUB__INTERVAL_HOURS": "8",
    "STRONGROOM_SCRUB__RATE_MIB_S": "65536",
}
BLOB = b"large" * 60_000
KEPT = ("streams/*/ledger/*.zst", "packs/*.pack", "blobs/*/*", "streams/*/tile/0/000")


def wait_for(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A vault with everything that can be flipped: settled records, tiles, packs and blobs."""
    served = Server(tmp_path_factory.mktemp("scrubbed"), SETTINGS)
    s3 = boto3.client(
        "s3",
        endpoint_url=served.endpoint,
        aws_access_key_id=served.access_key,
        aws_secret_access_key=served.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    s3.create_bucket(Bucket="trades", ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket="trades", Key="large", Body=BLOB)
    number = 0
    while not settled(served.data):
        assert number < 2000
        s3.put_object(Bucket="trades", Key=f"small/{number}", Body=b"%d" % number * 4000)
        number += 1
    s3.close()
    yield served
    if served.running:
        assert served.stop() == 0, served.errors


def settled(data: Path) -> bool:
    return all(any(data.glob(pattern)) for pattern in KEPT)


def scrub(server: Server, *options: str) -> tuple[int, dict[str, Any]]:
    done = server.cli("scrub", "--json", *options)
    assert done.returncode in {0, 1, 2}, done.stderr
    return done.returncode, json.loads(done.stdout)


def ready(server: Server) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"{server.audit_endpoint}/readyz")
    return answer.status_code, answer.json()


def recorded(server: Server) -> list[dict[str, Any]]:
    """Every ``ledger.verified`` record, oldest first."""
    done = server.cli("records", "--op", "ledger.verified", "--all", "--ndjson", "--oldest-first")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def verifying(server: Server) -> list[int]:
    """Processes that verify for this server."""
    tasks = Path(f"/proc/{server.pid}/task")
    found = {int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()}
    return [pid for pid in found if b"audit.scrub.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("pattern", KEPT, ids=["ledger", "pack", "blob", "tile"])
def test_one_flipped_byte_is_found_within_a_cycle_and_repaired_by_nobody(server: Server, pattern: str) -> None:
    assert scrub(server, "--all")[0] == 0
    before = len(recorded(server))
    path = sorted(server.data.glob(pattern))[0]
    good = path.read_bytes()
    bad = bytearray(good)
    bad[len(bad) // 3] ^= 1
    with path.open("r+b") as file:
        file.write(bad)
    try:
        codes = [scrub(server)[0] for _ in range(SHARES)]
        assert 1 in codes
        code, last = scrub(server, "--last")
        assert (code, last["findings"] > 0) == (1, True)
        name = path.relative_to(server.data).as_posix()
        status, shown = ready(server)
        assert (status, shown["ready"], shown["degraded"]) == (200, True, True)
        assert shown["findings"] == last["findings"]
        assert "strongroom scrub --all" in shown["warnings"][0]
        assert last["place"] in shown["warnings"][0]
        assert "strongroom scrub --all" in server.cli("doctor").stdout
        said = [record["verified"] for record in recorded(server)[before:]]
        assert [record["shares"] for record in said] == [SHARES] * SHARES
        assert sorted(record["share"] for record in said) == [1, 2, 3]
        found = [record for record in said if record["result"] == "bad"]
        assert found
        assert any(name in record["place"] or record["seq"] >= 0 for record in found)
        assert "small/" not in json.dumps(said)
        assert path.read_bytes() == bytes(bad)
    finally:
        with path.open("r+b") as file:
            file.write(good)
    code, last = scrub(server)  # a share cannot tell that all is good again
    assert (code, last["findings"] > 0) == (1, True)
    code, last = scrub(server, "--all")
    assert (code, last["findings"], last["bad_since"]) == (0, 0, "")
    assert ready(server)[1]["degraded"] is False


def test_all_bodies_are_read_in_a_cycle(server: Server) -> None:
    assert scrub(server, "--all")[0] == 0
    for _ in range(SHARES):
        assert scrub(server)[0] == 0
    whole, *shares = (record["verified"] for record in recorded(server)[-SHARES - 1 :])
    assert whole["shares"] == 1
    assert sum(share["bodies"] for share in shares) >= whole["bodies"]
    assert any(share["bodies"] < whole["bodies"] for share in shares)
    assert all(share["records"] > whole["records"] for share in shares)
    assert {record["actor"]["person"].partition(" ")[0] for record in recorded(server)[-2:]} != {""}


def test_it_verifies_by_itself_and_one_that_was_killed_is_recorded_as_not_done(server: Server) -> None:
    before = len(recorded(server))
    assert server.stop() == 0
    server.start({"STRONGROOM_SCRUB__INTERVAL_HOURS": "0.0005", "STRONGROOM_SCRUB__CYCLE_DAYS": "1"})
    (record, *_) = wait_for(lambda: recorded(server)[before:])
    assert (record["verified"]["result"], record["origin"]) == ("good", {"via": "server"})
    assert server.stop() == 0
    server.start({"STRONGROOM_SCRUB__INTERVAL_HOURS": "0.0005", "STRONGROOM_SCRUB__RATE_MIB_S": "1"})
    before = len(recorded(server))
    (child,) = wait_for(lambda: verifying(server))
    environment = Path(f"/proc/{child}/environ").read_bytes()
    assert b"STRONGROOM" not in environment
    os.kill(child, signal.SIGKILL)
    (record, *_) = wait_for(lambda: recorded(server)[before:])
    assert record["verified"]["result"] == "unchecked"
    assert "code -9" in ready(server)[1]["warnings"][0]
    assert ready(server)[1]["ready"]


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_whatever_ends_the_server_ends_what_verifies_and_the_share_is_done_again(server: Server, way: str) -> None:
    if server.running:
        assert server.stop() == 0
    server.start({"STRONGROOM_SCRUB__RATE_MIB_S": "1"})
    before = scrub(server, "--last")[1]
    asking = subprocess.Popen([STRONGROOM, "scrub", "--data", server.data], stderr=subprocess.DEVNULL)
    (child,) = wait_for(lambda: verifying(server))
    assert server.cli("scrub").returncode == 2  # never two at once
    getattr(server, way)()
    wait_for(lambda: gone(child))
    assert asking.wait(PATIENCE) == 2
    server.start()
    after = scrub(server, "--last")[1]
    assert after["tried"] == before["tried"]
    assert scrub(server)[0] == 0


def test_a_vault_that_no_server_has_open_is_verified_by_the_command(server: Server) -> None:
    assert server.stop() == 0
    code, found = scrub(server, "--all")
    assert (code, found["result"], found["shares"]) == (0, "good", 1)
    text = server.cli("scrub", "--last").stdout
    assert text.startswith("good at 20")
    server.start()
