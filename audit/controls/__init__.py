"""What rules ask of a vault, what answers it, and how far: the control table.

    requirement  what a row is
    sec          SEC 17a-4, 18a-6
    others       FINRA, CFTC, MiFID II
    gbt22239     GB/T 22239 and the Cybersecurity Law
    live         what this vault's configuration adds to a row

A row says *supports*, never that somebody complies: that depends on how a firm runs its vault. No certification or
assessment is claimed. What a rule asks is in our own words; a row whose wording or paragraph nobody here has held
against the rule's text is marked so (``checked``). README has the same rows, held to these by a test, as is every test
that a row names. Whoever changes what the vault can do changes the row.

Pure. Not handled here: asking a vault how it stands (``audit.survey``), and how the table is shown (``audit.cli``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from audit.controls import gbt22239, others, sec

if TYPE_CHECKING:
    from audit.controls.requirement import Rule

#: Every rule with its rows, in the order they are shown.
TABLE: Final[tuple[Rule, ...]] = (*sec.RULES, *others.RULES, *gbt22239.RULES)
