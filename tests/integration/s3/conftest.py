"""Fresh buckets for tests of the wire form."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.served import Server

_numbers = count(1)


@pytest.fixture
def make(s3: Any) -> Callable[..., str]:
    """Makes buckets; arguments as of create_bucket, or ``versioning``."""

    def create(*, versioning: str = "", **arguments: Any) -> str:
        name = f"bucket-{next(_numbers)}"
        s3.create_bucket(Bucket=name, **arguments)
        if versioning:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versioning})
        return name

    return create


@pytest.fixture
def bucket(make: Callable[..., str]) -> str:
    """Without versioning."""
    return make()


@pytest.fixture
def versioned(make: Callable[..., str]) -> str:
    """With versioning, without Object Lock."""
    return make(versioning="Enabled")


@pytest.fixture
def locked(make: Callable[..., str]) -> str:
    """With Object Lock, without a default."""
    return make(ObjectLockEnabledForBucket=True)


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    """A connection of its own."""
    opened = Connection(server)
    yield opened
    opened.close()
