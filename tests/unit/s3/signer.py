"""The other side of ``vault.s3.sigv4``: signs requests and bodies, written from AWS's description alone."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest

from vault.errors import S3Error
from vault.s3.sigv4 import Verified, verify

Headers = list[tuple[bytes, bytes]]

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
AMZ_DATE = "20261122T120000Z"
NOW = 1795348800.0


def lookup(access_key: str) -> tuple[bytes, str] | None:
    return (SECRET, "alice") if access_key == ACCESS_KEY else None


@dataclass
class Request:
    """A request on the wire, and what was said when it was signed."""

    method: str = "PUT"
    path: bytes = b"/bucket/key"
    query: bytes = b""
    headers: Headers = field(default_factory=list)
    signature: str = ""


@dataclass
class Signer:
    """Signs as one access key at one time; the path and query must be in canonical encoding."""

    access_key: str = ACCESS_KEY
    secret: bytes = SECRET
    amz_date: str = AMZ_DATE
    region: str = "eu-central-2"

    @property
    def scope(self) -> str:
        return f"{self.amz_date[:8]}/{self.region}/s3/aws4_request"

    def hmac(self, text: str) -> str:
        key = b"AWS4" + self.secret
        for part in self.scope.split("/"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        return hmac.new(key, text.encode("latin-1"), "sha256").hexdigest()

    def header(
        self,
        method: str = "PUT",
        path: str = "/bucket/key",
        query: str = "",
        headers: dict[str, str] | None = None,
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> Request:
        sent = {"host": "vault.test", "x-amz-date": self.amz_date, "x-amz-content-sha256": payload, **(headers or {})}
        signature, names = self._sign(method, path, query, sent, payload)
        sent["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{self.scope}, SignedHeaders={names}, Signature={signature}"
        )
        return Request(method, path.encode(), query.encode(), _wire(sent), signature)

    def presign(
        self,
        method: str = "GET",
        path: str = "/bucket/key",
        expires: object = 3600,
        headers: dict[str, str] | None = None,
    ) -> Request:
        sent = {"host": "vault.test", **(headers or {})}
        pairs = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access_key}/{self.scope}",
            "X-Amz-Date": self.amz_date,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(sorted(sent)),
        }
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(pairs.items()))
        signature, _ = self._sign(method, path, query, sent, "UNSIGNED-PAYLOAD")
        return Request(method, path.encode(), f"{query}&X-Amz-Signature={signature}".encode(), _wire(sent), signature)

    def body(self, seed: str | None, chunks: list[bytes], trailers: dict[str, str], *, sign_trailers: bool) -> bytes:
        """Frame a body; without a seed the chunks are not signed."""
        head = f"{self.amz_date}\n{self.scope}"
        out = b""
        previous = seed
        for chunk in [*chunks, b""]:
            extension = ""
            if previous is not None:
                digests = f"{hashlib.sha256().hexdigest()}\n{hashlib.sha256(chunk).hexdigest()}"
                previous = self.hmac(f"AWS4-HMAC-SHA256-PAYLOAD\n{head}\n{previous}\n{digests}")
                extension = f";chunk-signature={previous}"
            out += f"{len(chunk):x}{extension}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
        for name, value in trailers.items():
            out += f"{name}:{value}\r\n".encode()
        if sign_trailers and previous is not None:
            canonical = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
            digest = hashlib.sha256(canonical.encode()).hexdigest()
            signature = self.hmac(f"AWS4-HMAC-SHA256-TRAILER\n{head}\n{previous}\n{digest}")
            out += f"x-amz-trailer-signature:{signature}\r\n".encode()
        return out + b"\r\n"

    def _sign(self, method: str, path: str, query: str, headers: dict[str, str], payload: str) -> tuple[str, str]:
        names = ";".join(sorted(headers))
        lines = [f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)]
        request = "\n".join((method, path, query, *lines, "", names, payload)).encode("latin-1")
        digest = hashlib.sha256(request).hexdigest()
        return self.hmac(f"AWS4-HMAC-SHA256\n{self.amz_date}\n{self.scope}\n{digest}"), names


def _wire(headers: dict[str, str]) -> Headers:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def check(request: Request, now: float = NOW) -> Verified[str]:
    return verify(request.method, request.path, request.query, request.headers, now=now, lookup=lookup)


def refused(request: Request, now: float = NOW) -> S3Error:
    with pytest.raises(S3Error) as caught:
        check(request, now)
    return caught.value


def without(request: Request, name: bytes) -> Request:
    request.headers = [field for field in request.headers if field[0] != name]
    return request


def replaced(request: Request, name: bytes, old: bytes, new: bytes) -> Request:
    request.headers = [(n, value.replace(old, new) if n == name else value) for n, value in request.headers]
    return request
