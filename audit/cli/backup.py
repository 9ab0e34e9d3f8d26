"""``strongroom backup`` and ``strongroom restore``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from audit.backup import standing as anchor
from audit.backup.create import create
from audit.backup.restore import restore as restore_backup
from audit.cli import NO, options

if TYPE_CHECKING:
    from audit.backup.manifest import Backup
    from audit.backup.standing import Standing

_REDRAW_SECONDS: Final = 0.5
_MIB: Final = 1 << 20


class _Progress:
    """Shows on a terminal what is being done; elsewhere it is silent."""

    def __init__(self) -> None:
        self._shown, self._next = sys.stderr.isatty(), 0.0
        self._what, self._done = "", 0

    def __call__(self, what: str, done: int) -> None:
        if what != self._what:
            self._what, self._done, self._next = what, 0, 0.0
        self._done += done
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _REDRAW_SECONDS
            click.echo(f"\r{what}" + f" {self._done // _MIB} MiB" * bool(self._done) + "\x1b[K", err=True, nl=False)

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)


@click.command(
    epilog=options.examples(
        "strongroom backup /mnt/backup/vault --data /srv/strongroom",
        "strongroom key backup /media/usb/vault.keys --data /srv/strongroom",
    )
)
@click.argument("target", type=click.Path(file_okay=False, resolve_path=True, path_type=Path))
@click.option(
    "--keep", type=click.IntRange(min=1), default=1, show_default=True, help="How many backups stay in TARGET."
)
@options.data
@options.config
@options.as_json
def backup(*, target: Path, keep: int, data: Path, config: Path | None, as_json: bool) -> None:
    """Copy the data directory to TARGET while the server goes on, and verify the copy.

    TARGET is a new directory, or one with backups of the same vault: then only what is new is copied. The
    key-encryption key and the anchor are not in it: `strongroom key backup` goes beside it. While it copies nothing is
    erased. An interrupt leaves what is there of it, and the same command goes on with that.
    """
    progress = _Progress()
    try:
        made = create(data, target, lambda: options.settings(config), progress, keep)
    except KeyboardInterrupt:
        options.warn(f"cut short; the same command goes on with what is in {target}")
        raise
    finally:
        progress.end()
    if as_json:
        told = msgspec.to_builtins(made.backup)
        options.write_json({"place": str(made.place), "digest": made.digest, "record": made.record,
                            "copied": made.copied, **told})  # fmt: skip
        return
    _say_reach(made.place, made.backup)
    click.echo(f"copied {made.copied} bytes; all others were there")
    click.echo(f"its digest is {made.digest}, as record {made.record} says")
    click.echo("the key-encryption key is not in it: keep a key backup (strongroom key backup) elsewhere")


@click.command(epilog=options.examples("strongroom restore /mnt/backup/vault --data /srv/strongroom"))
@click.argument("source", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@options.data
@click.option("--digest", default="", metavar="HEX", help="The digest that the backup must have.")
@click.option(
    "--keyring", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="A newer keys/keyring-a of this vault: domain keys destroyed since the backup then do not come back.",
)  # fmt: skip
@options.config
@options.as_json
@click.pass_context
def restore(
    ctx: click.Context,
    *,
    source: Path,
    data: Path,
    digest: str,
    keyring: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Make a new data directory of a backup, and say what the anchor knows to be missing.

    SOURCE is a directory of backups, of which the newest is taken, or one of them. DIR must be new. Nothing is copied
    before every byte was checked. Exit code 1: it was restored, and the server will not start as it is; the last lines
    say why, and what to do.
    """
    settings = options.settings(config)
    progress = _Progress()
    try:
        done = restore_backup(source, data, progress, digest, keyring)
    finally:
        progress.end()
    found = anchor.standing(data, settings)
    steps = _next(found, data)
    if as_json:
        told = {"place": str(done.place), "digest": done.digest, "anchor": msgspec.to_builtins(found), "next": steps}
        options.write_json({**told, **msgspec.to_builtins(done.backup)})
    else:
        _say_reach(done.place, done.backup)
        click.echo(f"restored to {data}")
        click.echo(_said(found))
        click.echo(
            "what was erased after the backup is here again, and records of its erasure are not: "
            "see SECURITY, and erase it again"
        )
        for step in steps:
            click.echo(f"next: {step}")
    if found.state not in {anchor.HERE, anchor.UNSIGNED}:
        ctx.exit(NO)


def _say_reach(place: Path, made: Backup) -> None:
    last = made.streams[-1]
    click.echo(f"{place}: {last.stream} up to record {last.records - 1}, {made.files} files, {made.bytes} bytes")


def _said(found: Standing) -> str:
    """What the anchor says, and what it does not."""
    here = f"{found.records} records of {found.stream} are here"
    if found.state == anchor.HERE:
        return (
            f"{here}; the anchor {found.anchor} knows of {found.anchored}, all of them here. Whether later ones were "
            "answered and never signed, nothing shows"
        )
    if found.state == anchor.LOST:
        return (
            f"{here}; the anchor {found.anchor} knows of {found.anchored}: records {found.records} to "
            f"{found.anchored - 1} were signed and are lost, unless a newer backup or the old directory has them"
        )
    if found.state == anchor.OTHER:
        return f"{here}; they are not the history that was signed: {found.detail}"
    if found.state == anchor.ABSENT:
        return f"{here}; the anchor {found.anchor} holds no checkpoint, so nothing shows how many are lost"
    if found.state == anchor.UNSIGNED:
        return f"{here}; nothing was ever signed"
    return f"{here}; the anchor could not be asked: {found.detail}"


def _next(found: Standing, data: Path) -> list[str]:
    """What to do now, in order."""
    keys = f"bring the key-encryption key: strongroom key restore FILE --data {data}, or set STRONGROOM_KEK"
    serve = f"strongroom serve --data {data}"
    recover = f"strongroom recover --data {data}, which goes on in a new stream that names what is lost; then {serve}"
    if found.state in {anchor.HERE, anchor.UNSIGNED}:
        return [keys, serve]
    if found.state == anchor.LOST:
        return ["look for a newer backup, or the old directory", keys, recover]
    if found.state == anchor.ABSENT:
        return [
            f"look for the anchor: copy OLD.anchor to {data}.anchor, or mount it; then start",
            keys,
            f"only where it is lost: {recover}",
        ]
    if found.state == anchor.OTHER:
        return ["make sure that this is the right anchor and the right backup", keys, f"only then: {recover}"]
    return ["make the anchor reachable, or set anchor.url", keys, serve]
