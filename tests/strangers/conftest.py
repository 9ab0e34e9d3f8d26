"""One vault in the clear and one over TLS, for programs of others; after the last one the verifier judges both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
from botocore.config import Config

from tests.doubles.certificates import Authority
from tests.golang import GO
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Seconds that a program may take on a busy machine.
PATIENCE = 120
_REGION = "us-east-1"
_buckets = count(1)


class Door(NamedTuple):
    """A vault that is being served, and what a stranger's program must be told to reach it."""

    server: Server
    ca: Path | None
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """As AWS's programs read it, and nothing of ours beside it."""
        told = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.server.endpoint,
        }
        return told | ({"AWS_CA_BUNDLE": str(self.ca)} if self.ca else {})

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return run(*arguments, env={**self.environment, **(env or {})}, cwd=self.home)


def run(
    *arguments: str | Path, env: Mapping[str, str], cwd: Path, patience: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in no environment but ``env``, in at most so many seconds."""
    return subprocess.run(
        [str(argument) for argument in arguments],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


def tool(name: str) -> str:
    """Where a program of the machine is; without it the test is skipped, which CI counts as failed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="session", params=["http", "https"])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The vault, reached in the clear and over TLS."""
    root = tmp_path_factory.mktemp(request.param)
    env: dict[str, str] = {}
    ca = None
    if request.param == "https":
        authority = Authority(root)
        certificate, key = authority.issue("server")
        env = {"STRONGROOM_S3__TLS_CERT_FILE": str(certificate), "STRONGROOM_S3__TLS_KEY_FILE": str(key)}
        ca = authority.ca
    server = Server(root, env)
    assert server.endpoint.startswith(f"{request.param}://")
    (root / "home").mkdir()
    yield Door(server, ca, root / "home")
    assert server.stop() == 0, server.errors
    verified = command("verify", server.data, "--json")
    assert (verified.returncode, json.loads(verified.stdout)["result"]) == (0, "good"), verified.stdout


@pytest.fixture(scope="session")
def client(door: Door) -> Iterator[Any]:
    """A boto3 client of the root principal."""
    made = boto3.client(
        "s3",
        endpoint_url=door.server.endpoint,
        aws_access_key_id=door.server.access_key,
        aws_secret_access_key=door.server.secret_key,
        region_name=_REGION,
        verify=str(door.ca) if door.ca else None,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    yield made
    made.close()


@pytest.fixture
def bucket(client: Any) -> str:
    """A new bucket that can lock."""
    name = f"strangers-{next(_buckets)}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Names a directory for what is built once a run."""

    def place(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    return place


@pytest.fixture(scope="session")
def tlog_checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built; it fetches golang.org/x/mod at the version and hash in go.sum."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    program = tmp_path_factory.mktemp("go") / "tlog"
    built = subprocess.run(
        [go, "build", "-o", program, "."],
        env=GO,
        cwd=Path(__file__).parent / "tlog",
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return program
