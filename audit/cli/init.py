"""``strongroom init``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from audit.anchor.url import open_anchor
from audit.cli import options
from audit.errors import AlreadyInitialised
from audit.identity import PROFILES
from audit.init import prepare
from audit.node import Node


@click.command(
    epilog=options.examples(
        "strongroom init --data /srv/strongroom",
        "strongroom init --data /srv/strongroom --site london --anchor file:///mnt/other-host/anchor",
    )
)
@options.data
@click.option("--profile", type=click.Choice(PROFILES), default="standard", show_default=True, help="Crypto profile.")
@click.option("--site", metavar="NAME", default="site-a", show_default=True, help="This site.")
@click.option("--node", metavar="NAME", default="node-1", show_default=True, help="This writer; unique in its site.")
@click.option(
    "--anchor",
    metavar="URL",
    default="",
    help="Where the last checkpoints are remembered, outside DIR (anchor.url); by default DIR.anchor, which guards "
    "against accidents only.",
)
@options.config
@options.as_json
def init(*, data: Path, profile: str, site: str, node: str, anchor: str, config: Path | None, as_json: bool) -> None:
    """Make a vault in a new or empty directory, and its first principal.

    The first principal is taken from STRONGROOM_ROOT_ACCESS_KEY and STRONGROOM_ROOT_SECRET_KEY, or made up and
    written to DIR/root.credentials (mode 0600). An init that was cut short is completed by the same command.
    """
    settings = options.settings(config)
    anchor = anchor or settings.anchor.url
    if anchor and "://" not in anchor:
        anchor = str(Path(anchor).absolute())
    if anchor:
        open_anchor(anchor)  # refused here, before anything is made
    made = prepare(data, profile=profile, site=site, node=node, anchor=anchor, environ=os.environ)
    with Node.open(data, settings) as opened:
        if not opened.principals.ensure_first(opened.layout, os.environ):
            raise AlreadyInitialised(f"{data} is a vault already; nothing was changed")
        warnings = opened.status().warnings
    found = made.identity
    if as_json:
        options.write_json(
            {
                "vault": found.vault,
                "stream": found.stream,
                "origin": found.origin,
                "access_key": made.access_key,
                "credentials_file": str(made.credentials_file) if made.credentials_file else None,
                "warnings": warnings,
            }
        )
        return
    click.echo(f"vault {found.vault} in {data}, stream {found.stream}")
    click.echo(f"first principal: access key {made.access_key}")
    if made.credentials_file is not None:
        click.echo(f"its secret key is in {made.credentials_file}")
    for warning in warnings:
        options.warn(warning)
    click.echo(f"next: strongroom serve --data {data}")
