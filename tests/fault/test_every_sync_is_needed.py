"""Without any one sync of the program a power cut loses something that was promised, and the power-loss test sees it.

One recording, in which the server says where in its code it is before each sync, serves all: the model of the disk
leaves one kind of sync out, and at least one image must then be bad. What is not needed is named with its reason, and
shown not to be.
"""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.fault.powerloss import campaign, recording
from tests.fault.watched import needs_strace
from tests.readme import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fault.powerloss.recording import Recording

MARKED: Final = (sys.executable, "-m", "tests.fault.powerloss.marked")
#: Call, sort of file, and the function that makes the call; ``lmdb`` makes its own.
NEEDED: Final = (
    "fdatasync commit append_group",
    "fdatasync spare append_group",
    "fdatasync index lmdb",
    "fsync index _make_index",
    "fsync keys _stage",
    "fsync ledger _stage",
    "fsync packs _stage",
    "fsync tile/0 _stage",
    "fsync data.anchor _stage",
    "fsync stage StagedBlob.publish",
    "fsync keys write_new_files",
    "fsync ledger write_new_files",
    "fsync packs write_new_files",
    "fsync tile/0 write_new_files",
    "fsync keys supersede",
    "fsync data.anchor supersede",
    "fsync blobs publish",
    "fsync blobs make_dirs",
    "fsync blobs remove",
    "fsync commit move.new",
)
#: Needed only where a kill came first, at which of the steps of a kind: nobody else syncs what it left in the cache.
NEEDED_AFTER_A_KILL: Final = {
    "FileAnchor._sync": ("rename data.anchor", 0),
    "TileStore._make_ready": ("link tile/1", 0),
    "_read": ("pwritev2 commit of many pages", 0),
}
NOT_NEEDED: Final = {
    "move.old": "a start removes a spare that is a segment too, and a retired segment whatever its name",
}
#: Not on the way of anything that a client or the ledger is told, and so not in the recording.
ELSEWHERE: Final = {
    "View._write_out": "the names of new days; as write",
    "write": "audit/query/files.py: the view of records is made anew from the ledger where it is damaged or behind",
    "Copier._copy": "a backup: what reads it back checks every digest in it and runs the verifier",
    "Copier._pour": "as Copier._copy",
    "Copier.sweep": "as Copier._copy",
    "Place.open": "as Copier._copy",
    "Bag._sync": "a production's directory: the vault keeps the whole of it under lock",
    "_write": "audit/cli/production.py: a production as a file; as Bag._sync",
    "_settle_names": "a restore: it counts for nothing before vault.json is there, which is written last",
}
SYNCS: Final = frozenset({"fsync_file", "fdatasync", "fsync_dir"})
#: Steps at which images are made, at most, beside those of the sync itself: until one is bad, and where none may be.
_UNTIL_BAD: Final = 60
_ALL_GOOD: Final = 20
#: All steps after the first sync of a kind: what is lost may be lost only until the next start reads, and syncs, it.
_NEXT: Final = 25
_SEED: Final = 1

pytestmark = [needs_strace, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recording.record(tmp_path_factory.mktemp("recorded"), MARKED)


def steps(made: Recording, muted: str, count: int, first: int = 0) -> list[int]:
    """Steps at which the power fails: after the first sync of a kind or place, at and after some, and elsewhere."""
    kinds = campaign.kinds(made)
    own = [step for step, kind in enumerate(kinds) if step >= first and (kind == muted or kind.endswith(f" {muted}"))]
    some = own[:: max(1, len(own) // 10)]
    near = {*some, *(step + 1 for step in some), *range(own[0], min(own[0] + _NEXT, len(kinds)))}
    return sorted({*near, *campaign.choose(kinds, count, _SEED, first=own[0])})


def problems(made: Recording, at: list[int], muted: str) -> Iterator[str]:
    """What is wrong with images of a disk that leaves out syncs of a kind or place."""
    judged = campaign.judge(made, dict.fromkeys(at, (None, _SEED)), muted)
    return (problem for _, found in judged for problem in found)


@pytest.mark.parametrize("muted", NEEDED)
def test_without_this_sync_a_power_cut_loses_something(recorded: Recording, muted: str) -> None:
    assert next(problems(recorded, steps(recorded, muted, _UNTIL_BAD), muted), "") != ""


@pytest.mark.parametrize("muted", NEEDED_AFTER_A_KILL)
def test_without_this_sync_a_kill_and_then_a_power_cut_lose_something(recorded: Recording, muted: str) -> None:
    kind, which = NEEDED_AFTER_A_KILL[muted]
    struck = [step for step, found in enumerate(campaign.kinds(recorded)) if found == kind][which]
    again = recording.strike(recorded, struck, MARKED)
    at = steps(again, muted, _ALL_GOOD, first=struck + 1)
    assert next(problems(again, at, muted), "") != ""
    assert list(problems(again, at, "")) == []


@pytest.mark.parametrize("muted", NOT_NEEDED)
def test_without_this_sync_nothing_is_lost(recorded: Recording, muted: str) -> None:
    assert list(problems(recorded, steps(recorded, muted, _ALL_GOOD), muted)) == []


def test_every_place_that_syncs_is_named_here() -> None:
    named = {kind.split()[-1] for kind in (*NEEDED, *NEEDED_AFTER_A_KILL, *NOT_NEEDED, *ELSEWHERE)} - {"lmdb"}
    assert {place.removesuffix(".new").removesuffix(".old") for place in named} == set(places()) - SYNCS


def places() -> Iterator[str]:
    """Every function of the product that syncs, as Python names it."""
    for path in (*(ROOT / "vault").rglob("*.py"), *(ROOT / "audit").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            holder = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            for item in node.body if isinstance(node, ast.ClassDef) else (node,):
                calls = {_called(call) for call in ast.walk(item) if isinstance(call, ast.Call)}
                if isinstance(item, ast.FunctionDef) and calls & SYNCS:
                    yield holder + item.name


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
