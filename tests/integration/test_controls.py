"""``strongroom controls`` and ``doctor`` of a vault that has something in it, beside its server and without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.served import command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.served import Server

NAME = "quite-secret-name"


def said(server: Server, point: str) -> str:
    """What is said of the vault beside one point."""
    shown: list[dict[str, Any]] = json.loads(server.cli("controls", "--json").stdout)
    return "\n".join(next(row["live"] for row in shown if row["id"] == point))


@pytest.fixture(scope="module")
def filled(server: Server, s3: Any) -> Server:
    s3.create_bucket(Bucket=NAME, ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        Bucket=NAME,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
        },
    )
    s3.put_object(Bucket=NAME, Key="T-4711", Body=b"x")
    return server


def test_the_table_shows_how_the_vault_is_set_up_and_names_nothing_in_it(filled: Server) -> None:
    assert "with Object Lock: 1; default retention COMPLIANCE: 1, GOVERNANCE: 0" in said(filled, "17a-4(f)(2)(i)(B)")
    assert "anchor=local" in said(filled, "17a-4(f)(2)(i)(A)")
    assert "root 1; root is enabled" in said(filled, "GBT22239-8.1.5.1")
    assert "no backup of the keys was recorded" in said(filled, "17a-4(f)(2)(v)")
    for arguments in (["controls"], ["controls", "--json"]):
        shown = filled.cli(*arguments)
        assert shown.returncode == 0, shown.stderr
        assert NAME not in shown.stdout
        assert "T-4711" not in shown.stdout
        assert filled.access_key not in shown.stdout


def test_without_a_server_it_says_the_same(filled: Server) -> None:
    beside = said(filled, "17a-4(f)(2)(i)(B)")
    assert filled.stop() == 0
    try:
        assert said(filled, "17a-4(f)(2)(i)(B)").splitlines()[0] == beside.splitlines()[0]
    finally:
        filled.start()


def test_it_reads_no_record(filled: Server) -> None:
    def looks() -> int:
        return int(json.loads(filled.cli("records", "--count", "--json", "--op", "record.*").stdout)["total"])

    before = looks()
    filled.cli("controls")
    assert looks() == before + 1  # that of counting


def test_a_directory_that_is_no_vault_is_said_to_be_none(tmp_path: Path) -> None:
    assert command("controls", "--data", tmp_path).returncode == 2
    assert command("controls").returncode == 0


def test_doctor_names_who_shares_a_secret_and_whose_is_lost(server: Server) -> None:
    secret = "correct horse battery"
    for key in ("AKEY", "BKEY", "CKEY"):
        added = server.cli(
            "principal", "add", key, "--role", "writer", "--access-key", key, "--secret-stdin", "--json",
            stdin=secret if key != "CKEY" else f"{secret} staple",
        )  # fmt: skip
        assert added.returncode == 0, added.stderr
    path = server.data / "keys" / "secrets" / json.loads(added.stdout)["principal"]
    kept = path.read_bytes()
    path.write_bytes(kept[:-1])
    try:
        shown = server.cli("doctor")
    finally:
        path.write_bytes(kept)
    assert shown.returncode == 1
    assert "advice: the principals AKEY, BKEY have the same secret" in shown.stdout
    assert "problem: CKEY cannot sign in: " in shown.stdout
    assert secret not in shown.stdout + shown.stderr + server.errors


def test_doctor_names_tokens_that_end_soon(server: Server) -> None:
    assert server.cli("principal", "add", "ann", "--role", "auditor", "--access-key", "ANN").returncode == 0
    assert server.cli("token", "add", "ANN", "--days", "7").returncode == 0
    assert server.cli("token", "add", "ANN", "--days", "90").returncode == 0
    assert server.cli("doctor").stdout.count("of ANN expires on ") == 1
    assert server.cli("principal", "disable", "ANN").returncode == 0
    shown = server.cli("doctor").stdout
    assert shown.count("is of ANN, who is disabled: revoke it with ") == 2
