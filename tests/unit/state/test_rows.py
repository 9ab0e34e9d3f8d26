"""Where rows stand in the index."""

from __future__ import annotations

import pytest

from vault.state import rows


@pytest.mark.parametrize("name", ["", "k", "a/b c", "zero \0 inside", "\0", "ключ", "k" * 1024])
@pytest.mark.parametrize("ordinal", [1, 2, 1 << 40])
def test_a_version_stands_in_one_place_however_it_is_found(name: str, ordinal: int) -> None:
    assert rows.version_key_beside(rows.key_key("b", name), ordinal) == rows.version_key("b", name, ordinal)


def test_a_damaged_row_is_not_named_by_what_it_is_about() -> None:
    with pytest.raises(ValueError, match="is damaged") as found:
        rows.decode_row(rows.version_key("bucket-name", "key-name", 1), b"\xc1")
    assert "name" not in str(found.value).replace("named", "")
