"""The command's edges: arguments, texts, and that nothing ever escapes as a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from audit.verify import command
from audit.verify.report import Finding, LogReport, Report, State, as_json, as_text
from tests.doubles.logbuilder import LogBuilder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def export(tmp_path: Path) -> Path:
    log = LogBuilder()
    log.start()
    log.write_export(tmp_path / "log")
    return tmp_path / "log"


def test_the_text_says_what_was_found_and_what_was_not(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(export)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("GOOD: ")
    assert "SELF-CONSISTENT, NOT ANCHORED" in text
    assert "signature not checked" in text


def test_the_text_names_the_first_bad_seq_first(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (export / "tile/0/000.p/4").unlink()
    assert command.main([str(export)]) == 1
    text = capsys.readouterr().out
    assert text.startswith("BAD: ")
    assert "bad: seq 0: tile/0/000.p/4: the tile is missing" in text


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--vkey"], ["--surprise", "x"], ["x", "--json=1"]])
def test_wrong_arguments_are_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_help_is_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0
    assert "--require-anchor" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "stranger"])
def test_a_target_that_is_none_of_ours_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    target = tmp_path / "target"
    if kind == "file":
        target.write_bytes(b"")
    elif kind != "missing":
        target.mkdir()
    if kind == "stranger":
        (target / "notes.txt").write_text("")
    assert command.main([str(target)]) == 2
    said = capsys.readouterr().out
    assert "could not check" in said
    assert kind != "stranger" or "/v1/log/STREAM" in said


def test_a_log_whose_checkpoint_is_gone_is_bad(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (export / "checkpoint").unlink()
    assert command.main([str(export)]) == 1
    assert "there is no checkpoint" in capsys.readouterr().out


def test_what_nobody_foresaw_is_exit_code_2_and_no_traceback(
    export: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (ZeroDivisionError("surprise"), MemoryError(), RecursionError(), KeyboardInterrupt()):

        def fail(*_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(command, "verify_exported", fail)
        assert command.main([str(export), "--json"]) == 2
        answer = json.loads(capsys.readouterr().out)
        assert (answer["result"], bool(answer["unchecked"])) == ("unchecked", True)


def test_a_file_that_may_not_be_read_is_exit_code_2(
    export: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert command.main([str(export)]) == 2
    assert "Permission denied" in capsys.readouterr().out


def test_a_pipe_in_place_of_a_file_is_not_waited_for(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (export / "tile/entries/000.p/4").unlink()
    os.mkfifo(export / "tile/entries/000.p/4")
    assert command.main([str(export)]) == 1
    assert "not a regular file" in capsys.readouterr().out


def test_an_answer_that_nobody_reads_is_exit_code_2(export: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "audit.verify", str(export)], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_foreign_names_are_harmless_on_a_terminal() -> None:
    report = Report("dir\x1b[2J\udcff")
    report.findings.append(Finding(None, "tile/\n\x07漢", "x"))
    text = as_text(report, require_anchor=False)
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(as_json(report, require_anchor=False))["first_bad"]["place"] == "tile/\n\x07漢"


def test_exit_codes() -> None:
    report = Report("t", logs=[LogReport("o", anchored=-1)])
    assert report.exit_code(require_anchor=False) == 0
    assert report.exit_code(require_anchor=True) == 2
    report.logs[0].anchored = 5
    assert report.exit_code(require_anchor=True) == 0
    report.unchecked = "why"
    assert report.exit_code(require_anchor=False) == 2
    report.findings.append(Finding(3, "p", "w"))
    assert report.exit_code(require_anchor=False) == 1


def test_many_findings_are_counted_and_not_all_written() -> None:
    report = Report("t", findings=[Finding(seq, "p", "w") for seq in range(500, 0, -1)], states=[State("s", "p", "d")])
    assert "bad: 400 more" in as_text(report, require_anchor=False)
    answer = json.loads(as_json(report, require_anchor=False))
    assert (answer["first_bad"]["seq"], answer["findings_total"], len(answer["findings"])) == (1, 500, 100)
