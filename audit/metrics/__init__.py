"""What Prometheus scrapes at ``/metrics``.

Names are ``strongroom_<what>_<unit>`` in base units; every sample carries ``stream``, and beside it only labels of
closed lists (operation, status class, reason, task, port): no metric names a bucket, a key, an actor or an address, and
their number does not grow with what is stored. The process has the names that every exporter gives it, ``process_…``.
``job`` and ``instance`` are Prometheus' own labels: none of ours is called so.

Counted without a lock where things happen (``vault.measures``, which has the figures), and written here by hand rather
than with ``prometheus_client``: nothing but the writing of lines would be left of it, and it would be one more package
in every installation. In the tests it judges every line, and ``promtool`` the names.
"""
