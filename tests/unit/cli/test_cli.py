from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from audit import __version__
from audit.cli import cli
from audit.cli import run as run_module
from audit.cli.run import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    Run = Callable[..., Result]

STREAM = "site-a.node-1"


def every_command(group: click.Group = cli, *path: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        yield (*path, name)
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_explains_itself(run: Run, path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 3


def test_examples_in_help_texts_are_commands_and_options_that_exist(run: Run) -> None:
    known = set(every_command())
    examples = [
        line.strip().split()[1:]
        for path in known
        for line in run(*path, "--help").stdout.splitlines()
        if line.startswith("    strongroom ")
    ]
    assert len(examples) > 8
    for words in examples:
        path = next(
            path for path in known if tuple(words[: len(path)]) == path and (*path, words[len(path)]) not in known
        )
        options = {word for word in words if word.startswith("--")}
        assert {option for option in options if option not in run(*path, "--help").stdout} == set()


@pytest.mark.parametrize("path", [(), ("log",), ("principal",), ("key",)])
def test_a_list_of_commands_shows_their_helps_whole(run: Run, path: tuple[str, ...]) -> None:
    shown = " ".join(run(*path, "--help").stdout.split())
    assert "..." not in shown.replace("[ARGS]...", "")
    for name in every_command():
        if name[:-1] == path:
            first = run(*name, "--help").stdout.split("\n\n")[1]
            assert name == ("verify",) or " ".join(first.split()).partition(". ")[0].rstrip(".") in shown


def test_it_tells_its_version(run: Run) -> None:
    assert run("--version").stdout == f"strongroom {__version__}\n"


def test_completing_a_command_loads_no_web_framework() -> None:
    code = "import sys, audit.cli; audit.cli.cli.get_command(None, 'principal'); print('fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts_are_made_for_the_shells(run: Run, shell: str) -> None:
    assert "_STRONGROOM_COMPLETE" in run("completion", shell).stdout


def test_init_takes_the_first_principal_from_the_environment_and_shows_no_secret(tmp_path: Path, run: Run) -> None:
    env = {"STRONGROOM_ROOT_ACCESS_KEY": "ROOTKEY", "STRONGROOM_ROOT_SECRET_KEY": "a-secret-of-the-test"}
    made = run("init", "--data", tmp_path / "d", "--site", "london", "--node", "n2", "--json", env=env)
    assert made.exit_code == 0, made.stderr
    shown = json.loads(made.stdout)
    assert (shown["access_key"], shown["stream"], shown["credentials_file"]) == ("ROOTKEY", "london.n2", None)
    assert shown["origin"] == f"strongroom/{shown['vault']}/london.n2"
    assert "a-secret-of-the-test" not in made.output
    assert not (tmp_path / "d" / "root.credentials").exists()
    (root,) = json.loads(run("principal", "list", "--data", tmp_path / "d", "--json").stdout)
    assert (root["access_key"], root["roles"], root["enabled"]) == ("ROOTKEY", ["root"], True)


def test_init_makes_up_a_principal_and_warns_of_what_is_left_to_do(tmp_path: Path, run: Run) -> None:
    made = run("init", "--data", tmp_path / "d")
    secret = (tmp_path / "d" / "root.credentials").read_text().split()[-1]
    assert str(tmp_path / "d" / "root.credentials") in made.stdout
    assert secret not in made.output
    assert "warning: anchor=local" in made.stderr


def test_init_refuses_a_vault_and_a_directory_in_use(tmp_path: Path, vault: Path, run: Run) -> None:
    before = (vault / "vault.json").read_bytes()
    again = run("init", "--data", vault)
    assert again.exit_code == 2
    assert "is a vault already" in again.stderr
    assert (vault / "vault.json").read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    assert run("init", "--data", tmp_path / "other").exit_code == 2


def test_an_anchor_that_cannot_be_used_is_refused_before_anything_is_made(tmp_path: Path, run: Run) -> None:
    refused = run("init", "--data", tmp_path / "d", "--anchor", "gopher://user:password@host/x")
    assert refused.exit_code == 2
    assert "'gopher'" in refused.stderr
    assert "password" not in refused.output
    assert not (tmp_path / "d").exists()


def test_a_relative_anchor_does_not_move_with_the_working_directory(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = run("init", "--data", "d", "--anchor", "elsewhere")
    assert made.exit_code == 0, made.stderr
    assert json.loads((tmp_path / "d" / "vault.json").read_text())["anchor"] == str(tmp_path / "elsewhere")
    assert any((tmp_path / "elsewhere").iterdir())


def test_an_anchor_of_the_configuration_is_kept_with_the_vault(tmp_path: Path, run: Run) -> None:
    url = f"file://{tmp_path / 'elsewhere'}"
    assert run("init", "--data", tmp_path / "d", env={"STRONGROOM_ANCHOR__URL": url}).exit_code == 0
    assert json.loads((tmp_path / "d" / "vault.json").read_text())["anchor"] == url
    assert run("principal", "list", "--data", tmp_path / "d").exit_code == 0


@pytest.mark.parametrize(
    "arguments", [("principal", "list"), ("log", "list"), ("log", "export", STREAM, "x"), ("doctor",), ("serve",)]
)
def test_no_command_makes_a_vault_of_a_directory_that_is_none(tmp_path: Path, run: Run, arguments: Any) -> None:
    refused = run(*arguments, "--data", tmp_path / "none")
    assert refused.exit_code == 2
    assert "holds no vault" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_the_data_directory_can_come_from_the_environment(vault: Path, run: Run) -> None:
    listed = run("log", "list", env={"STRONGROOM_DATA": str(vault)})
    assert listed.exit_code == 0
    assert listed.stdout.startswith(f"{STREAM}\t")
    assert run("log", "list").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("principal", "add", "x"),
        ("principal", "add", "", "--role", "writer"),
        ("principal", "add", "x\ny", "--role", "writer"),
        ("principal", "add", "x" * 129, "--role", "writer"),
        ("principal", "add", "x", "--role", "emperor"),
        ("principal", "add", "x", "--role", "writer", "--access-key", "a b"),
        ("principal", "add", "x", "--role", "writer", "--access-key", "é" * 5),
        ("principal", "add", "x", "--role", "writer", "--secret", "on-the-command-line"),
        ("log", "export", STREAM),
        ("completion", "cmd"),
        ("format",),
    ],
)
def test_wrong_use_is_told_apart_from_a_no(vault: Path, run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments, "--data", vault).exit_code == 2


def test_a_secret_that_is_no_text_is_refused_and_not_repeated(vault: Path) -> None:
    arguments = ["principal", "add", "x", "--role", "writer", "--secret-stdin", "--data", str(vault)]
    for secret in (b"not-utf-8-\xff\xfe\n", b"a\tcontrol\x07character\n"):
        refused = CliRunner().invoke(cli, arguments, input=secret)
        assert refused.exit_code == 2
        assert isinstance(refused.exception, SystemExit)
        assert "secret key" in refused.stderr
        assert "not-utf-8" not in refused.output


@pytest.mark.parametrize("secret", ["", "short\n", "x" * 1025 + "\n", "\n"])
def test_a_secret_that_cannot_be_one_is_refused_and_not_repeated(vault: Path, run: Run, secret: str) -> None:
    refused = run("principal", "add", "x", "--role", "writer", "--secret-stdin", "--data", vault, stdin=secret)
    assert refused.exit_code == 2
    assert "8 to 1024 bytes" in refused.stderr
    assert not secret.strip() or secret.strip() not in refused.output


def test_a_config_file_that_cannot_be_used_stops_every_command_that_opens_the_vault(vault: Path, run: Run) -> None:
    file = vault.parent / "strongroom.toml"
    file.write_text("[anchor]\nurls = 'x'\n")
    for arguments in (("principal", "list"), ("doctor",), ("serve",)):
        refused = run(*arguments, "--data", vault, "--config", file)
        assert refused.exit_code == 2
        assert "the nearest is 'anchor.url'" in refused.stderr


def test_principals_are_listed_by_name_with_their_ids(vault: Path, run: Run) -> None:
    added = [
        json.loads(run("principal", "add", name, "--role", "reader", "--data", vault, "--json").stdout)["principal"]
        for name in ("zoe", "adam")
    ]
    rows = [line.split("\t") for line in run("principal", "list", "--data", vault).stdout.splitlines()]
    assert [row[3] for row in rows] == ["adam", "root", "zoe"]
    assert [rows[2][4], rows[0][4]] == added


def test_disabling_says_whom_it_disabled(vault: Path, run: Run) -> None:
    added = run("principal", "add", "zoe", "--role", "reader", "--access-key", "ZOE1", "--data", vault, "--json")
    name = f"zoe (ZOE1, {json.loads(added.stdout)['principal']})"
    assert run("principal", "disable", "ZOE1", "--data", vault).stdout.startswith(f"disabled {name}")
    assert f"{name} was disabled already" in run("principal", "disable", "ZOE1", "--data", vault).stdout
    assert run("principal", "disable", "NOBODY", "--data", vault).exit_code == 1


def test_a_public_key_that_cannot_be_read_is_named(vault: Path, run: Run) -> None:
    key = vault / "keys" / f"{STREAM}.vkey"
    key.write_text("rubbish")
    for arguments in (("log", "vkey", STREAM), ("log", "list")):
        refused = run(*arguments, "--data", vault)
        assert refused.exit_code == 2
        assert f"the public key {key} is damaged" in refused.stderr
    key.unlink()
    assert f"the public key {key} cannot be read: No such file" in run("log", "vkey", STREAM, "--data", vault).stderr


def test_doctor_says_no_while_there_is_something_to_do(vault: Path, run: Run) -> None:
    assert run("doctor", "--data", vault).exit_code == 1


def test_verify_hands_everything_to_the_verifier(run: Run, tmp_path: Path) -> None:
    assert "--require-anchor" in run("verify", "--help").stdout
    assert run("verify", tmp_path / "none").exit_code == 2
    assert run("verify", "--nonsense").exit_code == 2


def workers(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    found = EntryPoints(EntryPoint(name, value, GROUP) for name, value in values.items())
    monkeypatch.setattr(run_module, "entry_points", found.select)


@click.command()
def worker() -> None:
    """Carries records elsewhere."""
    click.echo("at work")


def test_workers_are_found_by_entry_point(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    workers(monkeypatch, relay=f"{__name__}:worker")
    assert "Carries records elsewhere." in run("run", "--help").stdout
    assert run("run", "relay").stdout == "at work\n"
    assert run("run", "elastic").exit_code == 2


def test_without_workers_run_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    workers(monkeypatch)
    assert "no workers are installed" in run("run", "--help").stdout
    assert "no workers are installed" in run("run").output
    assert "no workers are installed" in run("run", "relay").stderr


@pytest.mark.parametrize("value", ["no.such.module:worker", f"{__name__}:missing", f"{__name__}:STREAM"])
def test_a_worker_that_is_none_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    workers(monkeypatch, relay=value)
    refused = run("run", "relay")
    assert refused.exit_code == 2
    assert "worker relay" in refused.stderr
