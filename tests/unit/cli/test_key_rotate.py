"""``strongroom key rotate`` without a server."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

from tests.unit.cli.keys import KEK, OTHER, PASSPHRASE, keys_of, told
from vault.crypto.kek import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Run = Callable[..., Result]


def test_a_rotation_makes_a_new_kek_and_the_old_one_is_gone(vault: Path, run: Run) -> None:
    before = keys_of(vault)
    done = json.loads(run("key", "rotate", "--data", vault, "--json").stdout)
    after = keys_of(vault)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"keys/kek", "keys/keyring-a", "keys/keyring-b"}
    assert after.keys() == before.keys()
    assert stat.S_IMODE((vault / "keys" / "kek").stat().st_mode) == 0o600
    (record,) = told(run, vault, "key.rotate")
    assert (record["kek"], record["before"], record["generation"]) == (done["kek"], done["before"], done["generation"])
    assert run("verify", vault).exit_code == 0


def test_a_rotation_to_a_given_kek(vault: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "new").write_text(KEK)
    (tmp_path / "new").chmod(0o644)
    arguments = ("key", "rotate", "--kek-file", tmp_path / "new", "--data", vault)
    refused = run(*arguments)
    assert (refused.exit_code, "chmod 600" in refused.stderr) == (2, True)
    (tmp_path / "new").chmod(0o600)
    assert run(*arguments).exit_code == 0
    assert (vault / "keys" / "kek").read_text().strip() == KEK
    again = run(*arguments)
    assert (again.exit_code, "is the key-encryption key in use" in again.stderr) == (2, True)
    (tmp_path / "new").write_text("nonsense")
    assert run(*arguments).exit_code == 2


def test_a_rotation_of_a_kek_of_the_environment_needs_a_given_one(tmp_path: Path, run: Run) -> None:
    env, data = {VARIABLE: KEK}, tmp_path / "d"
    assert run("init", "--data", data, env=env).exit_code == 0
    refused = run("key", "rotate", "--data", data, env=env)
    assert (refused.exit_code, "--kek-file" in refused.stderr) == (2, True)
    (tmp_path / "new").write_text(OTHER)
    (tmp_path / "new").chmod(0o600)
    done = run("key", "rotate", "--kek-file", tmp_path / "new", "--data", data, env=env)
    assert f"next: set {VARIABLE} to the new key" in done.stdout
    assert run("principal", "list", "--data", data, env=env).exit_code == 2
    assert run("principal", "list", "--data", data, env={VARIABLE: OTHER}).exit_code == 0
    assert not (data / "keys" / "kek").exists()


def test_a_stolen_old_kek_opens_nothing_that_is_there_after_a_rotation(vault: Path, run: Run) -> None:
    old = (vault / "keys" / "kek").read_text().strip()
    assert run("key", "rotate", "--data", vault).exit_code == 0
    refused = run("principal", "list", "--data", vault, env={VARIABLE: old})
    assert (refused.exit_code, "no copy of the keyring can be used" in refused.stderr) == (2, True)


def test_a_rotation_whose_secrets_do_not_open_goes_on_and_a_backup_names_them(
    vault: Path, run: Run, tmp_path: Path
) -> None:
    (secret,) = (vault / "keys" / "secrets").iterdir()
    secret.write_bytes(secret.read_bytes()[:-1])
    assert run("key", "rotate", "--data", vault).exit_code == 0
    made = run("key", "backup", tmp_path / "k", "--passphrase-stdin", "--data", vault, stdin=PASSPHRASE)
    assert (made.exit_code, f"the secret of {secret.name} is missing or damaged" in made.stderr) == (0, True)
    assert "principals added: 1" in run("doctor", "--data", vault).stdout


def test_a_damaged_note_of_what_is_to_be_recorded_is_named(vault: Path, run: Run) -> None:
    (vault / "keys" / "unrecorded.json").write_bytes(b"[{")
    refused = run("principal", "list", "--data", vault)
    assert (refused.exit_code, "unrecorded.json is damaged" in refused.stderr) == (2, True)
