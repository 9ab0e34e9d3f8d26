"""What keeps the host's clock right, as the kernel tells (DESIGN §3: ``clock.status``; FINRA 4590 asks for the log).

An NTP or PTP daemon tells the kernel how far it is off and how sure it is; ``adjtimex(2)`` with no mode set only reads
that, and needs no privilege. It says what the host believes, no more: a signed time is another source.
"""

from __future__ import annotations

import ctypes
from typing import Final, NamedTuple

_LONG: Final = ctypes.c_long
_TIME_ERROR: Final = 5
_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_US: Final = 1000


class _Timex(ctypes.Structure):
    """``struct timex`` of <sys/timex.h>, with the room that the kernel keeps at its end."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, _LONG) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *((name, _LONG) for name in ("constant", "precision", "tolerance", "tv_sec", "tv_usec")),
        *((name, _LONG) for name in ("tick", "ppsfreq", "jitter")),
        ("shift", ctypes.c_int),
        *((name, _LONG) for name in ("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt")),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


class Discipline(NamedTuple):
    """How the host's clock is kept.

    ``source`` is ``kernel``, or ``local`` where the kernel does not say; ``offset`` what the kernel still has to
    correct, and ``max_error`` how far off it may be at most, both in ns. Without a daemon ``synchronised`` is false.
    """

    source: str
    offset: int
    max_error: int
    synchronised: bool


_adjtimex: Final = ctypes.CDLL(None, use_errno=True).adjtimex
_adjtimex.argtypes = (ctypes.POINTER(_Timex),)


def host_discipline() -> Discipline:
    """Ask the kernel. Never fails: where it does not answer (some sandboxes), the clock counts as not synchronised."""
    timex = _Timex()
    state = _adjtimex(ctypes.byref(timex))
    if state < 0:
        return Discipline("local", 0, 0, synchronised=False)
    offset = timex.offset if timex.status & _STA_NANO else timex.offset * _US
    synchronised = state != _TIME_ERROR and not timex.status & _STA_UNSYNC
    return Discipline("kernel", offset, timex.maxerror * _US, synchronised)
