"""``strongroom completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from audit.cli import options


@click.command(epilog=options.examples('eval "$(strongroom completion bash)"'))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Write the script that makes SHELL complete commands and options."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.BadParameter(f"{shell} is not known")
    click.echo(kind(ctx.find_root().command, {}, "strongroom", "_STRONGROOM_COMPLETE").source())
