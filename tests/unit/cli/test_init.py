"""``strongroom init``: what it refuses before it makes anything, and how one that was cut short is completed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from audit import init as init_module
from audit.anchor import place
from audit.errors import AlreadyRunning, AnchorUnavailable
from audit.identity import Layout
from audit.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    Run = Callable[..., Result]

ROOT = Path(__file__).parents[3]
KEY, SECRET = "STRONGROOM_ROOT_ACCESS_KEY", "STRONGROOM_ROOT_SECRET_KEY"


def fail(*_: object, **__: object) -> Any:
    raise AnchorUnavailable("it was cut short here")


def cut_short(monkeypatch: pytest.MonkeyPatch, run: Run, step: str, *arguments: str | Path, **env: str) -> None:
    """Have an init fail in one of its steps: before ``vault.json`` is written, or after it."""
    with monkeypatch.context() as patch:
        if step == "keys":
            patch.setattr(init_module, "ensure_signing_key", fail)
        else:
            patch.setattr(Node, "open", fail)
        failed = run("init", *arguments, env=env)
    assert failed.exit_code == 2
    assert "it was cut short here" in failed.stderr


def principals(run: Run, data: Path) -> list[str]:
    return [row["access_key"] for row in json.loads(run("principal", "list", "--data", data, "--json").stdout)]


@pytest.mark.parametrize("step", ["keys", "records"])
@pytest.mark.parametrize(("first", "then"), [("one", "two"), ("", "two"), ("one", "")])
def test_the_anchor_of_the_init_that_completes_a_vault_is_the_one_it_has(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, step: str, first: str, then: str
) -> None:
    data = tmp_path / "d"
    named = {name: ("--anchor", str(tmp_path / name)) if name else () for name in (first, then)}
    cut_short(monkeypatch, run, step, "--data", data, *named[first])
    made = run("init", "--data", data, *named[then])
    assert made.exit_code == 0, made.stderr
    anchor = tmp_path / (then or "d.anchor")
    assert json.loads((data / "vault.json").read_text())["anchor"] == (str(anchor) if then else "")
    assert any(anchor.iterdir())
    assert run("verify", data).exit_code == 0


def test_an_init_that_was_begun_with_other_names_is_not_completed(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_short(monkeypatch, run, "records", "--data", tmp_path / "d", "--site", "london")
    refused = run("init", "--data", tmp_path / "d", "--site", "paris")
    assert refused.exit_code == 2
    assert "an init of london.node-1 was cut short" in refused.stderr
    assert run("init", "--data", tmp_path / "d", "--site", "london").exit_code == 0


def test_a_finished_vault_keeps_its_anchor_whatever_another_init_says(tmp_path: Path, run: Run) -> None:
    data = tmp_path / "d"
    assert run("init", "--data", data, "--anchor", tmp_path / "one").exit_code == 0
    (data / "streams" / "site-a.node-1" / "checkpoint").unlink()  # as where the anchor was away from the beginning
    again = run("init", "--data", data, "--anchor", tmp_path / "two")
    assert "is a vault already" in again.stderr
    assert json.loads((data / "vault.json").read_text())["anchor"] == str(tmp_path / "one")
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("anchor", ["d", "d/anchor", "d/../d/x", "link/x"])
def test_an_anchor_inside_the_data_directory_is_refused(tmp_path: Path, run: Run, anchor: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "d")
    for url in (str(tmp_path / anchor), f"file://{tmp_path / anchor}"):
        refused = run("init", "--data", tmp_path / "d", "--anchor", url)
        assert refused.exit_code == 2
        assert "lies inside the data directory" in refused.stderr
        assert not (tmp_path / "d").exists()


def test_an_anchor_inside_the_data_directory_is_not_taken_from_the_configuration_either(
    tmp_path: Path, run: Run
) -> None:
    assert run("init", "--data", tmp_path / "d").exit_code == 0
    inside = {"STRONGROOM_ANCHOR__URL": str(tmp_path / "d" / "anchor")}
    assert "lies inside the data directory" in run("principal", "list", "--data", tmp_path / "d", env=inside).stderr


def test_an_anchor_beside_the_data_directory_with_its_name_as_a_beginning_is_outside(tmp_path: Path, run: Run) -> None:
    assert run("init", "--data", tmp_path / "d", "--anchor", tmp_path / "d2").exit_code == 0


def test_directories_that_were_made_for_the_anchor_are_named(tmp_path: Path, run: Run) -> None:
    made = run("init", "--data", tmp_path / "d", "--anchor", tmp_path / "mnt" / "nfs" / "anchor")
    assert (
        f"warning: the anchor's directory {tmp_path / 'mnt'} did not exist and was made: is it mounted?" in made.stderr
    )
    (tmp_path / "there").mkdir()
    there = run("init", "--data", tmp_path / "e", "--anchor", tmp_path / "there", "--json")
    assert not any("mounted" in warning for warning in json.loads(there.stdout)["warnings"])


def test_an_anchor_that_cannot_be_made_or_written_is_refused_before_the_vault_is_made(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    refused = run("init", "--data", tmp_path / "d", "--anchor", tmp_path / "file" / "anchor")
    assert refused.exit_code == 2
    assert "cannot be made" in refused.stderr
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused = run("init", "--data", tmp_path / "d", "--anchor", tmp_path / "anchor")
    assert refused.exit_code == 2
    assert "cannot be written" in refused.stderr
    assert not (tmp_path / "d").exists()


def test_option_and_configuration_that_name_different_anchors_are_refused(tmp_path: Path, run: Run) -> None:
    env = {"STRONGROOM_ANCHOR__URL": str(tmp_path / "one")}
    refused = run("init", "--data", tmp_path / "d", "--anchor", tmp_path / "two", env=env)
    assert refused.exit_code == 2
    assert "anchor.url is" in refused.stderr
    assert run("init", "--data", tmp_path / "d", "--anchor", tmp_path / "one", env=env).exit_code == 0


def test_a_named_anchor_on_the_same_file_system_is_local_too(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run("init", "--data", tmp_path / "d", "--anchor", tmp_path / "elsewhere", "--json")
    (local,) = [text for text in json.loads(made.stdout)["warnings"] if text.startswith("anchor=local: ")]
    assert f"{tmp_path / 'elsewhere'} lies on the data directory's own file system" in local
    stat = Path.stat

    def mounted(path: Path, *arguments: Any, **named: Any) -> os.stat_result:
        found = list(stat(path, *arguments, **named))
        found[2] += path.name == "elsewhere"  # st_dev
        return os.stat_result(found)

    layout = Layout(tmp_path / "d")
    monkeypatch.setattr(Path, "stat", mounted)
    assert place.local_warning(str(tmp_path / "elsewhere"), layout) == ""
    assert place.local_warning(str(tmp_path / "other" / "not-there-yet"), layout).startswith("anchor=local: ")


@pytest.mark.parametrize("lost", ["renamed", "unmounted"])
def test_an_empty_anchor_is_named_with_what_may_have_happened(tmp_path: Path, run: Run, lost: str) -> None:
    anchor = tmp_path / ("e.anchor" if lost == "renamed" else "anchor")
    named = () if lost == "renamed" else ("--anchor", anchor)
    assert run("init", "--data", tmp_path / "d", *named).exit_code == 0
    data = (tmp_path / "d").rename(tmp_path / "e") if lost == "renamed" else tmp_path / "d"
    if lost == "unmounted":
        anchor.rename(tmp_path / "away")
    refused = run("principal", "list", "--data", data)
    assert refused.exit_code == 2
    assert f"the anchor {anchor} is empty" in refused.stderr
    for cause in ("not mounted?", "data directory renamed", "anchor moved? then copy its files", "strongroom recover"):
        assert cause in refused.stderr


def test_an_anchor_is_moved_by_copying_its_files_and_setting_the_url(tmp_path: Path, run: Run) -> None:
    assert run("init", "--data", tmp_path / "d").exit_code == 0
    (tmp_path / "d.anchor").rename(tmp_path / "elsewhere")
    moved = {"STRONGROOM_ANCHOR__URL": str(tmp_path / "elsewhere")}
    assert run("principal", "list", "--data", tmp_path / "d", env=moved).exit_code == 0
    assert run("principal", "list", "--data", tmp_path / "d").exit_code == 2


@pytest.mark.parametrize(
    ("key", "secret", "named"),
    [
        ("é" * 5, "a-good-secret", KEY), ("ab", "a-good-secret", KEY), ("a" * 129, "a-good-secret", KEY),
        ("A-B-C", "a-good-secret", KEY), ("GOOD", "short", SECRET), ("GOOD", "two\nlines", SECRET),
        ("GOOD", "tab\tinside", SECRET), ("GOOD", "x" * 1025, SECRET), ("GOOD", "not-utf-8\udcff", SECRET),
        ("GOOD", "", KEY), ("", "a-good-secret", KEY),
    ],
)  # fmt: skip
def test_keys_that_cannot_be_used_are_refused_before_anything_is_made(
    tmp_path: Path, run: Run, key: str, secret: str, named: str
) -> None:
    refused = run("init", "--data", tmp_path / "d", "--anchor", tmp_path / "anchor", env={KEY: key, SECRET: secret})
    assert refused.exit_code == 2
    assert named in refused.stderr
    assert not secret or secret not in refused.output
    assert list(tmp_path.iterdir()) == []


def test_a_kek_that_cannot_be_used_is_refused_before_anything_is_made(tmp_path: Path, run: Run) -> None:
    refused = run("init", "--data", tmp_path / "d", env={"STRONGROOM_KEK": "not-a-key"})
    assert refused.exit_code == 2
    assert "STRONGROOM_KEK" in refused.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("step", ["keys", "records"])
def test_a_retry_with_other_keys_announces_the_ones_that_count(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    data = tmp_path / "d"
    cut_short(monkeypatch, run, step, "--data", data, **{KEY: "FIRST", SECRET: "first-secret"})
    made = run("init", "--data", data, "--json", env={KEY: "SECOND", SECRET: "second-secret"})
    assert json.loads(made.stdout)["access_key"] == "SECOND"
    assert principals(run, data) == ["SECOND"]
    assert "is a vault already" in run("init", "--data", data, env={KEY: "THIRD", SECRET: "third-secret"}).stderr
    assert principals(run, data) == ["SECOND"]


def test_a_credentials_file_that_was_made_wins_over_the_environment_and_says_so(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "d"
    with monkeypatch.context() as patch:
        patch.setattr("audit.principals.Principals.add", fail)
        assert run("init", "--data", data).exit_code == 2
    written = (data / "root.credentials").read_text().split()[2]
    made = run("init", "--data", data, env={KEY: "OTHER", SECRET: "other-secret"})
    assert made.exit_code == 0, made.stderr
    assert f"access key {written}" in made.stdout
    assert "are ignored" in made.stderr
    assert "other-secret" not in made.output
    assert principals(run, data) == [written]


def test_a_credentials_file_that_is_none_is_refused(tmp_path: Path, run: Run) -> None:
    (tmp_path / "d" / "keys").mkdir(parents=True)
    for text in (
        b"",
        b"access_key = X\nsecret_key = short\n",
        b"\xff" * 9,
        b"access_key = AB=C\nsecret_key = 12345678\n",
    ):
        (tmp_path / "d" / "root.credentials").write_bytes(text)
        refused = run("init", "--data", tmp_path / "d")
        assert refused.exit_code == 2
        assert "is not the credentials file that init writes" in refused.stderr


def test_a_vault_under_a_running_server_is_a_vault_already(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("init", "--data", tmp_path / "d").exit_code == 0

    def held(*_: object) -> Any:
        raise AlreadyRunning("it is open in another process")

    monkeypatch.setattr(Node, "open", held)
    again = run("init", "--data", tmp_path / "d")
    assert again.exit_code == 2
    assert "is a vault already, and is open" in again.stderr


def test_a_disk_that_is_too_small_is_named_with_the_setting_and_the_numbers(tmp_path: Path, run: Run) -> None:
    refused = run("init", "--data", tmp_path / "d", env={"STRONGROOM_DISK__RESERVE_MIB": str(1 << 29)})
    assert refused.exit_code == 2
    assert f"a reserve of {1 << 29} (disk.reserve_mib) and two segments of 1 (ledger.segment_mib)" in refused.stderr
    assert " MiB are free at " in refused.stderr
    assert not (tmp_path / "d").exists()


def test_a_vault_that_nobody_may_use_is_not_served(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("audit.principals.Principals.add", fail)
        assert run("init", "--data", tmp_path / "d").exit_code == 2
    refused = run("serve", "--data", tmp_path / "d", "--s3", "127.0.0.1:0", "--audit", "127.0.0.1:0")
    assert refused.exit_code == 2
    assert f"complete it with `strongroom init --data {tmp_path / 'd'}`" in refused.stderr


def test_make_run_makes_a_vault_where_an_init_failed(tmp_path: Path) -> None:
    """The recipe itself, with a command that only tells how it was called; the tests may themselves be run by make."""
    (tmp_path / "data" / "keys").mkdir(parents=True)
    command = ["make", "-n", "--no-print-directory", "-f", str(ROOT / "Makefile"), "-o", "setup", "run"]
    recipe = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    told = recipe.replace(".venv/bin/strongroom", "echo")
    for made, expected in ((False, ["init", "serve"]), (True, ["serve"])):
        if made:
            (tmp_path / "data" / "vault.json").write_text("{}")
        done = subprocess.run(["sh", "-c", told], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert [line.split()[0] for line in done.stdout.splitlines()] == expected
