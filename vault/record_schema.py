"""The JSON Schema of a record (DESIGN §3), for those who read the stream with tools of their own.

    python -m vault.record_schema > vault/record-v1.schema.json

It is made from the types that write records, and published as ``record-v1.schema.json`` beside it. It tells less than
``audit.verify.schema``: order, canonical form and length are of bytes, which JSON Schema does not see.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from vault.record import DENIED, FAILURE, MAX_RECORD_BYTES, OPS, SUCCESS, VERSION, Head, Tail

_HASH: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TIME: Final = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$"}
#: What the types alone do not say.
_NARROWER: Final[dict[str, dict[str, Any]]] = {
    "v": {"const": VERSION},
    "seq": {"type": "integer", "minimum": 0},
    "prev": _HASH,
    "time": _TIME,
    "clock": _TIME,
    "op": {"enum": sorted(OPS)},
    "outcome": {"enum": [SUCCESS, DENIED, FAILURE]},
    "ref": {"type": "integer", "minimum": 0},
}


def record_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of one record of version 1: one line of an export or of a settled segment."""
    _, parts = msgspec.json.schema_components((Head, Tail), ref_template="#/$defs/{name}")
    head, tail = parts.pop("Head"), parts.pop("Tail")
    fields = {**head["properties"], **tail["properties"], **_NARROWER}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Strongroom ledger record, version 1",
        "description": (
            f"At most {MAX_RECORD_BYTES} bytes of UTF-8 JSON, no whitespace, fields in this order; a field at its "
            "default is left out. A reader that meets another v or op checks hashes and says so."
        ),
        "type": "object",
        "properties": {name: _present(field) for name, field in fields.items()},
        "required": [*head["required"], *tail["required"]],
        "additionalProperties": False,
        "$defs": {name: _closed(part) for name, part in sorted(parts.items())},
    }


def _closed(part: dict[str, Any]) -> dict[str, Any]:
    """An object of which every field is known."""
    fields = {name: _present(field) for name, field in part["properties"].items()}
    described = " ".join(part["description"].replace("``", "`").split())
    return {**part, "description": described, "properties": fields, "additionalProperties": False}


def _present(field: dict[str, Any]) -> dict[str, Any]:
    """A field as it is where it stands: what is null is left out."""
    [*others] = [some for some in field.get("anyOf", ()) if some != {"type": "null"}]
    return others[0] if len(others) == 1 else {name: value for name, value in field.items() if name != "default"}


if __name__ == "__main__":
    print(json.dumps(record_schema(), indent=2, ensure_ascii=False))  # noqa: T201 - its output
