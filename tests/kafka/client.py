"""kafka-python, asked what brokers hold; a program of its own: what it leaves of broken connections ends with it.

python -m tests.kafka.client ADDRESSES create REPLICAS | write VALUE … | read COUNT

``read`` prints the values of the topic :data:`TOPIC`, a line each; ``write`` ends when all are acknowledged.
"""

from __future__ import annotations

import sys
from typing import Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

TOPIC: Final = "t"


def main() -> None:
    """Do what the command line says."""
    brokers, action, *values = sys.argv[1].split(","), *sys.argv[2:]
    if action == "create":
        admin = KafkaAdminClient(bootstrap_servers=brokers)
        admin.create_topics([NewTopic(TOPIC, 1, int(values[0]))])
    elif action == "write":
        producer = KafkaProducer(bootstrap_servers=brokers, acks="all")
        for written in [producer.send(TOPIC, value.encode()) for value in values]:
            written.get(timeout=60)
    else:
        partition = TopicPartition(TOPIC, 0)
        consumer = KafkaConsumer(bootstrap_servers=brokers)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        left = int(values[0])
        while left > 0:
            for each in consumer.poll(timeout_ms=1000).get(partition, ()):
                sys.stdout.write(f"{each.value.decode()}\n")
                left -= 1


if __name__ == "__main__":
    main()
