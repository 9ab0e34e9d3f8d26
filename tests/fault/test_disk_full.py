"""The real server on a full file system: what is refused leaves nothing, what was promised stays, and it goes on."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.fault.judge import problems
from tests.fault.load import LOST, Client, payload
from tests.fault.small_disk import PAGE, SmallDisk, small_disk
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB: Final = 1 << 20
RESERVE: Final = 20 * MIB
ENVIRONMENT: Final = {
    "STRONGROOM_LEDGER__SEGMENT_MIB": "1",
    "STRONGROOM_DISK__RESERVE_MIB": "20",
    "STRONGROOM_CHECKPOINT__INTERVAL_S": "0.05",
    "STRONGROOM_INDEX__SYNC_INTERVAL_S": "0.05",
}
BIG: Final = 1_000_000
SMALL: Final = 5_000
LOCK: Final = {
    "x-amz-object-lock-mode": "COMPLIANCE",
    "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z",
}
#: How long background work may take on a busy machine, in seconds.
_PATIENCE: Final = 60

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 96) as mounted:
        yield mounted


class Vault:
    """A server on a small disk, and one client of it."""

    def __init__(self, disk: SmallDisk, **env: str) -> None:
        self.server = Server(disk.root, {**ENVIRONMENT, **env})
        self.client = Client(self.server.endpoint, self.server.access_key, self.server.secret_key, "client")
        assert self.client.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
        soon(lambda: len(list((self.server.data / "views" / "spare").glob("*.log"))) == 2)

    @property
    def told(self) -> int:
        """What the client was told last."""
        return self.client.outcomes[-1].status

    def readiness(self) -> dict[str, Any]:
        try:
            with urlopen(f"{self.server.audit_endpoint}/readyz") as answer:  # noqa: S310 - our own server
                return dict(json.load(answer))
        except HTTPError as error:
            with error:
                return dict(json.load(error))

    def blobs(self) -> int:
        return len(list((self.server.data / "blobs").glob("??/*")))

    def judged(self) -> None:
        """It starts again and stores; then the independent verifier and the judge find nothing."""
        assert self.server.stop() == 0, self.server.errors
        self.client.close()
        self.server.start()
        self.client.put("restarted", BIG)
        assert self.told == 200
        self.client.close()
        assert self.server.stop() == 0, self.server.errors
        assert "Traceback" not in self.server.errors
        verified = command("verify", self.server.data)
        assert verified.returncode == 0, verified.stdout
        assert problems(self.server.data, self.client.outcomes) == []


@pytest.fixture
def start(disk: SmallDisk) -> Iterator[Callable[..., Vault]]:
    """Starts a vault on the disk; whatever becomes of it, it does not outlive the test."""
    made: list[Vault] = []

    def begin(**env: str) -> Vault:
        made.append(Vault(disk, **env))
        return made[-1]

    yield begin
    for vault in made:
        vault.client.close()
        if vault.server.running:
            vault.server.kill()


def soon(condition: Callable[[], Any]) -> None:
    """Wait until it holds."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def refused(ask: Callable[[], int]) -> bool:
    """Whether it is, for want of room."""
    return ask() == 503


def test_as_a_disk_fills_reads_stop_before_writes_and_writes_before_denials(
    disk: SmallDisk, start: Callable[..., Vault]
) -> None:
    vault = start()
    client = vault.client
    held, _ = client.put("held", 1000)
    gone = [client.put("gone", BIG) for _ in range(3)]
    client.ask("PUT", "locked", body=b"x", headers=LOCK)
    version = f"versionId={client.ask('GET', 'locked').headers['x-amz-version-id']}"

    def told() -> list[int]:
        read, denied = client.ask("GET", "locked"), client.ask("DELETE", "locked", version)
        client.put("large", BIG)
        large = vault.told
        client.put("small", 1000)
        small = vault.told
        client.hold(held, "ON")
        return [503 if status == LOST else status for status in (read.status, large, small, denied.status, vault.told)]

    assert told() == [200, 200, 200, 403, 200]
    stops: list[tuple[int, Callable[[], int], list[int]]] = [
        (5, lambda: client.ask("GET", held).status, [503, 200, 200, 403, 200]),
        (3, lambda: client.ask("PUT", "small").status, [503, 503, 503, 403, 200]),
        (1, lambda: client.ask("DELETE", "locked", version).status, [503, 503, 503, 503, 200]),
    ]
    for sixths, stopped, expected in stops:
        disk.fill(leaving=RESERVE * sixths // 6)
        soon(partial(refused, stopped))  # how much is free is looked at now and then
        assert told() == expected
        name, version_id = gone.pop()
        assert client.ask("DELETE", name, f"versionId={version_id}").status == 204
    disk.release()
    soon(lambda: client.ask("GET", held).status == 200)
    vault.judged()


def test_what_a_full_disk_refuses_takes_none_of_it_and_what_is_deleted_gives_some_back(
    disk: SmallDisk, start: Callable[..., Vault]
) -> None:
    vault = start()
    client = vault.client
    held, _ = client.put("held", 1000)
    stored: list[tuple[str, str]] = []
    lowest = disk.free
    for size, more in ((BIG, 60), (SMALL, 20)):
        while True:
            made = client.put("gone", size)
            lowest = min(lowest, disk.free)
            if vault.told != 200:
                break
            stored.append(made)
        for _ in range(more):
            client.put("refused", size)
            lowest = min(lowest, disk.free)
            assert vault.told in {503, LOST}  # it may be told so before all of it was sent
        if size == BIG:
            assert vault.blobs() == len(stored)
    readiness = vault.readiness()
    assert not readiness["ready"]
    assert any("MiB of disk are free: " in problem for problem in readiness["problems"]), readiness
    assert list((vault.server.data / "stage").iterdir()) == []

    # What must always be possible fills segments, not faster than they are settled.
    for turn in range(1024):
        client.hold(held, "OFF" if turn % 2 else "ON")
        assert vault.told == 200
        if turn % 256 == 0:
            lowest = min(lowest, disk.free)
            soon(lambda: vault.readiness()["settle_debt_bytes"] <= 3 * MIB)
    for name, version in stored:
        assert client.ask("DELETE", name, f"versionId={version}").status == 204
    soon(lambda: vault.blobs() == 0)  # their records may stay in the commit log for as long as nobody fills it
    soon(lambda: vault.readiness()["ready"])
    assert lowest > RESERVE // 4
    soon(lambda: (client.put("again", BIG), vault.told)[1] == 200)  # how much is free is looked at now and then
    vault.judged()


def test_no_background_job_ends_the_server_where_nothing_at_all_is_free(
    disk: SmallDisk, start: Callable[..., Vault]
) -> None:
    vault = start(STRONGROOM_DISK__RESERVE_MIB="0")
    vault.client.put("before", SMALL)
    jobs = ("sealer", "index sync", "settler", "spare segments")

    def all_in_trouble() -> bool:
        disk.fill()
        vault.client.put("small", SMALL)
        return all(f"WARNING audit.background: {job}: " in vault.server.errors for job in jobs)

    soon(all_in_trouble)
    assert vault.told in {200, 503}
    assert vault.server.running
    disk.release()
    soon(lambda: not [text for text in vault.readiness()["warnings"] if text.startswith(jobs)])
    vault.client.put("again", BIG)
    assert vault.told == 200
    vault.judged()


def test_a_group_that_is_really_written_in_part_is_unknown_and_stops_the_server(
    disk: SmallDisk, start: Callable[..., Vault]
) -> None:
    still = {"STRONGROOM_DISK__RESERVE_MIB": "0", "STRONGROOM_INDEX__SYNC_INTERVAL_S": "3600"}
    vault = start(**still)
    server, client = vault.server, vault.client
    client.put("before", SMALL)
    assert server.stop() == 0
    client.close()
    for spare in (server.data / "views" / "spare").glob("*.log"):  # a segment that takes its pages as it is written
        length = spare.stat().st_size
        spare.write_bytes(b"")
        with spare.open("r+b") as file:
            file.truncate(length)
    server.start()
    client.put("before", SMALL)
    soon(lambda: vault.readiness()["sealed"] == vault.readiness()["durable"])
    disk.fill(leaving=4 * PAGE)
    client.put("short", 100_000)
    assert client.outcomes[-1].unknown
    assert server.wait() == 3, server.errors
    written, whole = map(int, re.findall(r"pwritev at offset \d+ wrote (\d+) of (\d+) bytes", server.errors)[0])
    assert 0 < written < whole
    assert whole > len(payload("short", 100_000))
    disk.release()
    client.close()
    server.start()
    vault.judged()
