"""The repository's own rules: what a reviewer would otherwise have to look for."""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.readme import ROOT, commands

if TYPE_CHECKING:
    from pathlib import Path

MAX_MODULE_LINES = 350
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}

PACKAGES = ("vault", "audit", "exporters", "tests")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
DEV = RUN + [Requirement(line) for line in PYPROJECT["dependency-groups"]["dev"]]

PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+).*\\\n"
    r"(?P<hashes>(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    r" {4}# via (?P<via>.*)\n",
    re.MULTILINE,
)


def pins(file: str) -> dict[str, re.Match[str]]:
    return {pin["name"]: pin for pin in PIN.finditer((ROOT / "requirements" / file).read_text())}


def test_no_module_is_longer_than_one_job_needs() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}


def test_every_module_is_named_for_its_job() -> None:
    parts = {part for path in MODULES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert parts & VAGUE_NAMES == set()


def renames(path: Path) -> list[int]:
    """Lines that call a method of ``Path`` which names a file anew; ``str.replace`` takes two arguments or keywords."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and (
            call.func.attr in {"rename", "hardlink_to", "symlink_to"}
            or (call.func.attr == "replace" and len(call.args) == 1 and not call.keywords)
        )
    ]


def test_files_are_renamed_and_linked_only_where_durability_is_argued() -> None:
    # Ruff bans the functions of `os` by name (TID251); methods have no name that it could ban.
    product = [path for path in MODULES if not path.is_relative_to(ROOT / "tests")]
    assert [str(path.relative_to(ROOT)) for path in product if renames(path)] == ["vault/durable.py"]


@pytest.mark.parametrize("file", ["run.txt", "dev.txt"])
def test_requirements_name_no_place_to_fetch_from(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    assert re.findall(r".*(?:://|--index-url|--find-links).*", text) == []


@pytest.mark.parametrize("file", ["run.txt", "dev.txt"])
def test_every_locked_package_has_its_hashes(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    assert set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)) == set(pins(file))


@pytest.mark.parametrize(("file", "declared"), [("run.txt", RUN), ("dev.txt", DEV)])
def test_lock_pins_what_pyproject_asks_for_and_nothing_else(file: str, declared: list[Requirement]) -> None:
    locked = pins(file)
    asked_for = {name for name, pin in locked.items() if "strongroom (pyproject.toml" in pin["via"]}
    assert asked_for == {canonicalize_name(requirement.name) for requirement in declared}
    for requirement in declared:
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]["version"]), requirement


def test_tests_run_on_the_versions_that_production_installs() -> None:
    run, dev = pins("run.txt"), pins("dev.txt")
    assert {name: pin["version"] for name, pin in run.items()} == {name: dev[name]["version"] for name in run}


def test_readme_shows_how_to_start_and_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {arguments[0] for arguments in commands("make")}
    assert named >= {"setup", "demo", "test"}
    assert named <= targets
