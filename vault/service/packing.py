"""Members of an archive made ready to be committed: digested, encrypted, and their records' tails encoded, in one loop.

What this comes to is, byte for byte of its form, what a PUT of each member would have made.

Not handled here: which members go together (``vault.service.extraction``).
"""

from __future__ import annotations

import hashlib
from binascii import hexlify
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from ssl import RAND_bytes  # os.urandom lets go of the interpreter, and so wakes every thread that waits for it
from typing import TYPE_CHECKING, Final

from vault.crypto import aead
from vault.crypto.aead import SALT_BYTES
from vault.forms import quoted
from vault.ports import Intent, Put
from vault.record import ObjectRef, Storage, Tail
from vault.service.core import intent
from vault.service.forms import document_form, tail_form
from vault.service.sealing import INLINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vault.archive.contents import Member, Source
    from vault.crypto.keyring_file import DomainKey
    from vault.record import Request
    from vault.service.context import Caller


_md5: Final = partial(hashlib.md5, usedforsecurity=False)


class Alike:
    """What all members of one archive have in common.

    Args:
        caller: Who asks.
        bucket: Where they go.
        asked: What is asked for.
        domain: The key that they will be under; held.
        described: As in :class:`vault.service.context.ExtractSpec`.

    Attributes:
        plain: Form of the content document of members that say nothing of themselves.
        common: What their tails have in common.
        tail: Form of the tail.
    """

    def __init__(
        self,
        caller: Caller,
        bucket: str,
        asked: Request,
        domain: DomainKey,
        described: Callable[[Mapping[str, str]], tuple[dict[str, str], dict[str, str]]],
    ) -> None:
        self.caller = caller
        self.bucket = bucket
        self.asked = asked
        self.domain = domain
        self.described = described
        self.plain = document_form(*described({}))
        self.common = Tail(
            op="object.put",
            actor=caller.actor,
            origin=caller.origin,
            object=ObjectRef(bucket),
            storage=Storage(aead.SUITE, "log", domain.id, "", 0, INLINE_BYTES, 0, ""),
            request=asked,
        )
        self.tail = tail_form(self.common)


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
    caller, bucket, asked, key = alike.caller, alike.bucket, alike.asked, alike.domain.key
    plain, form = alike.plain, alike.tail
    salts = RAND_bytes(2 * SALT_BYTES * len(members))  # a document's, which is sealed, and a key's, which is told
    made, etags, shown = list[Intent | Put](), list[str](), hexlify(salts)
    for number, (name, offset, size, fields, error) in enumerate(members):
        if error is not None:
            made.append(intent(caller, "object.put", ObjectRef(bucket, name), asked, refused=error))
            etags.append("")
            continue
        plaintext = data[offset - start : offset - start + size]
        at = 2 * SALT_BYTES * number
        middle, end = at + SALT_BYTES, at + 2 * SALT_BYTES
        md5 = hexlify(_md5(plaintext).digest())
        document = (document_form(*alike.described(fields)) if fields else plain) % (
            shown[2 * at : 2 * middle], size, md5, md5, hexlify(sha256(plaintext).digest()),
        )  # fmt: skip
        sealed, ciphertext, root = aead.encrypt_whole(key, salts[middle:end], document, plaintext)
        content, salt, tree = hexlify(sha256(document).digest()), shown[2 * middle : 2 * end], hexlify(root)
        key_name = quoted(name)
        tail = form % (key_name, size, content, salt, len(sealed), len(ciphertext), tree)
        made.append(Put(name, key_name, size, content, salt, tree, tail, sealed, ciphertext))
        etags.append(md5.decode())
    return Packed(Intent.together(alike.common, made), members, etags)
