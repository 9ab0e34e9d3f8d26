from __future__ import annotations

import hashlib

import pytest

from tests.unit.s3.signer import ACCESS_KEY, NOW, Request, Signer, check, refused, replaced, without
from vault.s3.authorization import MAX_EXPIRES_SECONDS, MAX_SKEW_SECONDS, Payload, Reason


@pytest.mark.parametrize("mode", [mode for mode in Payload if mode is not Payload.SIGNED])
def test_each_payload_mode_is_told_apart(mode: Payload) -> None:
    result = check(Signer().header(payload=mode.value))

    assert (result.payload, result.content_sha256) == (mode, None)


def test_an_upper_case_payload_digest_means_the_same_digest() -> None:
    digest = hashlib.sha256(b"body").hexdigest()

    assert check(Signer().header(payload=digest.upper())).content_sha256 == digest


@pytest.mark.parametrize("region", ["us-east-1", "auto", "nowhere_9"])
def test_any_region_is_accepted(region: str) -> None:
    assert check(Signer(region=region).header()).region == region


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
