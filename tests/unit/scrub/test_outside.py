"""What an anchor elsewhere vouches for when a vault verifies itself: by the real verifier, in its own process."""

from __future__ import annotations

import os
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from audit.anchor.file import FileAnchor
from audit.config import AnchorSection, Settings
from audit.errors import AnchorUnavailable
from audit.identity import Identity, Layout
from audit.scrub.outside import NOBODY, Voucher, ask_anchor
from audit.scrub.run import Run
from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import Plan, write_vault
from vault import durable

if TYPE_CHECKING:
    from pathlib import Path

    from vault.record import VerifiedRef

RECORDS = 300


def history(*keys: str) -> LogBuilder:
    """A log of one vault, which went on with other objects each time."""
    log = LogBuilder()
    log.start()
    for key in keys:
        log.put(key)
    log.fill(RECORDS)
    return log


@pytest.fixture
def log(tmp_path: Path) -> LogBuilder:
    made = history("a", "b")
    write_vault(made, tmp_path / "vault", Plan(256, 256, [(256, 1, [(256, RECORDS - 256)])]))
    return made


def verified(root: Path, voucher: Voucher) -> tuple[VerifiedRef, str]:
    outcome = Run(root / "vault", 1, 1, 65536).wait(voucher)
    assert outcome is not None
    return outcome


def test_without_one_the_vault_agrees_with_itself_and_that_is_all(log: LogBuilder, tmp_path: Path) -> None:
    said, why = verified(tmp_path, NOBODY)
    assert (said.result, said.anchored, said.anchor, why) == ("good", 0, "", "")


@pytest.mark.parametrize("size", [1, 256, RECORDS])
def test_a_checkpoint_of_it_vouches_for_as_many_records_as_it_covers(
    log: LogBuilder, tmp_path: Path, size: int
) -> None:
    said, why = verified(tmp_path, Voucher("s3://anchors/ at s3.example:443", log.checkpoint(size)))
    assert (said.result, said.anchored, said.anchor, why) == ("good", size, "s3://anchors/ at s3.example:443", "")


def test_a_checkpoint_of_another_history_is_a_finding(log: LogBuilder, tmp_path: Path) -> None:
    other = history("a", "c")
    assert (other.origin, other.vkey()) == (log.origin, log.vkey())
    said, why = verified(tmp_path, Voucher("/mnt/anchor", other.checkpoint()))
    assert (said.result, said.findings, said.anchored, why) == ("bad", 1, 0, "")
    assert (said.place, said.anchor) == ("the checkpoint in the anchor", "/mnt/anchor")


def test_a_checkpoint_of_more_records_than_are_there_is_a_finding(log: LogBuilder, tmp_path: Path) -> None:
    log.fill(RECORDS + 7)
    said, _ = verified(tmp_path, Voucher("/mnt/anchor", log.checkpoint()))
    assert (said.result, said.findings, said.place) == ("bad", 1, "the checkpoint in the anchor")


def test_a_checkpoint_of_another_vault_is_a_finding(log: LogBuilder, tmp_path: Path) -> None:
    other = LogBuilder(vault="f" * 16)
    other.start()
    said, _ = verified(tmp_path, Voucher("/mnt/anchor", other.checkpoint()))
    assert (said.result, said.anchored, said.place) == ("bad", 0, "the checkpoint in the anchor")


def asked(root: Path, log: LogBuilder, url: str = "") -> Voucher:
    site, node = log.stream.split(".")
    identity = Identity(1, log.vault, site, node, log.stream, "standard", "")
    return ask_anchor(Layout(root / "vault"), identity, Settings(anchor=AnchorSection(url=url)))


def test_the_anchor_beside_the_data_directory_is_not_asked(log: LogBuilder, tmp_path: Path) -> None:
    assert FileAnchor(Layout(tmp_path / "vault").default_anchor).read(log.origin) == log.checkpoint()
    assert asked(tmp_path, log) == NOBODY
    assert asked(tmp_path, log, str(tmp_path / "vault.anchor")) == NOBODY


def test_an_anchor_elsewhere_gives_the_note_as_it_was_signed(log: LogBuilder, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    FileAnchor(place).swap(log.origin, None, log.checkpoint(9))
    for url in (str(place), place.as_uri()):
        assert asked(tmp_path, log, url) == Voucher(str(place), log.checkpoint(9))


def test_an_anchor_that_is_locked_for_a_moment_is_asked_again(log: LogBuilder, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    FileAnchor(place).swap(log.origin, None, log.checkpoint(9))
    (value,) = (path for path in place.iterdir() if path.suffix != ".lock")
    held = durable.lock_file(value.with_name(f"{value.name}.lock"))
    with pytest.raises(AnchorUnavailable):
        FileAnchor(place).read(log.origin)
    letting_go = Timer(0.3, os.close, (held,))
    letting_go.start()
    assert asked(tmp_path, log, str(place)).note == log.checkpoint(9)
    letting_go.join()


def test_an_anchor_that_has_nothing_or_does_not_answer_says_why(log: LogBuilder, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    assert asked(tmp_path, log, str(place)) == Voucher(str(place), why="it holds no checkpoint of this log")
    FileAnchor(place).swap(log.origin, None, b"no note")
    found = asked(tmp_path, log, str(place))
    assert (found.anchor, found.note) == (str(place), b"")
    assert found.why
    credentials = tmp_path / "credentials"
    credentials.touch(0o600)
    credentials.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\n")
    away = AnchorSection(url="s3://anchors/x?endpoint=http://127.0.0.1:1", credentials_file=str(credentials))
    identity = Identity(1, log.vault, "site-a", "node-1", log.stream, "standard", "")
    found = ask_anchor(Layout(tmp_path / "vault"), identity, Settings(anchor=away))
    assert (found.anchor, found.note) == ("s3://anchors/x/ at 127.0.0.1:1", b"")
    assert found.why
