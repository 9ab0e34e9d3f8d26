"""``strongroom key backup`` and ``restore`` without a server: what is refused and written; no secret is shown."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from audit.identity import Layout, load_identity
from audit.keys.kek import open_keyring
from tests.unit.cli.keys import KEK, OTHER, PASSPHRASE, STREAM, keys_of, restore, told
from vault.crypto.backup_file import KeyBackup, seal, unseal
from vault.crypto.kek import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Run = Callable[..., Result]


def test_a_backup_is_one_private_file_whose_digest_is_recorded(vault: Path, run: Run, tmp_path: Path) -> None:
    made = run("key", "backup", tmp_path / "k", "--passphrase-stdin", "--data", vault, "--json", stdin=PASSPHRASE)
    shown = json.loads(made.stdout)
    data = (tmp_path / "k").read_bytes()
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert (shown["sha256"], shown["bytes"], shown["missing"]) == (sha256(data).hexdigest(), len(data), [])
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
    (record,) = told(run, vault, "key.backup")
    assert (record["digest"], record["kek"], record["holds_kek"]) == (shown["sha256"], shown["kek"], True)
    opened = unseal(data, PASSPHRASE)
    here = keys_of(vault)
    assert opened.files.keys() == {"vault.json", *here} - {"keys/keyring-b"}
    for name in opened.files.keys() - {"vault.json", "keys/keyring-a"}:
        assert opened.files[name] == here[name]
    assert opened.files["vault.json"] == (vault / "vault.json").read_bytes()


def test_it_says_what_is_in_it_and_what_is_not(vault: Path, run: Run, tmp_path: Path) -> None:
    made = run("key", "backup", tmp_path / "k", "--passphrase-stdin", "--data", vault, stdin=PASSPHRASE)
    assert "in it: the key-encryption key " in made.stdout
    assert "secrets (principals: 1)" in made.stdout
    assert "not in it: objects and records (back up DIR), the anchor, settings, root.credentials" in made.stdout


def test_a_kek_of_the_environment_is_not_in_it_and_that_is_said(tmp_path: Path, run: Run) -> None:
    env, data = {VARIABLE: KEK}, tmp_path / "d"
    assert run("init", "--data", data, env=env).exit_code == 0
    made = run("key", "backup", tmp_path / "k", "--passphrase-stdin", "--data", data, stdin=PASSPHRASE, env=env)
    assert f"which comes from {VARIABLE}; keep it as long as this file" in made.stdout
    opened = unseal((tmp_path / "k").read_bytes(), PASSPHRASE)
    assert "keys/kek" not in opened.files
    assert all(bytes(range(32)) not in content for content in opened.files.values())
    shutil.rmtree(data / "keys")
    lost = restore(run, tmp_path / "k", data)
    assert (lost.exit_code, f"put it into {VARIABLE}" in lost.stderr) == (2, True)
    wrong = restore(run, tmp_path / "k", data, env={VARIABLE: OTHER})
    assert (wrong.exit_code, "which is not in the backup" in wrong.stderr) == (2, True)
    assert keys_of(data) == {}
    assert restore(run, tmp_path / "k", data, env=env).exit_code == 0
    assert not (data / "keys" / "kek").exists()
    assert run("principal", "list", "--data", data, env=env).exit_code == 0


def test_nothing_is_written_over_and_nothing_into_the_vault(vault: Path, kept: Path, run: Run, tmp_path: Path) -> None:
    before = kept.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "way").symlink_to(vault)
    for file, says in (
        (kept, "no backup is written over"),
        (tmp_path / "link", "no backup is written over"),
        (vault / "k", "would be lost with it"),
        (vault / "keys" / "k", "would be lost with it"),
        (tmp_path / "way" / "k", "would be lost with it"),
        (tmp_path / "none" / "k", "is no directory"),
    ):
        refused = run("key", "backup", file, "--passphrase-stdin", "--data", vault, stdin=PASSPHRASE)
        assert (refused.exit_code, says in refused.stderr) == (2, True), refused.stderr
    assert kept.read_bytes() == before
    assert told(run, vault, "key.backup")[1:] == []


@pytest.mark.parametrize(
    ("options", "stdin", "says"),
    [
        ((), "", "nobody types here"),
        (("--passphrase-stdin",), "", "at least 12 characters"),
        (("--passphrase-stdin",), "short\n", "at least 12 characters"),
        (("--passphrase-stdin",), "x" * 1025, "1 to 1024 bytes"),
        (("--passphrase-stdin", "--passphrase-file", "x"), "", "not both"),
        (("--passphrase-file", "none"), "", "none"),
    ],
)
def test_a_passphrase_that_cannot_be_one_is_refused(
    vault: Path, run: Run, tmp_path: Path, options: tuple[str, ...], stdin: str, says: str
) -> None:
    refused = run("key", "backup", tmp_path / "k", *options, "--data", vault, stdin=stdin)
    assert (refused.exit_code, says in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "k").exists()


def test_a_passphrase_is_asked_for_where_somebody_types(
    vault: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    made = run("key", "backup", tmp_path / "k", "--data", vault, stdin=f"{PASSPHRASE}\nx\n{PASSPHRASE}\n{PASSPHRASE}\n")
    assert made.exit_code == 0, made.output  # the first two differed
    assert PASSPHRASE not in made.output
    done = run("key", "restore", tmp_path / "k", "--data", vault, stdin=f"{PASSPHRASE}\n")
    assert done.exit_code == 0, done.output


def test_a_passphrase_file_is_its_owners_alone(vault: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "p").write_text(f"{PASSPHRASE}\nsecond line\n")
    (tmp_path / "p").chmod(0o640)
    arguments = ("key", "backup", tmp_path / "k", "--passphrase-file", tmp_path / "p", "--data", vault)
    refused = run(*arguments)
    assert (refused.exit_code, "chmod 600" in refused.stderr) == (2, True)
    (tmp_path / "p").chmod(0o600)
    assert run(*arguments).exit_code == 0
    assert unseal((tmp_path / "k").read_bytes(), PASSPHRASE).vault == load_identity(Layout(vault)).vault


def test_keys_that_are_all_lost_come_back_and_it_is_recorded(vault: Path, kept: Path, run: Run) -> None:
    before = keys_of(vault)
    shutil.rmtree(vault / "keys")
    done = restore(run, kept, vault)
    assert done.exit_code == 0, done.output
    assert "recorded" in done.stdout
    after = keys_of(vault)
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in before if "keyring" not in name)
    (record,) = told(run, vault, "key.restore")
    assert (record["digest"], record["files"]) == (sha256(kept.read_bytes()).hexdigest(), len(before))
    assert run("verify", vault).exit_code == 0
    assert "no backup of the keys" not in run("doctor", "--data", vault).stdout


def test_vault_json_comes_back_too(vault: Path, kept: Path, run: Run) -> None:
    named = (vault / "vault.json").read_bytes()
    (vault / "vault.json").unlink()
    assert restore(run, kept, vault).exit_code == 0
    assert (vault / "vault.json").read_bytes() == named
    (vault / "vault.json").write_bytes(named[:20])
    refused = restore(run, kept, vault)
    assert (refused.exit_code, "move it away" in refused.stderr) == (2, True)


def test_what_is_there_and_good_stays(vault: Path, kept: Path, run: Run) -> None:
    before = keys_of(vault)
    nothing = restore(run, kept, vault)
    assert (nothing.exit_code, "nothing was put back" in nothing.stdout) == (0, True)
    assert keys_of(vault) == before
    assert told(run, vault, "key.restore") == []
    path = vault / "keys" / f"{STREAM}.signing"
    path.write_bytes(path.read_bytes()[:-1])
    (vault / "keys" / f"{STREAM}.vkey").unlink()
    done = restore(run, kept, vault)
    assert [line for line in done.stdout.splitlines() if line.startswith("put back")] == [
        f"put back keys/{STREAM}.signing", f"put back keys/{STREAM}.vkey",
    ]  # fmt: skip
    assert keys_of(vault) == before


def test_a_public_key_of_another_is_not_passed_over(vault: Path, kept: Path, run: Run, tmp_path: Path) -> None:
    assert run("init", "--data", tmp_path / "other").exit_code == 0
    shutil.copy(tmp_path / "other" / "keys" / f"{STREAM}.vkey", vault / "keys" / f"{STREAM}.vkey")
    refused = restore(run, kept, vault)
    assert (refused.exit_code, "is not the public half" in refused.stderr) == (2, True)


def test_backups_that_are_none_of_this_vault_are_refused_and_change_nothing(
    vault: Path, kept: Path, run: Run, tmp_path: Path
) -> None:
    assert run("init", "--data", tmp_path / "other").exit_code == 0
    shutil.rmtree(vault / "keys")
    whole = kept.read_bytes()
    flipped = bytes((*whole[:200], whole[200] ^ 1, *whole[201:]))
    for data in (whole[:-9], flipped, b"", b"SRKEYS1\n" + whole[8:]):
        (tmp_path / "file").write_bytes(data)
        refused = restore(run, tmp_path / "file", vault)
        assert refused.exit_code == 2
        assert "no key backup" in refused.stderr or "damaged or cut short" in refused.stderr
    wrong = restore(run, kept, vault, passphrase="another passphrase")
    assert (wrong.exit_code, "the passphrase is not that of this key backup" in wrong.stderr) == (2, True)
    foreign = restore(run, kept, tmp_path / "other")
    assert (foreign.exit_code, "this is a key backup of vault" in foreign.stderr) == (2, True)
    assert not (vault / "keys").exists() or keys_of(vault) == {}
    assert restore(run, kept, vault).exit_code == 0


def test_keys_are_not_put_where_no_records_are(kept: Path, vault: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for directory in (tmp_path / "none", tmp_path / "empty"):
        refused = restore(run, kept, directory)
        assert (refused.exit_code, "first" in refused.stderr) == (2, True), refused.stderr
    assert list((tmp_path / "empty").iterdir()) == []
    for path in (vault / "streams" / STREAM / "commit").iterdir():
        path.unlink()
    shutil.rmtree(vault / "keys")
    refused = restore(run, kept, vault)
    assert (refused.exit_code, "holds no records" in refused.stderr) == (2, True)


def test_a_stream_that_the_backup_does_not_know_keeps_vault_json_away(vault: Path, kept: Path, run: Run) -> None:
    (vault / "vault.json").unlink()
    (vault / "streams" / "site-a.node-1-r1").mkdir()
    refused = restore(run, kept, vault)
    assert (refused.exit_code, "knows nothing of" in refused.stderr) == (2, True)
    assert not (vault / "vault.json").exists()


def test_a_vault_that_does_not_open_yet_has_its_keys_and_is_told_of_at_the_next_start(
    vault: Path, kept: Path, run: Run, tmp_path: Path
) -> None:
    shutil.rmtree(vault / "keys")
    anchor = vault.with_name("d.anchor")
    anchor.rename(tmp_path / "away")
    done = restore(run, kept, vault)
    assert (done.exit_code, "the next start records it" in done.stderr) == (0, True)
    found = json.loads(run("verify", vault, "--json").stdout)
    assert "unrecorded" in {state["name"] for state in found["states"]}
    shutil.rmtree(anchor, ignore_errors=True)
    (tmp_path / "away").rename(anchor)
    assert run("principal", "list", "--data", vault).exit_code == 0
    assert len(told(run, vault, "key.restore")) == 1
    assert not (vault / "keys" / "unrecorded.json").exists()


def test_a_principal_added_since_and_lost_is_named(vault: Path, kept: Path, run: Run) -> None:
    made = json.loads(run("principal", "add", "late", "--role", "reader", "--data", vault, "--json").stdout)
    assert "principals added: 1" in run("doctor", "--data", vault).stdout
    shutil.rmtree(vault / "keys")
    done = restore(run, kept, vault)
    assert done.exit_code == 0
    assert f"the secret of principal {made['principal']} is neither here nor in the backup" in done.stderr


def test_no_secret_is_in_any_output_or_record(vault: Path, kept: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "new").write_text(KEK)
    (tmp_path / "new").chmod(0o600)
    kek = (vault / "keys" / "kek").read_text().strip()
    secret = (vault / "root.credentials").read_text().split()[-1]
    said = run("key", "rotate", "--kek-file", tmp_path / "new", "--data", vault).output
    said += run("key", "backup", tmp_path / "k2", "--passphrase-stdin", "--data", vault, stdin=PASSPHRASE).output
    shutil.rmtree(vault / "keys")
    said += restore(run, kept, vault, passphrase=f"{PASSPHRASE}!").output + restore(run, tmp_path / "k2", vault).output
    site = open_keyring(Layout(vault), {}).derive("secrets").hex()
    ledger = b"".join(path.read_bytes() for path in (vault / "streams").rglob("*") if path.is_file())
    for hidden in (kek, KEK, secret, PASSPHRASE, site, base64.b64decode(kek).hex()):
        assert hidden not in said
        assert hidden.encode() not in ledger


def test_a_file_that_leads_out_of_the_vault_is_not_written(vault: Path, kept: Path, run: Run, tmp_path: Path) -> None:
    opened = unseal(kept.read_bytes(), PASSPHRASE)
    files = opened.files | {"../outside": b"x", "keys/secrets/../../../outside": b"x", "keys/more": b"x"}
    made = KeyBackup(opened.vault, opened.time, opened.kek, holds_kek=True, files=files)
    (tmp_path / "made").write_bytes(seal(made, PASSPHRASE))
    shutil.rmtree(vault / "keys")
    assert restore(run, tmp_path / "made", vault).exit_code == 0
    assert not (tmp_path / "outside").exists()
    assert not (vault / "keys" / "more").exists()


def test_a_stream_that_was_opened_since_needs_a_newer_backup(vault: Path, kept: Path, run: Run, tmp_path: Path) -> None:
    shutil.rmtree(vault.with_name("d.anchor"))
    assert run("recover", "--data", vault).exit_code == 0
    assert "streams begun: 1" in run("doctor", "--data", vault).stdout
    newer = tmp_path / "newer"
    made = run("key", "backup", newer, "--passphrase-stdin", "--data", vault, stdin=PASSPHRASE)
    assert "signing keys (streams: 2)" in made.stdout
    shutil.rmtree(vault / "keys")
    refused = restore(run, kept, vault)
    assert (refused.exit_code, f"the signing key of {STREAM}-r1 is neither here" in refused.stderr) == (2, True)
    assert keys_of(vault) == {}
    assert restore(run, newer, vault).exit_code == 0
    assert run("verify", vault).exit_code == 0
