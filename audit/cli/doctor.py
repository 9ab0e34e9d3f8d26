"""``strongroom doctor``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from audit import tls
from audit.anchor.place import anchor_url, unreachable
from audit.cli import NO, options
from audit.control.client import open_control
from audit.doctor import examine
from audit.identity import Layout, load_identity
from audit.index_check import check_index

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog=options.examples(
        "strongroom doctor --data /srv/strongroom", "strongroom doctor --index --data /srv/strongroom"
    )
)
@click.option(
    "--index",
    "whole",
    is_flag=True,
    help="Also make the index anew beside the one in use, and compare: reads every record, takes as much disk.",
)
@options.data
@options.config
@options.as_json
@click.pass_context
def doctor(ctx: click.Context, data: Path, config: Path | None, *, whole: bool, as_json: bool) -> None:
    """Say what should be done about a vault, one finding a line. Exit code 1 where there is something.

    Asks the running server; where none runs, the vault is opened as a start would, and that is recorded.
    """
    settings, layout = options.settings(config), Layout(data)
    with open_control(data, lambda: settings) as control:
        identity = load_identity(layout)
        problems, advice = tls.examine(settings)
        away = unreachable(anchor_url(settings, identity, layout), settings, identity.origin)
        if away:  # the credentials of this shell may be others than the server's, which tells itself how it fares
            advice.append(f"asked from here: {away}")
        if whole:
            verdict = check_index(layout, identity, control, settings.disk.reserve_mib << 20)
            problems = [*problems, *filter(None, [verdict.problem])]
            if verdict.difference is not None:
                click.echo(f"index: {verdict.difference.rows} rows, {verdict.applied} records compared", err=True)
        found = examine(
            control.status(),
            control.principals(),
            settings,
            problems,
            advice,
            survey=control.survey(),
            tokens=control.tokens(),
            now=time.time_ns(),
        )
    if as_json:
        options.write_json([finding._asdict() for finding in found])
    else:
        for finding in found:
            click.echo(f"{finding.kind}: {finding.text}")
        if not found:
            click.echo("nothing to do")
    ctx.exit(NO if found else 0)
