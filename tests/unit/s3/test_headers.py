from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import S3Error
from vault.s3 import headers


def refused(fields: dict[str, str], accepted: headers.Accepted, *, metadata: bool = False, write: bool = True) -> str:
    with pytest.raises(S3Error) as caught:
        headers.check(fields, accepted, metadata=metadata, write=write)
    assert caught.value.s3_code == "NotImplemented"
    return caught.value.fields["Header"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", "a2V5"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
        ("x-amz-server-side-encryption-context", "e30="),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption", "aws:kms:dsse"),
        ("x-amz-copy-source", "/b/k"),
        ("x-amz-copy-source-if-match", "e"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "id=1"),
        ("x-amz-grant-full-control", "id=1"),
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-object-lock-event-hold", "ON"),
        ("x-amz-object-lock-event-hold-duration-days", "1"),
        ("x-amz-object-lock-event-hold-duration-years", "1"),
        ("x-amz-expected-bucket-owner", "123456789012"),
        ("x-amz-write-offset-bytes", "0"),
        ("x-amz-security-token", "t"),
        ("x-amz-mfa", "1 2"),
        ("x-amz-request-payer", "somebody"),
        ("x-amz-object-lock-until", "2030-01-01T00:00:00Z"),
        ("x-amz-object-lock-legal-hold-status", "ON"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-strongroom-bucket-strict", "true"),
        ("if-modified-since", "x"),
        ("if-match", "x"),
        ("content-range", "bytes 0-1/2"),
    ],
)
def test_an_upload_that_asks_for_what_we_do_not_have_is_refused_and_the_header_named(name: str, value: str) -> None:
    assert refused({"host": "h", name: value}, headers.OBJECT | headers.BODY, metadata=True) == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-acl", "private"),
        ("x-amz-acl", ""),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-object-lock-mode", "anything"),
        ("x-amz-object-lock-retain-until-date", "anything"),
        ("x-amz-object-lock-legal-hold", "anything"),
        ("x-amz-meta-", ""),
        ("x-amz-meta-a", "b"),
        ("x-amz-checksum-crc64nvme", "b"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-decoded-content-length", "1"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-request-payer", "requester"),
        ("x-amz-user-agent", "aws-sdk-js"),
        ("x-amzn-trace-id", "Root=1"),
        ("amz-sdk-request", "attempt=1"),
        ("expect", "100-continue"),
        ("user-agent", "x"),
        ("x-forwarded-for", "192.0.2.1"),
    ],
)
def test_an_upload_that_asks_for_what_there_is_anyway_is_taken(name: str, value: str) -> None:
    headers.check({name: value}, headers.OBJECT | headers.BODY, metadata=True, write=True)


def test_metadata_is_for_uploads_only() -> None:
    assert refused({"x-amz-meta-a": "b"}, headers.BODY) == "x-amz-meta-a"


def test_conditions_of_a_read_do_not_matter_to_other_reads() -> None:
    headers.check({"if-none-match": "x"}, headers.READ, metadata=False, write=False)


def test_repeated_fields_are_joined_and_bytes_survive() -> None:
    raw = [(b"x-amz-meta-a", b"1"), (b"host", b"h"), (b"x-amz-meta-a", b"\xe9")]
    assert headers.collect(raw) == {"x-amz-meta-a": "1,\xe9", "host": "h"}


def test_parameters_that_are_headers_become_headers() -> None:
    query = {
        "X-Amz-Signature": "s",
        "X-Amz-Date": "d",
        "x-amz-acl": "public-read",
        "X-Amz-Meta-A": "ü",
        "versionId": "v",
    }
    fields = {"host": "h"}
    raw = [(b"host", b"h")]
    headers.hoist(query, fields, raw, presigned=True)
    assert query == {"versionId": "v"}
    assert raw == [(b"host", b"h"), (b"x-amz-acl", b"public-read"), (b"x-amz-meta-a", "ü".encode())]
    assert fields == {"host": "h", "x-amz-acl": "public-read", "x-amz-meta-a": "ü".encode().decode("latin-1")}


@pytest.mark.parametrize("value", ["a\r\nx: y", "\0", "\x7f"])
def test_a_parameter_that_could_not_be_a_header_is_refused(value: str) -> None:
    with pytest.raises(S3Error):
        headers.hoist({"x-amz-meta-a": value}, {}, [], presigned=True)


@pytest.mark.parametrize("name", ["x-amz-meta-a b", "x-amz-meta-ü", "x-amz-meta-a:", "x-amz-meta-\r\n"])
def test_a_parameter_whose_name_is_none_of_a_header_is_refused(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        headers.hoist({name: "x"}, {}, [], presigned=True)
    assert caught.value.s3_code == "InvalidArgument"


def test_a_header_given_in_both_places_is_refused() -> None:
    with pytest.raises(S3Error) as caught:
        headers.hoist({"X-Amz-Acl": "private"}, {"x-amz-acl": "private"}, [], presigned=True)
    assert caught.value.s3_code == "InvalidArgument"


@pytest.mark.parametrize(
    ("query", "fields", "presigned"),
    [
        ({"X-Amz-Signature": "s"}, {}, False),
        ({"X-Amz-Date": "d"}, {}, False),
        ({"x-amz-expires": "5"}, {}, True),
        ({"x-amz-content-sha256": "a" * 64}, {}, True),
        ({"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, {"x-amz-content-sha256": "a" * 64}, True),
    ],
)
def test_what_looks_as_if_it_signed_and_does_not_is_refused(
    query: dict[str, str], fields: dict[str, str], *, presigned: bool
) -> None:
    with pytest.raises(S3Error, match="one auth mechanism") as caught:
        headers.hoist(query, fields, [], presigned=presigned)
    assert caught.value.s3_code == "InvalidArgument"


@given(st.dictionaries(st.one_of(st.text(), st.text().map("x-amz-{}".format), st.just("if-match")), st.text()))
def test_fields_are_taken_or_refused(fields: dict[str, str]) -> None:
    asks = [name for name in fields if name.startswith(("x-amz-", "x-strongroom-")) or name in headers._PRECONDITIONS]
    if set(asks) <= headers.OBJECT.keys():
        headers.check(fields, headers.OBJECT | dict.fromkeys(asks), metadata=True, write=True)
    else:
        assert refused(fields, headers.OBJECT, metadata=True) in asks
