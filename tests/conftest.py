"""What holds for every test: how Hypothesis searches, that CI skips nothing, and that no server outlives its test.

``CI`` set: Hypothesis tries the same examples at each run, and a skip is a failure,
since a green run must mean that everything ran. Elsewhere Hypothesis searches at
random and remembers what failed, and a test whose outside tool is missing may skip.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings

from tests.integration.served import PATIENCE, STARTED

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.integration.served import Started

IN_CI = bool(os.environ.get("CI"))

# A busy machine is no defect: no deadline per example, no complaint about slow generation.
_UNTIMED = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("local", _UNTIMED)
settings.register_profile("ci", _UNTIMED, derandomize=True)
settings.load_profile("ci" if IN_CI else "local")
# Nor is one that stands still for longer than the five seconds after which httpx gives up.
DEFAULT_TIMEOUT_CONFIG.connect = DEFAULT_TIMEOUT_CONFIG.read = DEFAULT_TIMEOUT_CONFIG.write = PATIENCE


#: Servers and relays that the test itself started, and no fixture of it or of others.
_OWN: Final[set[Started]] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    before = set(STARTED)
    try:
        return (yield)
    finally:
        _OWN.update(STARTED - before)


@pytest.fixture(autouse=True)
def _no_server_outlives_its_test() -> Iterator[None]:
    """One that failed would have others fail, which want its ports, or run when Python notices what it left."""
    yield
    while _OWN:
        _end(_OWN.pop())


def pytest_sessionfinish() -> None:
    """End those whose fixture failed."""
    for started in STARTED:
        _end(started)


def _end(started: Started) -> None:
    if started.running:
        started.kill()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CI skips nothing, but this test was skipped: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"CI skips nothing, but this module was skipped: {report.longrepr}"
    return report
