"""The published JSON Schema is of the records as they are written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.golden.make import LOG, unpack
from tests.readme import ROOT
from vault.record_schema import record_schema

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHED = json.loads((ROOT / "vault" / "record-v1.schema.json").read_text())


def test_what_is_published_is_what_the_types_give() -> None:
    assert record_schema() == PUBLISHED, "python -m vault.record_schema > vault/record-v1.schema.json"
    Draft202012Validator.check_schema(PUBLISHED)


def test_a_vaults_whole_log_is_of_it(tmp_path: Path) -> None:
    """Entry bundles of C2SP tlog-tiles: every entry with its length before it, two bytes."""
    unpack(LOG, tmp_path)
    schema, ops = Draft202012Validator(PUBLISHED), set()
    for bundle in (path for path in (tmp_path / "log/tile/entries").rglob("*") if path.is_file()):
        data = bundle.read_bytes()
        while data:
            length = int.from_bytes(data[:2], "big")
            record, data = json.loads(data[2 : 2 + length]), data[2 + length :]
            schema.validate(record)
            ops.add(record["op"])
    assert len(ops) >= 20


@pytest.mark.parametrize(
    "changes",
    [{"v": 2}, {"op": "object.burn"}, {"seq": -1}, {"seq": 1.5}, {"prev": "00"}, {"lock": None}, {"extra": 1}],
)
def test_what_is_no_record_is_refused(changes: dict[str, object]) -> None:
    hour = "2026-01-01T00:00:00.000000000Z"
    record = {"v": 1, "stream": "s.n", "seq": 0, "prev": "0" * 64, "time": hour, "clock": hour, "outcome": "success"}
    record |= {"op": "clock.status", "actor": {"id": "system"}, "origin": {"via": "server"}}
    schema = Draft202012Validator(PUBLISHED)
    schema.validate(record)
    with pytest.raises(ValidationError):
        schema.validate(record | changes)
