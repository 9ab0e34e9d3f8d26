"""What is left of a server's files when the power fails, at any point of what it did.

    recording   runs the real server under strace and keeps its trace, and what its clients were told
    trace       reads the trace: system calls as they began and ended
    replay      plays them on a model of the disk
    disk        the model: for each page, size and name the state that a sync has promised, and those since
    image       makes a directory of it, as it may look after the power came back

The model is the weakest disk that keeps its promises: ``fsync`` and ``fdatasync`` of a file promise its pages and its
size, ``fsync`` of a directory promises the names in it, a synchronous descriptor what is written through it. Of all
else any page may show any state it had since, in any combination; names change one by one, in any order that the
names themselves allow, so that a file moved to another directory may stand in both, or in neither, until both are
synced. A page (4 KiB) and a rename within a directory are all or nothing.

Not modelled, and refused when it is met: shared writable mappings, forks, and calls that the server does not make.
"""
