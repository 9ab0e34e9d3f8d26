"""``strongroom run``: workers, which other packages bring as entry points of the group ``strongroom.commands``."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

import click

from audit.cli import options

#: Each entry point is a click command by the worker's name.
GROUP: Final = "strongroom.commands"
_NONE: Final = "no workers are installed"


class _Workers(options.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(entry_points(group=GROUP).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for found in entry_points(group=GROUP, name=cmd_name):
            try:
                command = found.load()
            except (ImportError, AttributeError) as error:
                raise click.UsageError(f"worker {cmd_name} cannot be loaded: {error}") from error
            if isinstance(command, click.Command):
                return command
            raise click.UsageError(f"worker {cmd_name} is not a command")
        if not self.list_commands(ctx):
            raise click.UsageError(_NONE)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of workers, or that there is none."""
        if self.list_commands(ctx):
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_text(_NONE)


@click.group(cls=_Workers)
def run() -> None:
    """Run a worker: a process of its own that carries records elsewhere.

    Lists the workers that are installed.
    """
