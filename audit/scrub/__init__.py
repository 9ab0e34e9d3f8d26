"""The server verifies its own vault, by itself, again and again (17 CFR 240.17a-4(f)(2)(ii); DESIGN §1, watchdog).

Each time the independent verifier (``audit.verify``) runs as a process of its own, at a bounded rate. All records are
read: chain, tree, checkpoints, clock, locks, every file by its name; and of the bodies in packs and blobs a share, so
that every one is read within ``scrub.cycle_days``. What came of it is a record, ``ledger.verified``, good or bad.

Nothing is repaired. A finding stands until everything was read and was good (``strongroom scrub --all``). Meanwhile
``/readyz`` says ``degraded`` and is answered 200 all the same: each read checks its own bytes and never hands out bad
ones, so taking the only writer of a vault out of service would stop records from being kept and make nothing better.

The last checkpoint in the anchor, where that is elsewhere, is what the records are held against: so that a verification
says more than that the vault agrees with itself (``outside``).

``plan`` says what is next and when, ``child`` is the process's beginning, ``run`` starts and reads it, ``scrubber``
does so for a node, ``standing`` puts it in words.
"""
