from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.unit.s3.signer import ACCESS_KEY, NOW, SECRET, Request, Signer, lookup
from vault.errors import S3Error
from vault.s3.authorization import MAX_EXPIRES_SECONDS, MAX_SKEW_SECONDS, Payload, Reason
from vault.s3.sigv4 import MAX_HEADERS, MAX_PATH_BYTES, MAX_QUERY_BYTES, Verified, verify

if TYPE_CHECKING:
    from collections.abc import Callable


MODE = Payload.STREAMING_UNSIGNED_TRAILER.value.encode()


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


@pytest.mark.parametrize("mode", [mode for mode in Payload if mode is not Payload.SIGNED])
def test_each_payload_mode_is_told_apart(mode: Payload) -> None:
    result = check(Signer().header(payload=mode.value))

    assert (result.payload, result.content_sha256) == (mode, None)


def test_an_upper_case_payload_digest_means_the_same_digest() -> None:
    digest = hashlib.sha256(b"body").hexdigest()

    assert check(Signer().header(payload=digest.upper())).content_sha256 == digest


def test_the_signing_key_does_not_show_in_a_representation() -> None:
    result = check(Signer().header())

    assert repr(result.signing_key) not in repr(result)
    assert result.signing_key.hex() not in repr(result)


@pytest.mark.parametrize("region", ["us-east-1", "auto", "nowhere_9"])
def test_any_region_is_accepted(region: str) -> None:
    assert check(Signer(region=region).header()).region == region


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
def test_a_presigned_query_may_name_the_payload_and_no_header_another(header: bytes | None, accepted: bool) -> None:
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


def test_a_request_without_credentials_is_anonymous() -> None:
    error = refused(Request(headers=[(b"host", b"vault.test")], query=b"list-type=2"))

    assert (error.s3_code, error.http_status, error.reason) == ("AccessDenied", 403, Reason.ANONYMOUS)


@pytest.mark.parametrize("query", [Signer().presign().query, b"Signature=x&Expires=1&AWSAccessKeyId=a"])
def test_two_mechanisms_at_once_are_refused(query: bytes) -> None:
    request = Signer().header()
    request.query = query

    error = refused(request)

    assert (error.s3_code, error.reason) == ("InvalidArgument", Reason.TWO_MECHANISMS)


@pytest.mark.parametrize(
    "request_",
    [
        Request(query=b"Signature=vjbyPxybdZaNmGa"),
        Request(query=b"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE"),
        Request(headers=[(b"authorization", b"AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=")]),
        Request(
            query=b"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D&Expires=1141889120"
        ),
    ],
)
def test_signature_version_2_is_refused_with_what_to_set(request_: Request) -> None:
    error = refused(request_)

    assert (error.s3_code, error.reason) == ("InvalidRequest", Reason.SIGNATURE_V2)
    assert "AWS4-HMAC-SHA256" in error.message
    assert "signature_version='s3v4'" in error.message


@pytest.mark.parametrize("now", [NOW - MAX_SKEW_SECONDS, NOW + MAX_SKEW_SECONDS])
def test_a_quarter_of_an_hour_of_skew_is_allowed(now: float) -> None:
    assert check(Signer().header(), now).principal == "alice"


@pytest.mark.parametrize("now", [NOW - MAX_SKEW_SECONDS - 1, NOW + MAX_SKEW_SECONDS + 1])
def test_more_skew_is_refused_with_both_times(now: float) -> None:
    error = refused(Signer().header(), now)

    assert (error.s3_code, error.reason) == ("RequestTimeTooSkewed", Reason.SKEWED)
    assert error.fields["RequestTime"] == "20261122T120000Z"
    assert error.fields["ServerTime"].startswith("2026-11-22T1")


@pytest.mark.parametrize(("expires", "now"), [(1, NOW + 1), (MAX_EXPIRES_SECONDS, NOW + MAX_EXPIRES_SECONDS)])
def test_a_presigned_request_lives_until_it_expires(expires: int, now: float) -> None:
    assert check(Signer().presign(expires=expires), now).presigned


def test_an_expired_request_is_refused() -> None:
    error = refused(Signer().presign(expires=60), NOW + 61)

    assert (error.s3_code, error.message, error.reason) == ("AccessDenied", "Request has expired", Reason.EXPIRED)
    assert error.fields == {"Expires": "2026-11-22T12:01:00Z", "ServerTime": "2026-11-22T12:01:01Z"}


def test_a_request_presigned_in_the_future_is_refused() -> None:
    assert check(Signer().presign(), NOW - MAX_SKEW_SECONDS).presigned
    assert refused(Signer().presign(), NOW - MAX_SKEW_SECONDS - 1).reason == Reason.NOT_YET_VALID


@pytest.mark.parametrize("expires", [0, -1, MAX_EXPIRES_SECONDS + 1, "", "1e3", "²", "9" * 5000])
def test_an_expiry_out_of_range_is_refused(expires: object) -> None:
    error = refused(Signer().presign(expires=expires))

    assert (error.s3_code, error.reason) == ("AuthorizationQueryParametersError", Reason.MALFORMED)


@pytest.mark.parametrize(
    "name", [b"X-Amz-Credential", b"X-Amz-Date", b"X-Amz-Expires", b"X-Amz-SignedHeaders", b"X-Amz-Signature"]
)
def test_a_presigned_request_without_one_of_its_parameters_is_refused(name: bytes) -> None:
    request = Signer().presign()
    request.query = b"&".join(item for item in request.query.split(b"&") if not item.startswith(name + b"="))

    assert refused(request).reason == Reason.MALFORMED


def test_a_parameter_of_the_signature_given_twice_is_refused() -> None:
    request = Signer().presign()
    request.query += b"&X-Amz-Expires=604800"

    assert refused(request).reason == Reason.MALFORMED


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "reason"),
    [
        (b"authorization", b"AWS4-HMAC-SHA256", b"Bearer", "InvalidArgument", Reason.AUTHORIZATION_TYPE),
        (b"authorization", b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256", "NotImplemented", Reason.SIGNATURE_V4A),
        (b"authorization", b"SignedHeaders", b"Headers", "AuthorizationHeaderMalformed", Reason.MALFORMED),
        (b"authorization", b", Signature", b", X=1, Signature", "AuthorizationHeaderMalformed", Reason.MALFORMED),
        (b"authorization", b"/s3/", b"/ec2/", "AuthorizationHeaderMalformed", Reason.CREDENTIAL),
        (b"authorization", b"aws4_request", b"aws3_request", "AuthorizationHeaderMalformed", Reason.CREDENTIAL),
        (b"authorization", b"/eu-central-2/", b"//", "AuthorizationHeaderMalformed", Reason.CREDENTIAL),
        (b"authorization", b"20261122", b"20261121", "AuthorizationHeaderMalformed", Reason.CREDENTIAL),
        (b"authorization", ACCESS_KEY.encode(), b"A" * 129, "AuthorizationHeaderMalformed", Reason.CREDENTIAL),
        (b"authorization", ACCESS_KEY.encode(), b"AKIAUNKNOWN", "InvalidAccessKeyId", Reason.UNKNOWN_KEY),
        (b"authorization", b"eu-central-2", b"eu-central-1", "SignatureDoesNotMatch", Reason.SIGNATURE),
        (b"authorization", b"Signature=", b"Signature=\xff", "SignatureDoesNotMatch", Reason.SIGNATURE),
        (b"x-amz-date", b"20261122T120000Z", b"Sun, 22 Nov 2026", "AccessDenied", Reason.DATE),
        (b"x-amz-date", b"20261122T120000Z", b"20261322T120000Z", "AccessDenied", Reason.DATE),
        (b"x-amz-date", b"20261122T120000Z", b"20261122T120001Z", "SignatureDoesNotMatch", Reason.SIGNATURE),
        (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD", b"abc", "InvalidArgument", Reason.PAYLOAD),
        (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD", b"g" * 64, "InvalidArgument", Reason.PAYLOAD),
        (
            b"x-amz-content-sha256",
            b"UNSIGNED-PAYLOAD",
            b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
            "NotImplemented",
            Reason.SIGNATURE_V4A,
        ),
    ],
)
def test_each_fault_of_a_signed_request_has_its_own_refusal(
    name: bytes, old: bytes, new: bytes, code: str, reason: Reason
) -> None:
    error = refused(replaced(Signer().header(), name, old, new))

    assert (error.s3_code, error.reason) == (code, reason)


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        (b"x-amz-date", "AccessDenied", Reason.DATE),
        (b"x-amz-content-sha256", "InvalidRequest", Reason.PAYLOAD),
    ],
)
def test_a_missing_header_has_its_own_refusal(name: bytes, code: str, reason: Reason) -> None:
    error = refused(without(Signer().header(), name))

    assert (error.s3_code, error.reason) == (code, reason)


@pytest.mark.parametrize(
    ("old", "new", "code", "reason"),
    [
        (b"=AWS4-HMAC-SHA256", b"=AWS4-HMAC-SHA512", "AuthorizationQueryParametersError", Reason.MALFORMED),
        (b"20261122T120000Z", b"yesterday", "AuthorizationQueryParametersError", Reason.DATE),
        (b"%2Fs3%2F", b"%2Fsts%2F", "AuthorizationQueryParametersError", Reason.CREDENTIAL),
        (b"Credential=AKIA", b"Credential=%FFKIA", "AuthorizationQueryParametersError", Reason.CREDENTIAL),
        (b"Credential=AKIA", b"Credential=BKIA", "InvalidAccessKeyId", Reason.UNKNOWN_KEY),
        (b"Expires=3600", b"Expires=3601", "SignatureDoesNotMatch", Reason.SIGNATURE),
        (b"Signature=", b"Signature=0", "SignatureDoesNotMatch", Reason.SIGNATURE),
    ],
)
def test_each_fault_of_a_presigned_request_has_its_own_refusal(
    old: bytes, new: bytes, code: str, reason: Reason
) -> None:
    request = Signer().presign()
    request.query = request.query.replace(old, new)

    error = refused(request)

    assert (error.s3_code, error.reason) == (code, reason)


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
