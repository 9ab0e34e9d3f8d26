"""Continuations: opaque, signed, and of one snapshot. Pure.

A page ends with a continuation that names the question (by digest), who asked, where the snapshot ends and how far one
has come. Positions are never given out twice and records never change, so the next page is exact however much was
written meanwhile. It holds nothing secret; it is signed so that nobody comes to rely on what is in it.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from audit.query.filter import QueryInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAG_BYTES: Final = 16
#: Of a continuation, in characters.
MAX_CHARACTERS: Final = 512


class Continuation(msgspec.Struct, frozen=True, array_like=True):
    """``snapshot``: positions below it belong to the answer; ``after``: the last one that was given out."""

    question: str
    snapshot: int
    after: int


def question(asker: str, order: str, filters: Sequence[tuple[str, str]]) -> str:
    """The digest of who asks what: a continuation counts for nothing else."""
    return sha256(msgspec.json.encode((asker, order, sorted(filters)))).hexdigest()[:32]


def seal(key: bytes, continuation: Continuation) -> str:
    """Write a continuation."""
    data = msgspec.json.encode(continuation)
    return urlsafe_b64encode(_tag(key, data) + data).rstrip(b"=").decode()


def unseal(key: bytes, text: str, expected: str) -> Continuation:
    """Read a continuation of the question ``expected``.

    Raises:
        QueryInvalid: It is none of ours, or of another question.
    """
    try:
        data = urlsafe_b64decode(text[:MAX_CHARACTERS].encode("ascii") + b"=" * (-len(text) % 4))
        tag, data = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if not hmac.compare_digest(tag, _tag(key, data)):
            raise QueryInvalid("cursor: not one that this vault gave out; begin again without it")
        found = msgspec.json.decode(data, type=Continuation)
    except (ValueError, msgspec.DecodeError) as error:
        raise QueryInvalid("cursor: not one that this vault gave out; begin again without it") from error
    if found.question != expected:
        raise QueryInvalid("cursor: of another question, or given to somebody else; begin again without it")
    return found


def _tag(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")[:_TAG_BYTES]
