from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.config import DiskSection, LedgerSection, Settings
from audit.doctor import ADVICE, PROBLEM, examine
from audit.keys import KeyStanding
from audit.survey import Survey
from tests.doubles.node import STATUS
from vault.state.other_rows import TokenRow
from vault.state.rows import PrincipalRow
from vault.times import DAY_NS, parse_rfc3339

ROOT = PrincipalRow("p0", "root", "ROOTKEY", ("root",))
OWNER = PrincipalRow("p1", "trader", "OWNERKEY", ("owner",))
LATELY = "2026-11-27T17:00:00.000000000Z"
HEALTHY = replace(STATUS, warnings=[], keys=KeyStanding(LATELY), backup=LATELY)
SETTINGS = Settings(disk=DiskSection(reserve_mib=200))


def test_a_healthy_vault_needs_nothing() -> None:
    disabled = PrincipalRow("p0", "root", "ROOTKEY", ("root",), enabled=False)
    assert examine(HEALTHY, [disabled, OWNER], SETTINGS) == []


def test_an_enabled_root_principal_is_to_be_disabled_by_its_key() -> None:
    (found,) = examine(HEALTHY, [OWNER, ROOT], SETTINGS)
    assert found.kind == ADVICE
    assert "strongroom principal disable ROOTKEY" in found.text


@pytest.mark.parametrize(
    ("free_mib", "kinds"), [(199, [PROBLEM]), (200, [ADVICE]), (799, [ADVICE]), (800, [])], ids=str
)
def test_disk_space_is_a_problem_below_the_reserve_and_advice_near_it(free_mib: int, kinds: list[str]) -> None:
    status = replace(HEALTHY, disk_free=free_mib << 20)
    assert [finding.kind for finding in examine(status, [OWNER], SETTINGS)] == kinds


@pytest.mark.parametrize(("reserve", "segment", "least"), [(512, 32, 0), (512, 160, 543), (20, 4, 75), (75, 4, 0)])
def test_a_reserve_that_settling_could_use_up_is_to_be_raised(reserve: int, segment: int, least: int) -> None:
    settings = Settings(disk=DiskSection(reserve_mib=reserve), ledger=LedgerSection(segment_mib=segment))
    texts = [finding.text for finding in examine(replace(HEALTHY, disk_free=1 << 40), [OWNER], settings)]
    assert [f"set it to {least} or more" in text for text in texts] == [True] * (least > 0)


def test_problems_come_first_and_warnings_are_passed_on() -> None:
    status = replace(HEALTHY, problems=["the writer has stopped"], warnings=["anchor=local"], disk_free=0)
    found = examine(status, [], SETTINGS)
    assert [finding.kind for finding in found] == [PROBLEM, PROBLEM, ADVICE, ADVICE]
    assert found[0].text == "the writer has stopped"
    assert found[2].text == "anchor=local"
    assert "nobody may act" in found[3].text


def test_records_without_a_checkpoint_point_at_the_anchor() -> None:
    (found,) = examine(replace(HEALTHY, durable=2_000_000), [OWNER], SETTINGS)
    assert "anchor" in found.text


def test_a_vault_whose_keys_no_backup_has_is_told_how_to_make_one() -> None:
    (found,) = examine(replace(HEALTHY, keys=KeyStanding()), [OWNER], SETTINGS)
    assert found.kind == ADVICE
    assert "strongroom key backup FILE" in found.text


@pytest.mark.parametrize(
    ("made", "days", "says"),
    [
        ("", 0, "no backup of the data directory was recorded"),
        (LATELY, 6, ""),
        (LATELY, 7, "was made 7 days ago (2026-11-27T17:00:00Z)"),
        (LATELY, 400, "was made 400 days ago"),
        (LATELY, -3, ""),  # by a clock that was set back since
    ],
)
def test_a_data_directory_without_a_backup_or_with_an_old_one_is_to_be_backed_up(
    made: str, days: int, says: str
) -> None:
    now = parse_rfc3339(LATELY) + days * DAY_NS
    found = examine(replace(HEALTHY, backup=made), [OWNER], SETTINGS, now=now)
    assert [item.kind for item in found] == [ADVICE] * bool(says)
    for item in found:
        assert says in item.text
        assert "`strongroom backup TARGET --data DIR`" in item.text


@pytest.mark.parametrize(
    ("behind", "says"),
    [
        ({"domains": 3}, "domain keys made: 3;"),
        ({"principals": 1}, "principals added: 1;"),
        ({"streams": 1}, "streams begun: 1;"),
        ({"rotations": 2, "domains": 1}, "domain keys made: 1, rotations of the key-encryption key: 2;"),
    ],
)
def test_what_was_made_since_the_last_key_backup_is_counted(behind: dict[str, Any], says: str) -> None:
    (found,) = examine(replace(HEALTHY, keys=replace(HEALTHY.keys, **behind)), [OWNER], SETTINGS)
    assert f"(2026-11-27T17:00:00Z) {says}" in found.text
    assert "strongroom key backup FILE" in found.text


@pytest.mark.parametrize(
    ("survey", "kind", "says"),
    [
        (Survey(sharing=[["ANN", "BOB"]]), ADVICE, "ANN, BOB have the same secret"),
        (Survey(troubles=["ANN cannot sign in: …"]), PROBLEM, "ANN cannot sign in"),
        (Survey(synchronised=False), ADVICE, "run an NTP or PTP daemon"),
        (Survey(unread=200_001), ADVICE, "200001 records to read"),
    ],
)
def test_what_a_survey_shows_is_told_with_what_to_do(survey: Survey, kind: str, says: str) -> None:
    (found,) = examine(HEALTHY, [OWNER], SETTINGS, survey=survey)
    assert found.kind == kind
    assert says in found.text


@pytest.mark.parametrize("unread", [None, 0, 200_000])
def test_a_view_that_is_nearly_there_or_that_nobody_opened_is_left_alone(unread: int | None) -> None:
    assert examine(HEALTHY, [OWNER], SETTINGS, survey=Survey(unread=unread)) == []


GONE = PrincipalRow("p2", "bob", "BOBKEY", ("auditor",), enabled=False)


@pytest.mark.parametrize(
    ("holder", "expires", "state", "says"),
    [
        ("p1", 14 * DAY_NS, "counts", "expires on 1970-01-16: where it is still needed, make another one with "),
        ("p1", 14 * DAY_NS + 1, "counts", ""),
        ("p1", 0, "expired", ""),
        ("p1", DAY_NS, "revoked", ""),
        ("p2", 300 * DAY_NS, "counts", "revoke it with `strongroom token revoke 00ff`"),
        ("p2", 0, "expired", ""),
        ("p2", DAY_NS, "revoked", ""),
    ],
)
def test_tokens_that_end_soon_or_were_left_over_are_named(holder: str, expires: int, state: str, says: str) -> None:
    token = TokenRow("00ff", holder, "", ("auditor",), expires + DAY_NS, revoked=state == "revoked")
    texts = [finding.text for finding in examine(HEALTHY, [OWNER, GONE], SETTINGS, tokens=[token], now=DAY_NS)]
    assert len(texts) == bool(says)
    assert all(says in text for text in texts)
