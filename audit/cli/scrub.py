"""``strongroom scrub``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click
import msgspec

from audit.cli import COULD_NOT, NO, options
from audit.control.client import open_control
from vault.state.verified import BAD, GOOD

if TYPE_CHECKING:
    from pathlib import Path

    from audit.control import Control
    from audit.scrub.standing import ScrubStanding

_LOOK_SECONDS: Final = 0.5


@click.command(
    epilog=options.examples(
        "strongroom scrub --data DIR", "strongroom scrub --all --data DIR", "strongroom scrub --last"
    )
)
@click.option("--all", "whole", is_flag=True, help="Read all bodies, and not only the next share of them.")
@click.option("--last", is_flag=True, help="Verify nothing: show what the last verification came to.")
@options.data
@options.config
@options.as_json
@click.pass_context
def scrub(ctx: click.Context, *, whole: bool, last: bool, data: Path, config: Path | None, as_json: bool) -> None:
    """Have a vault verify itself now, as its server does by itself, and record what came of it.

    All records are read, and the next share of the bodies in packs and blobs, at most scrub.rate_mib_s. Nothing is
    repaired. With --all, findings of earlier ones count no more if nothing is found. An interrupt of this command does
    not end it where a server does it. Exit code: 0 good, 1 findings stand, 2 it could not be done.
    """
    with open_control(data, lambda: options.settings(config)) as control:
        found = control.status().scrub if last else _wait(control, control.begin_scrub(whole=whole))
    if as_json:
        options.write_json(msgspec.to_builtins(found))
    else:
        for line in _worded(found):
            click.echo(line)
    if found.findings or found.result == BAD:
        ctx.exit(NO)
    ctx.exit(0 if found.result == GOOD and not found.why else COULD_NOT)


def _wait(control: Control, before: int) -> ScrubStanding:
    while True:
        found = control.status().scrub
        if found.runs > before:
            return found
        time.sleep(_LOOK_SECONDS)


def _worded(found: ScrubStanding) -> list[str]:
    if not found.tried and not found.why:
        return ["the vault was not verified yet"]
    lines = [f"{found.result} at {found.tried[:19]}Z"] if found.tried else []
    if found.running:
        lines.append("another one is under way")
    if found.done:
        read = f"{found.records} records, {found.bodies} bodies, {found.bytes >> 20} MiB in {found.seconds} s"
        lines.append(f"share {found.share} of {found.shares} at {found.done[:19]}Z: {read}")
    if found.anchored:
        lines.append(f"anchored: the checkpoint in {found.anchor} vouches for {found.anchored} records of this stream")
    elif found.unanchored:
        lines.append(f"not anchored: {found.unanchored}")
    elif found.result == GOOD:
        lines.append("self-consistent, not anchored: no anchor elsewhere vouched for it")
    if found.bad_since:
        record = f", record {found.seq}" if found.seq >= 0 else ""
        lines.append(f"findings: {found.findings} since {found.bad_since[:19]}Z, the first at {found.place}{record}")
        lines.append("next: strongroom verify DIR; restore what it names from a copy; strongroom scrub --all")
    if found.why:
        lines.append(f"could not: {found.why}")
    return lines
