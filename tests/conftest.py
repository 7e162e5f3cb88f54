"""Rules for all tests: nothing is skipped unseen, and a run without a test is no success."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import hypothesis
import pytest

IN_CI = os.environ.get("CI") == "true"

SomeReport = TypeVar("SomeReport", pytest.TestReport, pytest.CollectReport)

hypothesis.settings.register_profile("idsync", deadline=None, derandomize=IN_CI)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the long sweeps")
    parser.addoption("--minutes", default="150", help="how long the long simulation may take")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Counted(), "counted")
    hypothesis.settings.load_profile("long" if config.getoption("--long") else "idsync")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long sweeps out, unless they are asked for."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


# ── skipping ────────────────────────────────────────────────────────────────────────────


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, make a failure of every skip."""
    report = yield
    # what others publish is no part of this project: where it is absent, that is said
    if hasattr(report, "wasxfail") or item.get_closest_marker("published"):
        return report
    return _not_skipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI, make a failure of a whole file that skips itself."""
    return _not_skipped((yield))


def _not_skipped(report: SomeReport) -> SomeReport:
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI nothing may be: {report.longrepr}"
    return report


class Counted:
    """Counts the tests that really ran, in whichever process that was."""

    ran = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.skipped and report.when == "call":
            self.ran += 1

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a run in which every test was skipped."""
        config = session.config
        quiet = config.getoption("collectonly") or config.getoption("fixtures", False)
        told = hasattr(config, "workerinput")  # by the process that gave it its tests
        if exitstatus == pytest.ExitCode.OK and not self.ran and not quiet and not told:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
