from __future__ import annotations

from pathlib import Path

import pytest

from audit.anchor.file import FileAnchor
from audit.anchor.url import open_anchor
from audit.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///var/lib/anchor", "/var/lib/anchor"),
        ("file:///var/my%20anchor", "/var/my anchor"),
        ("/var/lib/anchor", "/var/lib/anchor"),
        ("vault.anchor", "vault.anchor"),
        ("/odd?name#here", "/odd?name#here"),
    ],
)
def test_a_file_url_and_a_path_are_a_directory(url: str, path: str) -> None:
    anchor = open_anchor(url)
    assert isinstance(anchor, FileAnchor)
    assert anchor._directory == Path(path)


@pytest.mark.parametrize(
    "url",
    ["", "s3://bucket/key", "https://user:secret@host/", "file://", "file:///", "file://host/path", "file:///p?q", "file:///p#f",
     "http://[", "://x"],
)  # fmt: skip
def test_every_other_form_is_refused_with_those_that_work_and_without_secrets(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="file:///absolute/path or a path") as caught:
        open_anchor(url)
    assert "secret" not in str(caught.value)
