"""The process that verifies: what it is given, how it ends, and what is made of whatever it says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from audit.scrub import run
from audit.scrub.run import Outcome, Run

REPORT = {
    "result": "bad", "size": 5, "logs": [{"size": 3, "origin": "a"}, {"size": 5, "origin": "b"}],
    "counts": {"bodies": 9, "bodies left out": 4, "bytes read": 77, "object.put": 2}, "findings_total": 2,
    "unchecked": "", "first_bad": {"seq": 4, "place": "packs/x\n.pack", "why": "of bucket secret"}, "states": [],
}  # fmt: skip


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the interpreter."""
    path = tmp_path / "python"
    monkeypatch.setattr("sys.executable", str(path))
    return path


def says(program: Path, *lines: str) -> Outcome:
    program.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    program.chmod(0o755)
    outcome = Run(Path("/srv/vault"), 2, 30, 20).wait()
    assert outcome is not None
    return outcome


def report(**changes: object) -> str:
    return f"cat <<'END'\n{msgspec.json.encode({**REPORT, **changes}).decode()}\nEND"


def test_a_report_is_what_is_recorded_without_names_of_objects(program: Path) -> None:
    said, why = says(program, "echo a warning >&2", report())
    assert (said.result, said.share, said.shares, why) == ("bad", 2, 30, "")
    assert (said.size, said.records, said.bodies, said.bytes, said.findings) == (5, 8, 5, 77, 2)
    assert (said.place, said.seq) == ("packs/x?.pack", 4)
    assert "secret" not in repr(said)


def test_a_finding_of_no_record_and_a_long_place() -> None:
    first = {"seq": None, "place": "p" * 5000}
    made = Run(Path("/"), 1, 1, 1)._outcome(run._last_line(msgspec.json.encode({**REPORT, "first_bad": first})), 0, "")
    assert (made.verified.seq, len(made.verified.place)) == (-1, run.MAX_PLACE)


def test_it_is_given_a_directory_a_share_and_a_rate_and_no_secret(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STRONGROOM_KEK", "AWS_SECRET_ACCESS_KEY", "PYTHONSTARTUP", "STRONGROOM_ROOT_SECRET_KEY"):
        monkeypatch.setenv(name, "secret")
    _, why = says(program, 'printf "%s " "$@" ; pwd; env | cut -d= -f1 | sort | tr "\\n" " "')
    assert "STRONGROOM" not in why
    given = set(why.rpartition("report: ")[2].split())
    assert given <= {*run._HANDED_ON, "PWD", "OLDPWD", "SHLVL", "_"}
    _, why = says(program, 'printf "%s " "$@"; pwd')
    assert why.endswith("-P -m audit.scrub.child /srv/vault --json --share 2/30 --rate 20 /")


@pytest.mark.parametrize(
    "lines",
    [
        ("exit 1",), ("echo nothing; exit 0",), ("echo {}",), ("kill -9 $$",), ("echo '[[[[[['",),
        (report(result="fine"),), (report(findings_total=0),), (report(result="good"),), (report(size="5"),),
        (report(), "echo and more"),
    ],
)  # fmt: skip
def test_whatever_else_it_says_is_no_verification(program: Path, lines: tuple[str, ...]) -> None:
    said, why = says(program, *lines)
    assert (said.result, said.findings) == ("unchecked", 0)
    assert "without a report" in why


def test_a_report_without_an_end_ends_it(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MAX_REPORT_BYTES", 100_000)
    said, _ = says(program, "exec yes")
    assert said.result == "unchecked"


def test_an_interpreter_that_is_gone_is_no_verification(program: Path) -> None:
    made = Run(Path("/srv/vault"), 1, 30, 20).wait()
    assert made is not None
    assert made.verified.result == "unchecked"
    assert "cannot be started" in made.why


def test_one_that_is_stopped_ends_at_once_and_says_nothing(program: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 1000\n")
    program.chmod(0o755)
    one, ended = Run(tmp_path, 1, 30, 20), list[Outcome | None]()
    thread = Thread(target=lambda: ended.append(one.wait()))
    thread.start()
    while not pid.exists():
        time.sleep(0.01)
    one.stop()
    thread.join(30)
    assert ended == [None]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_one_that_was_stopped_before_it_began_does_not_begin(program: Path) -> None:
    one = Run(Path("/srv/vault"), 1, 30, 20)
    one.stop()
    assert one.wait() is None
