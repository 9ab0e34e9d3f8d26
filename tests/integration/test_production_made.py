"""A production of a vault that goes on changing, or has something wrong: it is made all the same, and is checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from audit.production import contents, logs, trail
from audit.production import state as states
from audit.production.bag import Cancelled, ProductionFailed
from audit.query.filter import QueryInvalid
from audit.verify import sparse
from audit.verify.command import main as verify
from tests.doubles.filled_vault import SERVER, FilledVault
from tests.doubles.whole_node import HERE
from vault.errors import IntegrityError
from vault.record import Tail, decode
from vault.service.plaintext import Plaintext

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from audit.production.state import State

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[FilledVault]:
    with FilledVault(tmp_path / "v") as made:
        yield made


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[FilledVault]:
    """One whose bucket keeps no versions."""
    with FilledVault(tmp_path / "v", lock=False) as made:
        yield made


def entries(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "data/versions.ndjson").read_bytes().splitlines()]


def checked(out: Path) -> int:
    """What the verifier says of it, once it counts as complete."""
    states.forget(out)
    return verify([str(out)])


def told(out: Path) -> list[list[str]]:
    """Operations in the trail of each version."""
    records = {}
    for line in next(out.glob("data/logs/*/records.ndjson")).read_bytes().splitlines():
        record = json.loads(line)
        records[record["seq"]] = record["op"]
    return [[records[seq] for _, seq in entry["trail"]] for entry in entries(out)]


def interrupt(vault: FilledVault, state: State, out: Path, patch: pytest.MonkeyPatch) -> None:
    """An attempt that is cancelled once its natives are there."""

    def cancelled(*_: object) -> None:
        raise Cancelled

    with patch.context() as patched:
        patched.setattr(contents, "_logs", cancelled)
        with pytest.raises(Cancelled):
            vault.fill(state, out)


@pytest.mark.parametrize("only_matching", [False, True])
def test_what_is_removed_after_it_was_asked_for_is_listed_with_the_record_of_that(
    vault: FilledVault, tmp_path: Path, *, only_matching: bool
) -> None:
    vault.put("a", b"one")
    version = vault.put("b", b"two")
    out = tmp_path / "out"
    state = vault.ask(out, only_matching=only_matching)
    vault.put("b", b"another one, which nobody asked for")
    vault.delete("b", version)
    assert vault.fill(state, out).natives == 1
    assert [entry["state"] for entry in entries(out)] == ["native", "removed"]
    assert told(out) == [["object.put"], ["object.put", "object.delete"]]
    assert checked(out) == 0


@pytest.mark.parametrize("late", [False, True])
def test_what_took_the_place_of_a_null_version_removed_it(plain: FilledVault, tmp_path: Path, *, late: bool) -> None:
    plain.put("a", b"one")
    if not late:
        plain.put("a", b"two")
    out = tmp_path / "out"
    state = plain.ask(out)
    if late:
        plain.put("a", b"two, which nobody asked for")
    plain.fill(state, out)
    assert [entry["state"] for entry in entries(out)] == ["removed", "native"][: 1 if late else 2]
    assert told(out)[0] == ["object.put", "object.put"]
    assert checked(out) == 0


def test_of_a_recovered_vault_each_stream_shows_the_edges_of_the_period(vault: FilledVault, tmp_path: Path) -> None:
    version = vault.put("a", b"one")
    vault.delete("a")  # hides what comes later, too: of another stream, and in its trail
    vault.put("b", b"one")
    early = vault.ask(tmp_path / "early")
    before = vault.copied(tmp_path / "copy")
    vault.node.commit(Tail(op="server.reload", actor=SERVER, origin=HERE))
    vault.recover(before)
    vault.put("a", b"two")
    stored = [
        head.time for head, tail in map(decode, dict(vault.node.history.read(0)).values()) if tail.op == "object.put"
    ]
    for number, (asked, count) in enumerate([({}, 3), ({"until": stored[1]}, 1), ({"since": stored[2]}, 1)]):
        out = tmp_path / str(number)
        assert vault.fill(vault.ask(out, **asked), out).versions == count
        assert checked(out) == 0, asked
    vault.delete("a", version)
    with pytest.raises(ProductionFailed, match="after the vault was recovered: ask for a new production"):
        vault.fill(early, tmp_path / "early")


def test_a_version_that_no_record_removed_makes_no_production(
    vault: FilledVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("a", b"one")
    out = tmp_path / "out"
    state = vault.ask(out)
    monkeypatch.setattr("audit.production.versions.lookup.version_by_ordinal", lambda *_: None)
    with pytest.raises(ProductionFailed, match="lacks a version that no record removed"):
        vault.fill(state, out)


def test_a_version_that_cannot_be_read_is_listed_as_that_in_a_good_production(
    vault: FilledVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("a", b"one")
    vault.put("b", b"four")
    out = tmp_path / "out"
    state = vault.ask(out)
    real = Plaintext.pieces

    def damaged(plaintext: Plaintext, row: Any, *args: Any) -> Iterator[bytes]:
        if row.size == 4:
            yield b"fo"
            raise IntegrityError("chunk 1 does not authenticate")
        yield from real(plaintext, row, *args)

    monkeypatch.setattr(Plaintext, "pieces", damaged)
    for _ in range(2):
        made = vault.fill(state, out)
        assert (made.natives, made.failed) == (1, 1)
        assert [path.name for path in (out / "data/natives").iterdir()] == ["000001-a"]
        assert "chunk 1 does not authenticate" in entries(out)[1]["problem"]
        assert checked(out) == 0


def test_a_native_of_an_earlier_attempt_goes_where_its_version_was_removed_meanwhile(
    vault: FilledVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("a", b"one")
    version = vault.put("b", b"two")
    out = tmp_path / "out"
    state = vault.ask(out)
    interrupt(vault, state, out, monkeypatch)
    assert (out / "data/natives/000002-b").read_bytes() == b"two"
    vault.delete("b", version)
    assert vault.fill(state, out).natives == 1
    assert checked(out) == 0


def test_an_upload_is_of_the_version_that_it_became_and_of_no_other(vault: FilledVault, tmp_path: Path) -> None:
    for _ in range(3):
        vault.upload("a")
    vault.upload("a", complete=False)
    vault.put("a", b"one")
    vault.delete("a")
    out = tmp_path / "out"
    vault.fill(vault.ask(out), out)
    made = ["multipart.create", "multipart.part", "multipart.complete", "object.delete"]
    assert told(out) == [made, made, made, ["object.put", "object.delete"]]
    assert checked(out) == 0


@pytest.mark.parametrize("more", ["of the period", "of the keys", "in all trails"])
def test_more_records_than_a_verifier_holds_are_refused_before_anything_is_written(
    vault: FilledVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    for _ in range(3):
        vault.put("a", b"one")
    vault.delete("a")
    out = tmp_path / "out"
    state = vault.ask(out, only_matching=more != "of the period")
    most = {"of the period": state.snapshot, "of the keys": 4, "in all trails": 3 * 2}[more]
    monkeypatch.setattr(trail, "MAX_RECORDS", most - 1)
    with pytest.raises(QueryInvalid, match="records: ask for less time, for a prefix, or with --only-matching"):
        vault.fill(state, out)
    assert [path.name for path in out.iterdir()] == [".unfinished.json"]
    monkeypatch.setattr(trail, "MAX_RECORDS", state.snapshot + 1)
    vault.fill(state, out)


def test_more_bytes_of_records_than_a_verifier_reads_are_refused(
    vault: FilledVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("a", b"one")
    out = tmp_path / "out"
    state = vault.ask(out)
    assert logs.MAX_RECORDS_BYTES == sparse._MAX_RECORDS_BYTES
    monkeypatch.setattr(logs, "MAX_RECORDS_BYTES", 1000)
    with pytest.raises(ProductionFailed, match="no verifier takes"):
        vault.fill(state, out)


def test_all_of_it_leaves_the_vault_what_it_needs_of_the_disk(
    vault: FilledVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = vault.put("a", b"one")
    vault.delete("a", version)
    out = tmp_path / "out"
    state = vault.ask(out)
    reserve = vault.node.settings.disk.reserve_mib << 20
    monkeypatch.setattr("audit.production.bag.free_bytes", lambda _: reserve)
    with pytest.raises(ProductionFailed, match=r"has no room for .* beside what the vault needs"):
        vault.fill(state, out)
    assert not list(out.rglob("*.ndjson"))
