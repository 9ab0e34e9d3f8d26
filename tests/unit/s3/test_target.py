from __future__ import annotations

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import S3Error
from vault.s3.target import check_bucket, check_new_bucket, parameters, target

DOMAINS = ("s3.example.com",)


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        (b"/", "", ""),
        (b"", "", ""),
        (b"/b", "b", ""),
        (b"/b/", "b", ""),
        (b"/b/k", "b", "k"),
        (b"/b//x/../y", "b", "/x/../y"),
        (b"/b/a/../b", "b", "a/../b"),
        (b"/b/./k/", "b", "./k/"),
        (b"/b/a%2Fb%20c+d", "b", "a/b c+d"),
        (b"/b/%2e%2e/k", "b", "../k"),
        (b"/b/%C3%BC%00", "b", "ü\0"),
        (b"/b/%2525", "b", "%25"),
    ],
)
def test_the_path_is_decoded_once_and_never_normalised(path: bytes, bucket: str, key: str) -> None:
    assert target(path, "127.0.0.1:9000") == (bucket, key)


@pytest.mark.parametrize("path", [b"/b/%", b"/b/%2", b"/b/%zz", b"/b/%ff", b"/%c3/k", b"/b/\xff", b"/b/%ed%a0%80"])
def test_a_path_that_is_no_percent_encoded_utf8_is_refused(path: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        target(path, "")
    assert caught.value.s3_code == "InvalidURI"


@pytest.mark.parametrize(
    ("host", "path", "bucket", "key"),
    [
        ("b.s3.example.com", b"/k", "b", "k"),
        ("B.S3.Example.com:9000", b"/", "b", ""),
        ("a.b.s3.example.com", b"/k/l", "a.b", "k/l"),
        ("s3.example.com", b"/b/k", "b", "k"),
        ("other.example.com", b"/b/k", "b", "k"),
        ("evils3.example.com", b"/b/k", "b", "k"),
    ],
)
def test_a_bucket_can_be_in_the_host(host: str, path: bytes, bucket: str, key: str) -> None:
    assert target(path, host, DOMAINS) == (bucket, key)


def test_without_domains_the_host_says_nothing() -> None:
    assert target(b"/b/k", "x.s3.example.com") == ("b", "k")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_every_key_survives_the_wire(key: str) -> None:
    assert target(b"/b/" + quote(key, safe="").encode(), "").key == key


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_bytes_are_read_or_refused(path: bytes, query: bytes) -> None:
    for read in (lambda: target(path, "x", DOMAINS), lambda: parameters(query)):
        with contextlib.suppress(S3Error):
            read()


def test_parameters_are_decoded() -> None:
    assert parameters(b"") == {}
    assert parameters(b"a=" + b"%61" * 2048) == {"a": "a" * 2048}
    assert parameters(b"versions&prefix=a%2Fb+c&&x=a=b") == {"versions": "", "prefix": "a/b c", "x": "a=b"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"a=%", "InvalidURI"),
        (b"a=%ff", "InvalidURI"),
        (b"a=1&a=2", "InvalidArgument"),
        (b"a=1&%61=2", "InvalidArgument"),
        (b"a=" + b"b" * 2049, "InvalidArgument"),
        (b"&".join(b"a%d" % n for n in range(65)), "InvalidArgument"),
    ],
)
def test_parameters_are_refused(query: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parameters(query)
    assert caught.value.s3_code == code


@pytest.mark.parametrize("name", ["abc", "a.b", "my-bucket-1", "a" * 63, "1ab", "1.2.3"])
def test_bucket_names_that_s3_allows(name: str) -> None:
    check_bucket(name)
    check_new_bucket(name)


@pytest.mark.parametrize(
    "name",
    [
        "ab", "a" * 64, "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "192.168.5.4", "a b",
        "a\0b", "ü-ü", "abc\n", "", ".", "..",
    ],
)  # fmt: skip
def test_bucket_names_that_s3_forbids(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        check_bucket(name)
    assert caught.value.s3_code == "InvalidBucketName"


@pytest.mark.parametrize(
    "name", ["xn--abc", "sthree-x", "amzn-s3-demo-x", "abc-s3alias", "abc--ol-s3", "abc--x-s3", "abc.mrap"]
)
def test_reserved_names_are_not_given_to_new_buckets(name: str) -> None:
    check_bucket(name)
    with pytest.raises(S3Error) as caught:
        check_new_bucket(name)
    assert caught.value.s3_code == "InvalidBucketName"
