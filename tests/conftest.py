"""What all tests share: the gate for tests that need root, a strict CI, and a clean end on SIGTERM."""

import os
import signal
from collections.abc import Generator
from types import FrameType

import pytest

IN_CI = os.environ.get("CI") == "true"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: raises network namespaces, which takes root, and runs the built program")
    config.addinivalue_line("markers", "long: takes minutes, and is run by `make test-image` alone")

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") is not None and os.geteuid() != 0:
        pytest.skip("NOT RUN: it needs root for network namespaces; run `sudo make test`")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and in CI nothing may be: {report.longrepr}"
    return report
