"""``strongroom production``."""

from __future__ import annotations

import os
import re
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from audit.cli import NO, options
from audit.control.client import open_control
from audit.production import container
from audit.production.archive import identifier, pieces
from audit.production.bag import ProductionFailed
from audit.production.places import ID
from audit.production.question import Question
from audit.production.standing import CANCELLED, KEPT, RUNNING
from vault import durable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit.control import Control
    from audit.production.container import Recipient
    from audit.production.keep import Kept
    from audit.production.standing import Standing

_LOOK_SECONDS: Final = 0.2
_recipients: Final = click.option(
    "--recipient", multiple=True, metavar="age1…", help="Encrypt it for this age recipient; may be repeated."
)


@click.group(cls=options.Group)
def production() -> None:
    """Hand over records so that a stranger can check them."""


@production.command(
    epilog=options.examples(
        "strongroom production create --bucket trades --from 2026-01-01 --to 2026-04-01 "
        "--reason 'request 2026-117' --dir OUT --data DIR",
        "strongroom verify OUT",
    )
)
@click.option("--bucket", required=True, help="The bucket.")
@click.option("--prefix", default="", help="Keys that begin with this.")
@click.option("--from", "since", default="", help="Stored not before this time: RFC 3339, or a day (UTC).")
@click.option("--to", "until", default="", help="Stored before this time: RFC 3339, or a day (UTC).")
@click.option("--reason", required=True, help="Why: the matter, the number of the request. It is recorded.")
@click.option(
    "--dir", "directory", required=True, metavar="OUT",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="A new directory, or one in which the same production was cut short.",
)  # fmt: skip
@click.option(
    "--only-matching", is_flag=True,
    help="Leave out records of others; then nobody can check that no version was left out.",
)  # fmt: skip
@options.data
@options.config
@options.as_json
@click.pass_context
def create(
    ctx: click.Context,
    *,
    bucket: str,
    prefix: str,
    since: str,
    until: str,
    reason: str,
    directory: Path,
    only_matching: bool,
    data: Path,
    config: Path | None,
    as_json: bool,
) -> None:
    """Write the versions that were stored in a bucket, their whole trail, and what proves it, to OUT.

    The result verifies without this server or its keys, with the verifier that it contains. The whole of it, as one
    ZIP, is kept under lock in the vault. An interrupt cancels it; the same command goes on with it. Exit code 1: some
    version could not be read, or it was cancelled.
    """
    asked = Question(reason, bucket, prefix, since, until, only_matching)
    with open_control(data, lambda: options.settings(config)) as control:
        status = _watch(control, control.begin_production(asked, str(directory)))
    if as_json:
        options.write_json({**msgspec.to_builtins(status), "directory": str(directory)})
    elif status.kept is not None:
        kept = status.kept
        click.echo(f"production {status.id} in {directory}: {status.natives} of {status.versions} versions")
        click.echo(f"its last manifest has SHA-256 {status.digest}, as the ledger says")
        click.echo(f"kept as {kept.bucket}/{kept.key}, {kept.size} bytes, locked until {kept.until[:10]}")
        click.echo(f"next: strongroom verify {directory}")
    if status.state == CANCELLED:
        options.warn(f"{status.problem}; the same command does that")
        ctx.exit(NO)
    if status.state != KEPT:
        raise ProductionFailed(status.problem)
    if status.failed:
        options.warn(f"{status.failed} versions could not be read; versions.csv says which and why")
        ctx.exit(NO)


@production.command(
    epilog=options.examples(
        "strongroom production archive OUT production.zip",
        "strongroom production archive OUT production.zip.age --recipient age1…",
    )
)
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_recipients
def archive(directory: Path, file: Path, *, recipient: tuple[str, ...]) -> None:
    """Pack a finished production in DIRECTORY into FILE: the same ZIP that is kept of it. Needs no vault.

    Each file is held against the manifests while it is packed. FILE must not be there yet.
    """
    to = container.recipients(recipient)
    written = _write(file, pieces(directory, identifier(directory)), to)
    click.echo(f"{file}: {written} bytes{', encrypted' if to else ''}")


@production.command("list", epilog=options.examples("strongroom production list --data DIR"))
@options.as_json
@options.data
@options.config
def list_(*, as_json: bool, data: Path, config: Path | None) -> None:
    """List productions, the newest first, one a line: id, state, when asked for, versions, bucket, reason."""
    with open_control(data, lambda: options.settings(config)) as control:
        found = control.productions()
    if as_json:
        options.write_json(found)
        return
    for one in found:
        words = (one.id, one.state, one.time, str(one.versions), one.asked.bucket, one.asked.reason)
        click.echo("\t".join(words))


@production.command(epilog=options.examples("strongroom production show 64686cf4c5e0da55 --data DIR"))
@click.argument("production_id", metavar="ID")
@options.as_json
@options.data
@options.config
def show(production_id: str, *, as_json: bool, data: Path, config: Path | None) -> None:
    """Show how the production ID stands, and where it is kept."""
    with open_control(data, lambda: options.settings(config)) as control:
        one = control.production(_id(production_id))
    if as_json:
        options.write_json(one)
        return
    lines = [
        ("id", one.id), ("state", one.state), ("reason", one.asked.reason), ("bucket", one.asked.bucket),
        ("asked", f"{one.time} by {one.by}"), ("record", f"{one.stream}/{one.seq}"),
        ("versions", f"{one.done} of {one.versions}, {one.natives} natives, {one.failed} could not be read"),
    ]  # fmt: skip
    if one.digest:
        lines.append(("digest", one.digest))
    if one.problem:
        lines.append(("problem", one.problem))
    if one.kept is not None:
        kept = one.kept
        lines.append(("kept", f"{kept.bucket}/{kept.key}, {kept.size} bytes, locked until {kept.until[:10] or '-'}"))
        lines.append(("sha256", kept.sha256))
    for what, text in lines:
        click.echo(f"{what:<10}{text}")


@production.command(
    epilog=options.examples("strongroom production fetch 64686cf4c5e0da55 production.zip --data DIR"),
)
@click.argument("production_id", metavar="ID")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_recipients
@options.data
@options.config
def fetch(production_id: str, file: Path, *, recipient: tuple[str, ...], data: Path, config: Path | None) -> None:
    """Write the archive of the production ID, from the bytes under lock, to FILE, which must not be there yet."""
    to = container.recipients(recipient)
    with open_control(data, lambda: options.settings(config)) as control:
        kept = control.open_archive(_id(production_id))
        written = _write(file, _kept_pieces(control, kept, production_id), to)
    click.echo(f"{file}: {written} bytes{', encrypted' if to else ''}")


def _kept_pieces(control: Control, kept: Kept, production_id: str) -> Iterator[bytes]:
    at, digest = 0, sha256()
    while at < kept.size:
        piece = control.read_archive(production_id, kept.version_id, at)
        at += len(piece)
        digest.update(piece)
        yield piece
    if digest.hexdigest() != kept.sha256:
        raise ProductionFailed("the archive is not the one that the record names: have the vault verified")


def _id(text: str) -> str:
    if not re.fullmatch(ID, text):
        raise click.BadParameter("16 lowercase hexadecimal digits", param_hint="ID")
    return text


def _write(file: Path, packed: Iterator[bytes], to: Sequence[Recipient]) -> int:
    """Write a file of its owner's alone, encrypted where it is for somebody; its size. A failure leaves nothing.

    It is durable on return: whoever is told that it is there may give up what it was made of.
    """
    written = 0

    def put(data: bytes) -> None:
        nonlocal written
        out.write(data)
        written += len(data)

    try:
        with open(file, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            if to:
                container.encrypt(packed, put, to)
            else:
                for piece in packed:
                    put(piece)
            out.flush()
            durable.fsync_file(out.fileno())
        durable.fsync_dir(file.absolute().parent)
    except FileExistsError as error:
        raise ProductionFailed(f"{file} is there already; give a new name") from error
    except OSError as error:
        file.unlink(missing_ok=True)
        raise ProductionFailed(f"{file} cannot be written: {error.strerror}") from error
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return written


def _watch(control: Control, status: Standing) -> Standing:
    """Wait for the end; on a terminal, say how far it is."""
    shown = sys.stderr.isatty()
    cancelled = False
    while True:
        try:
            status = control.watch_production(status.id)
            if shown:
                click.echo(f"\r{status.stage}: {status.done} of {status.versions} versions\x1b[K", err=True, nl=False)
            if status.state != RUNNING:
                break
            time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            if cancelled:
                raise
            cancelled = True
            control.cancel_production(status.id)
    if shown:
        click.echo("\r\x1b[K", err=True, nl=False)
    return status
