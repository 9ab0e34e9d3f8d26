"""The control table: that it says nothing which is not so, and what it shows of a vault."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from audit.cli import cli
from audit.config import S3Section, Settings
from audit.controls import TABLE
from audit.controls.live import FACTS, Vault, describe
from audit.controls.requirement import NOT_SOFTWARE, NOT_YET, PARTIAL, STATES, WORKS, Requirement
from audit.keys import KeyStanding
from audit.survey import Survey
from tests.doubles.node import STATUS
from tests.readme import ROOT, table_of_controls
from vault.state.other_rows import TokenRow
from vault.state.rows import PrincipalRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROWS = [row for rule in TABLE for row in rule.requirements]
POINTS = (
    "17a-4(f)(2)(i)(A)", "17a-4(f)(2)(i)(B)", "17a-4(f)(2)(ii)", "17a-4(f)(2)(iii)", "17a-4(f)(2)(iv)",
    "17a-4(f)(2)(v)", "17a-4(f)(3)(i)", "17a-4(f)(3)(ii)", "17a-4(f)(3)(iii)", "17a-4(f)(3)(iv)", "17a-4(f)(3)(v)(A)",
    "17a-4(f)(3)(v)(B)", "17a-4(a),(b)", "17a-4(c),(d),(e)", "18a-6(e)", "FINRA-4511(c)", "FINRA-4590",
    "CFTC-1.31(b)", "2017/565-72(1)(b)", "2017/565-72(1)(c)", "GBT22239-8.1.4.1", "GBT22239-8.1.4.2",
    "GBT22239-8.1.4.3a", "GBT22239-8.1.4.3b", "GBT22239-8.1.4.3c", "GBT22239-8.1.4.3d", "GBT22239-8.1.4.7",
    "GBT22239-8.1.4.8", "GBT22239-8.1.4.9", "GBT22239-8.1.5.1", "GBT22239-8.1.5.2", "GBT22239-8.1.5.3",
)  # fmt: skip
#: Words of a claim that only an assessor, or the firm itself, can make.
CLAIMS = re.compile(
    r"\b(compl(y|ies|iant)|certif(y|ied|ication)|assess(ed|ment)|guarante\w+|ensures? that)\b", re.IGNORECASE
)


@cache
def defined(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("test", sorted({test for row in ROWS for test in row.tests}))
def test_every_test_that_is_named_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert name.startswith("test_")
    assert name in defined(path)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_says_what_it_rests_on(row: Requirement) -> None:
    assert row.state in STATES
    assert all((row.id, row.asks, row.feature, row.why))
    assert set(row.live) <= FACTS
    assert bool(row.tests) == (row.state in {WORKS, PARTIAL})
    assert not CLAIMS.search(f"{row.feature} {row.why}")
    assert not re.search(r"[|\n]", f"{row.id}{row.asks}{row.feature}{row.why}")


def test_every_point_has_one_row() -> None:
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids))
    assert set(POINTS) <= set(ids)


def test_what_needs_what_is_not_there_is_not_said_to_work() -> None:
    states = {row.id: row.state for row in ROWS}
    assert states["17a-4(f)(2)(v)"] == NOT_YET  # the off-site copy
    assert states["17a-4(c),(d),(e)"] == NOT_YET  # periods that begin with an event
    assert states["17a-4(f)(2)(i)(A)"] == PARTIAL  # record classes
    assert states["17a-4(f)(3)(v)(A)"] == NOT_SOFTWARE  # third-party access
    assert states["GBT22239-8.1.4.9"] == NOT_YET


def test_readme_has_the_same_table() -> None:
    assert table_of_controls() in (ROOT / "README.md").read_text()


ROOTED = PrincipalRow("p0", "root", "ROOT", ("root",))
AUDITOR = PrincipalRow("p1", "ann", "ANN", ("auditor",))
GONE = PrincipalRow("p2", "bob", "BOB", ("examiner",), enabled=False)
VAULT = Vault(
    status=replace(STATUS, durable=20, sealed=19, keys=KeyStanding("2026-11-27T17:00:00.000000000Z", domains=2)),
    survey=Survey(
        buckets=5, locking=3, compliance=2, governance=1, strict=1, max_error=12_400_000, sharing=[["A", "B"]]
    ),
    principals=[ROOTED, AUDITOR, GONE],
    tokens=[
        TokenRow("1", "p1", "", ("auditor",), 100),
        TokenRow("2", "p1", "", ("auditor",), 10),  # expired
        TokenRow("3", "p1", "", ("auditor",), 100, revoked=True),
        TokenRow("4", "p2", "", ("examiner",), 100),  # its principal is disabled
        TokenRow("5", "p0", "", ("root",), 100),  # reads no records
    ],
    now=10,
    settings=Settings(s3=S3Section(listen="0.0.0.0:9000", tls_cert_file="c", tls_key_file="k", tls_client_ca_file="a")),
    anchor="s3://anchors/a",
    local="",
    kek_here=True,
)


@pytest.mark.parametrize(
    ("fact", "vault", "said"),
    [
        (
            "locks",
            VAULT,
            "buckets: 5; with Object Lock: 3; default retention COMPLIANCE: 2, GOVERNANCE: 1; strict: 1",
        ),
        ("anchor", VAULT, "anchor: s3://anchors/a"),
        ("anchor", VAULT._replace(local="anchor=local: beside it"), "anchor=local: beside it"),
        (
            "roles",
            VAULT,
            "enabled principals by role: auditor 1, root 1; root is enabled, and does what security and owner do",
        ),
        ("roles", VAULT._replace(principals=[GONE]), "enabled principals by role: none"),
        ("readers", VAULT, "principals who may read records: 1; tokens of theirs that count: 1"),
        ("credentials", VAULT, "principals that share a secret with another one: 2"),
        (
            "tls",
            VAULT,
            "as configured here: S3: TLS, client certificates required; audit: loopback only, no TLS",
        ),
        ("keys", VAULT, "last backup of the keys: 2026-11-27T17:00:00Z; made or changed since: 2"),
        ("keys", VAULT._replace(status=STATUS), "no backup of the keys was recorded"),
        ("kek", VAULT, "the key-encryption key is in the data directory"),
        (
            "clock",
            VAULT,
            "host clock: synchronised, at most 12 ms off (so says: kernel); compliance clock behind it: 1 s",
        ),
        (
            "clock",
            VAULT._replace(survey=Survey(synchronised=False, clock_source="local")),
            "host clock: not synchronised (so says: local); compliance clock behind it: 1 s",
        ),
        ("log", VAULT, "records: 20; under a signed checkpoint: 19"),
    ],
)
def test_what_a_vault_adds_to_a_row(fact: str, vault: Vault, said: str) -> None:
    assert describe(ROWS[0]._replace(live=(fact,)), vault) == [said]


def controls(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli, ["controls", *map(str, arguments)], env={"STRONGROOM_DATA": None})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_shows_every_row_and_claims_nothing() -> None:
    shown = controls()
    positions = [shown.index(f"{row.id}{'' if row.checked else ' ~'}: {row.state}\n") for row in ROWS]
    assert positions == sorted(positions)
    assert "No certification or assessment is claimed." in " ".join(shown.split())
    assert "\n  here " not in shown  # nothing of a vault, where none was named


def test_the_command_writes_the_same_as_json() -> None:
    shown: Sequence[dict[str, Any]] = json.loads(controls("--json"))
    assert [(row["id"], row["state"]) for row in shown] == [(row.id, row.state) for row in ROWS]
    assert {row["live"] for row in shown} == {None}
    assert all((ROOT / test.partition("::")[0]).exists() for row in shown for test in row["tests"])
