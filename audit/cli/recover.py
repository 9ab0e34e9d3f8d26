"""``strongroom recover``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from audit.cli import options
from audit.identity import Layout, load_identity
from audit.node import Node
from audit.takeover import take_over

if TYPE_CHECKING:
    from pathlib import Path

    from audit.takeover import Taken


@click.command(
    epilog=options.examples(
        "strongroom recover --data /srv/strongroom",
        "strongroom recover --data /srv/strongroom --node node-2",
    )
)
@options.data
@click.option("--node", metavar="NAME", default="", help="Name of the new writer; by default the first one's and -r1.")
@options.config
@options.as_json
def recover(*, data: Path, node: str, config: Path | None, as_json: bool) -> None:
    """Go on in a new stream where the ledger and its anchor disagree.

    For a vault that does not start because records that were signed, or seen by somebody, are not in DIR: a backup that
    is not the newest, a lost anchor. First restore the newest copy of DIR that there is. What is here is kept, with
    every lock; what is lost is named in the new stream's first record and by every verification. There is no way back.
    """
    settings = options.settings(config)
    load_identity(Layout(data))
    read = 0

    def progress(count: int) -> None:
        nonlocal read
        read += count
        if sys.stderr.isatty():
            click.echo(f"\rread {read} records", nl=False, err=True)

    taken = take_over(data, settings, node, progress)
    if sys.stderr.isatty():
        click.echo(err=True)
    with Node.open(data, settings):
        pass  # its first record; sealed as it closes
    if as_json:
        options.write_json(
            {"stream": taken.stream, "why": taken.why, "takes_over": taken.takeover, "lost": _lost(taken)}
        )
        return
    old = taken.takeover
    click.echo(f"{old.stream} could not go on: {taken.why}")
    click.echo(f"{taken.stream} goes on from its {old.held} records")
    if _lost(taken):
        click.echo(f"lost: records {old.held} to {old.known - 1} of {old.stream}, which were signed and are not here")
    click.echo(f"next: strongroom serve --data {data}; keep the new log's key and checkpoints outside")


def _lost(taken: Taken) -> int:
    """How many records are known to be lost."""
    return max(taken.takeover.known - taken.takeover.held, 0)
