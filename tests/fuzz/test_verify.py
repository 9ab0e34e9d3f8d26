"""Random bytes in place of any kind of file: one of three exit codes, never a traceback, never without an end."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.verify.command import main
from audit.verify.exported import parse_bundle
from audit.verify.note import NoteError, parse_checkpoint, parse_vkey, signers
from audit.verify.records import Checker
from audit.verify.report import Bad
from audit.verify.schema import parse_strict
from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import Plan, write_vault

S = "streams/site-a.node-1"
KINDS = {
    "checkpoint": f"{S}/checkpoint",
    "tile": f"{S}/tile/0/000",
    "settled": f"{S}/ledger/0000000000000000-0000000000000256.ndjson.zst",
    "commit": f"{S}/commit/0000000000.log",
    "pack": "packs/site-a.node-1-4-0.pack",
    "vkey": "keys/site-a.node-1.vkey",
    "vault": "vault.json",
    "keyring": "keys/keyring-a",
}
EXPORTED = {"checkpoint": "checkpoint", "tile": "tile/0/000", "bundle": "tile/entries/000", "vkey": "vkey"}


@cache
def whole(kind: str) -> Path:
    """A good target, made once."""
    log = LogBuilder()
    log.start()
    log.put("a", size=300)
    log.put("b", size=300, kind="blob")
    log.fill(300)
    root = Path(mkdtemp()) / kind
    if kind == "vault":
        write_vault(log, root, Plan(256, 256, [(0, 1, [(250, 20), (270, 30)])]))
    else:
        log.write_export(root)
        (root / "vkey").write_text(log.vkey())
    return root


@pytest.fixture(scope="module", autouse=True)
def _clean() -> object:
    yield
    for kind in ("vault", "export"):
        shutil.rmtree(whole(kind).parent)
    whole.cache_clear()


MUTATIONS = st.one_of(
    st.binary(max_size=300).map(lambda data: lambda _old: data),
    st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=40)).map(
        lambda how: lambda old: old[: int(len(old) * how[0])] + how[1] + old[int(len(old) * how[0]) + len(how[1]) :]
    ),
    st.floats(0, 1).map(lambda where: lambda old: old[: int(len(old) * where)]),
    st.tuples(st.floats(0, 1), st.integers(0, 7)).map(
        lambda how: (
            lambda old: (
                old[: int((len(old) - 1) * how[0])]
                + bytes([old[int((len(old) - 1) * how[0])] ^ 1 << how[1]])
                + old[int((len(old) - 1) * how[0]) + 1 :]
            )
        )
    ),
)


def judge(root: Path, name: str, mutate: object) -> None:
    path = root / name
    good = path.read_bytes()
    out, err = StringIO(), StringIO()
    try:
        path.write_bytes(mutate(good))  # type: ignore[operator]
        with patch("sys.stdout", out), patch("sys.stderr", err):
            code = main([str(root), "--json"])
    finally:
        path.write_bytes(good)
    answer = json.loads(out.getvalue())
    assert code == {"good": 0, "bad": 1, "unchecked": 2}[answer["result"]]
    assert "internal error" not in answer["unchecked"]
    assert err.getvalue() == ""


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(mutate=MUTATIONS)
def test_files_of_a_data_directory(kind: str, mutate: object) -> None:
    judge(whole("vault"), KINDS[kind], mutate)


@pytest.mark.parametrize("kind", EXPORTED)
@settings(max_examples=25)
@given(mutate=MUTATIONS)
def test_files_of_an_exported_log(kind: str, mutate: object) -> None:
    judge(whole("export"), EXPORTED[kind], mutate)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_records(records: list[bytes]) -> None:
    checker = Checker(b'"s"', 0, str)
    checker.feed(records)
    run = checker.run()
    assert len(run.findings) >= len(records)
    assert len(run.leaves) == 32 * len(records)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["v", "stream", "seq", "prev", "time", "op", "x"]), JSON, max_size=6))
def test_json_of_any_shape(value: dict[str, object]) -> None:
    data = json.dumps(value, separators=(",", ":")).encode()
    parse_strict(data)
    checker = Checker(b'"s"', 0, str)
    checker.feed([data])
    assert len(checker.run().leaves) == 32


@given(st.binary(max_size=300))
def test_bundles_and_notes(data: bytes) -> None:
    with suppress(Bad):
        assert b"".join(len(entry).to_bytes(2, "big") + entry for entry in parse_bundle(data, "x")) == data
    for parse in (parse_checkpoint, lambda note: signers(note, []), lambda text: parse_vkey(text.decode("latin-1"))):
        with suppress(NoteError):
            parse(data)
