"""Ids, counts and lines of the audit port's requests."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, cast

import httpx
import pytest

from audit.api.app import make_app
from audit.errors import AnchorUnavailable, LedgerCorrupt
from audit.log_lines import JsonLines
from audit.metrics.gather import Metrics
from tests.doubles.node import FakeNode
from tests.unit.api.test_api import LOG, ask, fails, sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.ingest.receiving import Receiver


async def nobody(ip: str, reason: str) -> None:
    raise AssertionError(f"{ip} was counted: {reason}")


ID = re.compile(r"[0-9A-F]{16}")


def test_each_answer_has_an_id_of_ours_whatever_the_client_says() -> None:
    async def several() -> list[str]:
        transport = httpx.ASGITransport(make_app(FakeNode().node, nobody, cast("Receiver", object())))
        async with httpx.AsyncClient(transport=transport, base_url="http://audit") as client:
            sent = {"x-request-id": "mine", "x-amz-request-id": "mine", "traceparent": "mine"}
            answers = [await client.get(path, headers=sent) for path in ("/healthz", "/readyz", "/nothing", "/v1/log")]
            return [answer.headers["x-request-id"] for answer in answers]

    ids = asyncio.run(several())
    assert all(map(ID.fullmatch, ids))
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("error", [LedgerCorrupt("/srv/x", "gone"), RuntimeError("fault")])
def test_a_fault_is_answered_with_the_id_that_its_line_has(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = sealed(1)
    monkeypatch.setattr(node, "checkpoint", fails(error))
    answer = ask(node, f"{LOG}/checkpoint", raises=False)
    assert answer.status_code == 500
    assert answer.json()["instance"] == f"urn:strongroom:request:{answer.headers['x-request-id']}"
    if isinstance(error, LedgerCorrupt):  # the other one is written by the exchange (tests/integration/test_log.py)
        (line,) = lines(caplog.records)
        assert line.levelno == logging.ERROR
        assert "LedgerCorrupt: /srv/x: gone" in JsonLines().format(line)


def lines(records: Sequence[logging.LogRecord]) -> list[logging.LogRecord]:
    return [line for line in records if line.name == "audit.api.problems"]


@pytest.mark.parametrize(
    ("path", "error"), [("/nothing", None), (f"{LOG}/tile/x", None), (f"{LOG}/checkpoint", AnchorUnavailable("away"))]
)
def test_who_asks_for_what_is_not_there_cannot_fill_the_log(
    path: str, error: Exception | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = sealed(1)
    if error is not None:
        monkeypatch.setattr(node, "checkpoint", fails(error))
    with caplog.at_level(logging.DEBUG):
        ask(node, path)
    (line,) = lines(caplog.records)
    assert line.levelno == logging.DEBUG
    assert path not in line.getMessage()


def test_answers_are_counted_and_where_wished_have_a_line_that_names_the_route(
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = sealed(300)
    metrics = Metrics(node.node)

    async def several() -> None:
        transport = httpx.ASGITransport(make_app(node.node, nobody, cast("Receiver", object()), metrics))
        async with httpx.AsyncClient(transport=transport, base_url="http://audit") as client:
            for path in ("/healthz", "/nothing", f"{LOG}/tile/0/000"):
                await client.get(path)

    with caplog.at_level(logging.INFO, "audit.api.access"):
        asyncio.run(several())
    assert metrics.answers == {"2xx": 2, "4xx": 1}
    told = [line.getMessage() for line in caplog.records if line.name == "audit.api.access"]
    assert told == ["GET /healthz", "GET -", "GET /v1/log/{stream}/{path:path}"]
