from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.api.app import make_app
from audit.checkpoint import open_checkpoint
from audit.errors import AnchorUnavailable, LedgerCorrupt
from audit.tiles import Tile
from tests.doubles.commitlog import leaf
from tests.doubles.node import IDENTITY, STATUS, FakeNode
from vault.errors import Unavailable, VaultError

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.ingest.receiving import Receiver

LOG = f"/v1/log/{IDENTITY.stream}"
#: Of each path, all methods that it takes, whichever route has them.
ALLOWED = {"/healthz": "GET, HEAD", "/v1/log": "GET", "/v1/holds": "GET, POST"}


def ask(
    node: FakeNode, path: str, method: str = "GET", *, raises: bool = True, headers: dict[str, str] | None = None
) -> httpx.Response:
    async def count(ip: str, reason: str) -> None:
        node.counted.append((ip, reason))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(
            make_app(node.node, count, cast("Receiver", object())), raise_app_exceptions=raises
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://audit") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def problem(answer: httpx.Response, status: int, kind: str) -> Any:
    """The problem document, once it is one (RFC 9457)."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["instance"] == f"urn:strongroom:request:{answer.headers['x-request-id']}"
    assert body["type"] == f"urn:strongroom:problem:{kind}"
    assert body["status"] == status
    assert body["title"]
    return body


def sealed(count: int) -> FakeNode:
    node = FakeNode()
    node.write(count)
    node.seal()
    return node


def test_a_live_process_says_so_whatever_the_vaults_state() -> None:
    node = FakeNode(status_=replace(STATUS, ready=False, problems=["broken"]))
    assert ask(node, "/healthz").json() == {"status": "ok"}


def test_a_ready_vault_shows_its_warnings() -> None:
    node = sealed(3)
    node.write(2)
    answer = ask(node, "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "degraded": False,
        "problems": [],
        "warnings": ["anchor=local: beside the data directory"],
        "durable": 5,
        "sealed": 3,
        "lag_ns": 1_500_000_000,
        "settle_debt_bytes": 4096,
        "disk_free_bytes": 1 << 40,
        "incarnation": 3,
        "findings": 0,
        "verification": {"result": "", "done": "", "anchored": 0, "anchor": ""},
    }


def test_a_vault_that_is_not_ready_answers_503_with_its_problems() -> None:
    node = FakeNode(status_=replace(STATUS, ready=False, problems=["the writer has stopped", "disk"]))
    answer = ask(node, "/readyz")
    body = problem(answer, 503, "not-ready")
    assert body["detail"] == "the writer has stopped; disk"
    assert body["problems"] == ["the writer has stopped", "disk"]
    assert body["warnings"] == STATUS.warnings
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_can_be_asked_for_without_a_body(path: str) -> None:
    answer = ask(sealed(1), path, "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert path == "/healthz" or ask(FakeNode(status_=replace(STATUS, ready=False)), path, "HEAD").status_code == 503


def test_the_logs_are_listed() -> None:
    assert ask(FakeNode(), "/v1/log").json() == {"streams": [{"name": IDENTITY.stream, "origin": IDENTITY.origin}]}


def test_the_checkpoint_is_the_published_note_byte_for_byte() -> None:
    node = sealed(300)
    node.write(5)
    answer = ask(node, f"{LOG}/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert open_checkpoint(answer.content, IDENTITY.origin, [node.signer.verifier]).size == 300


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_tiles_of_the_published_tree_are_served_for_good(path: str) -> None:
    node = sealed(300)
    answer = ask(node, f"{LOG}/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert len(answer.content) == Tile.parse(path).width * 32
    if path == "tile/0/000":
        assert answer.content == b"".join(map(leaf, node.written[:256]))


@pytest.mark.parametrize("path", ["tile/0/001", "tile/0/001.p/45", "tile/0/002.p/1", "tile/1/000.p/2", "tile/63/000"])
def test_hashes_beyond_the_published_tree_are_not_shown(path: str) -> None:
    node = sealed(300)
    node.write(300)
    body = problem(ask(node, f"{LOG}/{path}"), 404, "tile-not-found")
    assert "300 records" in body["detail"]


@pytest.mark.parametrize("path", ["tile/entries/000", "tile/entries/001.p/44", "tile/entries/x999/999"])
def test_entries_need_a_token(path: str) -> None:
    node = sealed(300)
    answer = ask(node, f"{LOG}/{path}")
    assert "`strongroom token add` makes one" in problem(answer, 401, "unauthenticated")["detail"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="strongroom"'
    assert node.counted == [("127.0.0.1", "missing_token")]  # durable before the answer


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0", "tile/00/000", "tile/64/000", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/x000/000",
        "tile/0/%2e%2e/%2e%2e/checkpoint", "tile/0/000%00", "tile", "x", "checkpoint/", "tile/0/%D9%A0%D9%A0%D9%A0",
    ],
)  # fmt: skip
def test_what_is_no_tile_path_is_not_found(path: str) -> None:
    problem(ask(sealed(300), f"{LOG}/{path}"), 404, "tile-path-invalid")


@pytest.mark.parametrize("path", ["/v1/log/other/checkpoint", "/v1/log/other/tile/0/000", "/v1/log/%2e%2e/checkpoint"])
def test_another_log_is_not_found(path: str) -> None:
    problem(ask(sealed(1), path), 404, "log-not-found")


def test_a_log_that_has_published_nothing_has_no_checkpoint() -> None:
    problem(ask(FakeNode(), f"{LOG}/checkpoint"), 404, "log-not-found")


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/docs", 404, "not-found"),
        ("GET", "/redoc", 404, "not-found"),
        ("POST", "/healthz", 405, "method-not-allowed"),
        ("DELETE", "/v1/log", 405, "method-not-allowed"),
        ("PUT", "/v1/holds", 405, "method-not-allowed"),
    ],
)
def test_what_is_not_there_is_a_problem_too(method: str, path: str, status: int, kind: str) -> None:
    answer = ask(FakeNode(), path, method)
    problem(answer, status, kind)
    assert status != 405 or answer.headers["allow"] == ALLOWED[path]


def fails(error: Exception) -> Callable[[str], Any]:
    def fail(_: str) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "kind", "detail"),
    [
        (LedgerCorrupt("/srv/strongroom/x", "gone"), 500, "ledger-corrupt", "see the server's log"),
        (AnchorUnavailable("the anchor is away"), 503, "anchor-unavailable", "the anchor is away"),
        (Unavailable("try again"), 503, "service-unavailable", "try again"),
        (VaultError("/srv/strongroom/y"), 500, "internal-error", "see the server's log"),
        (RuntimeError("/srv/strongroom/z"), 500, "internal-error", "see the server's log"),
    ],
)
def test_errors_are_problems_that_tell_no_more_than_they_should(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, kind: str, detail: str
) -> None:
    node = sealed(1)
    monkeypatch.setattr(node, "checkpoint", fails(error))
    assert problem(ask(node, f"{LOG}/checkpoint", raises=False), status, kind)["detail"] == detail


def test_the_description_names_every_path_and_the_form_of_errors() -> None:
    described = ask(FakeNode(), "/openapi.json").json()
    assert set(described["paths"]) == {
        "/healthz", "/readyz", "/metrics", "/v1/log", "/v1/log/{stream}/checkpoint", "/v1/log/{stream}/{path}",
        "/v1/log/{stream}/tile/entries/{path}", "/v1/records", "/v1/records/{stream}/{seq}",
        "/v1/records/{stream}/{seq}/proof", "/v1/objects/{bucket}/{key}", "/v1/checkpoints",
        "/v1/ingest/{source}", "/v1/records/{stream}/{seq}/event",
        "/v1/holds", "/v1/holds/{hold}", "/v1/holds/{hold}/release",
        "/v1/productions", "/v1/productions/{production}", "/v1/productions/{production}/cancel",
        "/v1/productions/{production}/resume", "/v1/productions/{production}/archive",
    }  # fmt: skip
    guarded = set()
    for path, operations in described["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            for status in {"500", "503"} | {status for status in answers if status >= "400"}:
                assert "application/problem+json" in answers[status]["content"]
            assert all("X-Request-Id" in answer["headers"] for answer in answers.values())
            assert ("security" in operation) == ({"401", "403", "429"} <= answers.keys())
            assert "HTTPValidationError" not in str(operation)
            guarded |= {path} if "security" in operation else set()
    opened = {path for path in described["paths"] if path.startswith("/v1/log")} | {"/v1/checkpoints"}
    assert guarded == {path for path in described["paths"] if path.startswith("/v1/")} - opened | {
        "/v1/log/{stream}/tile/entries/{path}"
    }


def test_the_description_is_made_once() -> None:
    async def nobody(ip: str, reason: str) -> None:
        pass

    app = make_app(FakeNode().node, nobody, cast("Receiver", object()))
    assert app.openapi() is app.openapi()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_path_has_an_answer_and_every_error_is_a_problem(path: str) -> None:
    answer = ask(NODE, f"{LOG}/{quote(path)}")
    assert answer.status_code in {200, 401, 404}
    assert answer.status_code == 200 or answer.headers["content-type"] == "application/problem+json"


NODE = sealed(3)
