from __future__ import annotations

import pytest
from lxml import etree

from tests.doubles.s3_service import RECORD
from tests.unit.s3.wire import XMLNS, Wire, error, md5
from vault.errors import S3Error
from vault.service.results import DeleteResult


def test_delete_object() -> None:
    wire = Wire()
    headers = {"x-amz-bypass-governance-retention": "false"}
    result = DeleteResult("v2", marker=True, record=RECORD)
    answer = wire.ask("DELETE", "/bucket/key?versionId=v2", headers, objects__delete=result)
    assert (answer.status, answer.headers["x-amz-version-id"]) == (204, "v2")
    assert answer.headers["x-amz-delete-marker"] == "true"
    assert wire.service.call.args == ("bucket", "key", "v2")
    assert wire.service.call.kwargs == {"bypass": False, "bypass_sent": True}


def test_delete_of_nothing_is_done() -> None:
    wire = Wire()
    answer = wire.ask("DELETE", "/bucket/key", objects__delete=DeleteResult("", marker=False, record=RECORD))
    assert answer.status == 204
    assert {"x-amz-version-id", "x-amz-delete-marker"}.isdisjoint(answer.headers)
    assert wire.service.call.kwargs == {"bypass": False, "bypass_sent": False}


def members(*names: str, quiet: bool = False) -> bytes:
    listed = "".join(f"<Object>{name}</Object>" for name in names)
    return f"<Delete><Quiet>{str(quiet).lower()}</Quiet>{listed}</Delete>".encode()


@pytest.mark.parametrize("quiet", [False, True])
def test_delete_objects_answers_each_member_on_its_own(*, quiet: bool) -> None:
    wire = Wire()
    document = members(
        "<Key>a</Key>", "<Key>b&amp;</Key><VersionId>v1</VersionId>", f"<Key>{'k' * 1025}</Key>", "<Key>c</Key>",
        f"<Key>d</Key><VersionId>{'v' * 1025}</VersionId>", "<Key>e</Key><VersionId>v3</VersionId>", quiet=quiet,
    )  # fmt: skip
    results = [
        DeleteResult("m1", marker=True, record=RECORD),
        S3Error("AccessDenied", "Access Denied because object protected by object lock."),
        DeleteResult("", marker=False, record=RECORD),
        DeleteResult("v3", marker=False, record=RECORD),
    ]
    headers = md5(document) | {"x-amz-bypass-governance-retention": "true"}
    answer = wire.ask("POST", "/bucket?delete", headers, document, objects__delete_many=results)
    assert answer.status == 200
    assert wire.service.call.args == ("bucket", [("a", ""), ("b&", "v1"), ("c", ""), ("e", "v3")])
    assert wire.service.call.kwargs == {"bypass": True, "bypass_sent": True}
    told = [
        (each.tag.removeprefix(XMLNS), {leaf.tag.removeprefix(XMLNS): leaf.text for leaf in each})
        for each in etree.fromstring(answer.body)
    ]
    protected = {"Code": "AccessDenied", "Message": "Access Denied because object protected by object lock."}
    deleted = [
        ("Deleted", {"Key": "a", "DeleteMarker": "true", "DeleteMarkerVersionId": "m1"}),
        ("Error", {"Key": "b&", "VersionId": "v1", **protected}),
        ("Error", {"Key": "k" * 1025, "Code": "KeyTooLongError", "Message": "Your key is too long"}),
        ("Deleted", {"Key": "c"}),
        (
            "Error",
            {
                "Key": "d", "VersionId": "v" * 1025, "Code": "InvalidArgument",
                "Message": "Invalid version id specified",
            },
        ),
        ("Deleted", {"Key": "e", "VersionId": "v3"}),
    ]  # fmt: skip
    assert told == [each for each in deleted if each[0] == "Error" or not quiet]
    assert [(op, key) for op, _, key, _ in wire.service.refusals] == [
        ("object.delete", "k" * 1024),
        ("object.delete", "d"),
    ]


def test_delete_objects_needs_a_checksum() -> None:
    assert error(Wire().ask("POST", "/bucket?delete", {}, members("<Key>a</Key>"))) == (400, "InvalidRequest")
