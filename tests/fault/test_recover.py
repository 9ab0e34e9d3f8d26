"""``strongroom recover`` on the real program: what was lost is named, what was kept goes on, no lock is weakened."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.doubles.forgeries import reseal
from tests.fault.judge import problems
from tests.fault.load import BUCKET, Client, Load, payload
from tests.fault.test_kill import TAKEOVER
from tests.fault.test_other_histories import FAST, PORTS, Vault, copied
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OLD: Final = "site-a.node-1"
NEW: Final = "site-a.node-1-r1"
#: How long background work may take on a busy machine, in seconds.
_PATIENCE: Final = 60
_LOCK_HEADERS: Final = {
    "x-amz-object-lock-mode": "COMPLIANCE",
    "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(tmp_path_factory.mktemp("vault"))


def recovered(data: Path, *options: str) -> dict[str, Any]:
    """Recover; what it says."""
    done = command("recover", "--data", data, "--json", *options, env=FAST)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def verified(data: Path, *options: str | Path) -> dict[str, Any]:
    """What the verifier finds, with its exit code."""
    done = command("verify", data, "--json", *options)
    assert "Traceback" not in done.stderr
    return {**json.loads(done.stdout), "exit": done.returncode}


def states(found: dict[str, Any]) -> set[str]:
    return {state["name"] for state in found["states"]}


def opened(server: Server, name: str) -> Client:
    return Client(server.endpoint, server.access_key, server.secret_key, name)


def first_record(data: Path, stream: str, to: Path) -> dict[str, Any]:
    """Record 0 of a stream, exported and verified as a stranger would."""
    assert command("log", "export", stream, to, "--data", data, env=FAST).returncode == 0
    assert command("verify", to).returncode == 0
    bundle = next((to / "tile" / "entries").glob("000*"))
    bundle = next(bundle.iterdir()) if bundle.is_dir() else bundle
    entries = bundle.read_bytes()
    return dict(json.loads(entries[2 : 2 + int.from_bytes(entries[:2], "big")]))


def test_an_old_backup_goes_on_in_a_new_stream_that_names_what_was_lost(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.old, tmp_path / "data", anchor=vault.data.with_name("data.anchor"))
    kept = vault.outcomes_of_old
    said = recovered(data)
    taken = said["takes_over"]
    assert (said["stream"], taken["stream"], taken["known"]) == (NEW, OLD, vault.size)
    assert said["lost"] == vault.size - taken["held"] > 0

    server = Server(tmp_path, FAST)
    client = opened(server, "after")
    for outcome in kept:
        if outcome.kept > 0:
            assert client.ask("GET", outcome.key).status == 200
    assert (
        client.ask("PUT", "new-locked", body=payload("new-locked", 700), headers=_LOCK_HEADERS, kept=700).status == 200
    )
    assert client.ask("GET", "new-locked").headers["x-strongroom-record"].startswith(f"{NEW}/")
    client.close()
    load = Load(server, turns=6, names="n")
    outcomes = load.wait()
    assert server.stop() == 0, server.errors

    alone = verified(data)
    assert (alone["exit"], "records lost" in states(alone)) == (0, True), alone
    told = verified(data, "--checkpoint", vault.saved)
    assert told["exit"] == 1
    assert any(f"it says the log has {vault.size} records" in finding["why"] for finding in told["findings"])
    assert problems(data, [*client.outcomes, *outcomes]) == []
    record = first_record(data, NEW, tmp_path / "exported")
    assert record["ledger"]["takes_over"] == taken
    shutil.rmtree(data / "views")
    assert problems(data, [*client.outcomes, *outcomes]) == []
    again = command("recover", "--data", data)
    assert (again.returncode, "nothing keeps" in again.stderr) == (2, True), again.stderr
    looked = command("doctor", "--index", "--data", data, env=FAST)
    assert "records compared" in looked.stderr
    assert "problem:" not in looked.stdout


def test_what_the_old_stream_stored_settles_and_is_erased_by_the_new_one(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.old, tmp_path / "data", anchor=vault.data.with_name("data.anchor"))
    recovered(data)
    server = Server(tmp_path, FAST)
    client = opened(server, "eraser")
    key, lock = next((outcome.key, outcome) for outcome in vault.outcomes_of_old if outcome.key.startswith("middle"))
    assert lock.kept > 0
    listed = client.ask("GET", query=f"prefix={key}&versions=").body.decode()
    (version,) = re.findall(r"<VersionId>(\w+)</VersionId>", listed)
    assert client.ask("DELETE", key, f"versionId={version}").status == 204
    old = data / "streams" / OLD
    end = time.monotonic() + _PATIENCE
    erased = b""
    while time.monotonic() < end and not (erased and not list((old / "commit").iterdir())):
        client.ask("GET", "nothing")
        erased = b"".join(path.read_bytes() for path in (data / "streams" / NEW / "commit").iterdir())
        erased = erased if b'"op":"object.erased"' in erased and key.encode() in erased else b""
        time.sleep(0.05)
    client.close()
    assert list((old / "commit").iterdir()) == []
    assert erased
    assert client.outcomes
    assert server.stop() == 0, server.errors
    found = verified(data)
    assert (found["exit"], "erasure" in states(found)) == (0, True), found
    server.start()
    assert server.stop() == 0
    assert verified(data)["exit"] == 0


def test_an_upload_that_was_under_way_is_aborted(tmp_path: Path) -> None:
    server = Server(tmp_path, FAST)
    client = opened(server, "parts")
    assert client.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
    begun = client.ask("POST", "slow", "uploads=").body.decode()
    upload = re.findall(r"<UploadId>(\w+)</UploadId>", begun)[0]
    part = client.ask("PUT", "slow", f"partNumber=1&uploadId={upload}", b"x" * 1000)
    assert part.status == 200
    client.close()
    assert server.stop() == 0
    shutil.rmtree(tmp_path / "data.anchor")
    said = recovered(tmp_path / "data")
    assert (said["lost"], "the anchor is empty" in said["why"]) == (0, True)
    server.start()
    assert client.ask("PUT", "slow", f"partNumber=2&uploadId={upload}", b"x" * 1000).status == 404
    client.close()
    assert server.stop() == 0
    assert verified(tmp_path / "data")["exit"] == 0


def test_a_fork_is_named_and_streams_are_taken_over_one_after_the_other(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.old, tmp_path / "data")
    server = Server(tmp_path, FAST)
    Load(server, turns=14, names="f").wait()
    assert server.stop() == 0
    size = verified(data)["size"]
    shutil.rmtree(tmp_path / "data.anchor")
    shutil.copytree(vault.data.with_name("data.anchor"), tmp_path / "data.anchor")
    assert command("serve", "--data", data, *PORTS).returncode not in {0, 3}
    said = recovered(data, "--node", "node-7")
    assert (said["stream"], said["takes_over"]["known"]) == ("site-a.node-7", vault.size)
    found = verified(data)
    assert found["exit"] == 0, found
    assert states(found) & {"history forked", "records lost"}
    assert size > 0
    server.start()
    outcomes = Load(server, turns=4, names="g").wait()
    assert server.stop() == 0
    shutil.rmtree(tmp_path / "data.anchor")
    assert recovered(data)["stream"] == "site-a.node-1-r2"
    assert verified(data)["exit"] == 0
    server.start()
    assert server.stop() == 0
    assert [log["size"] > 0 for log in verified(data)["logs"]] == [True, True, True]
    assert outcomes


def test_a_production_spans_streams_and_shows_that_it_does(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.old, tmp_path / "data", anchor=vault.data.with_name("data.anchor"))
    took_over = recovered(data)["takes_over"]["held"]
    server = Server(tmp_path, FAST)
    client = opened(server, "after")
    assert client.ask("PUT", "later", body=b"later").status == 200
    client.close()
    assert server.stop() == 0, server.errors
    opening = first_record(data, NEW, tmp_path / "exported")["time"]
    asked = ["production", "create", "--bucket", BUCKET, "--reason", "request 8", "--json", "--data", str(data)]
    for name, options, ranges in (
        ("all", (), {OLD: (0, took_over), NEW: (0, None)}),
        ("before", ("--to", opening), {OLD: (0, took_over), NEW: (0, 0)}),
        ("after", ("--from", opening), {OLD: (took_over, took_over), NEW: (0, None)}),
    ):
        out = tmp_path / name
        made = command(*asked, "--dir", out, *options, env=FAST)
        assert made.returncode == 0, made.stderr
        found = verified(out)
        assert (found["result"], found["findings"]) == ("good", []), (name, found)
        about = json.loads((out / "data/production.json").read_text())
        for each in about["streams"]:
            first, end = ranges[each["stream"]]
            assert (each["first"], end) == (first, end if end is None else each["end"]), (name, each)
        if name == "all":
            about["streams"] = [each for each in about["streams"] if each["stream"] == NEW]
            shutil.rmtree(out / "data/logs" / OLD)
            listed = (out / "data/versions.ndjson").read_bytes().splitlines(keepends=True)
            assert any(f'"stream":"{OLD}"'.encode() in line for line in listed)
            (out / "data/versions.ndjson").write_bytes(b"".join(line for line in listed if NEW.encode() in line))
            (out / "data/production.json").write_text(json.dumps(about))
            reseal(out)
            assert any("where it begins is not shown" in each["why"] for each in verified(out)["findings"])


def test_a_vault_that_can_go_on_is_left_alone(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.data, tmp_path / "data")
    before = (data / "vault.json").read_bytes()
    refused = command("recover", "--data", data)
    assert (refused.returncode, "nothing keeps" in refused.stderr) == (2, True)
    assert (data / "vault.json").read_bytes() == before
    assert verified(data)["exit"] == 0


def test_records_that_only_the_index_has_seen_are_reason_enough(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.old, tmp_path / "data")
    shutil.rmtree(data / "views")
    shutil.copytree(vault.data / "views", data / "views")
    assert command("serve", "--data", data, *PORTS).returncode not in {0, 3}
    assert "have seen" in recovered(data)["why"]
    assert verified(data)["exit"] == 0


@pytest.mark.parametrize("point", [*TAKEOVER, "recover.before-rewrite"])
def test_a_kill_while_recovering_is_completed_by_the_next_try(vault: Vault, tmp_path: Path, point: str) -> None:
    data = copied(vault.old, tmp_path / "data", anchor=vault.data.with_name("data.anchor"))
    killed = command("recover", "--data", data, env={**FAST, "STRONGROOM_CRASH_POINT": point})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if point in {"takeover.key", "takeover.views"}:
        recovered(data)
    else:
        assert "takeover unfinished" in states(verified(data))
    server = Server(tmp_path, FAST)
    outcomes: Sequence[Any] = Load(server, turns=2, names="k").wait()
    assert server.stop() == 0, server.errors
    assert problems(data, outcomes) == []
    assert {path.name for path in (data / "streams").iterdir()} == {OLD, NEW}


@pytest.mark.parametrize("change", ["cut", "forgotten"])
def test_a_stream_that_was_taken_over_cannot_change_any_more(vault: Vault, tmp_path: Path, change: str) -> None:
    data = copied(vault.old, tmp_path / "data", anchor=vault.data.with_name("data.anchor"))
    recovered(data)
    if change == "cut":
        newest = max((data / "streams" / OLD / "commit").iterdir())
        content = newest.read_bytes()
        newest.write_bytes(content[:4096].ljust(len(content), b"\0"))
    else:
        named = json.loads((data / "vault.json").read_text())
        del named["earlier"]
        (data / "vault.json").write_text(json.dumps(named))
    found = verified(data)
    assert found["exit"] == 1
    assert found["findings"]
    refused = command("serve", "--data", data, *PORTS)
    assert refused.returncode not in {0, 3}
    assert "Traceback" not in refused.stderr
