"""PUTs of objects as members of one request, made of the same operations alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.forms import quoted
from vault.ports import Intent, Put

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_put(intent: Intent) -> Put:
    """A PUT of an object, as one of many; its body is one piece or two, the sealed document first."""
    named, storage = intent.tail.object, intent.tail.storage
    assert named is not None
    assert storage is not None
    sealed, data = (*intent.body, b"")[:2]
    assert (storage.sealed, storage.length) == (len(sealed), len(data))
    return Put(
        named.key,
        quoted(named.key),
        named.size,
        named.content.encode(),
        storage.salt.encode(),
        storage.root.encode(),
        intent.encoded[1:],
        sealed,
        data,
    )


def together(intents: Sequence[Intent]) -> Intent:
    """Operations of one request as its members: PUTs that bring bytes as such, and others as they are."""
    members = [as_put(each) if each.body else each for each in intents]
    common = next((each for each in intents if each.body), intents[0])
    return Intent.together(common.tail, members)
