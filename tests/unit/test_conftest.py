from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Three tests under the project's conftest: one skipped, one in a skipped module, one expected to fail."""
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(
        test_skips="""
            import pytest

            def test_skipped():
                pytest.skip("no such tool")

            @pytest.mark.xfail
            def test_expected_to_fail():
                assert False
        """,
        test_skipped_module="""
            import pytest

            pytest.skip("no such library", allow_module_level=True)
        """,
    )
    return pytester


def test_a_skip_is_a_failure_in_ci(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = suite.runpytest_subprocess("--continue-on-collection-errors")
    result.assert_outcomes(failed=1, errors=1, xfailed=1)


def test_a_skip_is_a_skip_elsewhere(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    result = suite.runpytest_subprocess()
    result.assert_outcomes(skipped=2, xfailed=1)
