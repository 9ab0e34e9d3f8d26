"""Real servers for integration tests: one a module, since a start costs a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.integration.served import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A vault being served. Whoever stops or kills it starts it again."""
    served = Server(tmp_path_factory.mktemp("server"))
    yield served
    if served.running:
        assert served.stop() == 0, served.errors


@pytest.fixture(scope="module")
def s3(server: Server) -> Iterator[Any]:
    """A boto3 client of the root principal: path style, SigV4, no second attempts that would hide a failure."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()
