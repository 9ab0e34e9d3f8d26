"""Productions over the audit port of a real server: begun, watched, cancelled, killed, gone on with, handed out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from audit.production.keep import BUCKET
from tests.integration.officers import ASKED, Officer, problem
from tests.integration.served import PATIENCE, Server, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)

MAKES = {"compliance"}
SEES = {"compliance", "auditor", "examiner"}
ROLES = ["root", "operator", "security", "compliance", "auditor", "examiner", "owner", "writer", "reader"]


@pytest.fixture(scope="module")
def tokens(server: Server, s3: Any) -> dict[str, str]:
    found = {}
    for role in ROLES:
        made = json.loads(server.cli("principal", "add", f"the-{role}", "--role", role, "--json").stdout)
        found[role] = json.loads(server.cli("token", "add", made["access_key"], "--json").stdout)["token"]
    s3.create_bucket(Bucket="trades", ObjectLockEnabledForBucket=True)
    for number in range(3):
        s3.put_object(Bucket="trades", Key=f"2026/{number}", Body=b"%d" % number * 100_000)
    return found


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.audit_endpoint, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def officer(http: httpx.Client, tokens: dict[str, str]) -> Officer:
    return Officer(http, tokens["compliance"])


@pytest.fixture(scope="module")
def kept(officer: Officer) -> Any:
    return officer.done(officer.begin())


class Anchor:
    """The server's anchor, which can be away: a file in its place, so that nothing makes another one meanwhile."""

    def __init__(self, place: Path) -> None:
        self.place, self.kept = place, place.with_name("away")

    def away(self) -> None:
        self.place.rename(self.kept)
        while not self.place.is_file():
            shutil.rmtree(self.place, ignore_errors=True)  # made by a swap that was under way
            with suppress(IsADirectoryError):
                self.place.write_text("away")

    def back(self) -> None:
        if self.kept.exists():
            self.place.unlink()
            self.kept.rename(self.place)


@pytest.fixture
def unanchored(server: Server) -> Iterator[Anchor]:
    """The anchor is away: nothing is signed, and no production comes past its records."""
    anchor = Anchor(server.data.with_name("data.anchor"))
    anchor.away()
    yield anchor
    anchor.back()


def unpacked(archive: bytes, place: Path) -> Path:
    """The directory in an archive, as a stranger's program unpacks it."""
    place.mkdir()
    (place / "it.zip").write_bytes(archive)
    subprocess.run(["unzip", "-q", "it.zip"], cwd=place, check=True)
    (root,) = (path for path in place.iterdir() if path.is_dir())
    return root


def verified(root: Path, target: Path | None = None) -> Any:
    """What the verifier inside says of it, or of its ZIP, in an environment that has nothing."""
    said = subprocess.run(
        [sys.executable, "-I", "-S", root / "strongroom-verify.pyz", target or root, "--json"],
        capture_output=True, text=True, check=False, timeout=PATIENCE, env={}, cwd="/",
    )  # fmt: skip
    return json.loads(said.stdout)


@pytest.mark.parametrize("role", ROLES)
def test_who_may_make_see_and_have_productions_and_that_each_try_is_a_record(
    http: httpx.Client, tokens: dict[str, str], officer: Officer, kept: Any, role: str
) -> None:
    asker, one = Officer(http, tokens[role]), f"/v1/productions/{kept['id']}"
    tries = [
        ("production.list", SEES, 200, lambda: asker.get("/v1/productions")),
        ("production.get", SEES, 200, lambda: asker.get(one)),
        ("production.read", MAKES, 200, lambda: asker.get(f"{one}/archive")),
        ("production.cancel", MAKES, 409, lambda: asker.post(f"{one}/cancel")),
        ("production.create", MAKES, 409, lambda: asker.post(f"{one}/resume")),
        ("production.create", MAKES, 202, lambda: asker.post("/v1/productions", ASKED)),
    ]
    for op, may, status, ask in tries:
        answer: httpx.Response = ask()  # type: ignore[no-untyped-call]
        record = officer.get(f"/v1/records?limit=1&op={op}").json()["records"][0]["record"]
        assert record["actor"]["roles"] == [role]
        assert record["request"]["http"].split()[1].startswith("/v1/productions")
        if role in may:
            assert answer.status_code == status, answer.text
            if status == 202:
                officer.done(answer.json()["id"])
        else:
            assert problem(answer) == (403, "access-denied")
            assert (record["outcome"], record["reason"]) == ("denied", "policy")


def test_without_a_token_no_body_is_read(http: httpx.Client) -> None:
    assert problem(http.post("/v1/productions", content=b"x" * 1_000_000)) == (401, "unauthenticated")


def test_what_is_kept_is_handed_out_and_verifies(server: Server, officer: Officer, kept: Any, tmp_path: Path) -> None:
    assert (kept["versions"], kept["done"], kept["natives"], kept["failed"]) == (3, 3, 3, 0)
    assert kept["asked"] | {"from": "", "to": "", "prefix": "", "only_matching": False} == kept["asked"] | ASKED
    answer = officer.get(f"/v1/productions/{kept['id']}/archive")
    assert answer.status_code == 200
    assert sha256(answer.content).hexdigest() == kept["kept"]["sha256"]
    assert answer.headers["content-length"] == str(kept["kept"]["size"])
    root = unpacked(answer.content, tmp_path / "out")
    found = verified(root)
    assert found["result"] == "good"
    packed = verified(root, root.with_name("it.zip"))
    assert packed == {**found, "target": str(root.with_name("it.zip"))}
    assert sha256((root / "tagmanifest-sha256.txt").read_bytes()).hexdigest() == kept["digest"]
    assert list((server.data / "views/productions").iterdir()) == []
    read = json.loads(server.cli("records", "--json", "--limit", "1", "--op", "object.get").stdout)["records"][0]
    assert read["record"]["actor"]["id"] == "system"
    assert read["record"]["object"]["key"] == kept["kept"]["key"]


def test_it_is_read_in_pieces(officer: Officer, kept: Any) -> None:
    path, size = f"/v1/productions/{kept['id']}/archive", kept["kept"]["size"]
    head = officer.http.head(path, headers=officer.headers)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
    whole = officer.get(path).content
    answer = officer.get(path, range="bytes=100-", **{"if-range": head.headers["etag"]})
    assert (answer.status_code, answer.content) == (206, whole[100:])
    assert answer.headers["content-range"] == f"bytes 100-{size - 1}/{size}"
    assert officer.get(path, range="bytes=100-", **{"if-range": '"another"'}).content == whole
    assert problem(officer.get(path, range=f"bytes={size}-")) == (416, "invalid-range")


def test_it_is_encrypted_for_who_is_named(server: Server, officer: Officer, kept: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        subprocess.run(["age-keygen", "-o", tmp_path / name], check=True, capture_output=True)
    names = [
        subprocess.run(["age-keygen", "-y", tmp_path / name], check=True, capture_output=True, text=True).stdout.strip()
        for name in ("one", "two")
    ]
    path = f"/v1/productions/{kept['id']}/archive?" + "&".join(f"recipient={name}" for name in names)
    answer = officer.get(path, range="bytes=0-9")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith('.zip.age"')
    for name in ("one", "two"):
        said = subprocess.run(
            ["age", "--decrypt", "--identity", tmp_path / name], input=answer.content, check=True, capture_output=True
        )
        assert sha256(said.stdout).hexdigest() == kept["kept"]["sha256"]
    record = officer.get("/v1/records?limit=1&op=production.read").json()["records"][0]["record"]
    assert names[1] in record["request"]["http"]  # for whom it was encrypted, too
    assert officer.http.head(path, headers=officer.headers).status_code == 200
    assert problem(officer.get(path + "x")) == (400, "query-invalid")


def test_root_cannot_remove_it(s3: Any, kept: Any) -> None:
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(
            Bucket=BUCKET, Key=kept["kept"]["key"], VersionId=kept["kept"]["version_id"], BypassGovernanceRetention=True
        )


def test_the_same_request_sent_again_is_the_same_production(server: Server, officer: Officer) -> None:
    first = officer.post("/v1/productions", ASKED, **{"idempotency-key": "a key"}).json()["id"]
    again = officer.post("/v1/productions", ASKED, **{"idempotency-key": "a key"})
    assert (again.status_code, again.json()["id"]) == (202, first)
    officer.done(first)
    server.kill()
    server.start()
    again = officer.post("/v1/productions", ASKED, **{"idempotency-key": "a key"})
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (202, first, "kept")
    other = officer.post("/v1/productions", ASKED | {"reason": "another"}, **{"idempotency-key": "a key"})
    assert problem(other) == (422, "idempotency-key-reused")
    record = officer.get("/v1/records?limit=1&op=production.create").json()["records"][0]["record"]
    assert (record["outcome"], record["reason"]) == ("failure", "exists")
    made = server.cli("records", "--op", "production.complete", "--ndjson", "--all").stdout.splitlines()
    assert [json.loads(line)["production"]["id"] for line in made].count(first) == 1


def test_it_says_how_far_it_is_is_cancelled_and_gone_on_with(
    server: Server, officer: Officer, unanchored: Anchor
) -> None:
    one = officer.begin(reason="slow")
    found = officer.until(one, lambda each: each["stage"] == "records")
    assert (found["state"], found["versions"], found["done"]) == ("running", 3, 3)
    assert (server.data / "views/productions" / one).stat().st_mode & 0o777 == 0o700
    assert problem(officer.post("/v1/productions", ASKED)) == (503, "production-busy")
    assert problem(officer.post(f"/v1/productions/{one}/resume")) == (409, "production-not-stopped")
    assert problem(officer.get(f"/v1/productions/{one}/archive")) == (409, "production-not-kept")
    assert officer.post(f"/v1/productions/{one}/cancel").status_code == 202
    officer.until(one, lambda each: each["state"] == "cancelled")
    assert officer.post(f"/v1/productions/{one}/resume").json()["state"] == "running"
    officer.until(one, lambda each: each["stage"] == "records")
    unanchored.back()
    assert officer.done(one)["time"] == found["time"]  # as of its first time
    assert not (server.data / "views/productions" / one).exists()


def test_after_a_kill_and_after_a_stop_it_is_gone_on_with(
    server: Server, officer: Officer, unanchored: Anchor, tmp_path: Path
) -> None:
    one = officer.begin(reason="killed")
    for end in (server.kill, server.stop):
        officer.until(one, lambda each: each["stage"] == "records")
        if end == server.stop:
            unanchored.back()  # else nothing could be sealed at the stop
            server.stop()
        else:
            server.kill()
            unanchored.back()
        server.start()
        if officer.standing(one)["state"] == "kept":  # it was done before the stop came
            break
        assert officer.standing(one)["state"] == "interrupted"
        if end == server.kill:
            unanchored.away()
        assert officer.post(f"/v1/productions/{one}/resume").status_code == 202
    officer.done(one)
    data = officer.get(f"/v1/productions/{one}/archive").content
    assert verified(unpacked(data, tmp_path / "out"))["result"] == "good"


@pytest.mark.parametrize(("point", "state"), [("produce.kept", "interrupted"), ("produce.complete", "kept")])
def test_a_crash_after_it_was_stored_leaves_nothing_in_the_clear(
    server: Server, officer: Officer, point: str, state: str
) -> None:
    server.stop()
    server.start({"STRONGROOM_CRASH_POINT": point})
    one = officer.begin(reason=point)
    assert server.wait() < 0
    server.start()
    place = server.data / "views/productions" / one
    assert [path.name for path in place.iterdir()] == [".unfinished.json"]
    assert officer.standing(one)["state"] == state
    assert officer.post(f"/v1/productions/{one}/resume").status_code == (409 if state == "kept" else 202)
    found = officer.done(one)
    assert sha256(officer.get(f"/v1/productions/{one}/archive").content).hexdigest() == found["kept"]["sha256"]
    assert not place.exists()
    lines = server.cli("records", "--op", "production.complete", "--ndjson", "--all").stdout.splitlines()
    assert [json.loads(line)["production"]["id"] for line in lines].count(one) == 1


def test_what_is_discarded_is_gone(server: Server, officer: Officer, unanchored: Anchor) -> None:
    one = officer.begin(reason="in vain")
    officer.until(one, lambda each: each["stage"] == "records")
    assert officer.post(f"/v1/productions/{one}/cancel?discard=true").status_code == 202
    officer.until(one, lambda each: each["state"] == "discarded")
    assert not (server.data / "views/productions" / one).exists()
    assert problem(officer.post(f"/v1/productions/{one}/resume")) == (404, "production-not-found")
    assert problem(officer.post(f"/v1/productions/{one}/cancel")) == (404, "production-not-found")


def test_a_start_removes_what_nobody_can_go_on_with(server: Server, officer: Officer) -> None:
    left = server.data / "views/productions" / ("ab" * 8)
    (left / "data").mkdir(parents=True)
    (left / "data/native").write_text("in the clear")
    server.stop()
    server.start()
    assert not left.exists()


def test_all_are_listed_page_by_page(server: Server, officer: Officer, kept: Any, tmp_path: Path) -> None:
    made = server.cli("production", "create", "--bucket", "trades", "--reason", "by hand", "--dir", tmp_path / "o")
    assert made.returncode == 0, made.stderr
    page = officer.get("/v1/productions?limit=1").json()
    assert page["productions"][0]["asked"]["reason"] == "by hand"
    found = page["productions"]
    while "next" in page:
        page = officer.get(f"/v1/productions?limit=2&cursor={page['next']}").json()
        found += page["productions"]
    assert len(found) == len({one["id"] for one in found})
    assert [one["time"] for one in found] == sorted((one["time"] for one in found), reverse=True)
    (same,) = (one for one in found if one["id"] == kept["id"])
    assert same == officer.standing(kept["id"])


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", (400, "query-invalid")),
        (b'{"bucket":"trades"}', (400, "query-invalid")),
        (json.dumps(ASKED | {"reason": " "}).encode(), (400, "query-invalid")),
        (json.dumps(ASKED | {"more": 1}).encode(), (400, "query-invalid")),
        (json.dumps(ASKED | {"from": "soon"}).encode(), (400, "query-invalid")),
        (json.dumps(ASKED | {"prefix": "\ud800"}).encode(), (400, "query-invalid")),
    ],
)
def test_what_cannot_be_asked_is_a_clear_problem(officer: Officer, body: bytes, answer: tuple[int, str]) -> None:
    sent = officer.http.post("/v1/productions", content=body, headers=officer.headers)
    assert problem(sent) == answer
    assert sent.json()["detail"]


def test_what_is_not_there_is_told_so(officer: Officer) -> None:
    nothing = f"/v1/productions/{'0' * 16}"
    assert problem(officer.get(nothing)) == (404, "production-not-found")
    assert problem(officer.get(f"{nothing}/archive")) == (404, "production-not-found")
    assert problem(officer.get("/v1/productions/x")) == (400, "query-invalid")


def test_the_description_can_be_read_by_programs(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()
    body = described["paths"]["/v1/productions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["examples"][0]["from"] == "2026-01-01"
    refs = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(described)))
    assert refs <= set(described["components"]["schemas"])


def test_all_of_it_verifies(server: Server, kept: Any) -> None:
    time.sleep(1.1)  # a checkpoint
    assert server.stop() == 0
    told = command("verify", server.data, "--json")
    server.start()
    assert json.loads(told.stdout)["result"] == "good", told.stdout
