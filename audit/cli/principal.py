"""``strongroom principal``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from audit.cli import options
from audit.control.client import open_control
from audit.control.stream_messages import MAX_NAME
from audit.credentials import ACCESS_KEY_FORM, SECRET_FORM, is_access_key, is_secret
from vault.crypto.secrets import MAX_SECRET_BYTES
from vault.policy import ROLES

if TYPE_CHECKING:
    from pathlib import Path


@click.group(cls=options.Group)
def principal() -> None:
    """Say who may act, and in which roles.

    Changes are records of the ledger. They go through the running server, or are made directly where none runs.
    """


@principal.command(
    epilog=options.examples(
        "strongroom principal add backup-job --role writer --data DIR",
        "strongroom principal add alice --role auditor --access-key ALICE1 --secret-stdin --data DIR < FILE",
    )
)
@click.argument("name")
@click.option(
    "--role", "roles", metavar="ROLE", type=click.Choice(sorted(ROLES)), multiple=True, required=True,
    help=f"May be repeated. One of: {', '.join(sorted(ROLES))}.",
)  # fmt: skip
@click.option("--access-key", metavar="KEY", default="", help="3 to 128 letters and digits; otherwise made up.")
@click.option("--secret-stdin", is_flag=True, help="Read the secret key from standard input; otherwise it is made up.")
@options.data
@options.config
@options.as_json
def add(
    name: str,
    roles: tuple[str, ...],
    access_key: str,
    data: Path,
    config: Path | None,
    *,
    secret_stdin: bool,
    as_json: bool,
) -> None:
    """Add NAME and show the keys; a secret that was made up is shown this once."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise click.BadParameter(f"1 to {MAX_NAME} printable characters", param_hint="NAME")
    if access_key and not is_access_key(access_key):
        raise click.BadParameter(ACCESS_KEY_FORM, param_hint="--access-key")
    secret = _secret() if secret_stdin else ""
    with open_control(data, lambda: options.settings(config)) as control:
        made = control.add_principal(name, roles, access_key, secret)
    shown = {"principal": made.principal, "access_key": made.access_key}
    if not secret_stdin:
        shown["secret_key"] = made.secret_key
    if as_json:
        options.write_json(shown)
        return
    for field, value in shown.items():
        click.echo(f"{field} = {value}")


@principal.command(epilog=options.examples("strongroom principal disable SRMZXW6YTBOI2DAMBR --data /srv/strongroom"))
@click.argument("access_key")
@options.data
@options.config
def disable(access_key: str, data: Path, config: Path | None) -> None:
    """Disable whoever has ACCESS_KEY, at once and for good. Records keep naming the principal."""
    with open_control(data, lambda: options.settings(config)) as control:
        found = next((row for row in control.principals() if row.access_key == access_key), None)
        control.disable_principal(access_key)
    if found is None:  # added since we looked
        click.echo(f"disabled the principal of {access_key}")
    elif not found.enabled:
        click.echo(f"{found.name} ({access_key}, {found.id}) was disabled already; this was recorded again")
    else:
        click.echo(f"disabled {found.name} ({access_key}, {found.id}): may do nothing from here on")


@principal.command("list", epilog=options.examples("strongroom principal list --data /srv/strongroom"))
@options.data
@options.config
@options.as_json
def list_(data: Path, config: Path | None, *, as_json: bool) -> None:
    """List everybody by name, one a line: access key, state, roles, name, id (which records name)."""
    with open_control(data, lambda: options.settings(config)) as control:
        found = sorted(control.principals(), key=lambda row: (row.name, row.id))
    if as_json:
        options.write_json(
            [
                {
                    "principal": row.id,
                    "name": row.name,
                    "access_key": row.access_key,
                    "roles": row.roles,
                    "enabled": row.enabled,
                }
                for row in found
            ]
        )
        return
    for row in found:
        state = "enabled" if row.enabled else "disabled"
        click.echo(f"{row.access_key}\t{state}\t{','.join(row.roles)}\t{row.name}\t{row.id}")


def _secret() -> str:
    """Read a secret: asked for where somebody types, else one line of standard input."""
    if sys.stdin.isatty():
        secret: str = click.prompt("Secret key", hide_input=True, confirmation_prompt=True, err=True)
    else:
        line = sys.stdin.buffer.readline(MAX_SECRET_BYTES + 3).rstrip(b"\r\n")
        try:
            secret = line.decode()
        except UnicodeDecodeError:
            raise click.UsageError("the secret key on standard input is not UTF-8") from None  # it quotes the secret
    if not is_secret(secret):
        raise click.UsageError(f"a secret key has {SECRET_FORM}")
    return secret
