"""Batch put: a tar whose members become objects."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import zstandard
from botocore.config import Config
from lxml import etree

from tests.doubles.archives import END, archive, block, hostile, member
from tests.integration.s3.calls import Answer, later, raw, refused
from tests.integration.served import UNDISTURBED, Server, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXTRACT = {"x-amz-meta-snowball-auto-extract": "true"}
NS = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that records nothing by itself: records are counted here."""
    served = Server(tmp_path_factory.mktemp("server"), UNDISTURBED)
    yield served
    assert served.stop() == 0, served.errors


def content(name: str, size: int = 1024) -> bytes:
    return hashlib.shake_128(name.encode()).digest(size)


def some(count: int) -> dict[str, bytes]:
    return {f"2026/{number:04d}.json": content(str(number)) for number in range(count)}


def extract(server: Server, bucket: str, data: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return raw(server, "PUT", f"/{bucket}/any.tar", EXTRACT | named, data)


def listed(s3: Any, bucket: str) -> dict[str, list[str]]:
    """Every version in a bucket, by key."""
    found: dict[str, list[str]] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for each in page.get("Versions", []):
            found.setdefault(each["Key"], []).append(each["VersionId"])
    return found


def read(s3: Any, bucket: str, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def seq(answer: Answer) -> int:
    return int(answer.headers["x-strongroom-record"].split("/")[1])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_a_tar_becomes_objects(s3: Any, locked: str, form: int, compress: Callable[[bytes], bytes]) -> None:
    members = some(30) | {"empty": b"", "n" * 90 + "/" + "ü" * 4: b"long"}
    data = compress(archive(members, form, 1.5))
    answer = s3.put_object(Bucket=locked, Key="any.tar", Body=data, Metadata={"Snowball-Auto-Extract": "TRUE"})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert {key: len(versions) for key, versions in listed(s3, locked).items()} == dict.fromkeys(members, 1)
    for name, expected in members.items():
        found = s3.get_object(Bucket=locked, Key=name)
        assert found["Body"].read() == expected
        assert found["ETag"] == f'"{hashlib.md5(expected, usedforsecurity=False).hexdigest()}"'


def test_the_answer_names_versions_and_records(server: Server, s3: Any, locked: str) -> None:
    answer = extract(server, locked, archive(some(5)), x_amz_meta_minio_snowball_prefix="in/")
    assert answer.status == 200
    root = etree.fromstring(answer.body)
    assert root.tag == f"{NS}ExtractResult"
    told = {each.findtext(f"{NS}Key"): each for each in root}
    assert list(told) == [f"in/{name}" for name in some(5)]
    seqs = [int((each.findtext(f"{NS}Record") or "").split("/")[1]) for each in root]
    assert seqs == list(range(seqs[0], seqs[0] + 5))
    for key, each in told.items():
        assert listed(s3, locked)[str(key)] == [each.findtext(f"{NS}VersionId")]


def test_every_way_to_sign_and_check_a_body(server: Server, make: Callable[..., str]) -> None:
    """Checksums in headers and in trailers, as SDKs of today and of yesterday send them."""
    bucket = make()
    for mode in ("when_supported", "when_required"):
        for algorithm in ("CRC32", "SHA256", "CRC64NVME"):
            client = boto3.client(
                "s3",
                endpoint_url=server.endpoint,
                aws_access_key_id=server.access_key,
                aws_secret_access_key=server.secret_key,
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, request_checksum_calculation=mode),
            )
            name = f"{mode}-{algorithm}"
            client.put_object(
                Bucket=bucket, Key="a.tar", Body=archive({name: b"x"}), ChecksumAlgorithm=algorithm,
                Metadata={"snowball-auto-extract": "true"},
            )  # fmt: skip
            assert read(client, bucket, name) == b"x"
            client.close()


@pytest.mark.parametrize("headers", [{"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, {"x-amz-checksum-crc32": "AAAAAA=="}])
def test_what_was_claimed_of_it_is_checked_before_anything(
    server: Server, s3: Any, locked: str, headers: dict[str, str]
) -> None:
    answer = extract(server, locked, archive(some(5)), **headers)
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert listed(s3, locked) == {}


def test_locks_of_the_request_and_of_the_bucket(s3: Any, locked: str) -> None:
    until = later()
    s3.put_object(
        Bucket=locked, Key="a.tar", Body=archive(some(3)), Metadata={"snowball-auto-extract": "true"},
        ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until, ObjectLockLegalHoldStatus="ON",
    )  # fmt: skip
    for name in some(3):
        found = s3.head_object(Bucket=locked, Key=name)
        assert (found["ObjectLockMode"], found["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", until)
        assert found["ObjectLockLegalHoldStatus"] == "ON"
        version = found["VersionId"]
        assert refused(s3.delete_object, Bucket=locked, Key=name, VersionId=version).code == "AccessDenied"
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 5}}
    s3.put_object_lock_configuration(
        Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    s3.put_object(Bucket=locked, Key="a.tar", Body=archive({"d": b""}), Metadata={"snowball-auto-extract": "true"})
    assert s3.head_object(Bucket=locked, Key="d")["ObjectLockMode"] == "GOVERNANCE"


def test_a_lock_needs_a_checksum_of_the_archive(server: Server, locked: str) -> None:
    answer = extract(server, locked, archive(some(1)), x_amz_object_lock_legal_hold="ON")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_versions_in_every_kind_of_bucket(s3: Any, bucket: str, versioned: str) -> None:
    for _ in range(2):
        for name in (bucket, versioned):
            s3.put_object(Bucket=name, Key="a.tar", Body=archive(some(2)), Metadata={"snowball-auto-extract": "true"})
    assert [len(each) for each in listed(s3, versioned).values()] == [2, 2]
    assert [len(each) for each in listed(s3, bucket).values()] == [1, 1]


def test_a_strict_bucket_and_preconditions_refuse_members_one_by_one(server: Server, s3: Any) -> None:
    strict = {"x-amz-bucket-object-lock-enabled": "true", "x-strongroom-bucket-strict": "true"}
    assert raw(server, "PUT", "/strict-extract", strict).status == 200
    assert extract(server, "strict-extract", archive({"b": b"first"})).status == 200
    answer = extract(server, "strict-extract", archive({"a": b"1", "b": b"2", "c": b"3"}))
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.message.startswith("1 of 3 members are not stored")
    found = etree.fromstring(answer.body).findall("ExtractResult/Extracted")
    assert [each.findtext("Key") for each in found] == ["a", "c"]
    assert read(s3, "strict-extract", "b") == b"first"
    tolerant = extract(
        server, "strict-extract", archive({"a": b"1", "d": b"4"}), x_amz_meta_minio_snowball_ignore_errors="true",
        if_none_match="*",
    )  # fmt: skip
    assert tolerant.status == 200
    assert [each.tag.removeprefix(NS) for each in etree.fromstring(tolerant.body)] == ["Error", "Extracted"]


def test_bad_members_are_skipped_where_they_are_to_be(server: Server, s3: Any, locked: str) -> None:
    data = member(b"good") + block(b"link", kind=b"2", link=b"/etc/passwd") + member(b"../up") + member(b"last") + END
    assert extract(server, locked, data).status == 400
    assert listed(s3, locked) == {}
    answer = extract(server, locked, data, x_amz_meta_minio_snowball_ignore_errors="true")
    assert answer.status == 200
    told = [(each.tag.removeprefix(NS), each.findtext(f"{NS}Key")) for each in etree.fromstring(answer.body)]
    assert told == [("Extracted", "good"), ("Error", "link"), ("Error", "../up"), ("Extracted", "last")]
    assert list(listed(s3, locked)) == ["good", "last"]


@pytest.mark.timeout(240)
def test_a_thousand_hostile_archives_leave_one_record_each_and_nothing_else(
    server: Server, s3: Any, locked: str
) -> None:
    before = seq(raw(server, "HEAD", f"/{locked}"))
    for number, each in enumerate(hostile(), 1):
        answer = extract(server, locked, each.data)
        assert answer.status in {400, 501}, each.name
        assert seq(answer) == before + number, each.name
    assert seq(raw(server, "HEAD", f"/{locked}")) == before + 1001
    assert listed(s3, locked) == {}
    assert list((server.data / "stage").iterdir()) == []


def test_small_and_large_members_in_an_archive_that_memory_does_not_hold(server: Server, s3: Any, locked: str) -> None:
    sizes = {f"m{number:02d}": number * 60_000 for number in range(24)}
    members = {name: content(name, size) for name, size in sizes.items()}
    for compress in (bytes, lambda data: gzip.compress(data, 1)):
        assert extract(server, locked, compress(archive(members))).status == 200
    for name, expected in members.items():
        assert read(s3, locked, name) == expected
    assert list((server.data / "stage").iterdir()) == []


def test_too_many_members_are_refused(server: Server, s3: Any, locked: str) -> None:
    data = b"".join(block(b"%d" % number) for number in range(100_001)) + END
    answer = extract(server, locked, gzip.compress(data, 1))
    assert (answer.status, answer.code) == (400, "EntityTooLarge")
    assert listed(s3, locked) == {}


def test_what_was_extracted_verifies_and_survives_a_kill(server: Server, s3: Any, locked: str) -> None:
    assert extract(server, locked, archive(some(700))).status == 200
    server.kill()
    server.start()
    assert len(listed(s3, locked)) == 700
    assert read(s3, locked, "2026/0699.json") == content("699")
    assert server.stop() == 0, server.errors
    done = command("verify", server.data)
    server.start()
    assert done.returncode == 0, done.stdout
