"""``strongroom run relay``."""

from __future__ import annotations

import logging
import signal
from threading import Event
from typing import TYPE_CHECKING, Final

import click

from audit.cli import options
from audit.errors import AuditError, ConfigInvalid
from audit.log_lines import write_lines

if TYPE_CHECKING:
    from pathlib import Path

#: Exit code where somebody has to look before it can go on.
FATAL: Final = 3

_log: Final = logging.getLogger(__name__)


@click.command(
    epilog=options.examples(
        "STRONGROOM_KAFKA__BOOTSTRAP=127.0.0.1:9092 strongroom run relay --data /srv/strongroom",
        "strongroom run relay --data /srv/strongroom --config /etc/strongroom.toml",
    )
)
@options.data
@options.config
@click.option(
    "--accept-topic",
    is_flag=True,
    help="Take a topic that was made anew under the same name: it is written from the first record on.",
)
@click.pass_context
def relay(ctx: click.Context, data: Path, config: Path | None, *, accept_topic: bool) -> None:
    """Carry every record into Kafka, until SIGTERM or SIGINT.

    Needs kafka.bootstrap, and a server that has the vault open: it waits for one. Keeps nothing on disk; where it goes
    on is found in Kafka. One relay a stream: a second one ends the first. `serve` runs it where kafka.bootstrap is set.

    Exit code 3: the topic is another one than it was, what it holds is not the ledger's, or another relay took over;
    2: the configuration cannot be used.
    """
    # Both load the clients of Kafka, which a help text can do without.
    from exporters.relay.connection import silence  # noqa: PLC0415
    from exporters.relay.relay import Relay  # noqa: PLC0415

    settings = options.settings(config)
    if not settings.kafka.bootstrap:
        raise ConfigInvalid("kafka.bootstrap is not set: name the brokers, HOST:PORT with commas between them")
    as_json = write_lines(settings.log)
    if settings.log.level != "debug":
        silence()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        Relay(data, settings, stop, accept_topic=accept_topic).run()
    except ConfigInvalid:
        raise
    except AuditError as error:
        if as_json:
            _log.critical("%s", error, extra={"code": error.code})
        else:
            click.echo(f"error: {error}", err=True)
        ctx.exit(FATAL)
