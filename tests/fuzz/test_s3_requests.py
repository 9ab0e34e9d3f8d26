"""Whatever a client sends, signed or not, the answer is S3's, there is one record, and it is never our fault."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.asgi import Client
from tests.doubles.s3_service import RECORD
from tests.unit.s3.signer import Request, Signer
from tests.unit.s3.wire import BUCKET, STORED, Wire, content, read, version
from vault.record import DefaultRetention, LockRef
from vault.s3 import routing
from vault.service.results import (
    BucketResult,
    BucketsResult,
    DefaultResult,
    DeleteResult,
    Done,
    ListedVersion,
    LockResult,
    Page,
    PartResult,
    PartsPage,
    PutResult,
    UploadResult,
    UploadsPage,
)
from vault.state.rows import UploadRow

if TYPE_CHECKING:
    from tests.doubles.s3_service import Call

DONE = Done(RECORD)
PUT = PutResult("v1", "e", None, RECORD)
UPLOAD = UploadRow("u", "bucket", "k", 7, 1, "p-1", "c", STORED)
PAGE = Page(BUCKET, [ListedVersion("k", version(), "v1", content())], [], False, "", "", "", RECORD)  # noqa: FBT003
LOCK = LockResult(LockRef("GOVERNANCE", "2140-01-01T00:00:00.000000000Z"), RECORD)


def deleted(call: Call) -> list[DeleteResult]:
    return [DeleteResult("", marker=False, record=RECORD) for _ in call.args[1]]


def answers() -> dict[str, Any]:
    return {
        "buckets.list": BucketsResult([BUCKET], RECORD),
        "buckets.create": DONE,
        "buckets.head": BucketResult(BUCKET, RECORD),
        "buckets.delete": DONE,
        "buckets.location": BucketResult(BUCKET, RECORD),
        "buckets.get_versioning": BucketResult(BUCKET, RECORD),
        "buckets.put_versioning": DONE,
        "buckets.get_lock": DefaultResult(DefaultRetention("GOVERNANCE", days=1), RECORD),
        "buckets.put_lock": DONE,
        "objects.put": PUT,
        "objects.get": lambda _: read(b"hello ", b"world"),
        "objects.head": lambda _: read(),
        "objects.delete": DeleteResult("v1", marker=True, record=RECORD),
        "objects.delete_many": deleted,
        "objects.list": PAGE,
        "objects.list_v2": PAGE,
        "objects.list_versions": PAGE,
        "locks.get_retention": LOCK,
        "locks.put_retention": DONE,
        "locks.get_hold": LOCK,
        "locks.put_hold": DONE,
        "uploads.create": UploadResult("u", "", "", RECORD),
        "uploads.part": PartResult("e", None, RECORD),
        "uploads.list": UploadsPage([], [], False, "", "", RECORD),  # noqa: FBT003
        "uploads.parts": PartsPage(UPLOAD, [], "", "", False, 0, RECORD),  # noqa: FBT003
        "uploads.complete": PUT,
        "uploads.abort": DONE,
    }


NAMES = sorted(
    {"", "x-amz-acl", "X-Amz-Meta-A", "acl", "x-id"}
    | routing._SELECTORS
    | {name for operation in routing._ROUTES.values() for name in operation.parameters}
)
HEADERS = sorted(
    {
        "range", "content-type", "content-length", "content-md5", "transfer-encoding", "expect", "if-range", "host",
        "if-modified-since", "if-unmodified-since", "x-amz-copy-source", "x-amz-meta-a",
    }
    | {name for operation in routing._ROUTES.values() for name in operation.headers}
    - {"x-amz-date", "x-amz-content-sha256"}
)  # fmt: skip
WORDS = [
    "", "0", "1", "2", "-1", "10000", "url", "true", "ON", "COMPLIANCE", "2140-01-01T00:00:00Z", "*", '"e"', "CRC32",
    "AAAAAA==", "x-amz-checksum-crc32", "bytes=0-1", "Sun, 22 Nov 2026 16:46:08 GMT", "null", "%2F", "%FF", "+",
]  # fmt: skip
values = st.one_of(st.sampled_from(WORDS), st.text("abc%/?&=+ \x7f\xe9", max_size=6))
header_values = st.one_of(
    st.sampled_from(WORDS), st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=8)
)
paths = st.one_of(
    st.sampled_from(["/", "/bucket", "/bucket/", "/bucket/key", "/bucket/a/../b", "/b", "/BUCKET/k", "/bucket/%00"]),
    st.text("/abc%.+-_~2F\x00\xff", max_size=12).map("/{}".format),
)
bodies = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"<Retention/>",
            b"<LegalHold><Status>ON</Status></LegalHold>",
            b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
            b"<Delete><Object><Key>k</Key></Object></Delete>",
        ]
    ),
)


def canonical(query: str) -> str:
    """The query as a signer writes it."""
    pairs = []
    for item in filter(None, query.encode("latin-1").replace(b"+", b" ").split(b"&")):
        name, _, value = item.partition(b"=")
        pairs.append([quote_from_bytes(unquote_to_bytes(text), safe="") for text in (name, value)])
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def check(request: Request, client: Client) -> int:
    wire = Wire()
    wire.service.answers = answers()
    answer = wire.send(request, client)
    assert answer.status not in {0, 500}, answer
    assert answer.complete
    assert len(wire.service.counted) + min(wire.recorded, 1) == 1
    assert ("x-strongroom-record" in answer.headers) == bool(wire.recorded) or request.query.startswith(b"delete")
    assert {operation for operation, *_ in wire.service.refusals} <= {"request.refused", "object.delete"} | {
        operation.op for operation in routing._ROUTES.values()
    }
    return answer.status


@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]),
    paths,
    st.dictionaries(st.one_of(st.sampled_from(NAMES), values), values, max_size=3),
    st.dictionaries(st.sampled_from(HEADERS), header_values, max_size=4),
    bodies,
    st.booleans(),
)
def test_a_signed_request_is_answered_and_recorded_once(
    method: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    leaves: bool,  # noqa: FBT001
) -> None:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    headers.setdefault("content-length", str(len(body)))
    request = Signer().header(method, path, canonical(text), headers, hashlib.sha256(body).hexdigest())
    request.path, request.query = path.encode("latin-1"), text.encode("latin-1")
    check(request, Client([body] if body else [], leaves=leaves))


@given(
    st.sampled_from(["GET", "PUT"]),
    st.binary(max_size=20),
    st.binary(max_size=20),
    st.lists(
        st.tuples(
            st.sampled_from(
                [name.encode() for name in [*HEADERS, "authorization", "x-amz-date", "x-amz-content-sha256"]]
            ),
            st.binary(max_size=20),
        ),
        max_size=6,
    ),
)
def test_anything_else_is_counted_and_refused(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    assert check(Request(method, path, query, headers), Client()) >= 400
