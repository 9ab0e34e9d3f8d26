"""What the server knows of the relay to Kafka: its settings, how far it says it is, and whether writes wait for it.

The relay itself is a worker, a process of its own (``exporters.relay``), which this package never imports.
"""
