from __future__ import annotations

from typing import Any

import msgspec
import pytest

from audit.tokens import Bearer, Source, Tokens
from tests.doubles.ledger import MemoryState
from vault.errors import S3Error
from vault.policy import SYSTEM
from vault.ports import Committed
from vault.record import SUCCESS, Actor, Head, Origin, PrincipalRef, Tail, TokenRef
from vault.state.apply import apply
from vault.state.decide import decide
from vault.state.tokens import MAX_DAYS, MAX_EXAMINER_DAYS
from vault.times import DAY_NS, Now, parse_rfc3339, rfc3339

NOW = Now(parse_rfc3339("2026-11-27T12:00:00Z"), parse_rfc3339("2026-11-27T12:00:00Z"))
TOO_LATE = rfc3339(NOW.wall + MAX_EXAMINER_DAYS * DAY_NS + 1)
HOST = Actor(SYSTEM, person="op (uid 1)")


class Vault:
    """Decides, applies, and lets time pass; keeps what it was told."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.now = NOW
        self.tails: list[Tail] = []
        for name, roles in (
            ("ann", ("auditor", "reader")),
            ("eve", ("examiner",)),
            ("sec", ("security",)),
            ("col", ("writer",)),
        ):
            who = PrincipalRef(name, name, name, roles)
            self.commit(Tail(op="principal.add", actor=HOST, origin=Origin("cli"), principal=who))
        self.tokens = Tokens(self.commit, self.state, lambda: self.now.wall)

    def commit(self, tail: Tail) -> Committed:
        decision = decide(tail, self.state, self.now)
        if decision.error is not None:
            raise decision.error
        self.tails.append(tail)
        written = rfc3339(self.now.wall)
        head = Head(v=1, stream="s", seq=0, prev="", time=written, clock=written, outcome=SUCCESS)
        self.state.put(apply(head, tail, self.state))
        return Committed(head, b"", 0)


def bearer(found: Bearer | str) -> Bearer:
    assert isinstance(found, Bearer), found
    return found


def test_a_token_stands_for_its_principal_with_the_roles_it_carries() -> None:
    vault = Vault()
    whole = vault.tokens.add(HOST, "ann", (), 90)
    narrow = vault.tokens.add(HOST, "ann", ("reader",), 1, "backup job")
    assert bearer(vault.tokens.recognise(whole.token)).actor() == Actor("ann", roles=("auditor", "reader"))
    assert bearer(vault.tokens.recognise(narrow.token)).actor() == Actor("ann", roles=("reader",))
    assert {row.note for row in vault.tokens.all()} == {"", "backup job"}


def test_the_record_holds_no_token() -> None:
    vault = Vault()
    made = vault.tokens.add(HOST, "ann", (), 90)
    secret = made.token.split("_", 2)[2]
    assert all(secret not in msgspec.json.encode(tail).decode() for tail in vault.tails)


@pytest.mark.parametrize(
    "changed",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.replace("strongroom_", "strongroom_0", 1)[: len(token)],
        lambda token: token + "A",
        lambda token: "",
        lambda token: "strongroom_" + "0" * 16 + token[27:],
        lambda token: token.upper(),
        lambda token: token + "\n",
    ],
)
def test_another_token_is_unknown(changed: Any) -> None:
    vault = Vault()
    made = vault.tokens.add(HOST, "ann", (), 90)
    assert vault.tokens.recognise(changed(made.token)) == "unknown_token"


def test_it_counts_until_it_expires_is_revoked_or_its_principal_is_disabled() -> None:
    vault = Vault()
    first, second = vault.tokens.add(HOST, "ann", (), 1), vault.tokens.add(HOST, "ann", (), 2)
    vault.tokens.revoke(HOST, second.id)
    assert vault.tokens.recognise(second.token) == "revoked_token"
    bearer(vault.tokens.recognise(first.token))
    vault.now = Now(NOW.wall + DAY_NS, NOW.clock)
    assert vault.tokens.recognise(first.token) == "expired_token"
    third = vault.tokens.add(HOST, "ann", (), 1)
    vault.commit(
        Tail(op="principal.disable", actor=HOST, origin=Origin("cli"), principal=PrincipalRef("ann", "", "", ()))
    )
    assert vault.tokens.recognise(third.token) == "revoked_token"


def ref(**changes: Any) -> TokenRef:
    usual = TokenRef("0" * 16, "ann", "a" * 64, ("auditor",), rfc3339(NOW.wall + DAY_NS))
    return msgspec.structs.replace(usual, **changes)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (ref(principal="nobody"), "no_such_principal"),
        (ref(roles=("operator",)), "roles"),
        (ref(roles=()), "roles"),
        (ref(expires=rfc3339(NOW.wall)), "expiry"),
        (ref(expires=rfc3339(NOW.wall + MAX_DAYS * DAY_NS + 1)), "expiry"),
        (
            ref(principal="eve", roles=("examiner",), expires=rfc3339(NOW.wall + MAX_EXAMINER_DAYS * DAY_NS + 1)),
            "expiry",
        ),
        (ref(expires="soon"), "expiry"),
        (ref(note="x" * 129), "note"),
        (ref(digest="A" * 64), "invalid_request"),
        (ref(id="../" + "0" * 13), "invalid_request"),
        (None, "invalid_request"),
    ],
)
def test_what_nobody_may_have_is_refused(wanted: TokenRef | None, reason: str) -> None:
    vault = Vault()
    decision = decide(Tail(op="token.add", actor=HOST, origin=Origin("cli"), token=wanted), vault.state, NOW)
    assert decision.error is not None
    assert decision.error.reason == reason


def test_an_id_is_used_once_and_what_is_unknown_is_not_revoked() -> None:
    vault = Vault()
    vault.commit(Tail(op="token.add", actor=HOST, origin=Origin("cli"), token=ref()))
    again = decide(Tail(op="token.add", actor=HOST, origin=Origin("cli"), token=ref()), vault.state, NOW)
    assert again.error is not None
    assert again.error.reason == "exists"
    unknown = decide(Tail(op="token.revoke", actor=HOST, origin=Origin("cli"), token=TokenRef("1")), vault.state, NOW)
    assert unknown.error is not None
    assert unknown.error.reason == "no_such_token"


@pytest.mark.parametrize(("who", "may"), [("sec", True), ("ann", False), ("eve", False)])
def test_only_security_makes_tokens(who: str, may: bool) -> None:  # noqa: FBT001 - a table's column
    vault = Vault()
    tail = Tail(op="token.add", actor=Actor(who), origin=Origin("audit"), token=ref())
    error = decide(tail, vault.state, NOW).error
    assert (error is None) == may


def test_a_sources_token_carries_its_source_and_the_one_role_that_brings_events() -> None:
    vault = Vault()
    made = vault.tokens.add(HOST, "col", (), 1, source=Source("minio-a", "minio"))
    found = bearer(vault.tokens.recognise(made.token))
    assert (found.source, found.format, found.roles) == ("minio-a", "minio", ("writer",))
    (row,) = vault.tokens.all()
    vault.tokens.revoke(HOST, row.id)
    assert vault.tokens.all() == [msgspec.structs.replace(row, revoked=True)]


@pytest.mark.parametrize(
    ("access_key", "roles", "source", "reason"),
    [
        ("ann", (), Source("app", "json"), "roles"),
        ("ann", ("auditor",), Source("app", "json"), "roles"),
        ("col", (), Source("App", "json"), "source"),
        ("col", (), Source("a/b", "json"), "source"),
        ("col", (), Source("a" * 65, "json"), "source"),
        ("col", (), Source("", "json"), "source"),
        ("col", (), Source("app", ""), "format"),
        ("col", (), Source("app", "xml"), "format"),
    ],
)
def test_a_source_is_refused_that_could_do_more_or_is_none(
    access_key: str, roles: tuple[str, ...], source: Source, reason: str
) -> None:
    with pytest.raises(S3Error) as refused:
        Vault().tokens.add(HOST, access_key, roles, 1, source=source)
    assert refused.value.reason == reason
