"""AWS CLI, versions 1 and 2: high-level copies in parts, and the single calls with locks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.strangers.conftest import tool
from tests.strangers.material import LARGE, ODD_KEYS, PARTS, SMALL, UNTIL

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.strangers.conftest import Door


class Cli:
    """One version of it, at one door; ``checksum`` is the newest algorithm that it knows."""

    def __init__(self, program: str, checksum: str, door: Door) -> None:
        self.checksum = checksum
        self._program, self._door = program, door

    def __call__(self, *arguments: str | Path) -> str:
        """Run a command that must succeed; its output."""
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def api(self, *arguments: str | Path) -> dict[str, Any]:
        """The same with JSON for an answer."""
        answer: dict[str, Any] = json.loads(self("s3api", *arguments, "--output", "json") or "{}")
        return answer

    def refused(self, *arguments: str | Path) -> str:
        """Run a command that must be refused; what it says."""
        done = self._run(*arguments)
        assert done.returncode in {254, 255}, done.stdout + done.stderr  # a refusal, as version 2 and 1 tell it
        return done.stderr

    def _run(self, *arguments: str | Path) -> CompletedProcess[str]:
        # Named on the command line too: version 2 of 2022 does not know AWS_ENDPOINT_URL.
        return self._door.run(self._program, "--endpoint-url", self._door.server.endpoint, *arguments)


@pytest.fixture(params=["v1", "v2"])
def aws(request: pytest.FixtureRequest, door: Door) -> Cli:
    """Version 1 of our environment, or version 2 of the machine."""
    if request.param == "v1":
        return Cli(str(Path(sys.executable).with_name("aws")), "CRC64NVME", door)
    return Cli(tool("/usr/bin/aws"), "SHA256", door)


def test_locked_objects_are_stored_read_and_not_deleted(aws: Cli, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(SMALL)
    lock = ["--object-lock-mode", "COMPLIANCE", "--object-lock-retain-until-date", f"{UNTIL:%Y-%m-%dT%H:%M:%SZ}"]
    named = ["--bucket", bucket, "--key", "small"]
    made = aws.api("put-object", *named, "--body", tmp_path / "small", "--metadata", "desk=rates", *lock,
                   "--object-lock-legal-hold-status", "ON", "--checksum-algorithm", aws.checksum)  # fmt: skip
    found = aws.api("get-object", *named, "--checksum-mode", "ENABLED", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == SMALL
    for name in ("VersionId", "ETag", f"Checksum{aws.checksum}"):
        assert found[name] == made[name]
    assert (found["ObjectLockMode"], found["ObjectLockLegalHoldStatus"]) == ("COMPLIANCE", "ON")
    assert found["ObjectLockRetainUntilDate"].startswith(f"{UNTIL:%Y-%m-%dT%H:%M:%S}")
    assert found["Metadata"] == {"desk": "rates"}
    said = aws.refused("s3api", "delete-object", *named, "--version-id", made["VersionId"])
    assert "An error occurred (AccessDenied) when calling the DeleteObject operation" in said
    assert "object protected by object lock" in said


def test_large_files_are_copied_in_parts_both_ways(aws: Cli, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "large").write_bytes(LARGE)
    (tmp_path / "up" / "parts").write_bytes(PARTS)
    aws("s3", "cp", "--recursive", "--no-progress", tmp_path / "up", f"s3://{bucket}/dir")
    assert aws.api("head-object", "--bucket", bucket, "--key", "dir/parts")["ETag"].endswith('-2"')
    aws("s3", "sync", "--no-progress", f"s3://{bucket}/dir", tmp_path / "down")
    assert {path.name: path.read_bytes() for path in (tmp_path / "down").iterdir()} == {"large": LARGE, "parts": PARTS}


def test_odd_keys_stay_what_they_are(aws: Cli, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(SMALL)
    for key in ODD_KEYS:
        aws.api("put-object", "--bucket", bucket, "--key", key, "--body", tmp_path / "body")
        aws.api("get-object", "--bucket", bucket, "--key", key, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == SMALL
    listed = aws.api("list-objects-v2", "--bucket", bucket)
    assert {found["Key"] for found in listed["Contents"]} == set(ODD_KEYS)
