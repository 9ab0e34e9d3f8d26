"""``strongroom verify``: hands its arguments to the verifier, which shares no code with anything else here."""

from __future__ import annotations

import click

from audit.verify.command import main


@click.command(
    add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def verify(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Re-read and check every byte of a vault, an exported log or the topics of a relay."""
    ctx.exit(main(arguments))
