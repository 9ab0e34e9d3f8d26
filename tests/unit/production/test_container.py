"""An archive encrypted with age, opened by Debian's program: a stranger to what encrypts."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyrage
import pytest

from audit.production.container import MAX_RECIPIENTS, encrypt, encrypted, recipients
from audit.query.filter import QueryInvalid
from vault.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")


def opened(data: bytes, identity: pyrage.x25519.Identity, tmp_path: Path) -> bytes:
    (tmp_path / "key").write_text(f"{identity}\n")
    return subprocess.run(
        ["age", "--decrypt", "--identity", tmp_path / "key"], input=data, capture_output=True, check=True
    ).stdout


@needs_age
@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_each_recipient_opens_it(tmp_path: Path, size: int) -> None:
    identities = [pyrage.x25519.Identity.generate() for _ in range(2)]
    data = os.urandom(size)
    out: list[bytes] = []
    cut = [data[at : at + 100_000] for at in range(0, size, 100_000)]
    encrypt(iter(cut), out.append, recipients([str(identity.to_public()) for identity in identities]))
    sealed = b"".join(out)
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert [opened(sealed, identity, tmp_path) for identity in identities] == [data, data]


@pytest.mark.parametrize("name", ["", "age1x", "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1", "age1\n"])
def test_what_is_no_recipient_is_refused(name: str) -> None:
    with pytest.raises(QueryInvalid, match="recipient: "):
        recipients([name])


def test_they_are_not_more_than_may_be() -> None:
    name = str(pyrage.x25519.Identity.generate().to_public())
    assert len(recipients([name] * MAX_RECIPIENTS)) == MAX_RECIPIENTS
    with pytest.raises(QueryInvalid, match="at most"):
        recipients([name] * (MAX_RECIPIENTS + 1))


class Source:
    """Bytes of an archive; ``broken`` ends them with an error. Tells whether it was closed."""

    def __init__(self, count: int, *, broken: bool = False) -> None:
        self.count, self.broken, self.closed = count, broken, False

    async def body(self) -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(self.count):
                yield b"x" * 100_000
            if self.broken:
                raise IntegrityError("does not authenticate")
        finally:
            self.closed = True


def streamed(source: Source, identity: pyrage.x25519.Identity, stop_after: int = 1 << 30) -> bytes:
    """What a client gets who leaves after some pieces."""

    async def read(pool: ThreadPoolExecutor) -> bytes:
        found = b""
        coming = encrypted(source.body(), recipients([str(identity.to_public())]), pool)
        async for piece in coming:
            found += piece
            if len(found) >= stop_after:
                break
        await coming.aclose()
        return found

    with ThreadPoolExecutor(1) as pool:  # whose end waits for its thread: one that hangs fails the test
        return asyncio.run(read(pool))


@needs_age
def test_it_is_encrypted_as_it_comes(tmp_path: Path) -> None:
    identity, source = pyrage.x25519.Identity.generate(), Source(30)
    assert opened(streamed(source, identity), identity, tmp_path) == b"x" * 3_000_000
    assert source.closed


@pytest.mark.parametrize("after", [1, 500_000])
def test_who_leaves_lets_go_of_what_is_read(after: int) -> None:
    source = Source(200)
    assert len(streamed(source, pyrage.x25519.Identity.generate(), after)) < 20_000_000
    assert source.closed


def test_what_breaks_off_is_no_whole_file() -> None:
    source = Source(3, broken=True)
    with pytest.raises(IntegrityError):
        streamed(source, pyrage.x25519.Identity.generate())
    assert source.closed
