"""How handlers get at the node."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from audit.node import Node


async def _node(request: Request) -> Node:  # a coroutine: FastAPI sends anything else to a thread
    return cast("Node", request.app.state.node)


OpenNode = Annotated[Node, Depends(_node)]
