"""``strongroom token``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from audit.cli import options
from audit.control.client import open_control
from audit.tokens import DEFAULT_DAYS, NO_SOURCE, Source
from vault.policy import ROLES
from vault.state.tokens import FORMATS, MAX_DAYS, MAX_NOTE
from vault.times import rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from vault.state.rows import TokenRow


@click.group(cls=options.Group)
def token() -> None:
    """Say who may use the audit port, for how long.

    A token stands for a principal, with some of its roles, or brings the events of one source. Only its digest is kept.
    Tokens are records of the ledger.
    """


@token.command(
    epilog=options.examples(
        "strongroom token add SRMZXW6YTBOI2DAMBR --days 30 --note 'annual audit' --data DIR > FILE",
        "strongroom token add SRMZXW6YTBOI2DAMBR --source minio-a --format minio --data DIR > FILE",
        "strongroom verify http://127.0.0.1:9001/v1/log/site-a.node-1 --token-file FILE",
    )
)
@click.argument("access_key")
@click.option(
    "--role", "roles", metavar="ROLE", type=click.Choice(sorted(ROLES)), multiple=True,
    help="One of the principal's roles; may be repeated. Default: all of them.",
)  # fmt: skip
@click.option(
    "--days", type=click.IntRange(1, MAX_DAYS), default=DEFAULT_DAYS, show_default=True, help="Days until it expires."
)
@click.option("--note", default="", help="What it is for, for people.")
@click.option(
    "--source", default="", metavar="NAME", help="Bring this source's events to /v1/ingest/NAME; nothing else."
)
@click.option(
    "--format", "form", type=click.Choice(sorted(FORMATS)), help="What the source's events are. Default: json."
)
@options.data
@options.config
@options.as_json
def add(
    access_key: str,
    roles: tuple[str, ...],
    days: int,
    note: str,
    *,
    source: str,
    form: str | None,
    data: Path,
    config: Path | None,
    as_json: bool,
) -> None:
    """Make a token for the principal with ACCESS_KEY, and show it this once."""
    if len(note) > MAX_NOTE or not (note.isprintable() or not note):
        raise click.BadParameter(f"at most {MAX_NOTE} printable characters", param_hint="--note")
    if form is not None and not source:
        raise click.UsageError("--format says what a source's events are: name one with --source")
    brings = Source(source, form or "json") if source else NO_SOURCE
    with open_control(data, lambda: options.settings(config)) as control:
        made = control.add_token(access_key, roles, days, note, brings)
    if as_json:
        options.write_json({"id": made.id, "token": made.token, "expires": made.expires})
        return
    click.echo(made.token)
    click.echo(f"token {made.id} expires {made.expires}; it is not shown again", err=True)


@token.command(epilog=options.examples("strongroom token revoke 64686cf4c5e0da55 --data /srv/strongroom"))
@click.argument("token_id")
@options.data
@options.config
def revoke(token_id: str, data: Path, config: Path | None) -> None:
    """Have the token with TOKEN_ID count no more, at once and for good."""
    with open_control(data, lambda: options.settings(config)) as control:
        control.revoke_token(token_id)
    click.echo(f"revoked token {token_id}")


@token.command("list", epilog=options.examples("strongroom token list --data /srv/strongroom"))
@options.data
@options.config
@options.as_json
def list_(data: Path, config: Path | None, *, as_json: bool) -> None:
    """List every token there ever was, one a line: id, state, expiry, roles, principal, note."""
    with open_control(data, lambda: options.settings(config)) as control:
        found = sorted(control.tokens(), key=lambda row: (row.expires, row.id))
        names = {row.id: row.name for row in control.principals()}
    if as_json:
        options.write_json(
            [
                {
                    "id": row.id,
                    "state": _state(row),
                    "expires": rfc3339(row.expires),
                    "roles": row.roles,
                    "principal": row.principal,
                    "note": row.note,
                    "source": row.source,
                    "format": row.format,
                }
                for row in found
            ]
        )
        return
    for row in found:
        roles = ",".join(row.roles)
        what = f"{roles}:{row.source}" if row.source else roles
        click.echo(f"{row.id}\t{_state(row)}\t{rfc3339(row.expires)}\t{what}\t{names[row.principal]}\t{row.note}")


def _state(row: TokenRow) -> str:
    if row.revoked:
        return "revoked"
    return "expired" if row.expires <= time.time_ns() else "counts"
