from __future__ import annotations

import msgspec
import pytest

from audit.control.direct import NodeControl, host_user
from audit.control.messages import (
    AddPrincipal,
    DisablePrincipal,
    ListPrincipals,
    RecordBackup,
    Reply,
    Request,
    RotateKek,
    Status,
    TakeKeys,
    decode_reply,
    encode,
)
from audit.control.server import answer
from audit.control.stream_messages import Entries, split_entries
from audit.keys import KeyMaterial, Rotated
from tests.doubles.node import IDENTITY, FakeNode
from vault.state.rows import PrincipalRow


def ask(node: FakeNode, request: Request) -> tuple[Reply, bytes]:
    line, _, payload = answer(NodeControl(node.node, host_user(0)), encode(request)).partition(b"\n")
    reply = decode_reply(line)
    assert len(payload) == reply.payload
    return reply, payload


def test_status_and_principals_are_told() -> None:
    node = FakeNode()
    node.write(3)
    ask(node, AddPrincipal("bob", ("writer",), "BOB", "12345678"))
    assert msgspec.json.decode(ask(node, Status())[0].result)["durable"] == 3
    assert msgspec.json.decode(ask(node, ListPrincipals())[0].result, type=list[PrincipalRow]) == node.principals_


def test_changes_are_made_as_the_user_behind_the_socket() -> None:
    node = FakeNode()
    added, _ = ask(node, AddPrincipal("bob", ("writer",), "BOB", ""))
    assert msgspec.json.decode(added.result) == ["p0", "BOB", "made-up-secret"]
    assert ask(node, DisablePrincipal("BOB"))[0].error is None
    assert not node.principals_[0].enabled
    assert [(actor.id, actor.person) for actor in node.actors] == [("system", "root (uid 0)")] * 2


def test_a_refusal_comes_back_with_its_code() -> None:
    reply, _ = ask(FakeNode(), DisablePrincipal("NOBODY"))
    assert reply.error is not None
    assert reply.error.code == "InvalidArgument"
    assert reply.error.message == "There is no such principal."


def test_keys_come_as_the_payload_and_what_is_done_to_them_is_told() -> None:
    node = FakeNode()
    reply, payload = ask(node, TakeKeys())
    assert (reply.error, msgspec.json.decode(payload, type=KeyMaterial)) == (None, node.material())
    kept = msgspec.structs.replace(node.keys, digest="ab" * 32)
    assert msgspec.json.decode(ask(node, RecordBackup(kept))[0].result) == f"{IDENTITY.stream}/7"
    assert node.keys == kept
    done = msgspec.json.decode(ask(node, RotateKek("new"))[0].result, type=Rotated)
    assert (done.keys.before, done.kept_here) == ("12345678", False)
    refused, _ = ask(node, RotateKek(""))
    assert refused.error is not None
    assert "--kek-file" in refused.error.message
    assert {actor.person for actor in node.actors} == {"root (uid 0)"}


def test_entries_come_as_a_bundle_of_exact_bytes() -> None:
    node = FakeNode()
    node.write(300)
    reply, payload = ask(node, Entries(IDENTITY.stream, 1, 44))
    assert reply.error is None
    assert split_entries(payload, 44) == node.written[256:]


@pytest.mark.parametrize(("index", "width", "missing"), [(0, 4, 3), (1, 1, 256), (2**54, 1, 2**62)])
def test_entries_that_do_not_exist_are_an_error_and_not_fewer_entries(index: int, width: int, missing: int) -> None:
    node = FakeNode()
    node.write(3)
    reply, payload = ask(node, Entries(IDENTITY.stream, index, width))
    assert payload == b""
    assert reply.error is not None
    assert f"there is no record {missing}" in reply.error.message


def test_a_user_without_a_name_is_named_by_number() -> None:
    assert host_user(4_000_000_000).person == "uid 4000000000"
