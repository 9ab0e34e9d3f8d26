"""A node in memory, as servers and commands see it. It polices them: no hash may be asked for that is not sealed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import Checkpoint
from audit.config import Settings
from audit.identity import Identity
from audit.note import Signer, sign_note
from audit.status import NodeStatus
from audit.tiles import HEIGHT, WIDTH, Tile, TileTree
from tests.doubles import commitlog
from vault.errors import S3Error
from vault.merkle import EMPTY_ROOT
from vault.state.rows import PrincipalRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.node import Node
    from vault.record import Actor

IDENTITY = Identity(1, "0000000000000000", "site-a", "node-1", "site-a.node-1", "standard", "")
STATUS = NodeStatus(
    ready=True,
    problems=[],
    warnings=["anchor=local: beside the data directory"],
    durable=0,
    sealed=0,
    lag_ns=1_500_000_000,
    settle_debt_bytes=4096,
    disk_free=1 << 40,
    incarnation=3,
)


@dataclass
class FakeNode:
    """``status_`` is what it says of itself, but for its numbers of records."""

    identity: Identity = IDENTITY
    signer: Signer = field(
        default_factory=lambda: Signer(IDENTITY.origin, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    )
    status_: NodeStatus = STATUS
    principals_: list[PrincipalRow] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    sealed: Checkpoint | None = None
    settings: Settings = field(default_factory=Settings)
    counted: list[tuple[str, str]] = field(default_factory=list)
    _tree: TileTree = field(default_factory=TileTree)
    _tiles: dict[str, bytes] = field(default_factory=dict)
    _prev: bytes = EMPTY_ROOT

    @property
    def node(self) -> Node:
        return cast("Node", self)

    def write(self, count: int) -> None:
        """Make records durable."""
        for _ in range(count):
            self.written.append(commitlog.record(len(self.written), self._prev))
            self._prev = commitlog.leaf(self.written[-1])

    def seal(self) -> None:
        """Publish a checkpoint over all records."""
        grown = self._tree.append([commitlog.leaf(record) for record in self.written[self._tree.size :]])
        self._tiles |= {tile.path: data for tile, data in [*grown, *self._tree.partials()]}
        self.sealed = Checkpoint(self.identity.origin, self._tree.size, self._tree.root())

    def status(self) -> NodeStatus:
        return replace(self.status_, durable=len(self.written), sealed=self.sealed.size if self.sealed else 0)

    def checkpoint(self, stream: str) -> bytes | None:
        assert stream == self.identity.stream
        return sign_note(self.sealed.text(), self.signer) if self.sealed else None

    def tile(self, stream: str, path: str) -> bytes:
        assert stream == self.identity.stream
        tile = Tile.parse(path)
        assert self.sealed is not None
        assert tile.index * WIDTH + tile.width <= self.sealed.size >> (HEIGHT * tile.level)
        return self._tiles[path]

    def records(self, stream: str, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        assert stream == self.identity.stream
        yield from list(enumerate(self.written))[start:end]

    @property
    def principals(self) -> FakeNode:
        return self

    def all(self) -> list[PrincipalRow]:
        return self.principals_

    def add(
        self, actor: Actor, name: str, roles: tuple[str, ...], access_key: str = "", secret: str = ""
    ) -> tuple[str, str, str]:
        self.actors.append(actor)
        if any(row.access_key == access_key for row in self.principals_):
            raise S3Error("InvalidArgument", "This access key is in use already; choose another one.")
        row = PrincipalRow(f"p{len(self.principals_)}", name, access_key or "MADEUP", roles)
        self.principals_.append(row)
        return row.id, row.access_key, secret or "made-up-secret"

    def disable(self, actor: Actor, access_key: str) -> None:
        self.actors.append(actor)
        for index, row in enumerate(self.principals_):
            if row.access_key == access_key:
                self.principals_[index] = PrincipalRow(row.id, row.name, row.access_key, row.roles, enabled=False)
                return
        raise S3Error("InvalidArgument", "There is no such principal.")
