"""A node in this process, as a command or the control socket's peer uses it."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audit.backup.cut import Cut, cut
from audit.checkpoint import Checkpoint
from audit.control import Credentials
from audit.control.stream_messages import FOLLOW_BYTES, Assignment, Followed
from audit.discipline import host_discipline
from audit.errors import ControlFailed
from audit.note import parse_note
from audit.production.keep import Asker, read
from audit.survey import survey
from audit.tokens import NO_SOURCE
from vault.policy import SYSTEM
from vault.record import Actor, Origin, Tail
from vault.state import relaying

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit.keys import KeyMaterial, Rotated
    from audit.matters import Held, Matter, Wanted
    from audit.node import Node
    from audit.production.keep import Kept
    from audit.production.question import Question as Asked
    from audit.production.standing import Standing
    from audit.query.records import Page, Question
    from audit.relaying.standing import RelayStanding
    from audit.runs import Run
    from audit.status import NodeStatus
    from audit.survey import Survey
    from audit.tokens import NewToken, Source
    from vault.record import BackupRef, KeysRef, RelayRef
    from vault.state.other_rows import TokenRow
    from vault.state.rows import PrincipalRow


_CLI: Final = Origin("cli")
#: How long a follower waits for a record, in seconds: within it, the server can stop.
FOLLOW_SECONDS: Final = 0.5


def host_user(uid: int) -> Actor:
    """Whoever uses the host under this user id: the system's own actor, with the person behind it."""
    try:
        return Actor(SYSTEM, person=f"{pwd.getpwuid(uid).pw_name} (uid {uid})")
    except KeyError:  # a user id that the host has no name for
        return Actor(SYSTEM, person=f"uid {uid}")


class NodeControl:
    """Implements :class:`audit.control.Control`. Thread-safe as the node is.

    Args:
        node: Open; the caller closes it.
        actor: Whom the records name.
    """

    def __init__(self, node: Node, actor: Actor) -> None:
        self._node = node
        self._actor = actor

    def status(self) -> NodeStatus:
        """See :meth:`Control.status`."""
        return self._node.status()

    def survey(self) -> Survey:
        """See :meth:`Control.survey`."""
        node = self._node
        return survey(node.stores.index, node.secrets.get, host_discipline(), node.view.unread)

    def principals(self) -> list[PrincipalRow]:
        """See :meth:`Control.principals`."""
        return self._node.principals.all()

    def add_principal(self, name: str, roles: Sequence[str], access_key: str, secret: str) -> Credentials:
        """See :meth:`Control.add_principal`."""
        return Credentials(*self._node.principals.add(self._actor, name, tuple(roles), access_key, secret))

    def disable_principal(self, access_key: str) -> None:
        """See :meth:`Control.disable_principal`."""
        self._node.principals.disable(self._actor, access_key)

    def tokens(self) -> list[TokenRow]:
        """See :meth:`Control.tokens`."""
        return self._node.tokens.all()

    def add_token(
        self, access_key: str, roles: Sequence[str], days: int, note: str, source: Source = NO_SOURCE
    ) -> NewToken:
        """See :meth:`Control.add_token`."""
        return self._node.tokens.add(self._actor, access_key, tuple(roles), days, note, source=source)

    def revoke_token(self, token_id: str) -> None:
        """See :meth:`Control.revoke_token`."""
        self._node.tokens.revoke(self._actor, token_id)

    def open_matter(self, wanted: Wanted) -> Matter:
        """See :meth:`Control.open_matter`."""
        return self._node.matters.open(self._actor, _CLI, wanted)

    def release_matter(self, matter_id: str, reason: str) -> Matter:
        """See :meth:`Control.release_matter`."""
        return self._node.matters.close(self._actor, _CLI, matter_id, reason)

    def matters(self, state: str) -> list[Matter]:
        """See :meth:`Control.matters`."""
        return self._node.matters.list(self._actor, _CLI, state).matters

    def matter(self, matter_id: str) -> tuple[Matter, Held]:
        """See :meth:`Control.matter`."""
        return self._node.matters.get(self._actor, _CLI, matter_id)

    def ask(self, question: Question) -> Page:
        """See :meth:`Control.ask`."""
        return self._node.asking.ask(self._actor, _CLI, question)

    def begin_production(self, question: Asked, directory: str) -> Standing:
        """See :meth:`Control.begin_production`."""
        return self._node.productions.begin(Asker(self._actor, _CLI), question, Path(directory))

    def watch_production(self, production: str) -> Standing:
        """See :meth:`Control.watch_production`."""
        return self._node.productions.status(production)

    def cancel_production(self, production: str) -> None:
        """See :meth:`Control.cancel_production`."""
        self._node.productions.cancel(Asker(self._actor, _CLI), production)

    def productions(self) -> list[Standing]:
        """See :meth:`Control.productions`."""
        return self._node.productions.list(Asker(self._actor, _CLI)).productions

    def production(self, production: str) -> Standing:
        """See :meth:`Control.production`."""
        return self._node.productions.get(Asker(self._actor, _CLI), production)

    def open_archive(self, production: str) -> Kept:
        """See :meth:`Control.open_archive`."""
        return self._node.productions.kept(Asker(self._actor, _CLI), production)

    def read_archive(self, production: str, version_id: str, first: int) -> bytes:
        """See :meth:`Control.read_archive`."""
        return read(self._node, Asker(self._actor, _CLI), production, version_id, first)

    def begin_scrub(self, *, whole: bool) -> int:
        """See :meth:`Control.begin_scrub`."""
        return self._node.scrub.begin(self._actor, Origin("cli"), whole=whole)

    def key_material(self) -> KeyMaterial:
        """See :meth:`KeyControl.key_material`."""
        return self._node.custody.material()

    def record_key_backup(self, keys: KeysRef) -> str:
        """See :meth:`KeyControl.record_key_backup`."""
        return self._node.custody.record_backup(self._actor, keys)

    def rotate_kek(self, new: str) -> Rotated:
        """See :meth:`KeyControl.rotate_kek`."""
        return self._node.custody.rotate(self._actor, new)

    def hold_backup(self) -> int:
        """See :meth:`BackupControl.hold_backup`."""
        return self._node.stores.holds.take()

    def cut_backup(self, hold: int) -> list[Cut]:
        """See :meth:`BackupControl.cut_backup`."""
        self._node.stores.holds.keep(hold, recycling=True)
        return cut(self._node.stores.strands)

    def keep_backup(self, hold: int, *, recycling: bool) -> None:
        """See :meth:`BackupControl.keep_backup`."""
        self._node.stores.holds.keep(hold, recycling=recycling)

    def release_backup(self, hold: int) -> None:
        """See :meth:`BackupControl.release_backup`."""
        self._node.stores.holds.release(hold)

    def record_directory_backup(self, backup: BackupRef) -> str:
        """See :meth:`BackupControl.record_directory_backup`."""
        tail = Tail(op="ledger.backup", actor=self._actor, origin=Origin("cli"), backup=backup)
        head = self._node.commit(tail).head
        return f"{head.stream}/{head.seq}"

    def follow(self, stream: str, first: int, sealed: int) -> tuple[Followed, Run]:
        """See :meth:`WorkerControl.follow`."""
        node = self._node
        found = next((strand for strand in node.stores.strands if strand.name == stream), None)
        if found is None:
            raise ControlFailed(f"this vault has no stream {stream}")
        closed = found is not node.stores.current
        if not closed:
            found.feed.wait(first, FOLLOW_SECONDS)
        note = node.checkpoint(stream)
        size = Checkpoint.parse(parse_note(note).text).size if note is not None else 0
        end = found.log.durable_end  # after the checkpoint was read: it covers no more
        run = found.feed.take(first, FOLLOW_BYTES)
        new = note.decode() if note is not None and size > sealed else ""
        return Followed(end, len(run.lengths), closed, new, size if new else 0), run

    def assignments(self) -> list[Assignment]:
        """See :meth:`Control.assignments`."""
        identity, stores, found = self._node.identity, self._node.stores, []
        ends = {strand.name: strand.log.durable_end for strand in stores.strands}
        for stream in identity.streams:
            row = relaying.found(stores.index, stream)
            where = (row.topic, row.topic_id, row.partition, row.generation) if row is not None else ()
            found.append(Assignment(stream, identity.origin_of(stream), ends[stream], *where))
        return found

    def assign_stream(self, relay: RelayRef) -> None:
        """See :meth:`WorkerControl.assign_stream`."""
        self._node.commit(Tail(op="relay.assign", actor=self._actor, origin=_CLI, relay=relay))

    def record_rewind(self, relay: RelayRef) -> None:
        """See :meth:`WorkerControl.record_rewind`."""
        self._node.commit(Tail(op="relay.rewind", actor=self._actor, origin=_CLI, relay=relay))

    def tell_relay(self, standing: RelayStanding) -> None:
        """See :meth:`WorkerControl.tell_relay`."""
        self._node.relaying.tell(standing)

    def records(self, stream: str, start: int, end: int) -> Iterator[bytes]:
        """See :meth:`Control.records`."""
        if stream not in self._node.identity.streams:
            raise ControlFailed("there is no such stream")
        found = 0
        for _, record in self._node.records(stream, start, end):
            yield record
            found += 1
        if found < end - start:
            raise ControlFailed(f"there is no record {start + found}")
