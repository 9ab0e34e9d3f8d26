"""How brokers are reached, for both clients.

librdkafka carries records: 3 to 5 µs of processor time each, where kafka-python takes 46 to 58. kafka-python looks
after topics: it names a topic's id, and its answers are plain.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException

from audit.errors import ConfigInvalid
from exporters.errors import BrokerRefused, BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.relaying.settings import KafkaSection

#: A password file, in bytes.
MAX_PASSWORD_BYTES: Final = 4096
#: How long a broker may take for one answer, in seconds.
ANSWER_SECONDS: Final = 15.0
#: How long the end of a client is waited for, in seconds.
LET_GO_SECONDS: Final = 5.0
#: Codes of librdkafka that mean: you may not.
_REFUSALS: Final = frozenset(
    {
        KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED,  # noqa: SLF001 - its names
        KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)  # fmt: skip


class Troubles:
    """The last trouble that librdkafka told of a connection: its calls that time out do not say why."""

    def __init__(self) -> None:
        self._last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Take what librdkafka tells; called by its ``poll``. That it may not says more than what follows from that."""
        follows = error.code() == KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - its name
        if self._last is None or not (follows or self._last.code() in _REFUSALS):
            self._last = error

    def ask(self, client: Any) -> None:  # noqa: ANN401 - one of librdkafka's
        """Have a client hand over what it has to tell; a fatal error is raised by that call too, and is known then."""
        with suppress(KafkaException):
            client.poll(0)

    def explain(self, error: KafkaError) -> BrokerUnavailable | BrokerRefused:
        """Our error for one of librdkafka's."""
        cause, self._last = self._last if self._last is not None else error, None
        if error.code() in _REFUSALS or cause.code() in _REFUSALS:
            told = error if error.code() in _REFUSALS else cause
            return BrokerRefused(f"Kafka refuses: {told.str()}")
        return BrokerUnavailable(f"Kafka does not answer: {cause.str()}")


def librdkafka(section: KafkaSection, troubles: Callable[[KafkaError], None], **more: object) -> dict[str, Any]:
    """Configuration of a client of librdkafka.

    Args:
        section: Settings.
        troubles: Told of errors that no call returns.
        more: The client's own, with underscores for dots.

    Raises:
        ConfigInvalid: The password's file cannot be used.
    """
    found: dict[str, Any] = {
        "bootstrap.servers": section.bootstrap,
        "security.protocol": _protocol(section),
        "error_cb": troubles,
        "logger": logging.getLogger("librdkafka"),
        "client.id": "strongroom",
    }
    if section.tls_ca_file:
        found["ssl.ca.location"] = section.tls_ca_file
    if section.tls_cert_file:
        found |= {"ssl.certificate.location": section.tls_cert_file, "ssl.key.location": section.tls_key_file}
    if section.sasl_mechanism:
        found |= {
            "sasl.mechanism": section.sasl_mechanism,
            "sasl.username": section.sasl_username,
            "sasl.password": _password(section),
        }
    return found | section.librdkafka | {name.replace("_", "."): value for name, value in more.items()}


def kafka_python(section: KafkaSection) -> dict[str, Any]:
    """Configuration of a client of kafka-python.

    Raises:
        ConfigInvalid: The password's file cannot be used.
    """
    found: dict[str, Any] = {
        "bootstrap_servers": section.bootstrap.split(","),
        "security_protocol": _protocol(section),
        "client_id": "strongroom",
        "request_timeout_ms": int(ANSWER_SECONDS * 1000),
    }
    if section.tls_ca_file:
        found["ssl_cafile"] = section.tls_ca_file
    if section.tls_cert_file:
        found |= {"ssl_certfile": section.tls_cert_file, "ssl_keyfile": section.tls_key_file}
    if section.sasl_mechanism:
        found |= {
            "sasl_mechanism": section.sasl_mechanism,
            "sasl_plain_username": section.sasl_username,
            "sasl_plain_password": _password(section),
        }
    return found


def silence() -> None:
    """Keep both libraries from the log: what their chatter comes to is told in words of ours, once."""
    for library in ("kafka", "librdkafka"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def made(client: Callable[[dict[str, Any]], Any], config: dict[str, Any]) -> Any:  # noqa: ANN401 - what the caller makes
    """Make a client.

    Raises:
        ConfigInvalid: librdkafka does not take a setting.
    """
    try:
        return client(config)
    except KafkaException as error:
        raise ConfigInvalid(f"librdkafka refuses its configuration: {error_of(error).str()}") from error


def let_go(close: Callable[[], object]) -> None:
    """Close a client, and wait only so long: it may abort a transaction, which a broker that is lost does not answer.

    What is still closing then is of no more use to anybody, and does no harm: the next session fences it.
    """

    def closing() -> None:
        with suppress(Exception), warnings.catch_warnings():  # a client that is done for says so once more
            warnings.simplefilter("ignore")
            close()

    thread = Thread(target=closing, name="closing", daemon=True)
    thread.start()
    thread.join(LET_GO_SECONDS)


def error_of(error: KafkaException) -> KafkaError:
    """What librdkafka raised; where it only says that the client is done for, that."""
    return error.args[0] if error.args else KafkaError(KafkaError._FATAL)  # noqa: SLF001 - its name


def _protocol(section: KafkaSection) -> str:
    return ("SASL_" if section.sasl_mechanism else "") + ("SSL" if section.tls else "PLAINTEXT")


def _password(section: KafkaSection) -> str:
    path = Path(section.sasl_password_file)
    try:
        with path.open("rb") as file:
            line = file.read(MAX_PASSWORD_BYTES).partition(b"\n")[0].rstrip(b"\r")
        text = line.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"kafka.sasl_password_file = {str(path)!r} cannot be read") from error
    if not text:
        raise ConfigInvalid(f"kafka.sasl_password_file = {str(path)!r} has no password in its first line")
    return text
