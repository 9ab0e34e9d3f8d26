"""The load generator where Go is missing: same arguments, same result, a process for each connection.

Slower than the server it measures; use it for the server's processor time, not for rates.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import itertools
import multiprocessing
import os
import sys
import time
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Share(NamedTuple):
    """What one connection did."""

    latencies: list[float]
    errors: Counter[str]
    cpu_seconds: float
    size: int
    received: int


def main() -> None:
    """Make the load, and print the result as one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client", prefix_chars="-")
    for name, default in (("op", "put"), ("address", "127.0.0.1:9000"), ("bucket", "bench"), ("prefix", "")):
        parser.add_argument(f"-{name}", default=default)
    for name, number in (("size", 1024), ("keys", 0), ("conns", 1), ("count", 0)):
        parser.add_argument(f"-{name}", type=int, default=number)
    parser.add_argument("-seconds", type=float, default=0.0)
    options = parser.parse_args()
    if options.seconds <= 0 and options.count <= 0:
        parser.error("give -seconds or -count")
    started = time.monotonic()
    with multiprocessing.get_context("fork").Pool(options.conns) as pool:
        shares = pool.starmap(_connection, [(options, turn) for turn in range(options.conns)], chunksize=1)
    seconds = time.monotonic() - started
    latencies = sorted(itertools.chain.from_iterable(share.latencies for share in shares))
    ops = len(latencies)
    result = {
        "ops": ops,
        "errors": sum((share.errors for share in shares), Counter()),
        "seconds": seconds,
        "p50_ms": 1000 * latencies[ops // 2] if ops else 0.0,
        "p99_ms": 1000 * latencies[ops * 99 // 100] if ops else 0.0,
        "client_cpu_us_op": sum(share.cpu_seconds for share in shares) * 1e6 / max(ops, 1),
        "bytes": sum(share.size for share in shares),
        "received": sum(share.received for share in shares),
    }
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


def _connection(options: argparse.Namespace, turn: int) -> _Share:
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    connection = http.client.HTTPConnection(options.address)
    body = os.urandom(options.size) if options.op == "put" else b""
    end = time.monotonic() + options.seconds
    size = told = 0
    for number in _numbers(options, turn):
        if options.seconds > 0 and time.monotonic() > end:
            break
        path = f"/{options.bucket}/{options.prefix}{number:09d}"
        request = _signed(options, path, body)
        started = time.monotonic()
        connection.request(request.method, path, body, dict(request.headers.items()))
        answer = connection.getresponse()
        received = answer.read()
        told += len("HTTP/1.1 200 OK\r\n\r\n") + sum(len(f"{name}: {value}\r\n") for name, value in answer.getheaders())
        told += len(received)
        if answer.status == http.HTTPStatus.OK:
            latencies.append(time.monotonic() - started)
            size += max(len(body), len(received))
        else:
            errors[f"status {answer.status}"] += 1
    return _Share(latencies, errors, time.process_time(), size, told)


def _numbers(options: argparse.Namespace, turn: int) -> Iterator[int]:
    """Numbers of this connection's requests: every so-manyth."""
    numbers = itertools.count(turn, options.conns) if not options.count else range(turn, options.count, options.conns)
    return (number % options.keys if options.keys else number for number in numbers)


def _signed(options: argparse.Namespace, path: str, body: bytes) -> AWSRequest:
    headers = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    if options.op == "put":
        until = datetime.now(UTC) + timedelta(days=1)
        headers |= {
            "x-amz-checksum-crc32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode(),
            "x-amz-object-lock-mode": "COMPLIANCE",
            "x-amz-object-lock-retain-until-date": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        }
    request = AWSRequest(options.op.upper(), f"http://{options.address}{path}", headers, body)
    keys = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    S3SigV4Auth(keys, "s3", "us-east-1").add_auth(request)
    return request


if __name__ == "__main__":
    main()
