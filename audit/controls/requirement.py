"""What a row of the control table is."""

from __future__ import annotations

from typing import Final, NamedTuple

#: The software does all of what it can do for this point.
WORKS: Final = "works"
#: A part of it; ``why`` says which is missing.
PARTIAL: Final = "partial"
#: Not in this version.
NOT_YET: Final = "not yet"
#: Something that people undertake, sign or organise.
NOT_SOFTWARE: Final = "not software"
STATES: Final = (WORKS, PARTIAL, NOT_YET, NOT_SOFTWARE)


class Requirement(NamedTuple):
    """One row.

    Attributes:
        id: The paragraph or clause with its rule; never changes once published.
        asks: What it asks, in our words.
        feature: What answers it; of :data:`NOT_SOFTWARE` what the software gives to those who must.
        state: One of :data:`STATES`: of this software, whatever the configuration.
        why: Why it is in that state, or what it rests on; one line.
        tests: What proves it, ``path::name`` below ``tests/``.
        live: What of the live configuration belongs to it: names of ``audit.controls.live``.
        checked: Somebody here has a source for paragraph and wording.
    """

    id: str
    asks: str
    feature: str
    state: str
    why: str
    tests: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    checked: bool = True


class Rule(NamedTuple):
    """A rule, where it stands, and its rows."""

    name: str
    citation: str
    requirements: tuple[Requirement, ...]
