"""Options that several commands have, and how commands write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from audit.config import load

if TYPE_CHECKING:
    from audit.config import Settings
    from audit.control import Control

#: More characters than the first sentence of a help has.
_WHOLE: Final = 1000
#: ``--data DIR``: absolute, because the default anchor is beside it.
data: Final = click.option(
    "--data",
    metavar="DIR",
    envvar="STRONGROOM_DATA",
    required=True,
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="Data directory; also STRONGROOM_DATA.",
)
#: ``--config FILE``.
config: Final = click.option(
    "--config",
    metavar="FILE",
    envvar="STRONGROOM_CONFIG",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file with settings; also STRONGROOM_CONFIG. Each setting a.b is also STRONGROOM_A__B.",
)
#: ``--json``.
as_json: Final = click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")


class Group(click.Group):
    """A group that shows the whole first sentence of each of its commands' helps."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; click's own cuts each to what is left of one line."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(_WHOLE)) for name, command in found if command is not None]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def examples(*lines: str) -> str:
    """The end of a help text; the first character keeps click from joining the lines."""
    return "\n".join(("\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)))


def settings(file: Path | None, **options: str | None) -> Settings:
    """Load the configuration; an option ``s3__listen`` sets ``s3.listen``."""
    return load(file, os.environ, {name.replace("__", "."): value for name, value in options.items()})


def principal(named: str, control: Control) -> str:
    """A principal's id, by id, access key or name; what is none of these is given back."""
    found = {row.id for row in control.principals() if named in (row.id, row.access_key, row.name)}
    if len(found) > 1:
        raise click.UsageError(f"--actor: {len(found)} principals are called {named!r}; use an id or access key")
    return found.pop() if found else named


def write_json(value: object) -> None:
    """Write one line of JSON."""
    click.echo(msgspec.json.encode(value))


def warn(message: str) -> None:
    """Write a warning to standard error."""
    click.echo(f"warning: {message}", err=True)
