"""``strongroom-verify.pyz``: the same bytes each time, and nothing but Python beneath it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import audit.verify
from audit.verify.build import archive, main
from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import Plan, write_vault

HERE = Path(audit.verify.__file__).parent
# Of the product, for data directories and topics only; the file does without.
OPTIONAL = {"awscrt", "confluent_kafka", "cryptography", "kafka", "zstandard"}


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "strongroom-verify.pyz"
    assert main([str(path)]) == 0
    return path


def run(pyz: Path, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    """Run it without this environment: no packages, no variables."""
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    return subprocess.run(
        [base, "-I", "-S", pyz, *arguments], env={}, cwd="/", capture_output=True, text=True, check=False
    )


def test_it_is_the_same_file_each_time(pyz: Path) -> None:
    assert pyz.read_bytes() == archive() == archive()
    assert os.access(pyz, os.X_OK)
    with zipfile.ZipFile(pyz) as archived:
        assert archived.namelist() == sorted(archived.namelist())
        assert {entry.date_time for entry in archived.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_verifies_an_exported_log_with_nothing_but_python(pyz: Path, tmp_path: Path) -> None:
    log = LogBuilder()
    log.start()
    log.write_export(tmp_path / "log")
    (tmp_path / "vkey").write_text(log.vkey())
    done = run(pyz, tmp_path / "log", "--vkey", tmp_path / "vkey", "--require-anchor")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "log/tile/0/000.p/4").unlink()
    assert run(pyz, tmp_path / "log").returncode == 1


def test_it_asks_for_the_product_to_verify_a_data_directory(pyz: Path, tmp_path: Path) -> None:
    log = LogBuilder()
    log.start()
    write_vault(log, tmp_path / "vault", Plan(0, 0, [(0, 1, [(0, 4)])]))
    done = run(pyz, tmp_path / "vault")
    assert done.returncode == 2
    assert "install strongroom" in done.stdout


@pytest.mark.parametrize("reader", ["librdkafka", "kafka-python"])
def test_it_asks_for_the_product_to_verify_topics(pyz: Path, reader: str) -> None:
    done = run(pyz, "--kafka", "127.0.0.1:1", "--reader", reader)
    assert (done.returncode, done.stderr) == (2, "")
    assert "install strongroom to verify topics of Kafka" in done.stdout


def test_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_verifier_imports_nothing_but_itself_and_the_standard_library() -> None:
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                root = name.partition(".")[0]
                assert name.startswith("audit.verify") or root in sys.stdlib_module_names | OPTIONAL, (path.name, name)
