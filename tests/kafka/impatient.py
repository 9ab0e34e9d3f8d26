"""A relay whose librdkafka gives messages up after a second (``message.timeout.ms``, which no setting can change).

python -m tests.kafka.impatient --data DIR
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

from exporters.relay import command, connection, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.relaying.settings import KafkaSection


def main() -> None:
    """Run it."""

    def librdkafka(section: KafkaSection, troubles: Callable[..., None], **more: object) -> dict[str, Any]:
        return connection.librdkafka(section, troubles, **more) | {"message.timeout.ms": 1000}

    with mock.patch.object(session, "librdkafka", librdkafka):
        command.relay()


if __name__ == "__main__":
    main()
