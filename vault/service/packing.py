"""Members of an archive made ready to be committed: digested, encrypted, and their records' tails encoded, in one loop.

What this comes to is, byte for byte of its form, what a PUT of each member would have made.

Not handled here: which members go together (``vault.service.extraction``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vault.manifest import VERSION, ContentDocument
from vault.ports import Intent
from vault.record import ObjectRef, Tail, encode_tail
from vault.service.core import intent
from vault.service.sealing import Sealer, new_salt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vault.archive.contents import Member, Source
    from vault.crypto.keyring_file import DomainKey
    from vault.record import Request
    from vault.service.context import Caller


@dataclass(frozen=True, slots=True)
class Alike:
    """What all members of one archive have in common; fields as in :class:`vault.service.context.ExtractSpec`."""

    caller: Caller
    bucket: str
    asked: Request
    domain: DomainKey
    described: Callable[[Mapping[str, str]], tuple[dict[str, str], dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Packed:
    """Members that are committed together; ``etags`` has an empty string for each one that is refused."""

    intent: Intent
    members: Sequence[Member]
    etags: list[str]


def pack(alike: Alike, source: Source, members: Sequence[Member]) -> Packed:
    """Make members ready; for a worker thread.

    Args:
        alike: What they have in common.
        source: The archive.
        members: At least one. The good ones are small, and lie so near to each other that all between the first and the
            last may be in memory.

    Raises:
        IntegrityError: The disk does not give back what was spooled.
    """
    good = [member for member in members if member.error is None]
    start = good[0].offset if good else 0
    data = source.read(start, good[-1].offset + good[-1].size - start) if good else b""
    caller, bucket, asked = alike.caller, alike.bucket, alike.asked
    plain = alike.described({})
    intents: list[Intent] = []
    etags: list[str] = []
    for key, offset, size, fields, error in members:
        if error is not None:
            intents.append(intent(caller, "object.put", ObjectRef(bucket, key), asked, refused=error))
            etags.append("")
            continue
        plaintext = data[offset - start : offset - start + size]
        headers, metadata = alike.described(fields) if fields else plain
        md5 = hashlib.md5(plaintext, usedforsecurity=False).hexdigest()
        document = ContentDocument(
            v=VERSION,
            salt=new_salt(),
            size=size,
            etag=md5,
            md5=md5,
            sha256=hashlib.sha256(plaintext).hexdigest(),
            headers=headers,
            metadata=metadata,
        )
        sealer = Sealer(alike.domain)
        stored = sealer.logged(document, sealer.encrypt(plaintext, last=True))
        tail = Tail(
            op="object.put",
            actor=caller.actor,
            origin=caller.origin,
            object=ObjectRef(bucket, key, size=size, content=stored.content),
            storage=stored.storage,
            request=asked,
        )
        intents.append(Intent(tail, encode_tail(tail), stored.body))
        etags.append(md5)
    return Packed(Intent(intents[0].tail, b"", members=intents), members, etags)
