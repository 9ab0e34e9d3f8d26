"""A node that only the views of a test read, and a place for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doubles.memory import memory_directory
from tests.doubles.whole_node import make, open_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from audit.node import Node


@pytest.fixture
def node() -> Iterator[Node]:
    with memory_directory() as directory:
        make(directory / "v")
        with open_node(directory / "v") as node:
            node._background.stop()  # only the views below read
            yield node


@pytest.fixture
def place(node: Node) -> Path:
    place = node.layout.views / "mine"
    place.mkdir()
    return place
