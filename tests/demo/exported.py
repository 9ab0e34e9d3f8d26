"""An exported log as a stranger reads it: C2SP tlog-tiles, with nothing but its specification.

Not handled here: whether any of it is true, which is the verifier's work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.demo.telling import get, wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_BUNDLES: Final = "tile/entries"


def entries(log: Path) -> Iterator[tuple[Path, int, bytes]]:
    """Every entry: its bundle, where it begins there, and its exact bytes. Bundles come in no order."""
    for bundle in (log / _BUNDLES).rglob("*"):
        if bundle.is_file():
            data = bundle.read_bytes()
            at = 0
            while at < len(data):
                length = int.from_bytes(data[at : at + 2], "big")
                yield bundle, at + 2, data[at + 2 : at + 2 + length]
                at += 2 + length


def records(log: Path) -> dict[int, bytes]:
    """Exact bytes of every record by its seq."""
    return {msgspec.json.decode(data)["seq"]: data for _, _, data in entries(log)}


def checkpoint_size(note: bytes) -> int:
    """How many records a checkpoint covers: its second line."""
    return int(note.split(b"\n")[1])


def sealed(audit: str, stream: str) -> bytes:
    """The first checkpoint that covers every record that is durable now.

    Args:
        audit: URL of the audit port.
        stream: The log's name.
    """
    durable = msgspec.json.decode(get(f"{audit}/readyz"))["durable"]

    def covering() -> bytes | None:
        note = get(f"{audit}/v1/log/{stream}/checkpoint")
        return note if checkpoint_size(note) >= durable else None

    return wait(covering, f"a checkpoint over {durable} records")


def sentence(record: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """A record on one line: seq, operation, who, what, outcome and why.

    Args:
        record: Of something that was tried on a bucket or an object.
        names: People's names by their ids.
    """
    named = record["object"]
    what = "/".join(filter(None, (named["bucket"], named.get("key", "").rpartition("/")[2])))
    why = f" ({record['reason']})" if "reason" in record else ""
    who = names.get(record["actor"]["id"], record["actor"]["id"])
    return f"{record['seq']}  {record['op']:<21}  {who:<12}  {what:<28}  {record['outcome']}{why}"
