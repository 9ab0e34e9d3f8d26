"""What happens on the connection itself: Expect, keep-alive, clients that leave."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import refused
from tests.integration.s3.connection import Connection

if TYPE_CHECKING:
    from tests.integration.served import Server


def test_continue_is_said_when_the_body_is_wanted(connection: Connection, s3: Any, bucket: str) -> None:
    headers = {"Expect": "100-continue", "Content-Length": "5"}
    connection.head("PUT", f"/{bucket}/k", headers, sign=b"hello")
    assert connection.answer()[0] == 100
    connection.send(b"hello")
    assert connection.answer()[0] == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"


@pytest.mark.parametrize(("headers", "status"), [({}, 404), ({"x-amz-tagging": "a=b"}, 501), (None, 403)])
def test_continue_is_not_said_to_who_is_refused(
    connection: Connection, headers: dict[str, str] | None, status: int
) -> None:
    sent = {"Expect": "100-continue", "Content-Length": "5", **(headers or {})}
    connection.head("PUT", "/not-there/k", sent, sign=None if headers is None else b"hello")
    answer = connection.answer()
    assert (answer[0], answer[1]["connection"]) == (status, "close")
    assert connection.ended()


def test_a_connection_is_used_again_after_a_small_body_was_refused(connection: Connection, bucket: str) -> None:
    connection.head("PUT", f"/{bucket}/k", {"Content-Length": "5", "x-amz-tagging": "a=b"}, sign=b"hello")
    connection.send(b"hello")
    assert connection.answer()[0] == 501
    for target, status in ((f"/{bucket}?location", 200), (f"/{bucket}/k", 404), (f"/{bucket}", 200)):
        connection.head("GET", target, {})
        assert connection.answer()[0] == status


def test_no_body_where_none_may_be(connection: Connection, s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"hello")["ETag"]
    connection.head("GET", f"/{bucket}/k", {"If-None-Match": etag})
    assert connection.answer()[0] == 304
    connection.head("DELETE", f"/{bucket}/k", {})
    status, headers, _ = connection.answer()
    assert status == 204
    assert "content-length" not in headers
    connection.head("GET", f"/{bucket}?location", {})
    assert connection.answer()[0] == 200


def test_who_leaves_in_the_middle_of_a_body_stores_nothing(server: Server, s3: Any, versioned: str) -> None:
    for size in (1000, 10_000_000):
        leaving = Connection(server)
        leaving.head("PUT", f"/{versioned}/k", {"Content-Length": str(size)}, sign=bytes(size))
        leaving.send(bytes(size // 2))
        leaving.close()
    assert refused(s3.head_object, Bucket=versioned, Key="k").status == 404
    assert "Versions" not in s3.list_object_versions(Bucket=versioned)


def test_who_leaves_in_the_middle_of_an_answer_does_no_harm(server: Server, s3: Any, bucket: str) -> None:
    body = bytes(20_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for _ in range(3):
        leaving = Connection(server)
        leaving.head("GET", f"/{bucket}/k", {})
        leaving.close()
    assert (
        hashlib.sha256(s3.get_object(Bucket=bucket, Key="k")["Body"].read()).digest() == hashlib.sha256(body).digest()
    )


def test_answers_say_no_more_of_the_server_than_they_must(connection: Connection, bucket: str) -> None:
    connection.head("GET", f"/{bucket}?location", {})
    headers = connection.answer()[1]
    assert "server" not in headers
    assert headers["date"].endswith("GMT")
    assert len(headers["x-amz-request-id"]) == 16
