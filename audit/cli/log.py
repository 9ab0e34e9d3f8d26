"""``strongroom log``: the log for people who check it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.checkpoint import Checkpoint, open_checkpoint
from audit.cli import options
from audit.control.client import open_control
from audit.errors import ConfigInvalid, NoteInvalid, NotInitialised
from audit.export import ExportFailed, export_log
from audit.identity import Layout, load_identity
from audit.note import MAX_NOTE_BYTES, VerifierKey
from audit.tile_store import TileStore

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group(cls=options.Group)
def log() -> None:
    """Show, export and identify the logs of a vault. Works beside a running server."""


@log.command("list", epilog=options.examples("strongroom log list --data /srv/strongroom"))
@options.data
@options.as_json
def list_(data: Path, *, as_json: bool) -> None:
    """List the logs, one a line: name, records under the published checkpoint, origin."""
    layout = Layout(data)
    found = []
    for name, key in _keys(layout).items():
        note = _note(layout, name)
        size = open_checkpoint(note, key.name, [key]).size if note is not None else 0
        found.append({"name": name, "size": size, "origin": key.name})
    if as_json:
        options.write_json(found)
        return
    for row in found:
        click.echo(f"{row['name']}\t{row['size']}\t{row['origin']}")


@log.command(epilog=options.examples("strongroom log vkey site-a.node-1 --data /srv/strongroom > site-a.node-1.vkey"))
@click.argument("stream")
@options.data
def vkey(stream: str, data: Path) -> None:
    """Write the public key of STREAM: what a verifier must have from outside."""
    click.echo(_key(Layout(data), stream).encode())


@log.command(
    epilog=options.examples(
        "strongroom log export site-a.node-1 /srv/export --data /srv/strongroom",
        "strongroom verify /srv/export --vkey site-a.node-1.vkey",
    )
)
@click.argument("stream")
@click.argument("target", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@options.data
@options.config
@options.as_json
def export(stream: str, target: Path, data: Path, config: Path | None, *, as_json: bool) -> None:
    """Export STREAM to the new or empty DIR as C2SP tlog-tiles, up to its published checkpoint.

    Any tlog verifier reads it. The records come from the running server; where none runs, the vault is opened as a
    start would, and that is recorded.
    """
    layout = Layout(data)
    key = _key(layout, stream)
    with open_control(data, lambda: options.settings(config)) as control:
        note = _note(layout, stream)
        if note is None:
            raise ExportFailed(f"{stream} has published no checkpoint yet; try again in a second")
        checkpoint: Checkpoint = open_checkpoint(note, key.name, [key])
        with click.progressbar(
            length=checkpoint.size, label="exporting", file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            leaf = TileStore(layout.stream(stream)).leaf
            export_log(target, checkpoint, note, partial(control.records, stream), leaf, progress=bar.update)
    if as_json:
        options.write_json({"name": stream, "size": checkpoint.size, "directory": str(target)})
        return
    click.echo(f"exported {checkpoint.size} records of {stream} to {target}")


def _keys(layout: Layout) -> Mapping[str, VerifierKey]:
    """The public keys of all logs by their names."""
    identity = load_identity(layout)
    return {stream: _read_key(layout.vkey(stream)) for stream in sorted(identity.streams)}


def _read_key(path: Path) -> VerifierKey:
    """Read a public key.

    Raises:
        ConfigInvalid: It is missing or damaged, or this user may not read it.
    """
    try:
        return VerifierKey.parse(path.read_text("utf-8", "replace").strip())
    except OSError as error:
        raise ConfigInvalid(f"the public key {path} cannot be read: {error.strerror}") from error
    except NoteInvalid as error:
        raise ConfigInvalid(f"the public key {path} is damaged ({error}); restore it from backup") from error


def _key(layout: Layout, stream: str) -> VerifierKey:
    if stream not in load_identity(layout).streams:
        raise NotInitialised(f"{layout.root} has no log {stream[:80]!r}; `strongroom log list` shows them")
    return _read_key(layout.vkey(stream))


def _note(layout: Layout, stream: str) -> bytes | None:
    """The published checkpoint, which is only ever replaced whole; None before the first."""
    try:
        with (layout.stream(stream) / "checkpoint").open("rb") as file:
            return file.read(MAX_NOTE_BYTES + 1)
    except FileNotFoundError:
        return None
