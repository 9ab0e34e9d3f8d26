from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import S3Error
from vault.record import DefaultRetention, LockRef
from vault.s3 import documents
from vault.service.context import CompletedPart
from vault.times import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

NS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
TWO_CHECKSUMS = (
    "<Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>a</ChecksumCRC32>"
    "<ChecksumSHA1>b</ChecksumSHA1></Part>"
)
READERS: list[Callable[[bytes], Any]] = [
    documents.location,
    documents.versioning,
    documents.lock_configuration,
    documents.retention,
    documents.legal_hold,
    documents.deletion,
    documents.completion,
]


def lock(rule: str) -> bytes:
    return (
        f"<ObjectLockConfiguration{NS}><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
    ).encode()


def default(content: str) -> bytes:
    return lock(f"<Rule><DefaultRetention>{content}</DefaultRetention></Rule>")


def retention(content: str) -> bytes:
    return f"<Retention>{content}</Retention>".encode()


def code(reader: Callable[[bytes], Any], data: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        reader(data)
    return caught.value.s3_code


def test_lock_configuration_is_read() -> None:
    assert documents.lock_configuration(lock("")) is None
    assert documents.lock_configuration(default("<Mode>GOVERNANCE</Mode><Days>3</Days>")) == DefaultRetention(
        "GOVERNANCE", days=3
    )
    assert documents.lock_configuration(default("<Years>2</Years><Mode>COMPLIANCE</Mode>")) == DefaultRetention(
        "COMPLIANCE", years=2
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"<ObjectLockConfiguration/>", "MalformedXML"),
        (
            b"<ObjectLockConfiguration><ObjectLockEnabled>No</ObjectLockEnabled></ObjectLockConfiguration>",
            "MalformedXML",
        ),
        (b"<ObjectLockConfiguration><Rule/></ObjectLockConfiguration>", "MalformedXML"),
        (lock("<Rule/>"), "MalformedXML"),
        (default(""), "MalformedXML"),
        (default("<Mode>governance</Mode><Days>1</Days>"), "MalformedXML"),
        (default("<Mode>GOVERNANCE</Mode>"), "MalformedXML"),
        (default("<Days>1</Days>"), "MalformedXML"),
        (default("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (default("<Mode>GOVERNANCE</Mode><Days>x</Days>"), "MalformedXML"),
        (default("<Mode>GOVERNANCE</Mode><Days>1.5</Days>"), "MalformedXML"),
        (default("<Mode>GOVERNANCE</Mode><Days>99999999999</Days>"), "MalformedXML"),
        (default("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidRetentionPeriod"),
        (default("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), "InvalidRetentionPeriod"),
        (default("<Mode>GOVERNANCE</Mode><DefaultEventHold><Days>1</Days></DefaultEventHold>"), "NotImplemented"),
    ],
)
def test_lock_configuration_is_refused(data: bytes, error: str) -> None:
    assert code(documents.lock_configuration, data) == error


def test_retention_is_read() -> None:
    until = "<RetainUntilDate>2140-01-01T00:00:00.5+01:00</RetainUntilDate>"
    assert documents.retention(retention("<Mode>COMPLIANCE</Mode>" + until)) == LockRef(
        "COMPLIANCE", "2139-12-31T23:00:00.500000000Z"
    )
    assert documents.retention(b"<Retention/>") is None
    assert documents.retention(retention("\n")) is None


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("<Mode>GOVERNANCE</Mode>", "MalformedXML"),
        ("<RetainUntilDate>2140-01-01T00:00:00Z</RetainUntilDate>", "MalformedXML"),
        ("<Mode>abc</Mode><RetainUntilDate>2140-01-01T00:00:00Z</RetainUntilDate>", "MalformedXML"),
        ("<Mode>compliance</Mode><RetainUntilDate>2140-01-01T00:00:00Z</RetainUntilDate>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><RetainUntilDate>tomorrow</RetainUntilDate>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><RetainUntilDate/>", "MalformedXML"),
        ("<Mode/><RetainUntilDate/>", "MalformedXML"),
        ("<EventHold>ON</EventHold>", "NotImplemented"),
        ("<EventHoldDuration><Days>1</Days></EventHoldDuration>", "NotImplemented"),
    ],
)
def test_retention_is_refused(content: str, error: str) -> None:
    assert code(documents.retention, retention(content)) == error


@given(st.integers(0, 253_402_300_798 * 10**9))
def test_a_retain_until_date_is_never_earlier_than_asked_and_whole_milliseconds(ns: int) -> None:
    seconds, fraction = divmod(ns, 10**9)
    asked = parse_rfc3339("1970-01-01T00:00:00Z") + seconds * 10**9 + fraction
    kept = parse_rfc3339(documents.retain_until(rfc3339(asked)))
    assert 0 <= kept - asked < 10**6
    assert kept % 10**6 == 0


@pytest.mark.parametrize(("status", "on"), [("ON", True), ("OFF", False)])
def test_legal_hold_is_read(*, status: str, on: bool) -> None:
    assert documents.legal_hold(f"<LegalHold{NS}><Status>{status}</Status></LegalHold>".encode()) is on


@pytest.mark.parametrize("data", [b"", b"<LegalHold/>", b"<LegalHold><Status>on</Status></LegalHold>"])
def test_legal_hold_is_refused(data: bytes) -> None:
    assert code(documents.legal_hold, data) == "MalformedXML"


def test_versioning_is_read() -> None:
    body = "<VersioningConfiguration><MfaDelete>Disabled</MfaDelete><Status>{}</Status></VersioningConfiguration>"
    assert documents.versioning(body.format("Enabled").encode()) == "Enabled"
    assert documents.versioning(body.format("Suspended").encode()) == "Suspended"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "MalformedXML"),
        ("<Status>enabled</Status>", "MalformedXML"),
        ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", "NotImplemented"),
    ],
)
def test_versioning_is_refused(content: str, error: str) -> None:
    data = f"<VersioningConfiguration>{content}</VersioningConfiguration>".encode()
    assert code(documents.versioning, data) == error


def test_location_is_read() -> None:
    body = "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    assert documents.location(body.encode()) == "eu-west-1"
    assert documents.location(b"") == ""
    assert documents.location(b"<CreateBucketConfiguration/>") == ""


def test_tags_at_creation_are_refused() -> None:
    assert (
        code(documents.location, b"<CreateBucketConfiguration><Tags/></CreateBucketConfiguration>") == "NotImplemented"
    )


def test_deletion_is_read() -> None:
    found = documents.deletion(
        b"<Delete><Object><Key>a/../b</Key></Object><Quiet>true</Quiet>"
        b"<Object><Key> c </Key><VersionId>v</VersionId></Object></Delete>"
    )
    assert found == ([("a/../b", ""), (" c ", "v")], True)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "MalformedXML"),
        ("<Object/>", "MalformedXML"),
        ("<Object><Key/></Object>", "MalformedXML"),
        ("<Object><Key>a</Key></Object><Quiet>yes</Quiet>", "MalformedXML"),
        ("<Object><Key>a</Key></Object>" * 1001, "MalformedXML"),
        ("<Object><Key>a</Key><ETag>e</ETag></Object>", "NotImplemented"),
        ("<Object><Key>a</Key><Size>1</Size></Object>", "NotImplemented"),
    ],
)
def test_deletion_is_refused(content: str, error: str) -> None:
    assert code(documents.deletion, f"<Delete>{content}</Delete>".encode()) == error


def test_a_thousand_members_are_taken() -> None:
    body = "<Delete>" + "<Object><Key>a</Key></Object>" * 1000 + "</Delete>"
    assert len(documents.deletion(body.encode()).members) == 1000


def test_completion_is_read() -> None:
    found = documents.completion(
        b'<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>"e"</ETag></Part>'
        b"<Part><ETag>&quot;f&quot;</ETag><PartNumber>1</PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
        b"</CompleteMultipartUpload>"
    )
    assert found == [CompletedPart(2, "e"), CompletedPart(1, "f", ("CRC32", "AAAAAA=="))]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "MalformedXML"),
        ("<Part/>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"),
        ("<Part><PartNumber>x</PartNumber><ETag>e</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>0</PartNumber><ETag>e</ETag></Part>", "InvalidArgument"),
        ("<Part><PartNumber>10001</PartNumber><ETag>e</ETag></Part>", "InvalidArgument"),
        (TWO_CHECKSUMS, "MalformedXML"),
    ],
)
def test_completion_is_refused(content: str, error: str) -> None:
    data = f"<CompleteMultipartUpload>{content}</CompleteMultipartUpload>".encode()
    assert code(documents.completion, data) == error


@given(st.sampled_from(READERS), st.binary(max_size=300))
def test_bytes_are_read_or_refused(reader: Callable[[bytes], Any], data: bytes) -> None:
    with contextlib.suppress(S3Error):
        reader(data)
