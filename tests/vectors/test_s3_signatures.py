"""AWS's published examples of Signature Version 4, against what verifies them here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vault.checksums import BodyDigests, find_algorithm
from vault.s3.authorization import Payload
from vault.s3.chunked import decoder
from vault.s3.claims import check_body, read_claims
from vault.s3.sigv4 import Verified, verify

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("s3_signatures.json").read_text())


def lookup(access_key: str) -> tuple[bytes, str] | None:
    return (VECTORS["secret"].encode(), "example") if access_key == VECTORS["access_key"] else None


def wire_headers(example: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), value.encode()) for name, value in example["headers"]]
    if "signed_headers" in example:
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={VECTORS['access_key']}/{VECTORS['scope']},"
            f"SignedHeaders={example['signed_headers']},Signature={example['signature']}"
        )
        headers.append((b"authorization", authorization.encode()))
    return headers


def verified(example: dict[str, Any], method: str, path: str, query: str = "") -> Verified[str]:
    return verify(method, path.encode(), query.encode(), wire_headers(example), now=VECTORS["now"], lookup=lookup)


@pytest.mark.parametrize("name", VECTORS["requests"])
def test_published_header_example_verifies(name: str) -> None:
    example = VECTORS["requests"][name]

    result = verified(example, example["method"], example["path"], example["query"])

    assert (result.seed_signature, result.scope, result.principal) == (
        example["signature"],
        VECTORS["scope"],
        "example",
    )
    assert result.payload is Payload.SIGNED
    assert result.content_sha256 == dict(example["headers"])["x-amz-content-sha256"]
    assert not result.presigned


def test_published_presigned_example_verifies() -> None:
    example = VECTORS["presigned"]

    result = verified(example, example["method"], example["path"], example["query"])

    assert result.seed_signature == example["signature"]
    assert result.presigned
    assert result.payload is Payload.UNSIGNED


@pytest.mark.parametrize("name", VECTORS["streams"])
@pytest.mark.parametrize("step", [1000, 65536, 1 << 20])
def test_published_chunked_example_decodes_and_verifies(name: str, step: int) -> None:
    example = VECTORS["streams"][name]
    headers = dict(example["headers"])
    chunks = [
        f"{size:x};chunk-signature={signature}\r\n".encode() + (b"a" * size + b"\r\n" if size else b"")
        for size, signature in example["chunks"]
    ]
    body = b"".join(chunks) + example["trailer"].encode() + b"\r\n"
    result = verified(example, "PUT", "/examplebucket/chunkObject.txt")
    trailer = headers.get("x-amz-trailer", "").encode() or None
    stream = decoder(result, headers["x-amz-decoded-content-length"].encode(), trailer)

    payload = b"".join(piece for at in range(0, len(body), step) for piece in stream.feed(body[at : at + step]))
    trailers = stream.finish()

    assert result.seed_signature == example["signature"]
    assert payload == b"a" * 66560
    claims = read_claims(wire_headers(example), tuple(trailers))
    digests = BodyDigests(claims.algorithm)
    digests.update(payload)
    check_body(claims, digests, trailers=trailers)
    if trailers:
        assert claims.algorithm is find_algorithm("CRC32C")
