"""A real node on a directory of its own, with records of all kinds made fast and a view whose files are short."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from audit.config import load
from audit.init import prepare
from audit.node import Node
from vault.ports import Committed, Intent
from vault.record import Origin, Tail, encode_tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vault.errors import VaultError

SETTINGS = load(None, {"STRONGROOM_LEDGER__SEGMENT_MIB": "1"})
HERE = Origin("cli")


def make(root: Path) -> None:
    """A vault with its first principal."""
    prepare(root, profile="standard", site="site-a", node="node-1", anchor="", environ={})


def open_node(root: Path, file_rows: int = 128) -> Node:
    """Open it; its view writes out so many rows at once, and steps when it is told to."""
    node = Node.open(root, SETTINGS)
    node.view._file_rows = file_rows
    return node


def commit(node: Node, tails: Sequence[Tail]) -> list[Committed]:
    """Commit records together; refusals are answers, too."""
    done: list[Future[Committed | VaultError]] = [Future() for _ in tails]
    node.committer.submit([Intent(tail, encode_tail(tail)) for tail in tails], [each.set_result for each in done])
    answers = [each.result(60) for each in done]
    return [answer for answer in answers if isinstance(answer, Committed)]
