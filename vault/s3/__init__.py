"""The S3 wire form: from an HTTP request to one call on ``vault.service``, and from its value back to HTTP.

Raw ASGI, no framework: SigV4 needs the path exactly as it was sent, and the hot path has no room for one. The way of
a request (``app``): target and headers (``target``, ``headers``) → signature (``sigv4``) → operation (``routing``) →
its handler (``buckets``, ``objects``, ``locks``, ``multipart``, ``listing``) → answer (``responses``). Handlers return
a value or raise; they never render (STYLE rule 7).

Three rules hold everywhere here:

1. **Nothing that asks for something is ignored.** A query parameter or ``x-amz-*`` header we do not know is refused
   as NotImplemented and named; it could have asked for an ACL, a key of the client's, or a deletion's condition.
2. **Every request whose signature verifies has one record**, also where we refuse it before the service was asked.
3. **Nothing is read before it is allowed**: signature and early refusals come before the first byte of the body, so
   that ``Expect: 100-continue`` is answered only to those we listen to.

Not handled here: who may do what and what a lock forbids (``vault.policy``, ``vault.retention``, asked by the
committer), digests of the content (``vault.checksums``), storage and records (``vault.service``). TLS, ``Date``,
keep-alive and header framing belong to the HTTP server, which must not rewrite the peer's address from forwarded
headers.
"""
