"""``strongroom doctor``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from audit import tls
from audit.anchor.place import anchor_url, unreachable
from audit.cli import NO, options
from audit.control.client import open_control
from audit.doctor import PROBLEM, STATE, examine
from audit.examiners import examine_all
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

    Asks the running server; where none runs, the vault is opened as a start would, and that is recorded. Where
    kafka.bootstrap is set it looks at the topics too, and says of each stream what is there, and how much waits.
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
        others, shown = examine_all(control, settings)
        problems = [*problems, *(finding.text for finding in others if finding.kind == PROBLEM)]
        found = examine(
            control.status(),
            control.principals(),
            settings,
            problems,
            [*advice, *(finding.text for finding in others if finding.kind != PROBLEM)],
            survey=control.survey(),
            tokens=control.tokens(),
            now=time.time_ns(),
        )
    if as_json:
        told = [{"kind": STATE, "text": text, **details} for text, details in shown]
        options.write_json([*(finding._asdict() for finding in found), *told])
    else:
        for finding in found:
            click.echo(f"{finding.kind}: {finding.text}")
        for text, _ in shown:
            click.echo(f"{STATE}: {text}")
        if not found:
            click.echo("nothing to do")
    ctx.exit(NO if found else 0)
