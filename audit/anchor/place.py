"""Where a vault's anchor stands in relation to its data directory.

Not handled here: what an anchor holds, and which forms a URL may have (``audit.anchor.url``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from audit.address import Address
from audit.anchor.url import anchor_directory, open_anchor, s3_place
from audit.errors import AnchorUnavailable, ConfigInvalid
from vault import durable
from vault.errors import DurabilityError

if TYPE_CHECKING:
    from pathlib import Path

    from audit.config import Settings
    from audit.identity import Identity, Layout


def anchor_url(settings: Settings, identity: Identity, layout: Layout) -> str:
    """Which anchor a vault has: what the configuration says, else what ``init`` was given, else the default one."""
    return settings.anchor.url or identity.anchor or str(layout.default_anchor)


def require_outside(url: str, root: Path) -> None:
    """Refuse an anchor that goes wherever the data directory goes: restored together, they would agree on anything.

    Args:
        url: The anchor's.
        root: The data directory, existing or not.

    Raises:
        ConfigInvalid: It is the data directory, or inside it; or the URL has another form than those that work.
    """
    if s3_place(url) is not None:
        return
    place, home = anchor_directory(url).resolve(), root.resolve()
    if place.is_relative_to(home):
        raise ConfigInvalid(
            f"the anchor {url} lies inside the data directory {root}: it must be outside, best on another host"
        )


def make_anchor_directory(url: str) -> Path | None:
    """Make the directory of an anchor that was named, where it is missing, and see that it can be written.

    Returns:
        The uppermost directory that was made; None where all of them were there, or the anchor is no directory.

    Raises:
        ConfigInvalid: It cannot be made or written.
    """
    if s3_place(url) is not None:
        return None
    place = anchor_directory(url).absolute()
    missing = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        durable.make_dirs(place)
    except DurabilityError as error:
        raise ConfigInvalid(f"the anchor {url} cannot be made: {error}") from error
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigInvalid(f"the anchor {url} cannot be written by this user (user id {os.geteuid()})")
    return missing[-1] if missing else None


def require_reachable(url: str, settings: Settings, origin: str) -> None:
    """See that an anchor on S3 can be read with the credentials of this process; of another one nothing is asked.

    Raises:
        AnchorUnavailable: It cannot.
        ConfigInvalid: It is of no use as an anchor.
    """
    if s3_place(url) is not None:
        open_anchor(url, settings.anchor).read(origin)


def unreachable(url: str, settings: Settings, origin: str) -> str:
    """Why :func:`require_reachable` refuses an anchor; empty where it does not."""
    try:
        require_reachable(url, settings, origin)
    except (AnchorUnavailable, ConfigInvalid) as error:
        return str(error)
    return ""


def local_warning(url: str, layout: Layout) -> str:
    """Why an anchor guards against accidents only; empty where it is on another host or another file system.

    That may still be within this host's control: only its operator knows.
    """
    remote = s3_place(url)
    if remote is not None:
        if not Address(remote.host, remote.port).loopback:
            return ""
        return f"anchor=local: {remote} is this host's own address, not outside this host's control"
    place = anchor_directory(url)
    if place == layout.default_anchor:
        return "anchor=local: the anchor lies beside the data directory, not outside this host's control"
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    if there.stat().st_dev != layout.root.stat().st_dev:
        return ""
    return f"anchor=local: {place} lies on the data directory's own file system, not outside this host's control"
