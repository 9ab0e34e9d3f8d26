"""``strongroom serve``."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from audit import app
from audit.cli import options
from audit.credentials import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

_LOG_FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


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
    """
    _log_to_stderr()
    for name in (ACCESS_KEY, SECRET_KEY):
        if name in os.environ:
            options.warn(f"{name} is ignored: the first principal was made by init")
    ctx.exit(app.serve(data, partial(options.settings, config, s3__listen=s3, audit__listen=audit), click.echo))


def _log_to_stderr() -> None:
    formatter = logging.Formatter(_LOG_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Anybody who reaches the port can cause uvicorn's warnings, as many as he likes.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
