"""A real node whose two clocks go only when told, with looks, refusals and versions that are old at once."""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from audit.config import load
from audit.node import Node
from audit.pruning import Pruner
from audit.verify.command import main as verify
from tests.doubles.small_vault import Clocks
from tests.doubles.traffic import described
from tests.doubles.whole_node import HERE, make
from vault.policy import SYSTEM
from vault.ports import Committed, Intent
from vault.record import Actor, BucketConfig, LockRef, ObjectRef, Request, Tail, decode, encode_tail
from vault.retention import from_ref
from vault.times import DAY_NS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from vault.errors import VaultError

SETTINGS = load(None, {"STRONGROOM_LEDGER__SEGMENT_MIB": "1", "STRONGROOM_SCRUB__INTERVAL_HOURS": "0"})
BUCKET = "trades"
SERVER = Actor(SYSTEM)
#: Days that lie between what is to be pruned and now.
AGE = 200


class AgedVault:
    """A node on ``root``, made there where nothing is; its pruner is stepped by the test, not by the node.

    Attributes:
        published: What the last checkpoint is said to cover; None for what it really does.
    """

    def __init__(self, root: Path, now: int = 0) -> None:
        fresh = not root.exists()
        if fresh:
            make(root)
        self.clocks = Clocks(now or time.time_ns() - 2 * AGE * DAY_NS)
        self.node = Node.open(root, SETTINGS, self.clocks)
        self.published: int | None = None
        self.pruner = Pruner(
            stores=self.node.stores,
            journal=self.node.committer,
            now=self.node.clock.now,
            published=lambda: self.node.status().sealed if self.published is None else self.published,
            view=self.node.view,
            days=184,
            pass_seconds=3600,
        )
        self._rng = random.Random(7)
        if fresh:
            self.do("bucket.create", object=ObjectRef(BUCKET), bucket=BucketConfig(owner="p1", lock=True))

    def do(self, op: str, body: bytes = b"", **tail: Any) -> Committed:
        """Commit one operation, whatever becomes of it."""
        made = Tail(op=op, actor=SERVER, origin=HERE, **tail)
        answer: Future[Committed | VaultError] = Future()
        self.node.committer.submit([Intent(made, encode_tail(made), (body,) if body else ())], [answer.set_result])
        result = answer.result(30)
        assert isinstance(result, Committed)
        return result

    def put(self, key: str, days: int = 0) -> Committed:
        """Store a version, locked for so many days."""
        lock = self.clocks.until(days) if days else LockRef()
        domain = self.node.keyring.take_or_make(BUCKET, from_ref(lock).until)
        self.node.keyring.give_back(domain)
        storage, body = described(self._rng, 200, domain=domain.id)
        named = ObjectRef(BUCKET, key, size=200, content="00" * 32)
        asked = Request(mode=lock.mode, until=lock.until) if days else None
        return self.do("object.put", body, object=named, storage=storage, request=asked)

    def look(self, key: str, times: int = 1) -> None:
        """Look at a key, which may be a failure."""
        for _ in range(times):
            self.do("object.head", object=ObjectRef(BUCKET, key))

    def settle(self) -> int:
        """Fill up to a whole frame, close the segment and wait until it is settled; how many records there are."""
        while self.node.stores.log.durable_end % 256:
            self.do("bucket.list")
        end = self.node.stores.log.durable_end
        self.node.stores.log.open_segment(end)
        self._until(lambda: self.node.stores.settled.end >= end)
        return end

    def age(self, days: int = AGE) -> None:
        """Let time pass, all of it measured; then the newest segment is another one."""
        self.clocks.now += days * DAY_NS
        self.do("bucket.list")
        self.settle()

    def prune(self) -> int:
        """One whole pass; how many records went."""
        before = self.pruner.pruned
        if self.published is None:
            self._until(lambda: self.node.status().sealed >= self.node.stores.log.durable_end)
        self.pruner._due = 0.0
        assert self.pruner.step()  # the pass begins
        for _ in self.node.stores.settled.spans[:-1]:
            self.pruner.step()
            self._until(lambda: self.pruner._token is None or self.pruner.step())
        return self.pruner.pruned - before

    def _until(self, true: Any) -> None:
        deadline = time.monotonic() + 60
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def close(self) -> int:
        """Stop in good order; the time there."""
        self.node.close()
        return self.clocks.now


def lived(root: Path, vault: AgedVault | None = None) -> AgedVault:
    """Three segments that are old, and a newest one: looks at a key that is locked, at one that is not, at none."""
    vault = vault or AgedVault(root)
    for number in range(3):
        vault.put("locked", days=1000)
        vault.put(f"free-{number}")
        for key in ("locked", f"free-{number}", "none"):
            vault.look(key, 70)
        vault.settle()
    vault.age()
    return vault


def named(record: bytes) -> tuple[str, str]:
    """Operation and key of a record."""
    _, tail = decode(record)
    return tail.op, tail.object.key if tail.object is not None else ""


def checked(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, Any]:
    """What the verifier makes of a stopped vault, or of an exported log: exit code and report."""
    capsys.readouterr()
    code = verify([str(root), "--json", *options])
    return code, json.loads(capsys.readouterr().out)
