"""The list for paper, as strangers' programs read it."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.production import pdf
from audit.production.pdf import document
from tests.unit.production.entries import entry

if TYPE_CHECKING:
    from pathlib import Path

FACTS = [("Reason", "request 7"), ("Bucket", "trades")]


def text_of(data: bytes, tmp_path: Path) -> str:
    """What Poppler reads in it, laid out; each page begins with its title."""
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext (Debian's poppler-utils and poppler-data)")
    (tmp_path / "it.pdf").write_bytes(data)
    said = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "it.pdf", "-"], capture_output=True, check=True, encoding="utf-8"
    )
    assert said.stderr == ""
    return said.stdout


def test_it_has_what_was_asked_and_each_version(tmp_path: Path) -> None:
    text = text_of(document("Production 17", FACTS, [entry(1, "a.json"), entry(2, "b", "gone bad")]), tmp_path)
    assert re.search(r"^Production 17 +page 1 of 1$", text, re.MULTILINE)
    assert re.search(r"^Reason +request 7$", text, re.MULTILINE)
    assert re.search(
        r"^1 +a\.json +0{31}1 2026-11-27T10:00:00Z 1,024 +COMPLIANCE 2032-11-27 +site-a\.node-1/1 +native$",
        text,
        re.MULTILINE,
    )
    assert "gone bad" in text


def test_every_page_has_title_number_and_head(tmp_path: Path) -> None:
    pages = text_of(document("Production 17", FACTS, [entry(n, f"key {n}") for n in range(1, 200)]), tmp_path)
    found = pages.split("\f")[:-1]
    assert len(found) > 3
    for number, page in enumerate(found, 1):
        first, *rest = filter(None, page.splitlines())
        assert re.fullmatch(rf"Production 17 +page {number} of {len(found)}", first)
        assert any(line.startswith("# ") and "Version" in line for line in rest)
    assert [int(n) for n in re.findall(r"^(\d+) +key \1 ", pages, re.MULTILINE)] == list(range(1, 200))


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("né/ä€.txt", "né/ä€.txt"),
        ("中文/文件.pdf", "中文/文件.pdf"),
        ("한국어", "한국어"),
        ("日本カナ", "日本カナ"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
        ("red\x1b[31m", r"red\x1b[31m"),
        ("txt.\u202eexe", r"txt.\u202eexe"),
        ("two\nlines\0", r"two\nlines\x00"),
        ("العربية", r"\u0627\u0644\u0639\u0631\u0628\u064a\u0629"),
        ("😀", r"\U0001f600"),
        ("(a\\b)", "(a\\b)"),
    ],
)
def test_a_key_is_shown_as_it_is_or_visibly(tmp_path: Path, key: str, shown: str) -> None:
    text = text_of(document("P", FACTS, [entry(1, key)]), tmp_path)
    assert re.search(rf"^1 +{re.escape(shown)} +0", text, re.MULTILINE), text


@pytest.mark.parametrize("key", ["x" * 1024, "中" * 341, "中x" * 256])
def test_a_long_key_is_all_there_in_lines(tmp_path: Path, key: str) -> None:
    text = text_of(document("P", FACTS, [entry(1, key)]), tmp_path).partition("State")[2]
    assert [text.count(char) for char in sorted(set(key))] == [key.count(char) for char in sorted(set(key))]
    assert len(text.splitlines()) > 9


def test_it_ends_at_its_bound_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    text = text_of(document("P", FACTS, [entry(n, f"key {n}") for n in range(1, 200)]), tmp_path)
    shown = len(re.findall(r"^\d+ +key \d+ ", text, re.MULTILINE))
    assert f"{199 - shown} more versions are not in this file: versions.csv lists all of them." in text
    assert text.count("\f") == 2


def test_without_versions_it_is_one_page(tmp_path: Path) -> None:
    assert text_of(document("P", FACTS, []), tmp_path).count("\f") == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=8), st.text(max_size=500))
def test_any_text_is_drawn_and_the_same_each_time(keys: list[str], reason: str) -> None:
    made = [document("P", [("Reason", reason)], [entry(n, key) for n, key in enumerate(keys, 1)]) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].startswith(b"%PDF-")
