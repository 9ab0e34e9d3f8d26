"""A trace by strace: how it is asked for, and what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Longest buffer that is kept, in bytes; no call of the server takes more.
_MAX_BUFFER: Final = 32 << 20

_CALL: Final = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)", re.DOTALL)
_STRING: Final = re.compile(r'"([\\x0-9a-f]*)"')
_UNFINISHED: Final = " <unfinished ...>"


def strace(trace: Path, calls: Iterable[str]) -> list[str]:
    """The command that traces these calls of the command after it, at the end of what was traced before."""
    asked = ",".join(f"?{name}" for name in calls)
    return [
        "strace", "-f", "--seccomp-bpf", "-qqq", "-xx", "-s", str(_MAX_BUFFER), "-e", "signal=none",
        "-e", f"trace={asked}", "-A", "-o", str(trace), "--",
    ]  # fmt: skip


@dataclass(slots=True, eq=False)
class Call:
    """One system call. ``result`` is None where it failed or never ended; buffers and paths are in ``strings``."""

    thread: int
    name: str
    text: str
    result: int | None = None

    @property
    def strings(self) -> list[bytes]:
        """Every string among its arguments."""
        return [bytes.fromhex(found.replace("\\x", "")) for found in _STRING.findall(self.text)]

    @property
    def words(self) -> list[str]:
        """Its arguments, strings left out."""
        return [word.strip() for word in _STRING.sub('""', self.text).split(",")]


class Event(NamedTuple):
    """A call began, or ended; at its beginning it is known already how it will end."""

    call: Call
    begins: bool


def read(trace: Path) -> list[Event]:
    """Everything that was traced, in its order."""
    events: list[Event] = []
    under_way: dict[str, Call] = {}
    with trace.open(encoding="ascii") as lines:
        for line in lines:
            thread, text = line.rstrip("\n").split(None, 1)
            if text.startswith(("+++", "---")):
                continue
            if text.startswith("<... "):
                call = under_way.pop(thread)
                call.text += text.partition(" resumed>")[2]
                _finish(call, f"{call.name}({call.text}")
                events.append(Event(call, begins=False))
            elif text.endswith(_UNFINISHED):
                name, _, rest = text.removesuffix(_UNFINISHED).partition("(")
                under_way[thread] = call = Call(int(thread), name, rest)
                events.append(Event(call, begins=True))
            else:
                call = Call(int(thread), "", "")
                _finish(call, text)
                events += Event(call, begins=True), Event(call, begins=False)
    return events


def _finish(call: Call, text: str) -> None:
    """Take a whole line; one without a result is of a thread that was killed in the call."""
    found = _CALL.match(text)
    if found is not None:
        call.name, call.text = found[1], found[2]
        call.result = None if found[3] in {"?", "-1"} else int(found[3], 0)
    else:
        call.name, _, call.text = text.partition("(")
