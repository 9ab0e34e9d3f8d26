"""A production's page in Chromium: it is drawn, sorted by a click, printed; it asks nobody for anything."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.integration.served import Server
from tests.strangers import browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(240),  # a browser starts slowly on a busy machine
    pytest.mark.skipif(
        not all(map(shutil.which, ("chromium", "pdftotext", "unshare"))), reason="needs chromium and poppler-utils"
    ),
]

#: Keys that are markup, each of which would do something if it were taken for that; and how long each body is.
BODIES = {
    '<img src=x onerror="document.title=1">': 900,
    "<script>document.title=1</script>": 1_000,
    '"><a href="http://192.0.2.1/">&amp;': 20_000,
    "</table><style>*{display:none}</style>": 3,
    "javascript:document.title=1//": 100,
    "café/a.json": 10,
}
#: Texts of a column, as they stand.
COLUMN = "[...document.querySelectorAll('tbody tr')].map(row => row.children[{}].textContent)"
KEY, SIZE = 2, 5


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("browser")
    server = Server(root)
    s3 = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )
    s3.create_bucket(Bucket="trades", ObjectLockEnabledForBucket=True)
    for key, length in BODIES.items():
        s3.put_object(Bucket="trades", Key=key, Body=b"x" * length)
    s3.close()
    asked = ("--bucket", "trades", "--reason", "<b>request</b> 7", "--dir", root / "out", "--json")
    made = server.cli("production", "create", *asked)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["versions"] == len(BODIES)
    yield root / "out"
    assert server.stop() == 0, server.errors


@pytest.fixture
def page(production: Path, tmp_path: Path) -> Iterator[browser.Page]:
    with browser.opened((production / "data/index.html").as_uri(), tmp_path) as opened:
        yield opened


def column(page: browser.Page, number: int) -> Any:
    return page.value(COLUMN.format(number))


def test_names_that_are_markup_are_text_and_nothing_runs_or_is_asked_for(page: browser.Page, production: Path) -> None:
    assert set(column(page, KEY)) == BODIES.keys()
    shown = "document.querySelector('tbody tr').checkVisibility() && document.querySelector('dl').innerText"
    assert "<b>request</b> 7" in page.value(shown)
    assert page.value("document.title").startswith("Production ")
    assert page.value("document.querySelectorAll('img, b, tbody script, tbody style').length") == 0
    links = page.value("[...document.links].map(link => link.href)")
    assert len(links) == len(BODIES)
    for link in links:
        page.value(f"fetch({json.dumps(link)}).catch(() => 0) && 0")  # its own policy lets it ask for nothing
    data = (production / "data").as_uri()
    assert all(link.startswith(f"{data}/") for link in links)
    assert page.asked == [f"{data}/index.html"]


def test_a_click_sorts_by_a_column_and_another_turns_it_round(page: browser.Page) -> None:
    size = f"th:nth-child({SIZE + 1})"
    lengths = [f"{length:,}" for length in sorted(BODIES.values())]
    assert column(page, SIZE) != lengths
    page.click(f"{size} button")
    assert column(page, SIZE) == lengths  # as numbers: 900 before 1,000
    assert page.value(f"document.querySelector({size!r}).ariaSort") == "ascending"
    page.click(f"{size} button")
    assert column(page, SIZE) == lengths[::-1]
    page.click(f"th:nth-child({KEY + 1}) button")
    assert column(page, KEY) != sorted(BODIES, key=BODIES.__getitem__, reverse=True)
    assert page.value("[...document.querySelectorAll('th[aria-sort]')].map(th => th.textContent)") == ["Key"]


def test_it_is_printed_with_every_row(page: browser.Page, tmp_path: Path) -> None:
    (tmp_path / "page.pdf").write_bytes(page.pdf())
    told = subprocess.run(
        ["pdftotext", "-raw", tmp_path / "page.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    printed = "".join(told.split())
    for key, length in BODIES.items():
        assert "".join(key.split()) in printed, told
        assert f"{length:,}" in told.split()  # no number is broken in two


@pytest.mark.parametrize("place", ["http://192.0.2.1/seen.png", "https://example.com/seen.png"])
def test_a_page_that_does_ask_somebody_is_seen_to(tmp_path: Path, place: str) -> None:
    leak = tmp_path / "leak.html"
    leak.write_text(f"<!doctype html><title>leak</title><img src={place}>")
    with browser.opened(leak.as_uri(), tmp_path) as page:
        assert page.asked == [leak.as_uri(), place]
        assert page.value("document.images[0].naturalWidth") == 0  # and there was nobody to answer
