"""What of a production is for people: the page, the tables, and how a stranger checks it."""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Final

import msgspec

from audit.production import index
from vault.record import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit.production.bag import Bag
    from audit.production.question import Question
    from audit.production.versions import Entry

_TRAIL: Final = (
    "n", "bucket", "key", "version_id", "stream", "seq", "time", "op", "outcome", "reason", "actor", "person", "ip",
)  # fmt: skip
_VERSIONS: Final = (
    "n", "native", "sha256", "bucket", "key", "version_id", "ordinal", "size", "time", "mode", "until", "hold", "state",
    "stream", "seq", "problem",
)  # fmt: skip


class _At(msgspec.Struct):
    """Of a record only where it stands."""

    seq: int


_places: Final = msgspec.json.Decoder(_At)


def write_pages(bag: Bag, production: str, asked: Question, by: str, entries: Sequence[Entry]) -> None:
    """Write the page and the tables.

    Args:
        bag: Holds the logs already.
        production: Its id.
        asked: What was asked for.
        by: Who asked, in words.
        entries: The versions.

    Raises:
        ProductionFailed: The bag cannot be written.
    """
    for name, columns, lines in (
        ("data/versions.csv", _VERSIONS, map(msgspec.to_builtins, entries)),
        ("data/trail.csv", _TRAIL, _steps(bag, entries)),
    ):
        with bag.open(name) as put:
            for piece in index.table(columns, lines):
                put(piece)
    here = sum(entry.state == "native" for entry in entries)
    failed = sum(entry.state == "failed" for entry in entries)
    facts = [
        ("Reason", asked.reason),
        ("Asked by", by),
        ("Bucket", asked.bucket),
        ("Keys", f"that begin with {asked.prefix}" if asked.prefix else "all"),
        ("Stored", f"from {asked.since or 'the beginning'} until {asked.until or 'the production was made'}"),
        ("Versions", f"{len(entries)}, of which {here} are here and {failed} could not be read"),
        ("How to check", "HOW-TO-CHECK.txt, in the directory above"),
    ]
    title = f"Production {production}"
    bag.write("data/index.html", index.page(title, facts, entries))
    # What draws takes 0.14 s and 15 MB to load, and most processes make no production.
    pdf = import_module("audit.production.pdf")
    bag.write("data/index.pdf", pdf.document(title, facts, entries))


def _steps(bag: Bag, entries: Sequence[Entry]) -> Iterator[dict[str, object]]:
    """The trail, a record a line, read from the records that the bag holds; of these only their places are kept."""
    wanted = {step for entry in entries for step in entry.trail}
    places: dict[tuple[str, int], int] = {}
    with ExitStack() as opened:
        files = {}
        for path in (bag.root / "data" / "logs").glob("*/records.ndjson"):
            stream, place = path.parent.name, 0
            files[stream] = opened.enter_context(path.open("rb"))
            for line in files[stream]:
                step = stream, _places.decode(line).seq
                if step in wanted:
                    places[step] = place
                place += len(line)
        for entry in entries:
            for stream, seq in entry.trail:
                files[stream].seek(places[stream, seq])
                head, tail = decode(files[stream].readline().rstrip(b"\n"))
                yield {
                    **{name: getattr(entry, name) for name in ("n", "bucket", "key", "version_id")},
                    "stream": stream,
                    "seq": seq,
                    "time": head.time,
                    "op": tail.op,
                    "outcome": head.outcome,
                    "reason": head.reason,
                    "actor": tail.actor.id,
                    "person": tail.actor.person,
                    "ip": tail.origin.ip,
                }


def how_to_check(production: str, origins: list[str]) -> bytes:
    """The page for whoever received it."""
    return f"""How to check production {production}
{"=" * (24 + len(production))}

You need Python 3.11 or newer, from python.org, and nothing else. In this directory:

    python3 strongroom-verify.pyz .

"GOOD" means: every file is as it was written; every record is in the signed log; every native is the one that its
record names; and of the records of the time that was asked for none is missing, and no stored version among them was
left out of the list. "BAD" names the place that is wrong.

It also says "NOT ANCHORED" unless you give it something that did not come with the files: the log's public key, or a
checkpoint, that the firm published or gave you earlier by another way:

    python3 strongroom-verify.pyz . --vkey KEY-FILE --checkpoint CHECKPOINT-FILE

Key names: {", ".join(origins)}

What no computation can show: that a record of this log bears a time outside the one at which things happened. The
records of the kind clock.status say how the clock was kept.

You need not trust the program. The files are in open formats: a BagIt bag (RFC 8493; `bagit.py --validate .` and
`sha256sum -c manifest-sha256.txt` check it), records as lines of JSON, an RFC 6962 tree in C2SP tlog-tiles, and a
checkpoint as a C2SP signed note (Ed25519). A version's record names the SHA-256 of its content document, which is in
data/versions.ndjson, and that the SHA-256 of the native.

data/index.html is the list for people, data/index.pdf the same for paper; data/versions.csv and data/trail.csv are the
same for a spreadsheet.
""".encode()
