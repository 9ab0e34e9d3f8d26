"""Vaults to be measured: made in a temporary directory, served, with a bucket for the load."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.bench.load import BUCKET, Target
from tests.demo.server import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.demo.server import Server


def make(home: Path, settings: Mapping[str, str] | None = None) -> Vault:
    """Make a vault under a new directory."""
    home.mkdir()
    vault = Vault(home, settings)
    vault.run("init", "--data", vault.data)
    return vault


@contextmanager
def serve(vault: Vault) -> Iterator[tuple[Target, Server]]:
    """Serve a vault and see that it has the bucket."""
    with vault.serve() as server:
        yield target(vault, server), server


def target(vault: Vault, server: Server) -> Target:
    """A vault that is served, as the load sees it; with the bucket."""
    lines = (vault.data / "root.credentials").read_text().splitlines()
    access_key, secret_key = (line.partition(" = ")[2] for line in lines)
    made = Target("strongroom", server.pid, server.s3.partition("://")[2], access_key, secret_key)
    ensure_bucket(made)
    return made


def client(target: Target) -> Any:
    """An S3 client of the server."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=f"http://{target.address}",
        region_name="us-east-1",
        aws_access_key_id=target.access_key,
        aws_secret_access_key=target.secret_key,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


def ensure_bucket(target: Target) -> None:
    """Create the load's bucket with Object Lock, if it is not there."""
    s3 = client(target)
    if BUCKET not in [row["Name"] for row in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
