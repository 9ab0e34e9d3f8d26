"""The demo's story, step by step: store a day of records, attack them, seal, verify, tamper."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.demo import tamper
from tests.demo.attempts import DONE, attempts, make
from tests.demo.day import day
from tests.demo.exported import checkpoint_size, records, sealed, sentence
from tests.demo.firm import CONNECTIONS, MAIL_YEARS, TRADE_YEARS, Firm
from tests.demo.server import COMMAND, Failed, Server, Vault, run
from tests.demo.telling import Telling, say, wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.demo.attempts import Answered
    from tests.demo.day import Item
    from tests.demo.firm import Place

#: Records that must have settled before the demo goes on.
SETTLED: Final = 1_500
#: Small segments of the commit log (the default is 32 MiB), so that records settle while somebody watches.
SETTINGS: Final = {"LEDGER__SEGMENT_MIB": "1"}


class Story:
    """Prints what it does; the numbered steps are for a reader who has never seen Strongroom.

    Args:
        home: An empty directory for everything it makes.
    """

    def __init__(self, home: Path) -> None:
        self.vault = Vault(home, SETTINGS)
        self.exported = home / "exported-log"
        self.checkpoint = home / "saved-checkpoint"
        self.vkey = home / "saved-public-key"
        self.verifier = home / "strongroom-verify.pyz"
        self._telling = Telling(home)

    def tell(self) -> None:
        """Go through all steps.

        Raises:
            Failed: One did not go as it must.
        """
        self._telling.step("Make a vault and start its server")
        made = msgspec.json.decode(self.vault.run("init", "--data", self.vault.data, "--json"))
        stream: str = made["stream"]
        self.vkey.write_text(self.vault.run("log", "vkey", stream, "--data", self.vault.data))
        with self.vault.serve() as server:
            say(f"vault {made['vault']} on {server.s3}; its log is {stream}")
            firm = Firm(self.vault, server)
            answered = self._attack(firm, *self._store(firm))
            self._seal(server, stream)
            self._show(firm, answered)
            settled = self._wait_for_settling(stream)
        self._verify_vault(settled)
        self._verify_export()
        self._tamper()

    def _store(self, firm: Firm) -> tuple[dict[str, tuple[Item, Place]], Sequence[Place]]:
        """Store the day; the first record of each kind with its place, and the drafts."""
        items = day()
        self._telling.step(f"Store a trading day: {len(items) + 2} objects over S3, {CONNECTIONS} at a time")
        firm.open_buckets()
        started = time.monotonic()
        places = firm.store(items)
        took = time.monotonic() - started
        drafts = firm.store_drafts()
        count = Counter(item.kind for item in items)
        say(f"{count['ticket']} order tickets, {count['fix']} FIX messages: COMPLIANCE for {TRADE_YEARS} years")
        say(f"{count['mail']} e-mails: COMPLIANCE for {MAIL_YEARS} years, by their bucket's default")
        say("1 trade blotter (PDF) in a strict bucket; 2 drafts under GOVERNANCE, one also under a legal hold")
        say(f"{len(items) / took:.0f} objects a second, each durable before it was answered")
        pairs = list(zip(items, places, strict=True))
        return {item.kind: (item, place) for item, place in reversed(pairs)}, drafts

    def _attack(self, firm: Firm, first: dict[str, tuple[Item, Place]], drafts: Sequence[Place]) -> list[Answered]:
        wanted = attempts(firm, {kind: place for kind, (_, place) in first.items()}, drafts)
        self._telling.step(f"Try to remove or weaken them: {len(wanted)} attempts, most of them by root")
        answered = make(firm, wanted)
        _check_unharmed(firm, first.values())
        say(f"{len(wanted) - 1} refused; 1 allowed: the owner of a bucket may bypass GOVERNANCE, and only that")
        say("the records under attack, read back: unchanged")
        return answered

    def _seal(self, server: Server, stream: str) -> None:
        self._telling.step("Seal: save a checkpoint outside the vault, and export the log")
        note = sealed(server.audit, stream)
        self.checkpoint.write_bytes(note)
        self.vault.run("log", "export", stream, self.exported, "--data", self.vault.data)
        say(f"the checkpoint, one signed hash, covers {checkpoint_size(note)} records")

    def _show(self, firm: Firm, answered: Sequence[Answered]) -> None:
        self._telling.step("What the log says of the attempts: number, operation, who, what, outcome (why)")
        kept = records(self.exported)
        for attempt, seq in answered:
            record = msgspec.json.decode(kept[seq])
            if (record["outcome"] == "success", record.get("reason", "")) != (attempt.answer == DONE, attempt.reason):
                raise Failed(f"{attempt.what}: its record says something else: {kept[seq].decode()}")
            say(f"{attempt.what} → {attempt.answer}")
            say(f"  {sentence(record, firm.names)}")

    def _wait_for_settling(self, stream: str) -> list[Path]:
        """Segments of the settled ledger, once there are enough."""
        ledger = self.vault.data / "streams" / stream / "ledger"

        def settled() -> list[Path] | None:
            found = list(ledger.glob("*.zst"))
            return found if _settled_end(found) >= SETTLED else None

        return wait(settled, f"{SETTLED} records to settle")

    def _verify_vault(self, settled: Sequence[Path]) -> None:
        self._telling.step("Stop the server, and re-read every byte of the vault")
        say(f"paths in {self.vault.home}")
        self._say_good(self._verify(COMMAND, "verify", self.vault.data))
        end, kept = _settled_end(settled), records(self.exported)
        plain, packed = sum(len(kept[seq]) + 1 for seq in range(end)), sum(path.stat().st_size for path in settled)
        say(f"{end} records had settled, compressed {plain / packed:.1f} times")

    def _verify_export(self) -> None:
        self._telling.step(f"Verify the exported log as a stranger: plain Python, and {self.verifier.name}")
        build: list[str | Path] = [sys.executable, "-m", "audit.verify.build", self.verifier]
        self._telling.show(build)
        run(build, {}, expect=0)
        self._say_good(self._verify(*self._stranger(), self.exported))

    def _tamper(self) -> None:
        self._telling.step("Change one byte in a copy, and verify that")
        seq = checkpoint_size(self.checkpoint.read_bytes()) // 2
        copy = self.vault.home / "forged-log"
        bundle = tamper.of_record(self.exported, copy, seq)
        _say_bad(seq, bundle, copy, self._verify(*self._stranger(), copy, expect=1))
        copy = self.vault.home / "forged-vault"
        pack = tamper.of_object(self.vault.data, copy)
        _say_bad(None, pack, copy, self._verify(COMMAND, "verify", copy, expect=1))

    def _stranger(self) -> tuple[str | Path, ...]:
        """A Python without environment, working directory or site packages, and the one file."""
        return (sys.executable, "-I", "-S", self.verifier)

    def _verify(self, *command: str | Path, expect: int = 0) -> dict[str, Any]:
        """Run a verification, shown as somebody would type it, and return what it reports."""
        whole = [*command, "--vkey", self.vkey, "--checkpoint", self.checkpoint]
        self._telling.show(whole)
        report: dict[str, Any] = msgspec.json.decode(run([*whole, "--json"], {}, expect=expect))
        return report

    def _say_good(self, report: dict[str, Any]) -> None:
        size = checkpoint_size(self.checkpoint.read_bytes())
        if not report["anchored"] or report["logs"][0]["anchored_size"] < size:
            raise Failed("the verifier does not take what was saved outside as an anchor")
        say(f"GOOD: {report['size']} records, of which the saved checkpoint vouches for {size}")


def _say_bad(seq: int | None, changed: Path, copy: Path, report: dict[str, Any]) -> None:
    """Say what was found, once it is the file that was changed, and the record where that is known."""
    bad, name = report["first_bad"], str(changed.relative_to(copy))
    if not bad["place"].startswith(name) or seq not in {None, bad["seq"]}:
        raise Failed(f"one byte of {name} was changed, and the verifier names {bad['place']}, record {bad['seq']}")
    say(f"one byte changed in {name}: BAD")
    say(f"  record {bad['seq']}, {bad['place']}:")
    say(f"  {bad['why']}")


def _check_unharmed(firm: Firm, stored: Iterable[tuple[Item, Place]]) -> None:
    for item, place in stored:
        if firm.read(place) != item.data:
            raise Failed(f"{place.Bucket}/{place.Key} is not what was stored")


def _settled_end(segments: Iterable[Path]) -> int:
    """How many records are settled: the end in the last one's name, ``<first seq>-<end seq>.ndjson.zst``."""
    return max((int(path.name[17:33]) for path in segments), default=0)
