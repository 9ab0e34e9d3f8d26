"""What librdkafka's reader makes of a partition whose leader is not there yet: a real broker is so for milliseconds."""

from __future__ import annotations

from typing import Any

import confluent_kafka
import pytest

from audit.verify import librdkafka
from audit.verify.librdkafka import Librdkafka
from audit.verify.report import Unchecked
from audit.verify.topic import Extent


def reader(monkeypatch: pytest.MonkeyPatch, answers: list[int | tuple[int, int]]) -> Librdkafka:
    """One whose brokers give these answers in turn, the last for ever; a number is an error's."""

    class Consumer(confluent_kafka.Consumer):
        def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
            answer = answers.pop(0) if answers[1:] else answers[0]
            if isinstance(answer, int):
                raise confluent_kafka.KafkaException(confluent_kafka.KafkaError(answer))
            return answer

    monkeypatch.setattr(confluent_kafka, "Consumer", Consumer)
    return Librdkafka("127.0.0.1:9", {})


@pytest.mark.parametrize("code", ["NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE"])
def test_a_leader_is_waited_for(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    number = getattr(confluent_kafka.KafkaError, code)
    found = reader(monkeypatch, [number, number, (3, 9), number, (3, 8)])
    assert found.extents("t", [0]) == {0: Extent(3, 8, 9)}
    found.close()


def test_it_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(librdkafka, "ANSWER_SECONDS", 0.2)
    found = reader(monkeypatch, [confluent_kafka.KafkaError.NOT_LEADER_FOR_PARTITION])
    with pytest.raises(Unchecked, match="Not leader"):
        found.extents("t", [0])
    found.close()


def test_nothing_else_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[int | tuple[int, int]] = [confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED, (3, 9)]
    found = reader(monkeypatch, answers)
    with pytest.raises(Unchecked, match="authorization"):
        found.extents("t", [0])
    assert answers == [(3, 9)]
    found.close()
