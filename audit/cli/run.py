"""``strongroom run``: workers, which other packages bring as entry points of the group ``strongroom.commands``."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

import click

#: Each entry point is a click command by the worker's name.
GROUP: Final = "strongroom.commands"


class _Workers(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(entry_points(group=GROUP).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        for found in entry_points(group=GROUP, name=cmd_name):
            try:
                command = found.load()
            except (ImportError, AttributeError) as error:
                raise click.UsageError(f"worker {cmd_name} cannot be loaded: {error}") from error
            if isinstance(command, click.Command):
                return command
            raise click.UsageError(f"worker {cmd_name} is not a command")
        return None


@click.group(cls=_Workers)
def run() -> None:
    """Run a worker: a process of its own that carries records elsewhere.

    Lists the workers that are installed.
    """
