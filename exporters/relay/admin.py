"""kafka-python's admin client, asked with patience that ends: records never wait for it.

Each question is asked in a thread of its own; a client that did not answer in time is left behind, and the next
question is asked through a new one.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kafka import errors
from kafka.admin import KafkaAdminClient

from audit.errors import ConfigInvalid
from exporters.errors import BrokerRefused, BrokerUnavailable
from exporters.relay.connection import let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How long an answer may take, in seconds.
PATIENCE_SECONDS: Final = 20.0
_REFUSED: Final = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.SaslAuthenticationFailedError,
)

T = TypeVar("T")


class Admin:
    """See the module. One question at a time; :meth:`close` gives connections back.

    Args:
        config: Of the client (``exporters.relay.connection``).
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._client: Any = None

    def begin(self, work: Callable[[Any], T]) -> Future[T]:
        """Ask, and do not wait; no other question is to be asked until it is answered, or :meth:`forget` was called."""
        answer: Future[T] = Future()

        def run() -> None:
            try:
                with _ours():
                    if self._client is None:
                        self._client = KafkaAdminClient(**self._config)
                    answer.set_result(work(self._client))
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer owns it
                answer.set_exception(error)

        Thread(target=run, name="topics", daemon=True).start()
        return answer

    def ask(self, work: Callable[[Any], T]) -> T:
        """Ask, and wait for the answer.

        Raises:
            BrokerUnavailable: No broker answers.
            BrokerRefused: They do not let us.
            ConfigInvalid: The client cannot be made as it is set up.
        """
        try:
            return self.begin(work).result(PATIENCE_SECONDS)
        except TimeoutError as error:
            self.forget()
            raise BrokerUnavailable(f"Kafka's topics could not be looked at within {PATIENCE_SECONDS:.0f} s") from error

    def forget(self) -> None:
        """Leave a client behind that does not answer."""
        self._client = None

    def close(self) -> None:
        """Let go."""
        if self._client is not None:
            client, self._client = self._client, None
            let_go(client.close)


@contextmanager
def _ours() -> Iterator[None]:
    """Turn kafka-python's errors into ours."""
    try:
        yield
    except _REFUSED as error:
        raise BrokerRefused(f"Kafka refuses: {_worded(error)}") from error
    except errors.KafkaConfigurationError as error:
        raise ConfigInvalid(f"Kafka's client refuses its configuration: {_worded(error)}") from error
    except (errors.KafkaError, OSError) as error:
        raise BrokerUnavailable(f"Kafka does not answer: {_worded(error)}") from error


def _worded(error: Exception) -> str:
    """An error in one short line: some quote the whole request."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text[:200]}"
