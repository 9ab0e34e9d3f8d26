from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.unit.s3.signer import ACCESS_KEY, NOW, SECRET, Request, Signer, check, refused, replaced, without
from vault.errors import S3Error
from vault.s3.authorization import Payload, Reason
from vault.s3.sigv4 import MAX_HEADERS, MAX_PATH_BYTES, MAX_QUERY_BYTES, Verified, verify

if TYPE_CHECKING:
    from collections.abc import Callable

MODE = Payload.STREAMING_UNSIGNED_TRAILER.value.encode()


def test_a_signed_request_names_its_signer_and_what_was_signed() -> None:
    digest = hashlib.sha256(b"body").hexdigest()
    request = Signer().header(payload=digest)

    result = check(request)

    assert result == Verified(
        access_key=ACCESS_KEY,
        principal="alice",
        scope="20261122/eu-central-2/s3/aws4_request",
        region="eu-central-2",
        amz_date="20261122T120000Z",
        presigned=False,
        payload=Payload.SIGNED,
        content_sha256=digest,
        seed_signature=request.signature,
        signing_key=result.signing_key,
    )
    assert len(result.signing_key) == 32


def test_a_presigned_request_names_its_signer() -> None:
    request = Signer().presign()

    result = check(request)

    assert (result.access_key, result.principal, result.presigned) == (ACCESS_KEY, "alice", True)
    assert (result.payload, result.content_sha256) == (Payload.UNSIGNED, None)
    assert result.seed_signature == request.signature


def test_the_signing_key_does_not_show_in_a_representation() -> None:
    result = check(Signer().header())

    assert repr(result.signing_key) not in repr(result)
    assert result.signing_key.hex() not in repr(result)


@pytest.mark.parametrize(
    "path",
    ["/bucket//x/../y", "/bucket/a%20b/%C3%BC%2B%26%3D%2525", "/bucket/%2F", "/bucket/~-._", "/", "/bucket/a$b(1)"],
)
def test_the_path_is_verified_as_it_was_sent(path: str) -> None:
    assert check(Signer().header(path=path)).principal == "alice"


@pytest.mark.parametrize(("sent", "signed"), [(b"/b/a$b@c", "/b/a%24b%40c"), (b"/b/%c3%bc", "/b/%C3%BC"), (b"", "/")])
def test_a_path_sent_in_another_encoding_than_it_was_signed_in_verifies(sent: bytes, signed: str) -> None:
    request = Signer().header(path=signed)
    request.path = sent

    assert check(request).principal == "alice"


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (b"uploads", "uploads="),
        (b"prefix=a+b", "prefix=a%20b"),
        (b"prefix=a/b&delimiter=/", "delimiter=%2F&prefix=a%2Fb"),
        (b"b=2&a=2&a=1&&", "a=1&a=2&b=2"),
        (b"a-b=1&a=1&a%3d=1", "a=1&a%3D=1&a-b=1"),
        (b"key=a=b", "key=a%3Db"),
        (b"key=%zz", "key=%25zz"),
    ],
)
def test_the_query_is_verified_in_canonical_form(sent: bytes, signed: str) -> None:
    request = Signer().header(query=signed)
    request.query = sent

    assert check(request).principal == "alice"


@pytest.mark.parametrize("value", [b"  a   b ", b"a b", b"a \t b"])
def test_spaces_in_header_values_are_collapsed(value: bytes) -> None:
    request = Signer().header(headers={"x-amz-meta-a": "a b"})
    request.headers = [(n, value if n == b"x-amz-meta-a" else v) for n, v in request.headers]

    assert check(request).principal == "alice"


def test_a_repeated_header_counts_as_its_values_joined() -> None:
    request = Signer().header(headers={"x-amz-meta-a": "1,2"})
    request.headers = [*without(request, b"x-amz-meta-a").headers, (b"x-amz-meta-a", b"1 "), (b"x-amz-meta-a", b" 2")]

    assert check(request).principal == "alice"


def test_other_headers_may_stay_unsigned() -> None:
    request = Signer().header()
    request.headers += [(b"user-agent", b"curl"), (b"content-type", b"text/plain")]

    assert check(request).principal == "alice"


def test_the_payload_header_is_signed_by_the_payload_line() -> None:
    request = Signer().presign(method="PUT")
    request.headers.append((b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"))

    assert check(request).payload is Payload.UNSIGNED


@pytest.mark.parametrize(("header", "accepted"), [(None, True), (MODE, True), (b"UNSIGNED-PAYLOAD", False)])
def test_a_presigned_query_may_name_the_payload_and_no_header_another(header: bytes | None, *, accepted: bool) -> None:
    # As SDKs for JavaScript do, which move headers into the query.
    signer = Signer()
    request = signer.presign(method="PUT")
    query = (
        request.query.decode()
        .partition("&X-Amz-Signature")[0]
        .replace("X-Amz-Credential", "X-Amz-Content-Sha256=STREAMING-UNSIGNED-PAYLOAD-TRAILER&X-Amz-Credential")
    )
    signature, _ = signer._sign(
        "PUT", "/bucket/key", query, {"host": "vault.test"}, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    )
    request.query = f"{query}&X-Amz-Signature={signature}".encode()

    if header is not None:
        request.headers.append((b"x-amz-content-sha256", header))

    if accepted:
        assert check(request).payload is Payload.STREAMING_UNSIGNED_TRAILER
    else:
        assert refused(request).reason == Reason.UNSIGNED_HEADERS


def test_another_payload_header_than_the_signed_one_is_refused() -> None:
    request = Signer().header(payload=hashlib.sha256(b"a").hexdigest())
    other = hashlib.sha256(b"b").hexdigest().encode()
    request.headers = [(n, other if n == b"x-amz-content-sha256" else v) for n, v in request.headers]

    assert refused(request).reason == Reason.SIGNATURE


@pytest.mark.parametrize("header", [b"x-amz-acl", b"x-amz-meta-a", b"x-amz-bypass-governance-retention"])
@pytest.mark.parametrize("request_of", [Signer.header, Signer.presign])
def test_an_unsigned_amz_header_is_refused_and_named(header: bytes, request_of: Callable[[Signer], Request]) -> None:
    request = request_of(Signer())
    request.headers.append((header, b"true"))

    error = refused(request)

    assert (error.s3_code, error.reason) == ("AccessDenied", Reason.UNSIGNED_HEADERS)
    assert header.decode() in error.fields["HeadersNotSigned"]


def test_an_unsigned_host_is_refused() -> None:
    request = replaced(Signer().header(), b"authorization", b"SignedHeaders=host;", b"SignedHeaders=")

    error = refused(request)

    assert (error.reason, error.fields["HeadersNotSigned"]) == (Reason.UNSIGNED_HEADERS, "host")


def test_a_signed_header_that_was_removed_is_refused() -> None:
    assert refused(without(Signer().header(headers={"x-amz-acl": "private"}), b"x-amz-acl")).reason == Reason.SIGNATURE


@pytest.mark.parametrize("name", [b"authorization", b"host", b"x-amz-date", b"x-amz-content-sha256"])
def test_a_header_of_the_signature_given_twice_is_refused(name: bytes) -> None:
    request = Signer().header()
    request.headers += [field for field in request.headers if field[0] == name]

    assert refused(request).reason == Reason.DUPLICATE_HEADER


def test_a_wrong_signature_is_answered_with_what_should_have_been_signed() -> None:
    request = Signer().header(query="acl=")
    request.method = "GET"

    error = refused(request)

    assert error.fields["CanonicalRequest"].startswith("GET\n/bucket/key\nacl=\nhost:vault.test\n")
    assert error.fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n20261122T120000Z\n20261122/")
    assert error.fields["SignatureProvided"] == request.signature


@pytest.mark.parametrize("method", ["GET", "put", "", "P\udc80T"])
def test_another_method_than_signed_is_refused(method: str) -> None:
    request = Signer().header("PUT")
    request.method = method

    assert refused(request).reason == Reason.SIGNATURE


def test_a_changed_secret_counts_at_once() -> None:
    request = Signer().header()
    assert check(request).principal == "alice"

    with pytest.raises(S3Error) as caught:
        verify(
            request.method, request.path, request.query, request.headers, now=NOW, lookup=lambda _: (b"new", "alice")
        )

    assert caught.value.reason == Reason.SIGNATURE


def test_the_key_is_looked_up_once_and_only_for_a_well_formed_claim() -> None:
    asked: list[str] = []

    def ask(access_key: str) -> tuple[bytes, int]:
        asked.append(access_key)
        return SECRET, 7

    request = Signer().header(path="/bucket/a$b")
    result = verify(request.method, request.path, b"", request.headers, now=NOW, lookup=ask)
    with pytest.raises(S3Error):
        verify(request.method, request.path, b"", request.headers, now=NOW + 10000, lookup=ask)

    assert (asked, result.principal) == ([ACCESS_KEY], 7)


@pytest.mark.parametrize(
    "request_",
    [
        Request(path=b"/" + b"a" * MAX_PATH_BYTES),
        Request(query=b"a" * (MAX_QUERY_BYTES + 1)),
        Request(headers=[(b"x-%d" % i, b"") for i in range(MAX_HEADERS + 1)]),
    ],
)
def test_oversized_input_is_refused_before_work_is_done(request_: Request) -> None:
    assert refused(request_).reason == Reason.TOO_LARGE


def test_the_order_of_headers_does_not_matter() -> None:
    request = Signer().header(headers={"x-amz-acl": "private"})
    request.headers.reverse()

    assert check(request).principal == "alice"
