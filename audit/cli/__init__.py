"""The ``strongroom`` command.

Exit codes: 0 done, or the answer is yes; 1 the answer is no (refused, bad, something to do); 2 wrong use, or it could
not be done or checked; 3 the server stopped because of a fatal error. Results go to standard output, everything else
to standard error. Secrets never come in as arguments.

Commands are loaded when they are used, so that completing a name does not wait for a web framework.

Not handled here: what the commands do; each has its own module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from audit import __version__
from audit.cli import options
from audit.errors import AuditError
from vault.errors import S3Error, VaultError

if TYPE_CHECKING:
    from collections.abc import Mapping

NO: Final = 1
COULD_NOT: Final = 2
INTERRUPTED: Final = 130

#: Where each command is.
_COMMANDS: Final[Mapping[str, str]] = {
    "init": "audit.cli.init",
    "serve": "audit.cli.serve",
    "run": "audit.cli.run",
    "principal": "audit.cli.principal",
    "token": "audit.cli.token",
    "records": "audit.cli.records",
    "production": "audit.cli.production",
    "key": "audit.cli.key",
    "hold": "audit.cli.hold",
    "backup": "audit.cli.backup",
    "restore": "audit.cli.backup",
    "verify": "audit.cli.verify",
    "scrub": "audit.cli.scrub",
    "log": "audit.cli.log",
    "recover": "audit.cli.recover",
    "doctor": "audit.cli.doctor",
    "controls": "audit.cli.controls",
    "completion": "audit.cli.completion",
}


class _Strongroom(options.Group):
    """Finds commands, and turns our own errors into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        module = _COMMANDS.get(cmd_name)
        return getattr(import_module(module), cmd_name) if module is not None else None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().invoke(ctx)
        except S3Error as error:
            raise _Refused(f"refused: {error}") from error
        except (AuditError, VaultError) as error:
            raise _CouldNot(str(error)) from error
        except BrokenPipeError:
            raise  # whoever read our output has gone; click knows how to end
        except OSError as error:
            raise _CouldNot(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
        except KeyboardInterrupt as error:
            raise click.exceptions.Exit(INTERRUPTED) from error


class _Refused(click.ClickException):
    exit_code = NO


class _CouldNot(click.ClickException):
    exit_code = COULD_NOT


@click.group(
    cls=_Strongroom,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=options.examples("strongroom init --data DIR", "strongroom serve --data DIR"),
)
@click.version_option(__version__, prog_name="strongroom", message="%(prog)s %(version)s")
def cli() -> None:
    """A WORM object vault whose every operation is durable, chained, provable evidence."""


def main() -> None:
    """Run the command of this process's arguments."""
    cli(prog_name="strongroom")
