"""Merkle tree hashing as RFC 6962 §2.1 and RFC 9162 §2.1 define it, over SHA-256.

The ledger's tree is built of these functions, and so is the chunk root by which a
stored body is known. Everything is pure. What a proof needs of an existing tree
it asks of a :data:`Node`, so the same code serves a list in memory and tiles on disk.

Not handled here: storing hashes (``audit.tiles``) and checking proofs, which is the
verifier's and is written a second time there on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
#: MTH of no leaves, RFC 6962 §2.1.
EMPTY_ROOT: Final = sha256(b"").digest()

#: Bytes from which on copying an entry costs more than another call.
_COPIED: Final = 4096

#: ``node(level, index)`` is the root of the perfect subtree over the ``2**level`` leaves
#: that begin at ``index * 2**level``. It is only asked for subtrees inside the tree at hand.
Node = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Hash a leaf's entry; the prefix keeps leaves and nodes apart (RFC 6962 §2.1)."""
    if len(entry) < _COPIED:
        return sha256(b"\x00" + entry).digest()
    digest = sha256(b"\x00")
    digest.update(entry)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtree roots into their parent (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Compute the Merkle tree hash over subtree roots of equal height, usually leaf hashes.

    The last hash may be the root of a smaller subtree than the others: RFC 6962 splits at
    the largest power of two below the number of leaves, so the right edge is the only
    place where a subtree may be incomplete. Pairing neighbours level by level and carrying
    an odd last one up unchanged gives the same tree as the recursive definition.

    Args:
        hashes: In leaf order; may be empty.
    """
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
        row += odd
    return row[0]


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """Prove that leaf ``index`` is in the tree of ``size`` leaves: PATH(m, D[n]), RFC 6962 §2.1.1.

    Args:
        index: The leaf, from 0.
        size: The tree's size, larger than ``index``.
        node: The tree.

    Returns:
        The audit path from the leaf's sibling up to the root's child.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    start, end = 0, size
    path = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return [_range_root(*part, node) for part in reversed(path)]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """Prove that the tree of ``new`` leaves extends the tree of ``old``: PROOF(m, D[n]), RFC 6962 §2.1.2.

    Args:
        old: The smaller size; the empty tree needs no proof, as in C2SP tlog-witness.
        new: The larger size, or the same.
        node: The larger tree.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} does not extend one of {old}")
    if old == 0:
        return []
    start, end = 0, new
    path = []
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    if start:  # RFC 6962's flag b is false: D[start:old] is not the whole old tree, so its root must be told
        path.append((start, end))
    return [_range_root(*part, node) for part in reversed(path)]


def _split(size: int) -> int:
    """Return the largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def _range_root(start: int, end: int, node: Node) -> bytes:
    """Compute MTH(D[start:end]) for a range that the tree's own splits produced.

    Such a range starts at a multiple of the smallest power of two that covers it, so
    its perfect subtrees, largest first, all start at multiples of their own size.
    """
    peaks = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append(node(level, start >> level))
        start += 1 << level
    result = peaks.pop()
    while peaks:
        result = node_hash(peaks.pop(), result)
    return result
