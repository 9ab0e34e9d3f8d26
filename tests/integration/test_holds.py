"""Matters on a real server: over the audit port, the command, S3, kills, and to the verifier."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.served import Server, command
from tests.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Twenty commands that each open a vault take their time on a busy machine.
pytestmark = pytest.mark.timeout(180)

PLACES = {"compliance"}
SEES = {"compliance", "auditor", "examiner"}
ROLES = ["root", "operator", "security", "compliance", "auditor", "examiner", "owner", "writer", "reader"]
BODY = {"name": "SEC 17", "reason": "their letter", "owner": "legal", "query": {"bucket": "trades", "prefix": "x/"}}


@pytest.fixture(scope="module")
def tokens(server: Server, s3: Any) -> dict[str, str]:
    found = {}
    for role in ROLES:
        made = json.loads(server.cli("principal", "add", f"the-{role}", "--role", role, "--json").stdout)
        found[role] = json.loads(server.cli("token", "add", made["access_key"], "--json").stdout)["token"]
    s3.create_bucket(Bucket="trades", ObjectLockEnabledForBucket=True)
    s3.create_bucket(Bucket="plain")
    return found


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.audit_endpoint, timeout=30) as client:
        yield client


class Officer:
    """Asks as the holder of one token."""

    def __init__(self, http: httpx.Client, token: str) -> None:
        self.http, self.headers = http, {"authorization": f"Bearer {token}"}

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path, headers=self.headers)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=self.headers | headers)

    def open(self, **query: Any) -> str:
        answer = self.post("/v1/holds", BODY | {"query": query})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def release(self, matter: str) -> httpx.Response:
        return self.post(f"/v1/holds/{matter}/release", {"reason": "settled"})


@pytest.fixture
def officer(http: httpx.Client, tokens: dict[str, str]) -> Officer:
    return Officer(http, tokens["compliance"])


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].removeprefix("urn:strongroom:problem:")


def last(server: Server, *filters: str) -> Any:
    found = server.cli("records", "--json", "--limit", "1", *filters)
    return json.loads(found.stdout)["records"][0]["record"]


def refused(s3: Any, call: str, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        getattr(s3, call)(**arguments)
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize("role", ROLES)
def test_who_may_place_release_and_see_holds_and_that_each_try_is_a_record(
    http: httpx.Client, tokens: dict[str, str], officer: Officer, role: str
) -> None:
    matter = officer.open(bucket="trades", prefix="nothing/")
    asker = Officer(http, tokens[role])
    tries = [
        ("matter.list", SEES, lambda: asker.get("/v1/holds")),
        ("matter.get", SEES, lambda: asker.get(f"/v1/holds/{matter}")),
        ("matter.open", PLACES, lambda: asker.post("/v1/holds", BODY)),
        ("matter.close", PLACES, lambda: asker.release(matter)),
    ]
    for op, may, ask in tries:
        answer: httpx.Response = ask()  # type: ignore[no-untyped-call]
        record = officer.get(f"/v1/records?limit=1&op={op}").json()["records"][0]["record"]
        assert record["actor"]["roles"] == [role]
        assert record["request"]["http"].split()[1].startswith("/v1/holds")
        if role in may:
            assert answer.status_code in {200, 201}, answer.text
            if answer.status_code == 201:
                officer.release(answer.json()["id"])
            assert record["outcome"] == "success"
        else:
            assert problem(answer) == (403, "access-denied")
            assert (record["outcome"], record["reason"]) == ("denied", "policy")


def test_without_a_token_no_body_is_read(http: httpx.Client) -> None:
    answer = http.post("/v1/holds", content=b"x" * 1_000_000)
    assert problem(answer) == (401, "unauthenticated")


def test_s3_meets_it_as_a_legal_hold_that_it_cannot_lift(server: Server, s3: Any, officer: Officer) -> None:
    named = {"Bucket": "trades", "Key": "x/1"}
    before = s3.put_object(**named, Body=b"before")["VersionId"]
    s3.put_object(Bucket="plain", Key="x/1", Body=b"old")
    first, second, third = (officer.open(vault=True, prefix=prefix) for prefix in ("x/", "x", "x/1"))
    after = s3.put_object(**named, Body=b"after")["VersionId"]
    for version in (before, after):
        assert s3.head_object(**named, VersionId=version)["ObjectLockLegalHoldStatus"] == "ON"
        assert s3.get_object_legal_hold(**named, VersionId=version)["LegalHold"] == {"Status": "ON"}
        assert (
            refused(s3, "delete_object", **named, VersionId=version, BypassGovernanceRetention=True) == "AccessDenied"
        )
    record = last(server, "--op", "object.delete")
    assert (record["reason"], record["lock"]) == ("legal_hold", {"matters": [first, second, third]})
    assert refused(s3, "put_object", Bucket="plain", Key="x/1", Body=b"new") == "AccessDenied"
    assert s3.get_object(Bucket="plain", Key="x/1")["Body"].read() == b"old"
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    assert last(server, "--op", "object.hold.put")["lock"] == {"matters": [first, second, third]}
    assert s3.get_object_legal_hold(**named)["LegalHold"] == {"Status": "ON"}
    s3.delete_object(**named)  # hidden, and all there
    assert officer.release(second).json()["state"] == "closed"
    assert refused(s3, "delete_object", **named, VersionId=before) == "AccessDenied"
    officer.release(first)
    officer.release(third)
    for version in (before, after):
        s3.delete_object(**named, VersionId=version)
    s3.put_object(Bucket="plain", Key="x/1", Body=b"new")


def test_it_is_shown_with_what_it_holds_and_a_keys_story_names_it(s3: Any, officer: Officer) -> None:
    for number in range(3):
        s3.put_object(Bucket="trades", Key=f"s/{number}", Body=b"")
    s3.delete_object(Bucket="trades", Key="s/0")
    matter = officer.open(bucket="trades", prefix="s/", **{"from": "2020-01-01", "to": "2999-01-01T00:00:00+02:00"})
    shown = officer.get(f"/v1/holds/{matter}").json()
    assert shown["held"] == {
        "versions": 3,
        "exact": True,
        "how": "all 4 versions of its bucket and prefix were looked at",
    }
    assert shown["query"] == {
        "bucket": "trades",
        "prefix": "s/",
        "from": "2020-01-01T00:00:00.000000000Z",
        "to": "2998-12-31T22:00:00.000000000Z",
    }
    record = officer.get(f"/v1/records/{shown['stream']}/{shown['seq']}").json()
    assert (record["op"], record["matter"]["id"]) == ("matter.open", matter)
    story = officer.get("/v1/objects/trades/s/0").json()
    assert story["versions"][0].get("matters") is None  # the delete marker
    held = story["versions"][1]
    assert held["matters"] == [matter]
    assert held["locked"] == f"by the matter {matter} (SEC 17), until it is released"
    assert held["why"][-1]["because"] == f"the matter {matter} (SEC 17) was opened, and describes it"
    assert (held["why"][-1]["seq"], held["why"][-1]["matter"]) == (shown["seq"], matter)
    officer.release(matter)
    assert officer.get(f"/v1/holds/{matter}").json()["held"]["versions"] == 0
    assert "locked" not in officer.get("/v1/objects/trades/s/0").json()["versions"][1]


def test_the_same_request_sent_again_opens_nothing_and_gets_the_same_answer(server: Server, officer: Officer) -> None:
    sent = [lambda: officer.post("/v1/holds", BODY, **{"Idempotency-Key": "a key"})] * 8
    answers = together(sent)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    first = answers[0].json()
    assert answers[0].headers["location"] == f"/v1/holds/{first['id']}"
    assert int(server.cli("records", "--op", "matter.open", "--outcome", "failure", "--count").stdout) == 7
    server.kill()
    server.start()
    officer.release(first["id"])
    again = officer.post("/v1/holds", BODY, **{"Idempotency-Key": "a key"})
    assert (again.status_code, again.json()) == (201, first)
    other = officer.post("/v1/holds", BODY | {"name": "another"}, **{"Idempotency-Key": "a key"})
    assert problem(other) == (422, "idempotency-key-reused")
    assert officer.post("/v1/holds", BODY).json()["id"] != officer.post("/v1/holds", BODY).json()["id"]


def test_pages_go_on_where_they_ended_though_matters_come_and_go(officer: Officer) -> None:
    made = [officer.open(bucket="trades", prefix=f"page {number}") for number in range(5)][::-1]
    page = officer.get("/v1/holds?state=open&limit=2").json()
    assert [each["id"] for each in page["holds"]] == made[:2]
    officer.release(made[0])
    officer.open(vault=True, prefix="later")
    page = officer.get(f"/v1/holds?state=open&limit=3&cursor={page['next']}").json()
    assert [each["id"] for each in page["holds"]] == made[2:]
    closed = officer.get("/v1/holds?state=closed&limit=1").json()["holds"]
    assert [(each["id"], each["closed_reason"]) for each in closed] == [(made[0], "settled")]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", (400, "query-invalid")),
        (b"[" * 20_000, (400, "query-invalid")),
        (b'{"name":"\xff"}', (400, "query-invalid")),
        (json.dumps(BODY | {"reason": "\ud800"}).encode(), (400, "query-invalid")),
        (json.dumps(BODY | {"reason": "r" * 1025}).encode(), (400, "query-invalid")),
        (json.dumps(BODY | {"reason": "two\nlines"}).encode(), (400, "query-invalid")),
        (json.dumps(BODY | {"more": 1}).encode(), (400, "query-invalid")),
        (json.dumps(BODY | {"query": {}}).encode(), (400, "query-invalid")),
        (json.dumps(BODY | {"query": {"bucket": "trades", "vault": True}}).encode(), (400, "query-invalid")),
        (json.dumps(BODY | {"query": {"bucket": "trades", "from": "soon"}}).encode(), (400, "query-invalid")),
        (json.dumps(BODY | {"query": {"vault": True, "actor": "nobody"}}).encode(), (400, "query-invalid")),
        (json.dumps(BODY | {"query": {"bucket": "trade"}}).encode(), (404, "no-such-bucket")),
        (json.dumps(BODY).encode() + b" " * 40_000, (400, "query-invalid")),
    ],
)
def test_what_cannot_be_opened_is_a_clear_problem(officer: Officer, body: bytes, answer: tuple[int, str]) -> None:
    before = len(officer.get("/v1/holds?limit=1000").json()["holds"])
    sent = officer.http.post("/v1/holds", content=body, headers=officer.headers)
    assert problem(sent) == answer
    assert sent.json()["detail"]
    assert len(officer.get("/v1/holds?limit=1000").json()["holds"]) == before


def test_what_is_not_there_or_over_is_not_released(officer: Officer) -> None:
    assert problem(officer.get(f"/v1/holds/{'0' * 16}")) == (404, "hold-not-found")
    assert problem(officer.release("0" * 16)) == (404, "hold-not-found")
    assert problem(officer.get("/v1/holds/x")) == (400, "query-invalid")
    matter = officer.open(bucket="trades")
    assert problem(officer.post(f"/v1/holds/{matter}/release", {})) == (400, "query-invalid")
    assert officer.release(matter).status_code == 200
    assert problem(officer.release(matter)) == (409, "hold-released")


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "without one"])
def test_the_command_does_the_same(server: Server, running: bool) -> None:  # noqa: FBT001 - a table's column
    if not running:
        assert server.stop() == 0
    try:
        about = ("--reason", "their letter", "--owner", "legal")
        made = server.cli(
            "hold", "open", "by hand", *about, "--whole-vault", "--prefix", "h\t/", "--actor", "the-writer", "--json"
        )
        assert made.returncode == 0, made.stderr
        matter = json.loads(made.stdout)
        assert matter["query"]["actor"].startswith("p")
        listed = server.cli("hold", "list", "--state", "open").stdout.splitlines()[0].split("\t")
        assert listed[:2] == [matter["id"], "open"]
        assert listed[5] == f'the whole vault, keys beginning with "h\\t/", stored by {matter["query"]["actor"]}'
        shown = server.cli("hold", "show", matter["id"]).stdout
        assert "holds     0 versions (all " in shown
        assert server.cli("hold", "release", matter["id"], "--reason", "").returncode == 1
        assert server.cli("hold", "release", matter["id"], "--reason", "settled").returncode == 0
        again = server.cli("hold", "release", matter["id"], "--reason", "settled")
        assert (again.returncode, again.stderr) == (1, "Error: refused: The matter was released before.\n")
        assert "released  " in server.cli("hold", "show", matter["id"]).stdout
        assert server.cli("hold", "show", "0" * 16).returncode == 1
        assert server.cli("hold", "open", "x", *about).returncode == 2
        assert server.cli("hold", "open", "x", *about, "--bucket", "none").returncode == 1
        assert server.cli("hold", "open", "x\udcff", *about, "--whole-vault").returncode == 2
        assert last(server, "--op", "matter.close")["actor"]["person"].endswith(")")
    finally:
        if not running:
            server.start()


def test_after_a_kill_and_without_its_index_it_still_holds_and_all_of_it_verifies(
    server: Server, s3: Any, officer: Officer
) -> None:
    version = s3.put_object(Bucket="trades", Key="kept", Body=b"kept")["VersionId"]
    gone = s3.put_object(Bucket="trades", Key="gone", Body=b"gone")["VersionId"]
    s3.delete_object(Bucket="trades", Key="gone", VersionId=gone)
    matter = officer.open(bucket="trades")
    for lost in (False, True):
        server.kill()
        if lost:
            for path in (server.data / "views" / "index").iterdir():
                path.unlink()
        server.start()
        assert refused(s3, "delete_object", Bucket="trades", Key="kept", VersionId=version) == "AccessDenied"
        assert officer.get(f"/v1/holds/{matter}").json()["state"] == "open"
    time.sleep(1.1)  # a checkpoint
    assert server.stop() == 0
    told = command("verify", server.data, "--json")
    server.start()
    assert json.loads(told.stdout)["result"] == "good", told.stdout


def test_it_goes_on_in_the_stream_that_takes_over(tmp_path: Path) -> None:
    server = Server(tmp_path)
    client = boto3.client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1",
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )  # fmt: skip
    client.create_bucket(Bucket="plain")
    client.put_object(Bucket="plain", Key="k", Body=b"kept")
    about = ("--reason", "r", "--owner", "o", "--whole-vault", "--json")
    ids = [json.loads(server.cli("hold", "open", name, *about).stdout)["id"] for name in ("one", "two")]
    assert server.stop() == 0
    for path in server.data.with_name("data.anchor").iterdir():
        path.unlink()
    assert server.cli("recover").returncode == 0
    server.start()
    assert server.cli("hold", "release", ids[0], "--reason", "settled").returncode == 0
    client.put_object(Bucket="plain", Key="new", Body=b"new")
    for key in ("k", "new"):
        assert refused(client, "delete_object", Bucket="plain", Key=key) == "AccessDenied"
    shown = json.loads(server.cli("hold", "show", ids[1], "--json").stdout)
    assert (shown["stream"], shown["held"]["versions"]) == ("site-a.node-1", 2)
    assert server.cli("hold", "release", ids[1], "--reason", "settled").returncode == 0
    client.delete_object(Bucket="plain", Key="k")
    client.close()
    assert server.stop() == 0
    assert json.loads(command("verify", server.data, "--json").stdout)["result"] == "good"


def test_the_description_can_be_read_by_programs(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()
    body = described["paths"]["/v1/holds"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["examples"][0]["query"]["bucket"] == "trades"
    refs = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(described)))
    assert refs <= set(described["components"]["schemas"])
