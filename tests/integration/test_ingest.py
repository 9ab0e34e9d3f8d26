"""``POST /v1/ingest/SOURCE`` on a real server: kept once, byte for byte; through kills, bombs and replays."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import zstandard
from botocore.exceptions import ClientError

from audit.own_objects import acting_for, service_of
from tests.doubles.whole_node import HERE, open_node
from tests.doubles.world import Checks, pieces
from tests.integration.served import Server, command
from tests.vectors.test_ingest_formats import EXPECTED, request_of
from vault.policy import SYSTEM
from vault.record import Actor
from vault.service.context import PutSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LINES = "application/x-ndjson"
STREAM = "site-a.node-1"
PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}


class Sources:
    """A principal whose tokens bring events, and one who may read records."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.writer = self._principal("collector", "writer")
        self.auditor = self.token(self._principal("ann", "auditor"))
        self._tokens: dict[str, str] = {}

    def _principal(self, name: str, role: str) -> str:
        made = json.loads(self.server.cli("principal", "add", name, "--role", role, "--json").stdout)
        return str(made["access_key"])

    def token(self, access_key: str, *options: str) -> str:
        added = self.server.cli("token", "add", access_key, *options)
        assert added.returncode == 0, added.stderr
        return added.stdout.strip()

    def of(self, source: str, form: str = "json") -> str:
        """The token of a source."""
        if source not in self._tokens:
            self._tokens[source] = self.token(self.writer, "--source", source, "--format", form)
        return self._tokens[source]

    def post(self, source: str, body: bytes, kind: str = LINES, form: str = "json", **headers: str) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.of(source, form)}", "content-type": kind}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.server.audit_endpoint}/v1/ingest/{source}"
        return httpx.post(url, content=body, headers=sent, timeout=60)

    def get(self, path: str, token: str = "") -> httpx.Response:
        sent = {"authorization": f"Bearer {token or self.auditor}"}
        return httpx.get(self.server.audit_endpoint + path, headers=sent, timeout=60)

    def event(self, seq: int) -> bytes:
        answer = self.get(f"/v1/records/{STREAM}/{seq}/event")
        assert answer.status_code == 200, answer.text
        return answer.content

    def records(self, *filters: str) -> list[Any]:
        shown = self.server.cli("records", "--json", "--oldest-first", "--limit", "1000", *filters)
        return [row["record"] for row in json.loads(shown.stdout)["records"]]

    def of_source(self, source: str) -> list[Any]:
        return self.records("--source", source)

    def kept(self, source: str) -> list[bytes]:
        """The source's events, in order, out of its records."""
        found = [each for each in self.of_source(source) if each["op"] == "ingest.event"]
        return [self.event(each["seq"]) for each in found if each["outcome"] == "success"]


@pytest.fixture(scope="module")
def sources(server: Server) -> Sources:
    return Sources(server)


@pytest.fixture(scope="module", autouse=True)
def _verified_at_the_end(server: Server) -> Iterator[None]:
    yield
    assert server.stop() == 0
    found = command("verify", server.data, "--json")
    assert found.returncode == 0, found.stdout
    server.start()


def events(name: str, count: int, size: int = 100) -> list[bytes]:
    return [b'{"id":"%b-%d","x":"%b"}' % (name.encode(), number, b"y" * size) for number in range(count)]


@pytest.mark.parametrize("form", sorted(EXPECTED))
def test_what_a_system_sends_comes_back_out_as_it_was(sources: Sources, form: str) -> None:
    body, kind = request_of(form)
    answer = sources.post(form, body, kind, form)
    assert answer.status_code == 200, answer.text
    told, words = answer.json(), EXPECTED[form]
    assert (told["stored"], told["members"]) == (len(words), len(words))
    found = [each for each in sources.of_source(form) if each["op"] == "ingest.event"]
    assert [each["ingest"].get("id", "") for each in found] == [each.id if each else "" for each in words]
    assert [each["ingest"]["format"] for each in found] == [form if each else "raw" for each in words]
    assert all(data in body for data in sources.kept(form))
    again = sources.post(form, body, kind, form).json()
    assert again["duplicates"] == [number for number, each in enumerate(words) if each is not None]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_compressed_requests_are_the_same_and_bombs_are_refused(sources: Sources, coding: str) -> None:
    pack = PACK[coding]
    sent = events(coding, 50)
    assert sources.post(coding, pack(b"\n".join(sent)), content_encoding=coding).json()["stored"] == 50
    bomb = sources.post(coding, pack(b"\n" * 100_000_000), content_encoding=coding)
    assert (bomb.status_code, bomb.json()["type"]) == (413, "urn:strongroom:problem:content-too-large")
    cut = sources.post(coding, pack(random.Random(1).randbytes(9000))[:-9], content_encoding=coding)
    assert (cut.status_code, cut.json()["type"]) == (400, "urn:strongroom:problem:body-invalid")
    assert sources.kept(coding) == sent
    reasons = [each.get("reason") for each in sources.of_source(coding) if each["outcome"] == "failure"]
    assert reasons == ["content_too_large", "body_invalid"]


def test_whatever_bytes_a_line_has_they_are_kept(sources: Sources) -> None:
    sent = [b"\xff\xfe\x00", b"\x00", b"nul \x00 in it", b'{"id":"\\u0000"}', b"[" * 5000, b'"\xed\xa0\x80"', b"{}" * 9]
    assert sources.post("odd", b"\n".join(sent)).json()["stored"] == len(sent)
    assert sources.kept("odd") == sent
    told = sources.post("odd", b'{"id":"\\u0000"}').json()
    assert told["duplicates"] == [0]


def test_large_events_are_locked_objects_that_come_back_the_same(sources: Sources, s3: Any) -> None:
    sent = [
        b'{"id":"k8s","x":"%b"}' % (b"z" * 40 * 1024),
        b"small",
        random.Random(2).randbytes(70_000).replace(b"\n", b"-").strip(),
        b'{"id":"ten","x":"%b"}' % (b"w" * 10_000_000),
    ]
    assert sources.post("large", b"\n".join(sent)).json()["stored"] == 4
    assert sources.kept("large") == sent
    large = next(each for each in sources.of_source("large") if each["ingest"].get("id") == "k8s")
    named = {"Bucket": large["object"]["bucket"], "Key": large["object"]["key"]}
    named["VersionId"] = large["object"]["version_id"]
    found = s3.head_object(**named)
    assert (found["ObjectLockMode"], found["ContentLength"]) == ("COMPLIANCE", len(sent[0]))
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(**named, BypassGovernanceRetention=True)
    story = sources.get(f"/v1/objects/{named['Bucket']}/{named['Key']}").json()
    assert story["versions"][0]["manifest"] == large["ingest"]["manifest"]
    before = len(sources.records("--bucket", named["Bucket"], "--op", "object.put"))
    assert sources.post("large", sent[0]).json()["duplicates"] == [0]
    assert len(sources.records("--bucket", named["Bucket"], "--op", "object.put")) == before


def plant(server: Server, bucket: str, key: str) -> None:
    """Put an object there as a version could that left the bucket to anybody."""
    assert server.stop() == 0
    with open_node(server.data) as node, ThreadPoolExecutor(2) as pool:

        async def put() -> None:
            service = service_of(node, pool)
            spec = PutSpec(bucket=bucket, key=key, length=7, checks=Checks())
            caller = acting_for(Actor(SYSTEM), HERE, "PUT", time.time_ns())
            await service.objects.put(caller, spec, pieces(b"planted"))
            await service.core.commits.drained()

        asyncio.run(put())
    server.start()


def test_an_object_that_somebody_else_put_there_is_not_taken_for_an_event(sources: Sources, s3: Any) -> None:
    first = b'{"id":"p1","x":"%b"}' % (b"p" * 50_000)
    sources.post("planted", first)
    record = sources.of_source("planted")[0]
    bucket, key = record["object"]["bucket"], record["object"]["key"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"planted")
    plant(sources.server, bucket, key)
    sources.post("planted", first + b"\n" + b'{"id":"p2","x":1}')
    moved = b'{"id":"p3","x":"%b"}' % (b"p" * 50_000)
    assert sources.post("planted", moved).json()["stored"] == 1
    assert sources.kept("planted") == [first, b'{"id":"p2","x":1}', moved]


def test_gaps_late_and_conflicting_numbers_are_told_and_recorded(sources: Sources) -> None:
    sources.post("counted", b'{"seq":1}\n{"seq":2}')
    told = sources.post("counted", b'{"seq":6}\n{"seq":6}\n{"seq":4}\n{"seq":2,"x":1}').json()
    assert told["gaps"] == [{"first": 3, "last": 5}]
    assert (told["duplicates"], told["late"], told["conflicts"]) == ([1], [2], [3])
    first, last = told["records"][0]
    assert last - first + 1 == 5  # three events, a gap, and the request's own
    (gap,) = [each["ingest"] for each in sources.of_source("counted") if each["op"] == "ingest.gap"]
    assert gap["missing"] == [3, 5]


def test_a_request_whose_answer_was_lost_is_sent_again_by_its_name(sources: Sources) -> None:
    body = b"no names here\nnone at all"
    assert sources.post("named", body, idempotency_key="req-1").json()["stored"] == 2
    assert sources.post("named", body, idempotency_key="req-1").json()["duplicates"] == [0, 1]
    assert sources.post("named", body, idempotency_key="req-2").json()["stored"] == 2
    assert sources.post("named", body, idempotency_key="x" * 129).status_code == 400
    assert sources.of_source("named")[-1]["reason"] == "body_invalid"


def test_the_same_batch_on_four_connections_at_once_is_kept_once(sources: Sources) -> None:
    body = b"\n".join(events("race", 400))
    sources.of("race")
    with ThreadPoolExecutor(4) as pool:
        told = [answer.json() for answer in pool.map(lambda _: sources.post("race", body), range(8))]
    assert sorted(each["stored"] for each in told) == [0] * 7 + [400]
    assert sum(len(each.get("duplicates", ())) for each in told) == 7 * 400


def test_a_token_brings_its_sources_events_and_nothing_else(sources: Sources) -> None:
    sources.post("mine", b'{"id":"a"}')
    theirs = sources.of("theirs")
    url = sources.server.audit_endpoint
    for token, path in (
        (theirs, "mine"),
        (sources.auditor, "mine"),
        (theirs, "mine%2F..%2Ftheirs"),
        (theirs, "x" * 300),
    ):
        answer = httpx.post(
            f"{url}/v1/ingest/{path}",
            content=b'{"id":"forged"}',
            headers={"authorization": f"Bearer {token}", "content-type": LINES},
        )
        assert answer.status_code in {403, 404}, answer.text
    assert sources.kept("mine") == [b'{"id":"a"}']
    denied = sources.records("--op", "ingest.batch", "--outcome", "denied")
    assert {each["reason"] for each in denied} == {"source"}
    for path in ("/v1/records", f"/v1/records/{STREAM}/0", f"/v1/log/{STREAM}/tile/entries/000.p/1"):
        assert sources.get(path, theirs).status_code == 403
    assert httpx.post(f"{url}/v1/ingest/mine", content=b"{}").status_code == 401


def test_the_path_is_described_for_programs(sources: Sources) -> None:
    paths = httpx.get(f"{sources.server.audit_endpoint}/openapi.json").json()["paths"]
    assert "requestBody" in paths["/v1/ingest/{source}"]["post"]
    assert "get" in paths["/v1/records/{stream}/{seq}/event"]


def test_a_source_needs_a_writer_and_a_format_needs_a_source(sources: Sources) -> None:
    ann = json.loads(sources.server.cli("principal", "add", "bob", "--role", "reader", "--json").stdout)["access_key"]
    for key, options in (
        (ann, ("--source", "app")),
        (sources.writer, ("--source", "No Such Name")),
        (sources.writer, ("--source", "app", "--role", "writer", "--format", "minio")),
    ):
        made = sources.server.cli("token", "add", key, *options)
        assert made.returncode == (0 if "minio" in options else 1), made.stderr
    assert sources.server.cli("token", "add", sources.writer, "--format", "minio").returncode == 2


def test_a_principal_that_is_disabled_brings_nothing_more(sources: Sources) -> None:
    made = json.loads(sources.server.cli("principal", "add", "gone", "--role", "writer", "--json").stdout)
    token = sources.token(made["access_key"], "--source", "gone")
    url, sent = f"{sources.server.audit_endpoint}/v1/ingest/gone", {"authorization": f"Bearer {token}"}
    assert httpx.post(url, content=b'{"id":"a"}', headers=sent).status_code == 200
    sources.server.cli("principal", "disable", made["access_key"])
    assert httpx.post(url, content=b'{"id":"b"}', headers=sent).status_code == 401


@pytest.mark.parametrize("body", [b"x" * (33 << 20), b"1\n" * 10_001], ids=["too long", "too many"])
def test_a_request_that_is_too_large_is_told_so(sources: Sources, body: bytes) -> None:
    try:
        answer = sources.post("huge", body)
    except httpx.WriteError:  # it was refused before its body was read
        pass
    else:
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:strongroom:problem:content-too-large")
    assert sources.of_source("huge")[-1]["reason"] == "content_too_large"


def test_a_client_that_goes_away_in_the_middle_of_its_request_has_brought_nothing(sources: Sources) -> None:
    token, address = sources.of("cut-off"), httpx.URL(sources.server.audit_endpoint)
    head = (
        f"POST /v1/ingest/cut-off HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 1000\r\n\r\n"
    )
    with socket.create_connection((address.host, address.port or 0)) as connection:
        connection.sendall(head.encode() + b'{"id":"a"}\n{"id":')
    until = time.monotonic() + 30
    while not (found := sources.of_source("cut-off")) and time.monotonic() < until:
        time.sleep(0.1)
    assert [(each["op"], each.get("reason")) for each in found] == [("ingest.batch", "body_invalid")]


@pytest.mark.parametrize("kind", ["text/html", "application/x-www-form-urlencoded"])
def test_another_type_or_coding_is_told_so_and_recorded(sources: Sources, kind: str) -> None:
    assert sources.post("typed", b"{}", kind).status_code == 415
    assert sources.post("typed", b"{}", content_encoding="br").status_code == 415
    assert {each["reason"] for each in sources.of_source("typed")} == {"unsupported_media_type"}


def test_what_was_answered_is_there_after_a_kill_and_is_known_again(sources: Sources) -> None:
    server, sent = sources.server, events("killed", 4000)
    requests = [b"\n".join(sent[start : start + 100]) for start in range(0, len(sent), 100)]
    sources.of("killed")

    def bring(body: bytes) -> bool:
        try:
            return sources.post("killed", body).status_code == 200
        except httpx.HTTPError:
            return False

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(bring, body) for body in requests]
        answers[8].result()
        server.kill()
        done = [answer.result() for answer in answers]
    assert any(done)
    server.start()
    told = [sources.post("killed", body).json() for body in requests]
    for answered, each in zip(done, told, strict=True):
        assert each["stored"] + len(each.get("duplicates", ())) == 100
        if answered:
            assert each["stored"] == 0
    assert _ids(sources, "killed") == [f"killed-{number}" for number in range(4000)]


def _ids(sources: Sources, source: str) -> Sequence[str]:
    """Ids of a source's events, each once if all is well."""
    asked = ("records", "--op", "ingest.event", "--source", source, "--all", "--ndjson")
    found = [json.loads(line)["ingest"]["id"] for line in sources.server.cli(*asked).stdout.splitlines()]
    return sorted(found, key=lambda name: int(name.split("-")[1]))
