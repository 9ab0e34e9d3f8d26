"""``strongroom controls``."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from audit.anchor.place import anchor_url, local_warning
from audit.cli import options
from audit.control.client import open_control
from audit.controls import TABLE
from audit.controls.live import Vault, describe
from audit.controls.requirement import STATES
from audit.identity import Layout, load_identity

if TYPE_CHECKING:
    from audit.controls.requirement import Requirement

#: Of the table as text, in characters.
_WIDTH: Final = 110
_INDENT: Final = " " * 11
_CLAIM: Final = (
    "A state is that of this software: it supports a point as far as it says. Whether a firm meets a rule depends on "
    "how it runs its vault. No certification or assessment is claimed. Points marked ~ are in words that nobody here "
    "has held against the rule's text."
)


@click.command(
    epilog=options.examples("strongroom controls --data /srv/strongroom", "strongroom controls --json > controls.json")
)
@click.option(
    "--data",
    metavar="DIR",
    envvar="STRONGROOM_DATA",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="Data directory whose configuration is shown beside each point; also STRONGROOM_DATA.",
)
@options.config
@options.as_json
def controls(data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Show what rules ask, what answers it, how far, and the test that proves it.

    With a data directory also what its configuration has to do with it: numbers and settings, no names of objects and
    no records. Asks the running server; where none runs, the vault is opened as a start would, and that is recorded.
    """
    vault = _look(data, config) if data is not None else None
    if as_json:
        options.write_json(
            [
                {
                    "rule": rule.name,
                    "citation": rule.citation,
                    **row._asdict(),
                    "tests": [f"tests/{test}" for test in row.tests],
                    "live": describe(row, vault) if vault is not None else None,
                }
                for rule in TABLE
                for row in rule.requirements
            ]
        )
        return
    for rule in TABLE:
        click.echo(f"{rule.name} ({rule.citation})\n")
        for row in rule.requirements:
            click.echo(f"{row.id}{'' if row.checked else ' ~'}: {row.state}")
            click.echo("\n".join(_lines(row, vault)) + "\n")
    counts = Counter(row.state for rule in TABLE for row in rule.requirements)
    click.echo(", ".join(f"{state}: {counts[state]}" for state in STATES))
    click.echo(textwrap.fill(_CLAIM, _WIDTH))


def _lines(row: Requirement, vault: Vault | None) -> list[str]:
    said = [("asks", row.asks), ("feature", row.feature), ("why", row.why)]
    said += [("here", fact) for fact in (describe(row, vault) if vault is not None else ())]
    lines = [
        textwrap.fill(text, _WIDTH, initial_indent=f"  {name:<9}", subsequent_indent=_INDENT) for name, text in said
    ]
    return lines + [f"  {'test':<9}tests/{test}" for test in row.tests]  # whole, to be copied


def _look(data: Path, config: Path | None) -> Vault:
    settings, layout = options.settings(config), Layout(data)
    with open_control(data, lambda: settings) as control:
        anchor = anchor_url(settings, load_identity(layout), layout)
        return Vault(
            status=control.status(),
            survey=control.survey(),
            principals=control.principals(),
            tokens=control.tokens(),
            now=time.time_ns(),
            settings=settings,
            anchor=anchor,
            local=local_warning(anchor, layout),
            kek_here=layout.kek.exists(),
        )
