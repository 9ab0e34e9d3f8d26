"""The service as the wire layer sees it: answers what it was told to, notes every call, and counts records.

Self-checking: a request must end in exactly one record, and what it asks of the service must have the right types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vault.errors import S3Error, VaultError
from vault.service.context import ExtractSpec, PutSpec
from vault.state.rows import PrincipalRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vault.service.context import Caller

RECORD = "site-a.node-1/7/" + "ab" * 32


@dataclass
class Call:
    """One call: ``name`` is ``objects.put`` and the like."""

    name: str
    caller: Caller
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    body: bytes = b""


@dataclass
class FakeService:
    """``answers`` by name: a value, an exception to raise, or a function of the call. ``secrets`` by access key."""

    answers: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    roles: tuple[str, ...] = ("root",)
    calls: list[Call] = field(default_factory=list)
    counted: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[tuple[str, str, str, S3Error]] = field(default_factory=list)
    fails: VaultError | None = None
    records: int = 0

    @property
    def call(self) -> Call:
        """The only call."""
        (call,) = self.calls
        return call

    def __getattr__(self, name: str) -> Any:
        if name in {"buckets", "objects", "locks", "uploads", "extraction"}:
            return _Part(self, name)
        if name == "principals":
            return _Principals(self)
        raise AttributeError(name)

    async def refuse(self, caller: Caller, op: str, bucket: str, key: str, error: S3Error) -> str:
        if self.fails is not None:
            raise self.fails
        assert not error.record, "recorded already"
        self.records += 1
        self.refusals.append((op, bucket, key, error))
        error.record = RECORD
        return RECORD

    async def unauthenticated(self, ip: str, reason: str) -> None:
        if self.fails is not None:
            raise self.fails
        self.counted.append((ip, reason))


@dataclass
class _Part:
    service: FakeService
    name: str

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def method(caller: Caller, *args: Any, **kwargs: Any) -> Any:
            call = Call(f"{self.name}.{name}", caller, args, kwargs)
            self.service.calls.append(call)
            self.service.records += 1
            try:
                if call.name == "objects.put":
                    await _take(call, args[0].checks, args[1], args[0].length)
                    assert isinstance(args[0], PutSpec)
                if call.name == "extraction.put":
                    await _take(call, args[0].checks, args[1], args[0].length)
                    assert isinstance(args[0], ExtractSpec)
                if call.name == "uploads.part":
                    *_, length, checks, body = args
                    await _take(call, checks, body, length)
                answer = self.service.answers[call.name]
                if callable(answer):
                    answer = answer(call)
                if isinstance(answer, Exception):
                    raise answer
            except S3Error as error:
                error.record = RECORD
                raise
            return answer

        return method


async def _take(call: Call, checks: Any, body: AsyncIterator[bytes], length: int) -> None:
    async for piece in body:
        assert isinstance(piece, bytes)
        call.body += piece
        checks.digests.update(piece)
    if len(call.body) != length:
        raise S3Error("IncompleteBody")
    checks.verify()


@dataclass
class _Principals:
    service: FakeService

    def lookup(self, access_key: str) -> tuple[PrincipalRow, bytes] | None:
        secret = self.service.secrets.get(access_key)
        if secret is None:
            return None
        return PrincipalRow("p-1", "alice", access_key, self.service.roles), secret
