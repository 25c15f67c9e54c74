"""How many random examples the laws (Hypothesis) are tried with, and from which seed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

LAWS = Path(__file__).parent / "property"

_COMMON = {
    "deadline": None,
    "derandomize": False,
    "database": None,
    "print_blob": True,
    "report_multiple_bugs": False,
    "suppress_health_check": list(HealthCheck),
}
settings.register_profile("ci", max_examples=100, **_COMMON)
settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "10000")), **_COMMON)
settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose a seed before Hypothesis asks for one; the workers of pytest-xdist are given this process's."""
    if config.getoption("hypothesis_seed") is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if LAWS in item.path.parents or is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("law")


def pytest_report_header(config: pytest.Config) -> str:
    return _seed(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the seed below the failures too: with -q there is no header."""
    if terminalreporter.stats.get("failed") or config.getoption("verbose") < 0:
        terminalreporter.write_line(_seed(config))


def _seed(config: pytest.Config) -> str:
    profile = settings.get_current_profile_name()
    options = f"--hypothesis-seed={config.getoption('hypothesis_seed')} --hypothesis-profile={profile}"
    return f"laws: repeat this run with {options}"
