"""README's tables and programs, held to what they describe. Its commands: ``tests/integration/test_readme.py``."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from audit.config import Settings, load
from audit.reload import AT_RUN_TIME
from tests.doubles.logbuilder import LogBuilder
from tests.doubles.node import FakeNode
from tests.readme import ROOT
from tests.unit.api.test_api import ask

if TYPE_CHECKING:
    from pathlib import Path

README = (ROOT / "README.md").read_text()
UNITS = {
    "_mib_s": "MiB/s",
    "_s": "s",
    "_mib": "MiB",
    "_per_minute": "1/min",
    "_hours": "h",
    "_days": "d",
    "_seconds": "s",
}


def rows(first: str) -> list[list[str]]:
    """The cells of the table whose first column has this title."""
    (table,) = re.findall(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines()]


def test_the_table_of_settings_has_each_with_its_variable_default_and_unit() -> None:
    described = [
        [
            f"`{section}.{key}`",
            f"`STRONGROOM_{section}__{key}`".upper(),
            f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "",
            next((unit for ending, unit in UNITS.items() if key.endswith(ending)), ""),
        ]
        for section, values in msgspec.to_builtins(Settings()).items()
        for key, value in values.items()
    ]
    assert [row[:4] for row in rows("Setting")] == described
    assert all(len(row) == 6 and row[4] for row in rows("Setting"))


def test_the_table_of_settings_says_which_a_reload_takes() -> None:
    assert {row[0].strip("`") for row in rows("Setting") if row[5] == "takes it"} == AT_RUN_TIME
    assert {row[5] for row in rows("Setting")} == {"takes it", ""}


@pytest.mark.parametrize("row", rows("Setting"), ids=lambda row: row[0].strip("`"))
def test_each_variable_of_the_table_sets_its_setting(row: list[str]) -> None:
    assert load(None, {row[1].strip("`"): row[2].strip("`")}) == Settings()


def test_the_example_of_a_configuration_file_can_be_used(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "strongroom.toml").write_text(example)
    assert load(tmp_path / "strongroom.toml", {}).s3.tls


def test_the_table_of_the_audit_port_has_every_path() -> None:
    named = {row[0].strip("`") for row in rows("GET")}
    described = ask(FakeNode(), "/openapi.json").json()["paths"]
    shapes = {re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path).partition("PATH")[0] for path in described}
    shapes |= {"/openapi.json"}
    assert {path for path in shapes if not any(name.startswith(path) for name in named)} == set()
    assert {name for name in named if not any(name.startswith(path) for path in shapes)} == set()


def test_the_program_that_reads_an_export_prints_every_record_in_order(tmp_path: Path) -> None:
    log = LogBuilder()
    log.start()
    log.fill(520)
    log.write_export(tmp_path / "export")
    (program,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "export"], capture_output=True, check=True)
    assert done.stdout.splitlines() == [entry.bytes() for entry in log.entries]
