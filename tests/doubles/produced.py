"""A production made of an open node, without the threads and directories of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.production.contents import Progress
from audit.production.create import ask, make
from audit.production.keep import Asker
from audit.production.question import judged
from audit.production.state import State

if TYPE_CHECKING:
    from pathlib import Path

    from audit.node import Node
    from audit.production.question import Question
    from audit.production.state import Made
    from vault.record import Actor, Origin


def produce(node: Node, actor: Actor, origin: Origin, asked: Question, root: Path) -> Made:
    asker = Asker(actor, origin)
    state = ask(node, asker, State("0" * 16, judged(asked), actor, -1), root)
    return make(node, asker, state, root, Progress()).made
