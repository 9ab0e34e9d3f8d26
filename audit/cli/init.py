"""``strongroom init``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from audit.anchor.place import require_reachable
from audit.cli import options
from audit.errors import AlreadyInitialised, AlreadyRunning, ConfigInvalid
from audit.identity import PROFILES
from audit.init import prepare, require_room
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
    wanted = _anchor(anchor, settings.anchor.url)
    require_room(data, settings)
    if wanted:
        require_reachable(wanted, settings, "strongroom")  # any log's name does
    made = prepare(data, profile=profile, site=site, node=node, anchor=wanted, environ=os.environ)
    found = made.identity
    try:
        with Node.open(data, settings) as opened:
            access_key = opened.principals.ensure_first(opened.layout, os.environ)
            warnings = made.warnings + opened.status().warnings
    except AlreadyRunning as error:
        raise AlreadyInitialised(f"{data} is a vault already, and is open in another process: {error}") from error
    if not access_key:
        raise AlreadyInitialised(f"{data} is a vault already; nothing was changed")
    file = opened.layout.credentials if opened.layout.credentials.exists() else None
    if as_json:
        options.write_json(
            {
                "vault": found.vault,
                "stream": found.stream,
                "origin": found.origin,
                "access_key": access_key,
                "credentials_file": str(file) if file else None,
                "warnings": warnings,
            }
        )
        return
    click.echo(f"vault {found.vault} in {data}, stream {found.stream}")
    click.echo(f"first principal: access key {access_key}")
    if file is not None:
        click.echo(f"its secret key is in {file}")
    for warning in warnings:
        options.warn(warning)
    click.echo(f"next: strongroom serve --data {data}")


def _anchor(given: str, configured: str) -> str:
    """The anchor's URL; a plain path becomes absolute, so that it does not move with the working directory.

    Raises:
        ConfigInvalid: Option and configuration name different ones: the server would not use the one given here.
    """
    url = given or configured
    if url and "://" not in url:
        url = str(Path(url).absolute())
    if given and configured and configured not in {given, url}:
        raise ConfigInvalid(f"--anchor is {given} and anchor.url is {configured}: name one, or the same")
    return url
