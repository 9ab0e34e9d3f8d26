"""Schemathesis holds the audit port to its description: every operation it names, asked as holders of several roles.

It makes requests of the schema and against it, and judges each answer: no fault, a status, media type, headers and body
that are described, nothing accepted that the schema refuses, nothing shown without the token that it says is needed.
What it is told, and what it is told not to expect, with reasons, stands in ``schemathesis.toml``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest

from tests.conftest import IN_CI
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(240)  # a thousand requests, on a busy machine

PROGRAM = Path(sys.executable).with_name("schemathesis")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
#: Made-up requests for one operation, in each of the phases that make them up.
EXAMPLES = 5
#: Whoever asks, and how: who is let in nowhere is asked for less, and without a token all that is right is refused.
ASKERS = {
    "compliance": (),
    "source": ("--phases", "examples,coverage,fuzzing"),
    "security": ("--phases", "examples,fuzzing"),
    "nobody": ("--phases", "examples,fuzzing", "--exclude-checks", "positive_data_acceptance"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A vault that has something of each kind, and no bound on how fast one may ask; judged at the end."""
    bounds = {"STRONGROOM_AUDIT__REQUESTS_PER_MINUTE": "1000000"}
    served = Server(tmp_path_factory.mktemp("described"), bounds)
    s3 = boto3.client(
        "s3",
        endpoint_url=served.endpoint,
        aws_access_key_id=served.access_key,
        aws_secret_access_key=served.secret_key,
        region_name="us-east-1",
    )
    s3.create_bucket(Bucket="trades", ObjectLockEnabledForBucket=True)
    s3.create_bucket(Bucket="plain")
    for key in ("T-1", "=1+1", "2026/11/22/T-1"):
        s3.put_object(Bucket="trades", Key=key, Body=b"hello", ObjectLockLegalHoldStatus="ON")
    s3.close()
    yield served
    assert served.stop() == 0, served.errors
    found = command("verify", served.data, "--json")
    assert found.returncode == 0, found.stdout


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    found = {"nobody": ""}
    for asker in ASKERS.keys() - found.keys():
        role, *options = ("writer", "--source", "app-a") if asker == "source" else (asker,)
        made = json.loads(server.cli("principal", "add", f"the-{asker}", "--role", role, "--json").stdout)
        found[asker] = server.cli("token", "add", made["access_key"], *options).stdout.strip()
    brought = httpx.post(
        f"{server.audit_endpoint}/v1/ingest/app-a",
        content=b'{"id":"1"}\n{"id":"2"}',
        headers={"authorization": f"Bearer {found['source']}", "content-type": "application/x-ndjson"},
    )
    assert brought.status_code == 200, brought.text
    return found


def ask(where: Path, schema: str | Path, token: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Have it ask, the same each time in CI."""
    seed = ["--seed", "1"] if IN_CI else []
    held = ["--header", f"Authorization: Bearer {token}"] if token else []
    told = ["--max-examples", str(EXAMPLES), "--continue-on-failure", *seed, *held, *options]
    return subprocess.run(
        [PROGRAM, "--no-color", "--config-file", CONFIGURATION, "run", *told, schema],
        cwd=where,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(where)},
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )


@pytest.mark.parametrize("asker", ASKERS)
def test_every_answer_is_as_described(server: Server, tokens: dict[str, str], tmp_path: Path, asker: str) -> None:
    url = f"{server.audit_endpoint}/openapi.json"
    operations = sum(map(len, httpx.get(url).json()["paths"].values()))
    done = ask(tmp_path, url, tokens[asker], *ASKERS[asker])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {operations}" in done.stdout
    assert server.running


def test_a_description_that_were_not_true_would_be_found_out(
    server: Server, tokens: dict[str, str], tmp_path: Path
) -> None:
    described = httpx.get(f"{server.audit_endpoint}/openapi.json").json()
    paths, parts = described["paths"], described["components"]
    del paths["/v1/records"]["get"]["responses"]["400"]
    parts["headers"]["X-Request-Id"]["schema"]["pattern"] = "^[a-z]+$"
    parts["schemas"]["Streams"]["required"].append("none-such")
    paths["/v1/log"]["get"]["security"] = [{"token": []}]
    content = paths["/v1/checkpoints"]["get"]["responses"]["200"]["content"]
    content["text/html"] = content.pop("application/json")
    next(it for it in paths["/v1/holds"]["get"]["parameters"] if it["name"] == "limit")["schema"]["maximum"] = 5
    schema = tmp_path / "openapi.json"
    schema.write_text(json.dumps(described))
    some = [f"--include-path={path}" for path in ("/v1/records", "/v1/log", "/v1/checkpoints", "/v1/holds")]
    done = ask(tmp_path, schema, tokens["compliance"], "--url", server.audit_endpoint, "--phases", "coverage", *some)
    assert done.returncode == 1, done.stdout + done.stderr
    for told in (
        "Undocumented status code",
        "Response header does not conform to the schema",
        "Response violates schema",
        "API accepts requests without authentication",
        "Undocumented Content-Type",
        "Schema-violating request accepted",
    ):
        assert told in done.stdout, done.stdout
