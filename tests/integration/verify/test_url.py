"""A log at a URL, from servers that are good, slow, rude or lying. Nothing hangs and nothing escapes."""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from audit.verify import source
from audit.verify.anchor import Outside
from audit.verify.outside_log import load
from audit.verify.relay_topics import Target, verify_topics
from audit.verify.report import Report
from tests.doubles.topics import MemoryTopics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.verify.conftest import Museum, Verify

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.verify.source.time.sleep", lambda _: None)
    monkeypatch.setattr(source, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(source, "ANSWER_SECONDS", 1)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what these tests are about."""


@contextmanager
def serving(root: Path, change: Callable[[str, Answer, BaseHTTPRequestHandler], Answer | None]) -> Iterator[str]:
    """Serve a log; ``change`` may answer otherwise, or have answered itself (None)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = root / self.path.removeprefix("/log/")
            answer: Answer = (200, {}, path.read_bytes()) if path.is_file() else (404, {}, b"no such tile")
            changed = change(self.path, answer, self)
            if changed is None:
                return
            status, headers, body = changed
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/log"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_whole_log_is_good(museum: Museum, verify: Verify) -> None:
    with serving(museum.export, lambda _path, answer, _handler: answer) as url:
        for target in (url, f"{url}/"):
            code, answer = verify(target, "--vkey", museum.vkey)
            assert (code, answer["size"], answer["anchored"]) == (0, 601, True)


def test_a_tampered_log_is_named_by_its_url(export: Path, verify: Verify) -> None:
    data = bytearray((export / "tile/entries/001").read_bytes())
    data[500] ^= 1
    (export / "tile/entries/001").write_bytes(data)
    with serving(export, lambda _path, answer, _handler: answer) as url:
        code, answer = verify(url)
        assert code == 1
        assert answer["first_bad"]["place"].startswith(f"{url}/tile/")


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/001", "tile/1/000.p/2", "tile/entries/002.p/89"])
def test_a_missing_file_is_bad(export: Path, verify: Verify, name: str) -> None:
    (export / name).unlink()
    with serving(export, lambda _path, answer, _handler: answer) as url:
        code, answer = verify(url)
        assert code == 1
        assert f"{url}/{name}" in {finding["place"] for finding in answer["findings"]}


def test_a_url_that_leads_to_no_log_is_no_finding(tmp_path: Path, verify: Verify) -> None:
    with serving(tmp_path, lambda _path, answer, _handler: answer) as url:
        code, answer = verify(url)
        assert (code, answer["findings"]) == (2, [])
        assert "http://127.0.0.1:9001/v1/log/STREAM" in answer["unchecked"]


def test_a_refusal_says_what_gives_the_records(museum: Museum, verify: Verify) -> None:
    def closed(path: str, answer: Answer, _handler: object) -> Answer:
        return (401, {}, b"{}") if "entries" in path else answer

    with serving(museum.export, closed) as url:
        code, answer = verify(url)
        assert code == 2
        assert "`strongroom token add` makes it); or `strongroom log export" in answer["unchecked"]
    with serving(museum.export, lambda _path, _answer, _handler: (403, {}, b"")) as url:
        assert "/v1/log/STREAM?" in verify(url)[1]["unchecked"]


def test_gzip_is_unpacked_and_bounded(museum: Museum, verify: Verify) -> None:
    def packed(_path: str, answer: Answer, _handler: object) -> Answer:
        return answer[0], {"Content-Encoding": "gzip"} if answer[0] == 200 else {}, gzip.compress(answer[2])

    def bomb(path: str, answer: Answer, handler: object) -> Answer:
        return packed(path, (200, {}, bytes(1 << 20)) if "/0/" in path else answer, handler)

    with serving(museum.export, packed) as url:
        assert verify(url)[0] == 0
    with serving(museum.export, bomb) as url:
        code, answer = verify(url)
        assert code == 1
        assert "longer than" in answer["first_bad"]["why"]


def test_a_token_is_sent_where_it_is_asked_for(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    def guarded(path: str, answer: Answer, handler: BaseHTTPRequestHandler) -> Answer:
        allowed = "entries" not in path or handler.headers["Authorization"] == "Bearer s3cret"
        return answer if allowed else (401, {}, b"{}")

    (tmp_path / "token").write_text("s3cret\n")
    with serving(museum.export, guarded) as url:
        code, answer = verify(url)
        assert (code, "--token-file" in answer["unchecked"]) == (2, True)
        assert verify(url, "--token-file", tmp_path / "token")[0] == 0


def test_a_redirect_is_not_followed(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    (tmp_path / "token").write_text("s3cret")
    asked: list[str] = []

    def elsewhere(_path: str, _answer: Answer, handler: BaseHTTPRequestHandler) -> Answer:
        asked.append(handler.path)
        return 302, {"Location": "/other"}, b""

    with serving(museum.export, elsewhere) as url:
        assert verify(url, "--token-file", tmp_path / "token")[0] == 2
    assert asked == ["/log/checkpoint"]


def test_a_server_that_is_unwell_for_a_moment_is_asked_again(museum: Museum, verify: Verify) -> None:
    failed: set[str] = set()

    def moody(path: str, answer: Answer, _handler: object) -> Answer:
        if path not in failed:
            failed.add(path)
            return 503, {}, b""
        return answer

    with serving(museum.export, moody) as url:
        assert verify(url)[0] == 0


def cut(_path: str, answer: Answer, _handler: object) -> Answer:
    return answer[0], {"Content-Length": str(len(answer[2]) + 9), "Connection": "close"}, answer[2]


def silent(_path: str, _answer: Answer, handler: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(1.2)
    handler.close_connection = True


def dripping(_path: str, _answer: Answer, handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    for _ in range(100):
        threading.Event().wait(0.05)
        try:
            handler.wfile.write(b"x")
        except OSError:
            return


def rubbish(_path: str, _answer: Answer, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"not http at all\n\n")
    handler.close_connection = True


@pytest.mark.parametrize(
    "change",
    [
        cut,
        silent,
        dripping,
        rubbish,
        lambda _path, _answer, _handler: (500, {}, b""),
        lambda _path, _answer, _handler: (403, {}, b""),
        lambda _path, _answer, _handler: (200, {"Content-Encoding": "gzip"}, b"not gzip"),
        lambda _path, answer, _handler: (200, {"Content-Encoding": "gzip"}, gzip.compress(answer[2])[:-9]),
    ],
)
def test_a_server_that_does_not_answer_well_leaves_it_unchecked(
    museum: Museum, verify: Verify, change: Callable[[str, Answer, BaseHTTPRequestHandler], Answer | None]
) -> None:
    with serving(museum.export, change) as url:
        assert verify(url)[0] == 2


@pytest.mark.parametrize(
    "url", ["http://", "http://[", "http://127.0.0.1:99999/", "http://127.0.0.1:1/log", "https://127.0.0.1:1/?a=b"]
)
def test_urls_that_lead_nowhere(verify: Verify, url: str) -> None:
    assert verify(url)[0] == 2


def test_the_log_at_a_url_proves_what_is_left_in_a_topic_by_its_hash_tiles_alone(museum: Museum) -> None:
    asked: list[str] = []

    def tiles_only(path: str, answer: Answer, _: object) -> Answer:
        asked.append(path)
        return answer if "/entries/" not in path else (401, {}, b"")

    topics, report = MemoryTopics(), Report("topics")
    records = [entry.bytes() for entry in museum.log.entries]
    topics.add("records", b"site-a.node-1", *records)
    topics.begins["strongroom.records", 0] = 300
    cursor = {"v": 1, "origin": museum.log.origin, "partition": 0, "next": 601, "leaf": museum.log.leaf(600).hex()}
    topics.add("cursors", b"site-a.node-1", json.dumps(cursor, separators=(",", ":")).encode())
    with serving(museum.export, tiles_only) as url:
        logs = load([url], "", [], report)
        verify_topics(Target(topics, "strongroom", logs), Outside([], []), report, lambda _: None)
    assert (report.findings, report.logs[0].anchored, report.logs[0].root) == ([], 601, museum.log_root())
    assert not any("/entries/" in path for path in asked)
