"""``strongroom serve``."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from audit import app
from audit.cli import COULD_NOT, options
from audit.credentials import ACCESS_KEY, SECRET_KEY
from audit.errors import AuditError
from audit.log_lines import write_lines
from vault.errors import VaultError

if TYPE_CHECKING:
    from pathlib import Path

_log: Final = logging.getLogger(__name__)


@click.command(
    epilog=options.examples(
        "strongroom serve --data /srv/strongroom",
        "strongroom serve --data /srv/strongroom --s3 0.0.0.0:9000 --config /etc/strongroom.toml",
    )
)
@options.data
@click.option("--s3", metavar="HOST:PORT", help="S3 port (s3.listen).  [default: 127.0.0.1:9000]")
@click.option("--audit", metavar="HOST:PORT", help="Audit port (audit.listen).  [default: 127.0.0.1:9001]")
@options.config
@click.pass_context
def serve(ctx: click.Context, data: Path, s3: str | None, audit: str | None, config: Path | None) -> None:
    """Serve a vault until SIGTERM or SIGINT: finish what is in flight, seal, and end. SIGHUP reloads.

    One line with both addresses goes to standard output once requests are answered. Beyond loopback a port speaks
    TLS only. A second signal does not wait for requests in flight. Exit code 3: a fatal error; the next start
    recovers. A reload takes new TLS files and limits; what cannot be used is refused, in the log and in /readyz. A
    server whose terminal is closed stops.

    Its log goes to standard error: text at a terminal, else a JSON object a line (log.format).
    """
    read = partial(options.settings, config, s3__listen=s3, audit__listen=audit)
    as_json = write_lines(read().log)
    for name in (ACCESS_KEY, SECRET_KEY):
        if name in os.environ:
            _log.warning("%s is ignored: the first principal was made by init", name)
    try:
        ctx.exit(app.serve(data, read, click.echo, config))
    except (AuditError, VaultError, OSError) as error:
        if not as_json:
            raise  # to be worded as that of any other command
        _log.critical("%s", error, extra={"code": getattr(error, "code", None)})
        ctx.exit(COULD_NOT)
