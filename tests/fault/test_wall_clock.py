"""The real server under a wall clock that is set or runs on in a suspend: nothing is freed early, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
pytestmark = pytest.mark.skipif(
    _LIBRARY is None and not os.environ.get("CI"), reason="libfaketime is not installed (apt install faketime)"
)

#: What is credited of time that nobody measured, at most, in seconds.
_BUDGET_S = 15 * 60
#: How far apart the clocks of two processes may be on a busy machine, and how long a record may take, in seconds.
_GRACE_S = 60
_PATIENCE_S = 45

#: A client with the same wall clock, or its signatures would be of another time: operation, then its arguments.
_CLIENT = """
import sys, json, boto3, botocore
endpoint, access, secret, call, arguments = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=access, aws_secret_access_key=secret,
                  region_name="us-east-1", config=botocore.config.Config(retries={"total_max_attempts": 1}))
try:
    answer = getattr(s3, call)(**json.loads(arguments))
    print(json.dumps({name: answer.get(name) for name in ("VersionId", "ObjectLockRetainUntilDate")}, default=str))
except botocore.exceptions.ClientError as error:
    print(json.dumps({"Error": error.response["Error"]["Code"]}))
"""


def _shifted(by: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(_LIBRARY), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def _account(server: Server) -> tuple[str, str, str]:
    return server.endpoint, server.access_key, server.secret_key


def _call(server: Server, wall: dict[str, str], call: str, **arguments: object) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, *_account(server), call, json.dumps(arguments)],
        env={**os.environ, **wall},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _lag_s(server: Server) -> float:
    with urlopen(f"{server.audit_endpoint}/readyz") as answer:  # noqa: S310 - our own server
        lag: int = json.load(answer)["lag_ns"]
    return lag / 1e9


def _verified(server: Server) -> None:
    """Stop it, and find what it leaves good."""
    assert server.stop() == 0, server.errors
    verified = command("verify", server.data)
    assert verified.returncode == 0, verified.stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    if made.running:
        made.stop()


def test_a_wall_clock_ten_years_ahead_frees_nothing_and_the_lag_is_shown(server: Server) -> None:
    _call(server, {}, "create_bucket", Bucket="vault", ObjectLockEnabledForBucket=True)
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}}
    _call(server, {}, "put_object_lock_configuration", Bucket="vault", ObjectLockConfiguration=rule)
    kept = _call(server, {}, "put_object", Bucket="vault", Key="a", Body="x")["VersionId"]
    server.stop()

    ahead = _shifted("+3650d")
    server.start(ahead)
    assert _lag_s(server) > 3649 * 86_400
    assert _call(server, ahead, "delete_object", Bucket="vault", Key="a", VersionId=kept) == {"Error": "AccessDenied"}
    newer = _call(server, ahead, "put_object", Bucket="vault", Key="b", Body="x")["VersionId"]
    until = _call(server, ahead, "head_object", Bucket="vault", Key="b")["ObjectLockRetainUntilDate"]
    assert datetime.fromisoformat(until) > datetime.now(UTC) + timedelta(days=3650)
    server.stop()

    server.start()
    assert abs(_lag_s(server)) <= 15 * 60 + 60
    for key, version in (("a", kept), ("b", newer)):
        refused = _call(server, {}, "delete_object", Bucket="vault", Key=key, VersionId=version)
        assert refused == {"Error": "AccessDenied"}
    _verified(server)


def test_hours_of_a_suspend_are_not_credited_beyond_the_budget(server: Server, tmp_path: Path) -> None:
    """The machine sleeps: its wall clock goes on, and its monotonic clock stands still, under a running process."""
    wall = tmp_path / "wall"
    wall.write_text("+0d")
    _call(server, {}, "create_bucket", Bucket="vault", ObjectLockEnabledForBucket=True)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    kept = _call(server, {}, "put_object", Bucket="vault", Key="a", Body="x", **lock)["VersionId"]
    server.stop()
    told = {name: value for name, value in _shifted("").items() if name != "FAKETIME"}
    told |= {"FAKETIME_TIMESTAMP_FILE": str(wall), "FAKETIME_NO_CACHE": "1", "STRONGROOM_CLOCK__STATUS_INTERVAL_S": "1"}
    server.start(told)
    assert abs(_lag_s(server)) < _GRACE_S

    slept = tmp_path / "slept"
    slept.write_text("+2h")
    slept.replace(wall)
    until_charged = time.monotonic() + _PATIENCE_S
    while (lag := _lag_s(server)) > 2 * 3600 - _BUDGET_S + _GRACE_S or lag < _GRACE_S:
        assert time.monotonic() < until_charged, f"{lag} s"
        time.sleep(0.1)
    assert lag > 2 * 3600 - _BUDGET_S - _GRACE_S
    awake = _shifted("+2h")
    assert _call(server, awake, "delete_object", Bucket="vault", Key="a", VersionId=kept) == {"Error": "AccessDenied"}
    server.stop()
    server.start(awake)  # a start is no way to another budget
    assert _lag_s(server) > 2 * 3600 - _BUDGET_S - _GRACE_S
    assert _call(server, awake, "delete_object", Bucket="vault", Key="a", VersionId=kept) == {"Error": "AccessDenied"}
    _verified(server)


def test_a_wall_clock_set_back_frees_nothing_and_the_clock_goes_on(server: Server) -> None:
    _call(server, {}, "create_bucket", Bucket="vault", ObjectLockEnabledForBucket=True)
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    kept = _call(server, {}, "put_object", Bucket="vault", Key="a", Body="x", **lock)["VersionId"]
    server.stop()
    back = _shifted("-400d")
    server.start(back)
    assert _lag_s(server) < -399 * 86_400
    assert _call(server, back, "delete_object", Bucket="vault", Key="a", VersionId=kept) == {"Error": "AccessDenied"}
    _verified(server)
