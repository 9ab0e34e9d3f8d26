"""A server that verifies its own vault: what is bad is found within one cycle, recorded, shown, and left as it is."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.config import Config

from audit.control.client import Client
from audit.errors import ControlFailed
from tests.doubles.s3_server import Does, serving
from tests.integration.served import PATIENCE, Server, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit.scrub.standing import ScrubStanding

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


@contextmanager
def control(server: Server) -> Iterator[Client]:
    client = Client.connect(server.data / "views/socket")
    assert client is not None
    with client:
        yield client


def scrub(server: Server, *, whole: bool = False) -> ScrubStanding:
    """As the command does, without a process for each."""
    with control(server) as asked:
        before = asked.begin_scrub(whole=whole)

        def ended() -> ScrubStanding | None:
            found = asked.status().scrub
            return found if found.runs > before else None

        found: ScrubStanding = wait_for(ended)
        return found


def last(server: Server) -> ScrubStanding:
    with control(server) as asked:
        return asked.status().scrub


def ready(server: Server) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"{server.audit_endpoint}/readyz")
    return answer.status_code, answer.json()


def recorded(server: Server) -> list[dict[str, Any]]:
    """Every ``ledger.verified`` record, oldest first."""
    with control(server) as asked:
        found = asked.records("site-a.node-1", 0, asked.status().durable)
        return [json.loads(record) for record in found if b'"op":"ledger.verified"' in record]


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


def test_an_anchor_elsewhere_vouches_and_while_it_is_away_the_vault_is_verified_all_the_same(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.touch(0o600)
    credentials.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\n")
    with serving() as keeper:
        anchor = {
            "STRONGROOM_ANCHOR__URL": f"s3://anchors/x?endpoint={keeper.endpoint}",
            "STRONGROOM_ANCHOR__CREDENTIALS_FILE": str(credentials),
        }
        served = Server(tmp_path, {**SETTINGS, **anchor})
        wait_for(lambda: ready(served)[1]["sealed"])
        found = scrub(served, whole=True)
        assert (found.result, found.anchor.startswith("s3://anchors/x/ at 127.0.0.1:")) == ("good", True)
        assert 0 < found.anchored <= found.records
        (record,) = recorded(served)
        assert (record["verified"]["anchored"], record["verified"]["anchor"]) == (found.anchored, found.anchor)
        shown = ready(served)[1]["verification"]
        assert shown == {"result": "good", "done": found.done, "anchored": found.anchored, "anchor": found.anchor}
        told = served.cli("scrub", "--last").stdout
        assert f"anchored: the checkpoint in {found.anchor} vouches for {found.anchored} records" in told
        keeper.gets.extend([Does.CUTS] * 100)
        found = scrub(served, whole=True)
        keeper.gets.clear()
        assert (found.result, found.findings, found.anchored, found.anchor) == ("good", 0, 0, "")
        assert "not anchored: s3://anchors/x/ at " in served.cli("scrub", "--last").stdout
        assert any("was not held against the anchor" in text for text in ready(served)[1]["warnings"])
        assert "anchored" not in recorded(served)[-1]["verified"]
        assert scrub(served).anchored > 0
        assert served.stop() == 0, served.errors
    assert json.loads(command("verify", served.data, "--json").stdout)["result"] == "good"


@pytest.mark.parametrize("pattern", KEPT, ids=["ledger", "pack", "blob", "tile"])
def test_one_flipped_byte_is_found_within_a_cycle_and_repaired_by_nobody(server: Server, pattern: str) -> None:
    assert scrub(server, whole=True).findings == 0
    before = len(recorded(server))
    path = min(server.data.glob(pattern))
    good = path.read_bytes()
    bad = bytearray(good)
    bad[len(bad) // 3] ^= 1
    overwrite(path, bytes(bad))
    try:
        for _ in range(SHARES):
            found = scrub(server)
        assert found.findings
        status, shown = ready(server)
        assert (status, shown["ready"], shown["degraded"], shown["findings"]) == (200, True, True, found.findings)
        assert found.place in shown["warnings"][0]
        assert "strongroom scrub --all" in shown["warnings"][0]
        said = [record["verified"] for record in recorded(server)[before:]]
        assert [(record["share"], record["shares"]) for record in said] == [(1, 3), (2, 3), (3, 3)]
        places = [record["place"] for record in said if record["result"] == "bad"]
        assert all(path.relative_to(server.data).as_posix() in place for place in places), places
        assert "small/" not in json.dumps(said)
        assert path.read_bytes() == bad
    finally:
        overwrite(path, good)
    assert scrub(server).findings  # a share cannot tell that all is good again
    assert scrub(server, whole=True).bad_since == ""
    assert ready(server)[1]["degraded"] is False


def overwrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def test_all_bodies_are_read_in_a_cycle(server: Server) -> None:
    assert scrub(server, whole=True).result == "good"
    for _ in range(SHARES):
        assert scrub(server).result == "good"
    whole, *shares = (record["verified"] for record in recorded(server)[-SHARES - 1 :])
    assert (whole["share"], whole["shares"]) == (1, 1)
    assert sum(share["bodies"] for share in shares) >= whole["bodies"]
    assert any(share["bodies"] < whole["bodies"] for share in shares)
    assert all(share["records"] > whole["records"] for share in shares)


def test_the_command_asks_shows_and_says_by_its_exit_code(server: Server) -> None:
    done = server.cli("scrub", "--all")
    assert (done.returncode, done.stdout.startswith("good at 20")) == (0, True), done.stderr
    (record,) = recorded(server)[-1:]
    assert (record["origin"], record["actor"]["id"]) == ({"via": "cli"}, "system")
    assert f"uid {os.getuid()}" in record["actor"]["person"]
    path = min(server.data.glob("packs/*.pack"))
    good = path.read_bytes()
    overwrite(path, good[:-1] + b"?")
    try:
        done = server.cli("scrub", "--json")
        assert (done.returncode, json.loads(done.stdout)["result"]) == (1, "bad")
    finally:
        overwrite(path, good)
    done = server.cli("scrub", "--last")
    assert (done.returncode, "next: strongroom verify DIR" in done.stdout) == (1, True)
    assert "strongroom scrub --all" in server.cli("doctor").stdout
    assert scrub(server, whole=True).findings == 0


def test_it_verifies_by_itself_and_one_that_was_killed_is_recorded_as_not_done(server: Server) -> None:
    before = len(recorded(server))
    assert server.stop() == 0
    server.start({"STRONGROOM_SCRUB__INTERVAL_HOURS": "0.0005"})
    (record, *_) = wait_for(lambda: recorded(server)[before:])
    assert (record["verified"]["result"], record["origin"]) == ("good", {"via": "server"})
    assert server.stop() == 0
    server.start({"STRONGROOM_SCRUB__INTERVAL_HOURS": "0.0005", "STRONGROOM_SCRUB__RATE_MIB_S": "1"})
    before = len(recorded(server))
    (child,) = wait_for(lambda: verifying(server))
    assert b"STRONGROOM" not in Path(f"/proc/{child}/environ").read_bytes()
    os.kill(child, signal.SIGKILL)
    (record, *_) = wait_for(lambda: recorded(server)[before:])
    assert record["verified"]["result"] == "unchecked"
    assert ready(server)[1]["ready"]
    assert any("code -9" in text for text in ready(server)[1]["warnings"])


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_whatever_ends_the_server_ends_what_verifies_and_the_share_is_done_again(server: Server, way: str) -> None:
    assert server.stop() == 0
    server.start({"STRONGROOM_SCRUB__RATE_MIB_S": "1"})
    before = last(server)
    with control(server) as asked:
        asked.begin_scrub(whole=False)
        (child,) = wait_for(lambda: verifying(server))
        with pytest.raises(ControlFailed, match="verified already"):
            asked.begin_scrub(whole=True)
    getattr(server, way)()
    wait_for(lambda: gone(child))
    server.start()
    assert last(server).tried == before.tried
    assert scrub(server).share == (before.share % SHARES + 1 if before.shares == SHARES else 1)


def test_a_vault_that_no_server_has_open_is_verified_by_the_command(server: Server) -> None:
    assert server.stop() == 0
    done = server.cli("scrub", "--all", "--json")
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["result"], json.loads(done.stdout)["shares"]) == ("good", 1)
    server.start()
