"""The independent verifier: re-reads every byte and believes none of them.

It shares formats with the rest of Strongroom (ARCHITECTURE.md), and no code: it
imports nothing else of ours, so that a fault in the writer cannot hide itself.
Exported logs and URLs need only the standard library of Python 3.11, which is
why the same modules travel as ``strongroom-verify.pyz`` (``audit.verify.build``).

What is checked, in this order (DESIGN §4, Verifier):

1. Checkpoint: signed note, origin, size (``note``, ``ed25519``, ``anchor``).
2. Records: exact bytes against the grammar, gapless seq, chain, clock order (``schema``, ``records``).
3. Tree: every tile, the root at the checkpoint's size and at every size that somebody saved (``tree``, ``spine``).
4. Locks: what was deleted or weakened against the locks that stood (``locks``).
5. Data directory only: commit log, settled segments, bodies against their descriptors, and every file
   accounted for (``datadir`` and what it names).
6. Topics of Kafka only, which hold records without a log's tiles: gapless, chained, as far as the cursor says, with the
   roots of the checkpoints beside them and the hashes of a log elsewhere (``relay_topics``). Steps 4 and 5 fall away.

"Anchored" means that something from outside the target vouches for it: a saved
checkpoint whose root the log still has at that size (even where no key from
outside checks its signature: the root itself came from outside), or a key from
outside that signed the log's checkpoint. The first is the stronger one: it holds
against whoever has the log's key. Records past the anchored size are chained to
what is anchored and are otherwise self-consistent only; the report says how many.

Not handled here: decryption. Content is checked as ciphertext, against the
descriptors in the records, without any key.
"""
