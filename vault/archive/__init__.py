"""Archives of many small objects: tar as POSIX.1-2017 (ustar, pax), GNU tar and V7 write it, plain, gzip or zstd.

Everything is pure, and strict: what two programs could read in two ways is refused, never guessed. So an archive means
to this vault what it means to everybody, or nothing. Python's own ``tarfile`` is not used, for two reasons: it reads on
over damage (a bad checksum ends the archive as if it were over, a size of one header may be overruled by another), and
it takes four times as long for headers (15 µs a member, where all else that is done with a small one takes 45). The
tests hold this package to it, where both must agree.

    coding      gzip and zstd, bounded
    blocks      one header, 512 bytes
    pax         extended headers
    contents    the whole archive: which members there are, and where their bytes lie

Not handled here: where an archive lies while it is read (``vault.storage.spool``), and what becomes of its members
(``vault.service.extraction``).
"""
