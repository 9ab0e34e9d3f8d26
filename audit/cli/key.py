"""``strongroom key``: the vault's keys backed up, restored, and put under another key-encryption key."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from audit.cli import options
from audit.control.client import open_control
from audit.control.direct import host_user
from audit.errors import AuditError, ConfigInvalid
from audit.keys.backup import require_place, write_backup
from audit.keys.restore import restore_keys
from vault.crypto import kek
from vault.crypto.backup_file import MAX_FILE_BYTES, MAX_PASSPHRASE_BYTES
from vault.errors import VaultError

if TYPE_CHECKING:
    from audit.keys import KeyMaterial
    from audit.keys.restore import Restored

#: Of the passphrase of a new backup, in characters: scrypt makes each try dear, and nothing makes few words many.
MIN_PASSPHRASE: Final = 12
_FILE: Final = click.Path(dir_okay=False, path_type=Path)

_passphrase_file: Final = click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Passphrase in a file, one line, mode 0600.",
)
_passphrase_stdin: Final = click.option(
    "--passphrase-stdin", is_flag=True, help="Passphrase on standard input, one line."
)


@click.group(cls=options.Group)
def key() -> None:
    """Back up, restore and rotate the vault's keys.

    What is done is a record of the ledger. Passphrases and keys come from files, standard input or a prompt.
    """


@key.command(
    epilog=options.examples(
        "strongroom key backup /media/usb/vault.keys --data DIR",
        "strongroom key backup /media/usb/vault.keys --passphrase-file FILE --data DIR",
    )
)
@click.argument("file", type=_FILE)
@_passphrase_file
@_passphrase_stdin
@options.data
@options.config
@options.as_json
def backup(
    file: Path, passphrase_file: Path | None, data: Path, config: Path | None, *, passphrase_stdin: bool, as_json: bool
) -> None:
    """Write all keys into the new FILE, sealed under a passphrase.

    With FILE, its passphrase and a copy of DIR another machine can read everything and go on. Keep FILE and passphrase
    apart, and neither on this host. A key-encryption key that comes from STRONGROOM_KEK is not in it: keep that one
    too, for as long as FILE. Works beside a running server.
    """
    require_place(file, data)
    passphrase = _passphrase(passphrase_file, from_stdin=passphrase_stdin, new=True)
    with open_control(data, lambda: options.settings(config)) as control:
        kept = write_backup(control, file, passphrase)
        try:
            record = control.record_key_backup(kept.keys)
        except (AuditError, VaultError):
            options.warn(f"{file} is whole, and it is not known that a record tells of it")
            raise
    if as_json:
        options.write_json(
            {
                "vault": kept.material.vault,
                "file": str(file),
                "bytes": kept.size,
                "sha256": kept.keys.digest,
                "record": record,
                "kek": kept.keys.kek,
                "holds_kek": kept.keys.holds_kek,
                "files": sorted(kept.material.files),
                "missing": kept.material.missing,
            }
        )
    else:
        click.echo(f"keys of vault {kept.material.vault} in {file}: {kept.size} bytes, SHA-256 {kept.keys.digest}")
        click.echo(f"recorded as {record}")
        _tell_contents(kept.material)
    for what in kept.material.missing:
        options.warn(f"{what} is missing or damaged, and not in it")


def _tell_contents(material: KeyMaterial) -> None:
    keys = material.keys
    here = f"the key-encryption key {keys.kek}, " if keys.holds_kek else ""
    secrets = sum(name.startswith("keys/secrets/") for name in material.files)
    click.echo(
        f"in it: {here}the keyring (domain keys: {keys.domains}), signing keys (streams: {keys.streams}), secrets "
        f"(principals: {secrets}), vault.json"
    )
    click.echo("not in it: objects and records (back up DIR), the anchor, settings, root.credentials")
    if not keys.holds_kek:
        click.echo(
            f"not in it: the key-encryption key {keys.kek}, which comes from {kek.VARIABLE}; keep it as long as this "
            "file, which is of no use without it"
        )


@key.command(
    epilog=options.examples(
        "strongroom key restore /media/usb/vault.keys --data DIR",
        "strongroom key restore /media/usb/vault.keys --passphrase-file FILE --data DIR",
    )
)
@click.argument("file", type=_FILE)
@_passphrase_file
@_passphrase_stdin
@options.data
@options.config
@options.as_json
def restore(
    file: Path, passphrase_file: Path | None, data: Path, config: Path | None, *, passphrase_stdin: bool, as_json: bool
) -> None:
    """Put key files that are missing or damaged back from FILE.

    DIR holds the vault's records, and no server has it open. What is there and good stays. Refused where the ledger
    needs a domain key that is neither there nor in FILE; a domain key that was destroyed does not come back.
    """
    settings = options.settings(config)
    done = restore_keys(
        data,
        _read(file),
        lambda: _passphrase(passphrase_file, from_stdin=passphrase_stdin, new=False),
        settings.ledger.segment_mib << 20,
        host_user(os.getuid()),
        os.environ,
    )
    trouble = ""
    if done.files:
        try:
            with open_control(data, lambda: settings):
                pass  # a start records what was put back
        except (AuditError, VaultError) as error:
            trouble = str(error)
    if as_json:
        options.write_json(
            {
                "vault": done.identity.vault,
                "made": done.time,
                "put_back": done.files,
                "kek": done.keys.kek,
                "domain_keys": done.keys.domains,
                "left_out": done.left_out,
                "missing": done.missing,
                "recorded": bool(done.files) and not trouble,
            }
        )
    else:
        _tell_restored(done, recorded=not trouble)
    for what in done.missing:
        options.warn(f"{what} is neither here nor in the backup")
    if trouble:
        options.warn(f"the next start records it: the keys open, and the vault does not yet: {trouble}")


def _tell_restored(done: Restored, *, recorded: bool) -> None:
    for name in done.files:
        click.echo(f"put back {name}")
    if not done.files:
        click.echo("nothing was missing or damaged: nothing was put back")
    if done.left_out:
        click.echo(f"domain keys that nothing needs any more, and that did not come back: {done.left_out}")
    click.echo(f"keyring, signing keys and secrets open (domain keys: {done.keys.domains})")
    if done.files and recorded:
        click.echo("recorded")


@key.command(
    epilog=options.examples(
        "strongroom key rotate --data DIR",
        "strongroom key rotate --kek-file /run/secrets/new-kek --data DIR",
    )
)
@click.option(
    "--kek-file", metavar="FILE", type=click.Path(path_type=Path),
    help="File with the new key-encryption key, base64 of 32 bytes, mode 0600; otherwise it is made up.",
)  # fmt: skip
@options.data
@options.config
@options.as_json
def rotate(kek_file: Path | None, data: Path, config: Path | None, *, as_json: bool) -> None:
    """Put the keyring under a new key-encryption key; objects are not touched.

    Works beside a running server, and can be repeated after a crash. The old key's file is removed once everything
    opens under the new one. Where the key comes from STRONGROOM_KEK, --kek-file is needed, and the variable is to be
    set to the new key before the next start; backups from before need the old one.
    """
    new = kek.encode(kek.FileKek(kek_file).load()).decode().strip() if kek_file is not None else ""
    with open_control(data, lambda: options.settings(config)) as control:
        done = control.rotate_kek(new)
    if as_json:
        options.write_json(
            {
                "kek": done.keys.kek,
                "before": done.keys.before,
                "generation": done.keys.generation,
                "record": done.record,
                "kept_here": done.kept_here,
            }
        )
        return
    click.echo(f"the keyring is wrapped by the key-encryption key {done.keys.kek}, no longer by {done.keys.before}")
    if done.record:
        click.echo(f"recorded as {done.record}")
    if not done.kept_here:
        click.echo(f"next: set {kek.VARIABLE} to the new key before the server is started again")
    click.echo("next: strongroom key backup FILE")


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MAX_FILE_BYTES + 1)


def _passphrase(file: Path | None, *, from_stdin: bool, new: bool) -> str:
    """Read a passphrase: from where was said, else asked for where somebody types.

    Raises:
        UsageError: There is none, or it cannot be one; never repeats it.
    """
    if file is not None and from_stdin:
        raise click.UsageError("give --passphrase-file or --passphrase-stdin, not both")
    if file is not None:
        line = _first_line(file)
    elif from_stdin and not sys.stdin.isatty():
        line = sys.stdin.buffer.readline(MAX_PASSPHRASE_BYTES + 3)
    elif sys.stdin.isatty():
        line = str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)).encode(
            errors="surrogateescape"
        )
    else:
        raise click.UsageError("nobody types here: give --passphrase-file or --passphrase-stdin")
    try:
        text = line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise click.UsageError("the passphrase is not UTF-8") from None  # it quotes the passphrase
    if new and len(text) < MIN_PASSPHRASE:
        raise click.UsageError(f"a passphrase has at least {MIN_PASSPHRASE} characters: some words in a row are best")
    if not text or len(text.encode()) > MAX_PASSPHRASE_BYTES:
        raise click.UsageError(f"a passphrase has 1 to {MAX_PASSPHRASE_BYTES} bytes")
    return text


def _first_line(file: Path) -> bytes:
    with file.open("rb") as opened:
        state = os.fstat(opened.fileno())
        if stat.S_ISREG(state.st_mode) and state.st_mode & 0o077:
            raise ConfigInvalid(f"{file} can be read by others; run chmod 600 on it")
        return opened.readline(MAX_PASSPHRASE_BYTES + 3)
