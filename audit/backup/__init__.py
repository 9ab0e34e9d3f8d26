"""Backup of a data directory beside its running server, and what is made of one elsewhere (DESIGN §14).

A backup is a directory; each ``number`` in it is one whole copy, made at one time::

    TARGET/strongroom-backup.json    {"v":1,"vault"}: whose backups these are
    TARGET/lock                      held by whoever makes one
    TARGET/unfinished/               the one being made, or one that was cut short, which the next call goes on with
    TARGET/<number>/data/            the data directory as a crash at record N would have left it
    TARGET/<number>/SHA256SUMS       digests of all files below ``data``, as ``sha256sum --check`` reads them
    TARGET/<number>/backup.json      what it is, and the digest of SHA256SUMS (``audit.backup.manifest``)

The copy is consistent because of what the vault promises anyway. Records and bodies move one way, from the commit log
to settled segments and packs, and are there before they leave; blobs are there before the record that names them; a
domain key is there before it is used. So, while nothing is recycled and nothing is erased (``audit.backup.holds``):

 1. Names of settled segments and packs, and the checkpoint. All that they hold is below N.
 2. N: the commit log is cut at one instant. Its segments are copied; from here on recycling goes on.
 3. Names of blobs. Each that a record below N names is there.
 4. Keys: every domain key that a record below N names is among them. The KEK is not copied.
 5. Packs, settled segments, blobs and full tiles: immutable, so kept where an earlier backup has them.

Erasing waits until all of it is copied: what a record after N erased would else be missing from a copy that ends at N.
Then the independent verifier reads the copy, its digest is made, it gets its name, and that is recorded.

Not handled here: the anchor, which is never in a backup, and key backups (``audit.keys.backup``).
"""

from __future__ import annotations

from audit.errors import AuditError


class BackupFailed(AuditError):
    """A backup was not made, or cannot be used; says why and what to do."""

    code = "backup-failed"


class BackupLapsed(AuditError):
    """Whoever makes a backup was silent for so long that recycling and erasing went on; make it again."""

    code = "backup-lapsed"
    status = 409
    retryable = True
