from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from audit.discipline import Discipline
from audit.survey import Survey, survey
from vault.errors import KeyringError
from vault.record import DefaultRetention
from vault.state import rows
from vault.state.rows import BucketRow, PrincipalRow
from vault.storage.index import Index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vault.state.rows import Row

KEPT = Discipline("kernel", 0, 7, synchronised=True)


def taken(directory: Path, found: Mapping[bytes, Row], secrets: Mapping[str, str] | None = None) -> Survey:
    """A survey of a vault with these rows; whoever has no secret here has a damaged one."""

    def secret(principal: str) -> str:
        if principal not in (secrets or {}):
            raise KeyringError("its file is damaged; restore it from a key backup")
        return (secrets or {})[principal]

    index = Index(directory / "index")
    index.add(found.items(), 1)
    try:
        return survey(index, secret, KEPT, 3)
    finally:
        index.close()


def test_buckets_are_counted_by_how_they_lock(tmp_path: Path) -> None:
    plain = BucketRow("a", "p1", 0, lock=False, strict=False)
    made = [
        plain,
        BucketRow("b", "p1", 0, lock=True, strict=False),
        BucketRow("c", "p1", 0, lock=True, strict=True, default=DefaultRetention("COMPLIANCE", years=6)),
        BucketRow("d", "p1", 0, lock=True, strict=False, default=DefaultRetention("GOVERNANCE", days=1)),
    ]
    found = taken(tmp_path, {rows.bucket_key(row.name): row for row in made})
    assert found == Survey(buckets=4, locking=3, compliance=1, governance=1, strict=1, unread=3, max_error=7)


def test_who_has_the_same_secret_is_found_and_no_secret_told(tmp_path: Path) -> None:
    people = [PrincipalRow(f"p{key}", "", f"KEY{key}", ("writer",)) for key in "edcba"]
    people.append(PrincipalRow("pz", "", "GONE", ("writer",), enabled=False))
    secrets = {"pa": "open sesame", "pb": "another", "pc": "open sesame", "pd": "fourth", "pz": "fourth"}
    found = taken(tmp_path, {rows.principal_key(row.id): row for row in people}, secrets)
    assert found.sharing == [["KEYa", "KEYc"]]
    assert found.troubles == ["KEYe cannot sign in: its file is damaged; restore it from a key backup"]
    assert not any(secret.encode() in msgspec.json.encode(found) for secret in secrets.values())
