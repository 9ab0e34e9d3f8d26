from __future__ import annotations

import secrets

from audit.blob_names import BlobNames


def test_names_that_were_given_are_there_and_others_are_not() -> None:
    given = [secrets.token_hex(16) for _ in range(20_000)]
    names = BlobNames([*given, *given[:100]])
    assert all(name in names for name in given)
    assert not any(secrets.token_hex(16) in names for _ in range(20_000))
    assert "" not in names
    assert "x" not in BlobNames([])
