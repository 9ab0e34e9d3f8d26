"""The relay: every durable record into Kafka, exactly once for who reads ``read_committed`` (DESIGN §8).

    server's feed ─▶ ``ahead`` (chain checked) ─▶ ``session`` (one transaction: records, checkpoint, cursor) ─▶ Kafka

It keeps nothing on disk. Where it goes on is found in Kafka itself (``position``): after the last record that can be
read in the stream's partition, which the cursor, written in the same transaction, must confirm. Whatever goes wrong in
a session ends it, and the next one looks again; so there is one way back, not one for each fault (``relay``).

Which partition a stream goes to is decided once (``assignment``) and recorded in the ledger, with the topic's id.
``topics`` makes and judges topics, ``connection`` knows how brokers are reached.

Exactly once holds with three replicas, ``min.insync.replicas`` of two and no unclean election; ``topics`` warns where
a topic has less. Every consumer can drop a record of the same seq and bytes, and must alarm at other bytes.
"""
