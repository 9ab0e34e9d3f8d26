"""A small sealed bag, as a production leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.production.bag import Bag

if TYPE_CHECKING:
    from pathlib import Path

ID = "0123456789abcdef"
FILES = {
    "data/natives/000001-a": b"one",
    "data/natives/000002-empty": b"",
    "data/natives/000003-large": bytes(range(256)) * 10_000,
    "data/production.json": b"{}",
    "HOW-TO-CHECK.txt": b"read me",
}


def sealed(root: Path) -> Path:
    bag = Bag(root, root.parent, 0)
    for name, data in FILES.items():
        bag.write(name, data)
    bag.seal({"External-Identifier": ID})
    return root
