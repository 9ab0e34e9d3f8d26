"""``strongroom records``."""

from __future__ import annotations

import csv
import shlex
import sys
from typing import TYPE_CHECKING, Final

import click
import msgspec

from audit.cli import options
from audit.control.client import open_control
from audit.production.index import cell
from audit.query.filter import EXACT, OTHERS, SEVERAL
from audit.query.records import DEFAULT_LIMIT, MAX_LIMIT, MAX_TEXT, Page, Question
from vault.record import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from audit.control import Control
    from audit.query.records import Found
    from vault.record import Head, Tail

_CSV: Final = (
    "stream", "seq", "leaf", "time", "clock", "op", "outcome", "reason", "actor", "person", "roles", "via", "ip",
    "agent", "bucket", "key", "version_id", "size", "mode", "until", "hold",
)  # fmt: skip


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each filter."""
    for name, text in reversed({**EXACT, **SEVERAL, **OTHERS}.items()):
        option = click.option(
            f"--{name.replace('_', '-')}", f"by_{name}", metavar="TEXT", multiple=name in SEVERAL, help=text
        )
        command = option(command)
    return command


@click.command(
    epilog=options.examples(
        "strongroom records --outcome denied --from 2026-11-01 --data DIR",
        "strongroom records --bucket trades --prefix 2026/11/ --all --csv --data DIR > FILE",
        "strongroom records --bucket trades --key a.json --op 'object.*' --oldest-first --ndjson --data DIR",
    )
)
@_filters
@click.option("--limit", type=click.IntRange(1), default=DEFAULT_LIMIT, show_default=True, help="Records at most.")
@click.option("--all", "everything", is_flag=True, help="All that match, however many.")
@click.option("--oldest-first", is_flag=True, help="In the order in which they happened; otherwise newest first.")
@click.option("--count", is_flag=True, help="Say how many match, and show none.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV; ' stands before what looks like a formula.")
@click.option("--ndjson", is_flag=True, help="Write the records' exact bytes, one a line.")
@options.as_json
@options.data
@options.config
def records(
    data: Path,
    config: Path | None,
    limit: int,
    *,
    everything: bool,
    oldest_first: bool,
    count: bool,
    as_csv: bool,
    ndjson: bool,
    as_json: bool,
    **given: str | tuple[str, ...] | None,
) -> None:
    """Find records of the ledger. That they were looked at, and by whom, is a record itself.

    Goes through the running server, or opens the vault where none runs. Principals can be named by name or access key.
    """
    if as_csv + ndjson + as_json > 1:
        raise click.UsageError("--csv, --ndjson and --json: one of them")
    order = "asc" if oldest_first else "desc"
    with open_control(data, lambda: options.settings(config)) as control:
        names = {row.id: row.name for row in control.principals()}
        filters = _given(given, control)
        text = shlex.join(["records", *(f"--{name}={value}" for name, value in filters)])[:MAX_TEXT]
        question = Question(filters, text, 1 if count else min(limit, MAX_LIMIT), order, total=count)
        if count:
            total = control.ask(question).total
            if as_json:
                options.write_json({"total": total})
            else:
                click.echo(total)
            return
        found = _pages(control, question, None if everything else limit)
        if as_json:
            pages = list(found)
            options.write_json(
                {"records": [each for page in pages for each in page.records], "snapshot": pages[0].snapshot}
            )
            return
        write = _write_csv if as_csv else _write_ndjson if ndjson else _write_table
        write((each for page in found for each in page.records), names)


def _given(given: dict[str, str | tuple[str, ...] | None], control: Control) -> list[tuple[str, str]]:
    filters = []
    for option, value in given.items():
        name = option.removeprefix("by_")
        values = (value,) if isinstance(value, str) else value or ()
        filters += [(name, options.principal(each, control) if name == "actor" else each) for each in values]
    return filters


def _pages(control: Control, question: Question, limit: int | None) -> Iterator[Page]:
    left = limit
    while left is None or left > 0:
        page = control.ask(question._replace(limit=MAX_LIMIT if left is None else min(left, MAX_LIMIT)))
        yield page
        if not page.next:
            return
        left = None if left is None else left - len(page.records)
        question = question._replace(cursor=page.next)


def _write_ndjson(found: Iterator[Found], _: dict[str, str]) -> None:
    for each in found:
        sys.stdout.buffer.write(bytes(each.record) + b"\n")


def _write_table(found: Iterator[Found], names: dict[str, str]) -> None:
    rows = [("SEQ", "TIME", "OUTCOME", "OP", "WHO", "WHAT", "REASON")]
    for each in found:
        head, tail = decode(bytes(each.record))
        who = tail.actor.person or names.get(tail.actor.id, tail.actor.id)
        rows.append((str(head.seq), head.time[:23] + "Z", head.outcome, tail.op, who, _what(tail), head.reason))
    widths = [max(len(_printable(cell)) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (_printable(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _what(tail: Tail) -> str:
    if tail.matter is not None:
        return f"matter {tail.matter.id} {tail.matter.name}".rstrip()
    if tail.object is None:
        return tail.request.http if tail.request is not None else ""
    return f"{tail.object.bucket}/{tail.object.key or tail.object.prefix}"


def _printable(text: str) -> str:
    """Text that cannot steer a terminal: a client chose it."""
    return text if text.isprintable() else msgspec.json.encode(text).decode()


def _write_csv(found: Iterator[Found], _: dict[str, str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_CSV)
    for each in found:
        head, tail = decode(bytes(each.record))
        writer.writerow([cell(value) for value in _row(each, head, tail)])


def _row(each: Found, head: Head, tail: Tail) -> Sequence[object]:
    named, lock, version = tail.object, head.lock, head.version
    return (
        each.stream, each.seq, each.leaf, head.time, head.clock, tail.op, head.outcome, head.reason,
        tail.actor.id, tail.actor.person, " ".join(tail.actor.roles),
        tail.origin.via, tail.origin.ip, tail.origin.agent,
        named.bucket if named else "", named.key if named else "",
        version.version_id if version else named.version_id if named else "",
        named.size if named and named.size >= 0 else "",
        lock.mode if lock else "", lock.until if lock else "", "on" if lock and lock.held else "",
    )  # fmt: skip
