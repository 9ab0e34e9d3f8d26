from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from vault.errors import OutcomeUnknown, Unavailable, VaultError
from vault.policy import SYSTEM
from vault.ports import Committed
from vault.record import SUCCESS, Head, Window
from vault.service.windows import MAX_WINDOWS, WINDOW_NS, Windows, network

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from vault.ports import Intent
    from vault.record import Tail


@dataclass
class Ledger:
    """Commits at once, or waits for ``gate``, or fails."""

    tails: list[Tail] = field(default_factory=list)
    gate: asyncio.Event | None = None
    fails: VaultError | None = None

    async def commit(self, intent: Intent) -> Committed:
        if self.gate is not None:
            await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        seq = 100 + len(self.tails)
        self.tails.append(intent.tail)
        return Committed(Head(v=1, stream="s", seq=seq, prev="", time="", clock="", outcome=SUCCESS), b"", seq)

    @property
    def ops(self) -> list[str]:
        return [tail.op for tail in self.tails]


class Clock:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def run(scenario: Coroutine[object, object, None]) -> None:
    asyncio.run(scenario)


def made(ledger: Ledger, clock: Clock) -> Windows:
    return Windows(ledger.commit, wall=lambda: 1_800_000_000 * 10**9, monotonic=clock)


def test_the_first_request_is_recorded_before_it_is_answered_and_the_rest_are_counted() -> None:
    async def scenario() -> None:
        ledger, clock = Ledger(), Clock()
        windows = made(ledger, clock)
        for _ in range(5):
            await windows.count("192.0.2.7", "anonymous")
        opened = "2027-01-15T08:00:00.000000000Z"
        assert ledger.ops == ["auth.window.open"]
        assert ledger.tails[0].window == Window(opened, 1, {"anonymous": 1})
        assert (ledger.tails[0].actor.id, ledger.tails[0].origin.ip) == (SYSTEM, "192.0.2.7")
        clock.ns = WINDOW_NS - 1
        await windows.close_due()
        assert ledger.ops == ["auth.window.open"]
        clock.ns = WINDOW_NS
        await windows.close_due()
        assert ledger.ops == ["auth.window.open", "auth.window.close"]
        assert ledger.tails[1].window == Window(opened, 5, {"anonymous": 5})
        assert ledger.tails[1].ref == 100
        await windows.count("192.0.2.7", "anonymous")
        assert ledger.ops[2:] == ["auth.window.open"]

    run(scenario())


def test_nobody_is_answered_before_the_opening_record_is_durable() -> None:
    async def scenario() -> None:
        ledger = Ledger(gate=asyncio.Event())
        windows = made(ledger, Clock())
        requests = [asyncio.create_task(windows.count("192.0.2.7", "signature")) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert not any(request.done() for request in requests)
        requests[0].cancel()  # the client that opened it goes away
        assert ledger.gate is not None
        ledger.gate.set()
        await asyncio.gather(*requests[1:])
        assert ledger.ops == ["auth.window.open"]

    run(scenario())


def test_without_room_for_the_record_nobody_is_answered_and_the_next_request_tries_again() -> None:
    async def scenario() -> None:
        ledger = Ledger(fails=Unavailable("full"))
        windows = made(ledger, Clock())
        answers = await asyncio.gather(
            *(windows.count("192.0.2.7", "signature") for _ in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [Unavailable] * 3
        ledger.fails = None
        await windows.count("192.0.2.7", "signature")
        assert ledger.ops == ["auth.window.open"]

    run(scenario())


def test_networks_and_reasons_are_counted_apart() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        windows = made(ledger, Clock())
        for ip in ("192.0.2.7", "192.0.2.200", "192.0.3.7", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
            await windows.count(ip, "signature")
        await windows.count("192.0.2.7", "skewed")
        assert [tail.origin.ip for tail in ledger.tails] == [
            "192.0.2.7", "192.0.3.7", "2001:db8::1", "2001:db8:0:1::1", "192.0.2.7",
        ]  # fmt: skip

    run(scenario())


def test_the_table_is_bounded_and_the_rest_is_counted_by_reason() -> None:
    async def scenario() -> None:
        ledger, clock = Ledger(), Clock()
        windows = made(ledger, clock)
        for n in range(MAX_WINDOWS + 500):
            await windows.count(f"10.{n >> 8}.{n & 255}.1", "skewed" if n % 2 else "signature")
        assert len(ledger.tails) == MAX_WINDOWS + 1
        assert ledger.tails[-1].origin.ip == ""
        clock.ns = WINDOW_NS
        await windows.close_due()
        assert len(ledger.tails) == 2 * (MAX_WINDOWS + 1)
        assert ledger.tails[-1].window is not None
        assert ledger.tails[-1].window.reasons == {"signature": 250, "skewed": 250}
        counted = [tail.window.count for tail in ledger.tails[MAX_WINDOWS + 1 :] if tail.window is not None]
        assert sum(counted) == MAX_WINDOWS + 500

    run(scenario())


def test_a_count_that_cannot_be_written_now_is_written_later() -> None:
    async def scenario() -> None:
        ledger, clock = Ledger(), Clock()
        windows = made(ledger, clock)
        await windows.count("192.0.2.7", "signature")
        await windows.count("192.0.2.7", "skewed")
        clock.ns = WINDOW_NS
        ledger.fails = Unavailable("full")
        await windows.close_due()
        ledger.fails = None
        await windows.close_due()
        assert ledger.ops == ["auth.window.open"] * 2 + ["auth.window.close"] * 2
        assert [tail.ref for tail in ledger.tails[2:]] == [100, 101]

    run(scenario())


def test_everything_is_closed_when_the_process_stops() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        windows = made(ledger, Clock())
        await windows.count("192.0.2.7", "signature")
        await windows.close_due(everything=True)
        await windows.close_due(everything=True)
        assert ledger.ops == ["auth.window.open", "auth.window.close"]

    run(scenario())


def test_windows_close_by_themselves_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.service.windows.TICK_SECONDS", 0)

    async def scenario() -> None:
        ledger, clock, closed = Ledger(), Clock(), asyncio.Event()

        async def commit(intent: Intent) -> Committed:
            if intent.tail.op == "auth.window.close":
                closed.set()
            return await ledger.commit(intent)

        windows = Windows(commit, monotonic=clock)
        await windows.count("192.0.2.7", "signature")
        running = asyncio.create_task(windows.run())
        clock.ns = WINDOW_NS
        await closed.wait()
        running.cancel()
        assert ledger.ops == ["auth.window.open", "auth.window.close"]

    run(scenario())


def test_an_unknown_outcome_is_never_swallowed() -> None:
    async def scenario() -> None:
        ledger, clock = Ledger(), Clock()
        windows = made(ledger, clock)
        await windows.count("192.0.2.7", "signature")
        clock.ns = WINDOW_NS
        ledger.fails = OutcomeUnknown("lost")
        with pytest.raises(OutcomeUnknown):
            await windows.close_due()

    run(scenario())


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_addresses_of_one_network_are_one(ip: str, expected: str) -> None:
    assert network(ip) == expected
