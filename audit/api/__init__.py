"""The audit port: health, metrics, and the log as C2SP tlog-tiles. The only place that knows FastAPI.

Checkpoints and hash tiles are open to whoever reaches the port, because they say nothing about what was done;
entries hold records and need an auditor's token (DESIGN §11). Everything else under ``/v1`` needs a token, and is
recorded before it is answered.

Not handled here: what is behind it (``audit.query``, ``audit.production``, ``audit.matters``, ``audit.ingest``).
"""
