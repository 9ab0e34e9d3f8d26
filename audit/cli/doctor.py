"""``strongroom doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from audit import tls
from audit.cli import NO, options
from audit.control.client import open_control
from audit.doctor import examine

if TYPE_CHECKING:
    from pathlib import Path


@click.command(epilog=options.examples("strongroom doctor --data /srv/strongroom"))
@options.data
@options.config
@options.as_json
@click.pass_context
def doctor(ctx: click.Context, data: Path, config: Path | None, *, as_json: bool) -> None:
    """Say what should be done about a vault, one finding a line. Exit code 1 where there is something.

    Asks the running server; where none runs, the vault is opened as a start would, and that is recorded.
    """
    settings = options.settings(config)
    with open_control(data, lambda: settings) as control:
        found = examine(control.status(), control.principals(), settings, *tls.examine(settings))
    if as_json:
        options.write_json([finding._asdict() for finding in found])
    else:
        for finding in found:
            click.echo(f"{finding.kind}: {finding.text}")
        if not found:
            click.echo("nothing to do")
    ctx.exit(NO if found else 0)
