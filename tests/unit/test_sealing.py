from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.anchor.file import FileAnchor
from audit.checkpoint import Checkpoint
from audit.errors import AnchorUnavailable, LedgerCorrupt, RecoverRequired
from audit.note import Signer, sign_note
from audit.sealing import Sealed, Sealer, adopt, start_sealer
from audit.tile_store import TileStore
from audit.tiles import root_at
from tests.doubles.anchor import Fault, FaultyAnchor
from vault import durable, merkle

if TYPE_CHECKING:
    from pathlib import Path

    from audit.anchor import Anchor

ORIGIN = "log.example/a"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
LEAVES = [sha256(n.to_bytes(4, "big")).digest() for n in range(600)]


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, merkle.root(LEAVES[:size]))


def signed(size: int) -> bytes:
    return sign_note(checkpoint(size).text(), SIGNER)


class Log:
    """A log directory and its anchor, started as the server would start it."""

    def __init__(self, root: Path, anchor: Anchor) -> None:
        self.root = root
        self.anchor = anchor

    @property
    def published(self) -> bytes | None:
        path = self.root / "checkpoint"
        return path.read_bytes() if path.exists() else None

    def start(self, durable_size: int = len(LEAVES)) -> Sealer:
        return start_sealer(
            signer=SIGNER,
            anchor=self.anchor,
            tiles=TileStore(self.root),
            publish=partial(durable.replace, self.root / "checkpoint"),
            published=self.published,
            durable_size=durable_size,
        )

    def check(self, size: int) -> None:
        """The published checkpoint is the anchored one and its tiles give its root."""
        assert self.published == self.anchor.read(ORIGIN) == signed(size)
        assert root_at(size, TileStore(self.root).read) == checkpoint(size).root


def seal_to(sealer: Sealer, size: int) -> Sealed | None:
    return sealer.seal(LEAVES[sealer.size : size])


@pytest.fixture
def faulty() -> FaultyAnchor:
    return FaultyAnchor()


@pytest.fixture
def log(tmp_path: Path, faulty: FaultyAnchor) -> Log:
    return Log(tmp_path, faulty)


def test_an_empty_log_has_nothing_to_seal(log: Log, faulty: FaultyAnchor) -> None:
    assert log.start(0).seal() is None
    assert (log.published, faulty.swaps) == (None, 0)


def test_each_seal_is_anchored_then_published_and_its_tiles_are_there(log: Log) -> None:
    sealer = log.start()
    for size in (1, 255, 256, 257, 600):
        assert seal_to(sealer, size) == Sealed(checkpoint(size), signed(size)) == sealer.last
        log.check(size)


def test_with_nothing_new_nothing_is_signed_again(log: Log, faulty: FaultyAnchor) -> None:
    sealer = log.start()
    first = seal_to(sealer, 3)
    assert sealer.seal() == first
    assert faulty.swaps == 1


def test_a_file_anchor_serves_too(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", FileAnchor(tmp_path / "log.anchor"))
    log.root.mkdir()
    seal_to(log.start(), 300)
    log.check(300)
    seal_to(log.start(), 301)
    log.check(301)


def test_nothing_leaves_before_the_swap_and_the_next_seal_goes_on_from_there(log: Log, faulty: FaultyAnchor) -> None:
    sealer = log.start()
    seal_to(sealer, 3)
    faulty.faults.append(Fault.REFUSED)
    with pytest.raises(AnchorUnavailable) as caught:
        seal_to(sealer, 300)
    assert caught.value.retryable
    log.check(3)
    assert sealer.size == 300
    seal_to(sealer, 310)
    log.check(310)


def test_an_unknown_swap_that_happened_is_read_back_and_published(log: Log, faulty: FaultyAnchor) -> None:
    sealer = log.start()
    faulty.faults.append(Fault.PERSISTED)
    seal_to(sealer, 5)
    log.check(5)


@pytest.mark.parametrize("first", [0, 3])
def test_an_unknown_swap_that_did_not_happen_is_offered_again_before_anything_newer(
    log: Log, faulty: FaultyAnchor, first: int
) -> None:
    sealer = log.start()
    seal_to(sealer, first)
    published = log.published
    faulty.faults.append(Fault.LOST)
    with pytest.raises(AnchorUnavailable, match="not taken"):
        seal_to(sealer, 5)
    assert log.published == published
    swaps = faulty.swaps
    seal_to(sealer, 9)
    log.check(9)
    assert faulty.swaps == swaps + 2


def test_an_unknown_swap_that_happens_late_is_ours_and_no_conflict(log: Log, faulty: FaultyAnchor) -> None:
    sealer = log.start()
    seal_to(sealer, 3)
    faulty.faults.append(Fault.LATE)
    with pytest.raises(AnchorUnavailable, match="not taken"):
        seal_to(sealer, 5)
    seal_to(sealer, 9)
    log.check(9)


def test_while_an_unknown_swap_cannot_be_read_back_nothing_newer_is_offered(log: Log, faulty: FaultyAnchor) -> None:
    sealer = log.start()
    seal_to(sealer, 3)
    faulty.faults.append(Fault.PERSISTED)
    faulty.unreadable = 1
    with pytest.raises(AnchorUnavailable, match="not readable"):
        seal_to(sealer, 5)
    assert log.published == signed(3)
    faulty.faults.append(Fault.REFUSED)
    with pytest.raises(AnchorUnavailable, match="refused"):
        seal_to(sealer, 7)
    assert faulty.values[ORIGIN] == signed(5)
    seal_to(sealer, 7)
    log.check(7)


@pytest.mark.parametrize(
    ("current", "said"),
    [(signed(4), "size 4 .* anchored size 3"), (b"rubbish", "something else")],
)
@pytest.mark.parametrize("fault", [None, Fault.LOST])
def test_somebody_elses_value_stops_the_log_and_names_the_way_out(
    log: Log, faulty: FaultyAnchor, current: bytes, said: str, fault: Fault | None
) -> None:
    sealer = log.start()
    seal_to(sealer, 3)

    def intrude() -> None:
        faulty.values[ORIGIN] = current

    if fault is None:
        intrude()
    else:
        faulty.faults.append(fault)
        faulty.before_read = intrude
    with pytest.raises(RecoverRequired, match=said) as caught:
        seal_to(sealer, 5)
    assert "strongroom recover" in str(caught.value)
    assert "mounted" not in caught.value.problem  # what a takeover tells holds no questions
    assert caught.value.fatal
    assert log.published == signed(3)


@pytest.mark.parametrize(
    ("anchored", "published"),
    [(None, None), (1, None), (255, 255), (256, 3), (300, 300), (600, 1), (3, 300)],
)
def test_what_is_at_or_below_the_durable_size_with_our_root_is_adopted(
    log: Log, faulty: FaultyAnchor, anchored: int | None, published: int | None
) -> None:
    sealer = Log(log.root, FaultyAnchor()).start()
    for size in sorted({anchored or 0, published or 0}):
        seal_to(sealer, size)
    (log.root / "checkpoint").unlink(missing_ok=True)
    if published is not None:
        (log.root / "checkpoint").write_bytes(signed(published))
    if anchored is not None:
        faulty.values[ORIGIN] = signed(anchored)
    sealer = log.start()
    largest = max(anchored or 0, published or 0)
    assert sealer.size == largest
    assert log.published == (signed(largest) if largest else None)
    seal_to(sealer, 600)
    log.check(600)


@pytest.mark.parametrize(
    ("anchored", "published", "durable_size", "said"),
    [
        (None, checkpoint(3), 9, "the anchor is empty, .* published size 3"),
        (checkpoint(10), None, 9, "size 10 was anchored, .* holds 9 records"),
        (checkpoint(3), checkpoint(10), 9, "size 10 was published, .* holds 9 records"),
        (Checkpoint(ORIGIN, 3, bytes(32)), checkpoint(3), 9, "size 3 was anchored with root 0000"),
        (checkpoint(3), Checkpoint(ORIGIN, 4, bytes(32)), 9, "size 4 was published with root 0000"),
    ],
)
def test_a_ledger_that_would_sign_a_second_history_does_not_start(
    anchored: Checkpoint | None, published: Checkpoint | None, durable_size: int, said: str
) -> None:
    with pytest.raises(RecoverRequired, match=said) as caught:
        adopt(anchored, published, durable_size, lambda size: merkle.root(LEAVES[:size]))
    assert "strongroom recover" in str(caught.value)
    assert "mounted" not in caught.value.problem  # what a takeover tells holds no questions


def test_an_anchor_that_is_not_ours_stops_the_start(log: Log, faulty: FaultyAnchor) -> None:
    faulty.values[ORIGIN] = b"rubbish"
    with pytest.raises(RecoverRequired, match="something else"):
        log.start()


def test_a_damaged_checkpoint_file_stops_the_start(log: Log) -> None:
    seal_to(log.start(), 3)
    (log.root / "checkpoint").write_bytes(b"rubbish")
    with pytest.raises(LedgerCorrupt, match="checkpoint"):
        log.start()


def test_an_anchor_out_of_reach_stops_the_start(log: Log, faulty: FaultyAnchor) -> None:
    faulty.unreadable = 1
    with pytest.raises(AnchorUnavailable):
        log.start()
