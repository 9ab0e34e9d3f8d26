"""Many connections at one key of the real server: what each was told, and the exported ledger alone proves it right."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.demo.exported import records
from tests.doubles.model_replay import ModelReplay
from tests.fault.load import Client
from tests.integration.served import Server, command
from tests.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONNECTIONS = 64
#: Versions that a hold and a delete meet at.
MEETINGS = 24
HOLD = b"<LegalHold><Status>ON</Status></LegalHold>"
RULE = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
DEFAULT = "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>{days}</Days></DefaultRetention></Rule>"


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[list[Client]]:
    """Connections of the root principal; when the test is over, the model judges every record of the ledger."""
    server = Server(tmp_path)
    root = [
        Client(server.endpoint, server.access_key, server.secret_key, f"c{number}") for number in range(CONNECTIONS)
    ]
    assert root[0].ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
    yield root
    for client in root:
        client.close()
    assert server.stop() == 0, server.errors
    told = {outcome.record for client in root for outcome in client.outcomes}
    prove(server, tmp_path / "exported", told)


def prove(server: Server, log: Path, told: set[str]) -> None:
    """Every decision in the exported ledger is the model's, and every answer names a record that stands there."""
    assert server.cli("log", "export", "site-a.node-1", log).returncode == 0
    assert command("verify", log).returncode == 0
    exported = [data for _, data in sorted(records(log).items())]
    alone = ModelReplay(lambda _: b"")
    names: dict[str, str] = {}
    for data in exported:
        record: dict[str, Any] = json.loads(data)
        if record["op"] == "principal.add":
            names[record["principal"]["id"]] = "root"
        record["actor"]["id"] = names.get(record["actor"]["id"], record["actor"]["id"])
        alone.feed(json.dumps(record).encode())
    stands = {f"site-a.node-1/{number}" for number in range(len(exported))}
    assert {record.rpartition("/")[0] for record in told} <= stands


@pytest.mark.parametrize("size", [100, 200_000])
def test_of_sixty_four_conditional_puts_of_one_key_one_is_made(clients: list[Client], size: int) -> None:
    def put(client: Client) -> Callable[[], int]:
        body = client.name.encode() * size
        return lambda: client.ask("PUT", "k", body=body[:size], headers={"if-none-match": "*"}).status

    told = Counter(together([put(client) for client in clients]))
    assert told == {200: 1, 412: CONNECTIONS - 1}
    won = next(client for client in clients if client.outcomes[-1].status == 200)
    assert won.ask("GET", "k").body == (won.name.encode() * size)[:size]


def test_a_hold_and_a_delete_of_one_version_never_both_succeed(clients: list[Client]) -> None:
    owner, holder, deleter = clients[:3]
    seen = set()
    for number in range(MEETINGS):
        key = f"k{number}"
        version = owner.ask("PUT", key, body=b"x").headers["x-amz-version-id"]
        query = f"legal-hold=&versionId={version}"
        held, gone = together(
            [
                lambda key=key, query=query: holder.ask("PUT", key, query, HOLD).status,  # type: ignore[misc]
                lambda key=key, version=version: deleter.ask("DELETE", key, f"versionId={version}").status,  # type: ignore[misc]
            ]
        )
        seen.add((held, gone))
        assert owner.ask("GET", key).status == (200 if held == 200 else 404)
    assert seen <= {(200, 403), (404, 204)}


def test_each_put_gets_the_default_that_stood_at_its_place(clients: list[Client]) -> None:
    def change() -> int:
        told = set()
        for days in range(40):
            body = RULE.format(rule=DEFAULT.format(days=days) if days % 4 else "").encode()
            told.add(clients[0].ask("PUT", query="object-lock=", body=body).status)
        return max(told)

    def put(client: Client) -> Callable[[], int]:
        return lambda: max(client.ask("PUT", "k", body=b"x").status for _ in range(12))

    assert set(together([change, *(put(client) for client in clients[1:])])) == {200}
