"""The audit port's records on a real server: who may see them, that looking is recorded, and what is shown."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from audit.control.client import Client
from audit.identity import Layout
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(180)  # commands start slowly on a busy machine

STREAM = "site-a.node-1"
SHOWS = [
    "/v1/records",
    f"/v1/records/{STREAM}/0",
    f"/v1/records/{STREAM}/0/proof",
    "/v1/objects/trades/2026/a%20b.json",
    f"/v1/log/{STREAM}/tile/entries/000.p/1",
]
MAY = {"auditor", "examiner", "compliance"}
MAY_NOT = {"root", "operator", "security", "owner", "writer", "reader"}


@pytest.fixture(scope="module")
def tokens(server: Server, s3: Any) -> dict[str, str]:
    """A token of a principal for each role; and a few things that happened."""
    found = {}
    control = Client.connect(Layout(server.data).socket)
    assert control is not None
    with control:
        for role in sorted(MAY | MAY_NOT):
            made = control.add_principal(f"the-{role}", (role,), "", "")
            found[role] = control.add_token(made.access_key, (), 7, "").token
    s3.create_bucket(Bucket="trades", ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=400)
    s3.put_object(
        Bucket="trades",
        Key="2026/a b.json",
        Body=b"hello",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until,
    )
    s3.put_object_legal_hold(Bucket="trades", Key="2026/a b.json", LegalHold={"Status": "ON"})
    version = s3.head_object(Bucket="trades", Key="2026/a b.json")["VersionId"]
    with pytest.raises(s3.exceptions.ClientError):
        s3.delete_object(Bucket="trades", Key="2026/a b.json", VersionId=version)
    s3.put_object(Bucket="trades", Key="=1+1", Body=b"")
    return found


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.audit_endpoint, timeout=30) as client:
        yield client


def get(http: httpx.Client, path: str, token: str = "", **headers: str) -> httpx.Response:
    return http.get(path, headers={**({"authorization": f"Bearer {token}"} if token else {}), **headers})


def last(server: Server, *filters: str) -> Any:
    """The newest record that matches, by the command."""
    found = server.cli("records", "--json", "--limit", "1", *filters)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)["records"][0]["record"]


@pytest.mark.parametrize("path", SHOWS)
@pytest.mark.parametrize("role", sorted(MAY | MAY_NOT))
def test_only_who_reads_records_sees_any_and_everybody_else_is_on_record(
    server: Server, http: httpx.Client, tokens: dict[str, str], role: str, path: str
) -> None:
    answer = get(http, path, tokens[role])
    if role in MAY:
        assert answer.status_code == 200, answer.text
        return
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:strongroom:problem:access-denied"
    assert "hello" not in answer.text
    record = last(server, "--outcome", "denied", "--op", "record.*")
    assert record["request"]["http"] == f"GET {path}"
    assert record["actor"]["roles"] == [role]
    assert record["reason"] == "policy"


@pytest.mark.parametrize("path", SHOWS)
def test_without_a_token_that_counts_there_is_nothing_and_it_is_counted(
    server: Server, http: httpx.Client, tokens: dict[str, str], path: str
) -> None:
    for token in ("", "strongroom_" + "0" * 16 + "_" + "A" * 43, tokens["auditor"][:-1], "x" * 5000):
        answer = get(http, path, token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="strongroom"'
    assert last(server, "--op", "auth.window.open")["window"]["count"] == 1


def test_a_token_may_carry_less_than_its_principal(server: Server, http: httpx.Client) -> None:
    made = json.loads(server.cli("principal", "add", "two", "--role", "auditor", "--role", "reader", "--json").stdout)
    narrow = server.cli("token", "add", made["access_key"], "--role", "reader").stdout.strip()
    assert get(http, "/v1/records", narrow).status_code == 403
    whole = server.cli("token", "add", made["access_key"], "--note", "annual audit")
    assert get(http, "/v1/records", whole.stdout.strip()).status_code == 200
    token_id = whole.stdout.split("_")[1]
    assert server.cli("token", "revoke", token_id).returncode == 0
    assert get(http, "/v1/records", whole.stdout.strip()).status_code == 401
    listed = {row["id"]: row for row in json.loads(server.cli("token", "list", "--json").stdout)}
    assert (listed[token_id]["state"], listed[token_id]["note"]) == ("revoked", "annual audit")
    assert server.cli("token", "revoke", "0" * 16).returncode == 1


def test_records_come_as_their_exact_bytes_in_pages_of_one_snapshot(http: httpx.Client, tokens: dict[str, str]) -> None:
    seen: list[int] = []
    path = "/v1/records?limit=3&order=asc&count=true"
    first = page = get(http, path, tokens["auditor"]).json()
    while True:
        assert (page["snapshot"], page["total"]) == (first["snapshot"], first["total"])
        for each in page["records"]:
            whole = get(http, f"/v1/records/{each['stream']}/{each['seq']}", tokens["auditor"]).content
            assert sha256(b"\0" + whole).hexdigest() == each["leaf"]
            assert json.loads(whole) == each["record"]
            seen.append(each["seq"])
        if "next" not in page or len(seen) > 30:
            break
        page = get(http, f"{path}&cursor={page['next']}", tokens["auditor"]).json()
    assert seen == list(range(len(seen)))


def test_an_etag_spares_the_bytes_and_not_the_record(
    server: Server, http: httpx.Client, tokens: dict[str, str]
) -> None:
    path = f"/v1/records/{STREAM}/1"
    etag = get(http, path, tokens["auditor"]).headers["etag"]
    assert get(http, path, tokens["auditor"], **{"if-none-match": etag}).status_code == 304
    assert last(server, "--op", "record.get")["ref"] == 1


def test_a_cursor_is_of_whoever_got_it_and_of_its_question(http: httpx.Client, tokens: dict[str, str]) -> None:
    cursor = get(http, "/v1/records?limit=1", tokens["auditor"]).json()["next"]
    for path, role in (
        (f"/v1/records?limit=1&cursor={cursor}", "examiner"),
        (f"/v1/records?limit=1&bucket=trades&cursor={cursor}", "auditor"),
        (f"/v1/records?limit=1&order=asc&cursor={cursor}", "auditor"),
        (f"/v1/records?limit=1&cursor={cursor[:-2]}", "auditor"),
    ):
        answer = get(http, path, tokens[role])
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:strongroom:problem:query-invalid")
    assert get(http, f"/v1/records?limit=2&cursor={cursor}", tokens["auditor"]).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "buckt=trades", "limit=0", "limit=1001", "limit=many", "order=up", "cursor=x", "from=now", "outcome=ok",
        "q=", "bucket=a&bucket=b", "op=object.got", "q=" + "x" * 5000, "count=perhaps", "key=%ff",
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_clear_problem(http: httpx.Client, tokens: dict[str, str], query: str) -> None:
    answer = get(http, f"/v1/records?{query}", tokens["auditor"])
    if query == "key=%ff":  # a framework reads it as a replacement character: no key has it, and nothing is found
        assert answer.json()["records"] == []
        return
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == "urn:strongroom:problem:query-invalid"
    assert answer.json()["detail"]


def test_a_keys_story_says_why_it_is_locked(http: httpx.Client, tokens: dict[str, str]) -> None:
    story = get(http, "/v1/objects/trades/2026/a%20b.json", tokens["compliance"]).json()
    (version,) = story["versions"]
    assert (version["mode"], version["hold"], version["current"]) == ("COMPLIANCE", True, True)
    assert version["locked"].startswith("by retention (COMPLIANCE) until ")
    assert version["locked"].endswith("and by a legal hold, until it is lifted")
    assert [step["because"] for step in version["why"]] == [
        "its upload asked for a retention",
        "the legal hold was set",
    ]
    history = [(each["record"]["op"], each["record"]["outcome"]) for each in story["history"]]
    assert history[0] == ("object.delete", "denied")
    assert ("object.put", "success") in history
    assert get(http, "/v1/objects/trades/never", tokens["compliance"]).status_code == 404
    assert get(http, "/v1/objects/trades/never?prefix=x", tokens["compliance"]).status_code == 400


def test_entries_are_recorded_once_a_window(server: Server, http: httpx.Client, tokens: dict[str, str]) -> None:
    def fetched() -> int:
        return int(server.cli("records", "--op", "record.tile", "--outcome", "success", "--count").stdout)

    made = json.loads(server.cli("principal", "add", "siem", "--role", "auditor", "--json").stdout)
    token = server.cli("token", "add", made["access_key"]).stdout.strip()
    before = fetched()
    for _ in range(5):
        assert get(http, f"/v1/log/{STREAM}/tile/entries/000.p/4", token).status_code == 200
    assert fetched() == before + 1


def test_a_stranger_verifies_the_log_by_its_url_with_a_token(
    server: Server, tokens: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = tmp_path_factory.mktemp("stranger")
    (files / "token").write_text(tokens["examiner"])
    (files / "vkey").write_text(server.cli("log", "vkey", STREAM).stdout)
    url = f"{server.audit_endpoint}/v1/log/{STREAM}"
    good = command("verify", url, "--token-file", files / "token", "--vkey", files / "vkey", "--json")
    assert good.returncode == 0, good.stderr
    (files / "token").write_text(tokens["operator"])
    assert command("verify", url, "--token-file", files / "token", "--vkey", files / "vkey").returncode == 2


def test_checkpoints_are_open_to_everybody(http: httpx.Client) -> None:
    (found,) = http.get("/v1/checkpoints").json()["checkpoints"]
    assert found["stream"] == STREAM
    assert found["note"].startswith(f"{found['origin']}\n{found['size']}\n")


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "without one"])
def test_the_command_shows_the_same(
    server: Server,
    http: httpx.Client,
    tokens: dict[str, str],
    running: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert get(http, "/v1/records", tokens["auditor"]).status_code == 200
    if not running:
        assert server.stop() == 0
    try:
        table = server.cli("records", "--bucket", "trades", "--outcome", "denied").stdout.splitlines()
        assert table[0].split() == ["SEQ", "TIME", "OUTCOME", "OP", "WHO", "WHAT", "REASON"]
        assert "object.delete" in table[1]
        assert "trades/2026/a b.json" in table[1]
        rows = list(csv.DictReader(io.StringIO(server.cli("records", "--bucket", "trades", "--all", "--csv").stdout)))
        assert {row["bucket"] for row in rows} == {"trades"}
        assert {row["key"] for row in rows} >= {"2026/a b.json", "'=1+1"}  # no spreadsheet runs it
        lines = server.cli("records", "--oldest-first", "--limit", "5", "--ndjson").stdout.splitlines()
        assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2, 3, 4]
        assert json.loads(lines[1])["prev"] == sha256(b"\0" + lines[0].encode()).hexdigest()
        by_name = json.loads(server.cli("records", "--actor", "the-auditor", "--json", "--limit", "1").stdout)
        assert by_name["records"][0]["record"]["actor"]["roles"] == ["auditor"]
        asked = last(server, "--op", "record.query")
        assert asked["actor"]["person"].endswith(")")  # the user of the host, who looked
        assert asked["request"]["http"].startswith("records ")
    finally:
        if not running:
            server.start()


def test_a_command_that_asks_for_nonsense_says_so(server: Server) -> None:
    wrong = server.cli("records", "--from", "tomorrow")
    assert wrong.returncode == 2
    assert "from: 'tomorrow' is no time" in wrong.stderr
    assert server.cli("records", "--csv", "--json").returncode == 2
