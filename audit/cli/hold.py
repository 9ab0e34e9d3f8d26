"""``strongroom hold``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from audit.cli import options
from audit.control.client import open_control
from audit.matters import CLOSED, OPEN, Query, Wanted
from vault.state.matters import MAX_NAME, MAX_REASON

if TYPE_CHECKING:
    from pathlib import Path

    from audit.matters import Matter


@click.group(cls=options.Group)
def hold() -> None:
    """Place legal holds by description: matters, which hold what is there and what comes.

    A version is held while any open matter describes it, or its own S3 legal hold is on: nobody can delete or replace
    it, also not with the governance bypass. Matters are records of the ledger, and each look at them is one.
    """


@hold.command(
    "open",
    epilog=options.examples(
        "strongroom hold open 'SEC inquiry 17' --reason 'their letter' --owner legal --bucket trades --data DIR",
        "strongroom hold open audit --reason 'all of bob' --owner legal --whole-vault --actor bob --data DIR",
        "strongroom hold open q1 --reason 'first quarter' --owner legal --bucket trades --from 2026-01-01"
        " --to 2026-04-01 --data DIR",
    ),
)
@click.argument("name")
@click.option("--reason", metavar="TEXT", required=True, help=f"Why; at most {MAX_REASON} characters.")
@click.option("--owner", metavar="TEXT", required=True, help=f"Whose it is; at most {MAX_NAME} characters.")
@click.option("--bucket", metavar="BUCKET", default="", help="Versions in this bucket, which must exist.")
@click.option("--whole-vault", is_flag=True, help="Versions in every bucket, those of later ones too.")
@click.option("--prefix", metavar="TEXT", default="", help="Only keys that begin with this.")
@click.option("--from", "since", metavar="TIME", default="", help="Only stored at or after: RFC 3339, or a day (UTC).")
@click.option("--to", "until", metavar="TIME", default="", help="Only stored before: RFC 3339, or a day (UTC).")
@click.option("--actor", metavar="WHO", default="", help="Only stored by this principal: id, access key or name.")
@options.as_json
@options.data
@options.config
def open_(
    name: str,
    reason: str,
    owner: str,
    bucket: str,
    *,
    whole_vault: bool,
    prefix: str,
    since: str,
    until: str,
    actor: str,
    as_json: bool,
    data: Path,
    config: Path | None,
) -> None:
    """Open a matter called NAME. From its record on it holds every version that all given options describe."""
    if bool(bucket) == whole_vault:
        raise click.UsageError("--bucket or --whole-vault: one of them")
    with open_control(data, lambda: options.settings(config)) as control:
        who = options.principal(actor, control) if actor else ""
        described = Query(bucket, whole_vault, prefix, since, until, who)
        matter = control.open_matter(Wanted(name, reason, owner, described))
    if as_json:
        options.write_json(matter)
        return
    click.echo(f"{matter.id}\topened {matter.opened}, record {matter.stream}/{matter.seq}")


@hold.command("list", epilog=options.examples("strongroom hold list --state open --data DIR"))
@click.option("--state", type=click.Choice([OPEN, CLOSED]), help="Only those.")
@options.as_json
@options.data
@options.config
def list_(state: str | None, *, as_json: bool, data: Path, config: Path | None) -> None:
    """List matters, the newest first, one a line: id, state, when opened, name, owner, what it holds."""
    with open_control(data, lambda: options.settings(config)) as control:
        found = control.matters(state or "")
    if as_json:
        options.write_json(found)
        return
    for matter in found:
        click.echo("\t".join((matter.id, matter.state, matter.opened, matter.name, matter.owner, _described(matter))))


@hold.command(epilog=options.examples("strongroom hold show 64686cf4c5e0da55 --data DIR"))
@click.argument("matter_id")
@options.as_json
@options.data
@options.config
def show(matter_id: str, *, as_json: bool, data: Path, config: Path | None) -> None:
    """Show the matter with MATTER_ID, and how many versions it holds now."""
    with open_control(data, lambda: options.settings(config)) as control:
        matter, held = control.matter(matter_id)
    if as_json:
        options.write_json(msgspec.to_builtins(matter) | {"held": held})
        return
    lines = [
        ("id", matter.id), ("state", matter.state), ("name", matter.name), ("reason", matter.reason),
        ("owner", matter.owner), ("describes", _described(matter)),
        ("opened", f"{matter.opened} by {matter.opened_by}"), ("record", f"{matter.stream}/{matter.seq}"),
        ("holds", f"{'' if held.exact else 'at least '}{held.versions} versions ({held.how})"),
    ]  # fmt: skip
    if matter.closed:
        lines.append(("released", f"{matter.closed} by {matter.closed_by}: {matter.closed_reason}"))
    for what, text in lines:
        click.echo(f"{what:<10}{text}")


@hold.command(
    epilog=options.examples("strongroom hold release 64686cf4c5e0da55 --reason 'settled on 2027-03-01' --data DIR")
)
@click.argument("matter_id")
@click.option("--reason", metavar="TEXT", required=True, help=f"Why; at most {MAX_REASON} characters.")
@options.as_json
@options.data
@options.config
def release(matter_id: str, reason: str, *, as_json: bool, data: Path, config: Path | None) -> None:
    """Release the matter with MATTER_ID, for good. Other matters, legal holds and retention stay as they are."""
    if len(reason) > MAX_REASON:
        raise click.BadParameter(f"at most {MAX_REASON} characters", param_hint="--reason")
    with open_control(data, lambda: options.settings(config)) as control:
        matter = control.release_matter(matter_id, reason)
    if as_json:
        options.write_json(matter)
        return
    click.echo(f"released {matter.id}: {matter.name}")


def _described(matter: Matter) -> str:
    """What it holds, in words; a prefix that a client chose cannot steer a terminal."""
    query = matter.query
    words = [f"bucket {query.bucket}" if query.bucket else "the whole vault"]
    words += [f"keys beginning with {msgspec.json.encode(query.prefix).decode()}"] if query.prefix else []
    words += [f"from {query.since}"] if query.since else []
    words += [f"before {query.until}"] if query.until else []
    words += [f"stored by {query.actor}"] if query.actor else []
    return ", ".join(words)
