"""Events of other systems: received, taken apart, and handed to the committer (DESIGN §3).

    body ─▶ ``unpack`` (coding, framing) ─▶ ``formats`` (the event's own words) ─▶ ``events`` (records to be)
         ─▶ committer (repeats, gaps: ``vault.state.ingest``) ─▶ one fdatasync ─▶ answer

What a source sends is kept byte for byte. Taking it apart never fails on what is in an event: one that is not what its
source should send is kept as ``raw``.

Not handled here: who may send (``audit.api.ingest``).
"""
