"""What all tests share: the gate for what needs root, a strict CI, a clean end on SIGTERM, a machine with two NICs."""

import os
import signal
from collections.abc import Generator, Iterator
from types import FrameType

import pytest

from lab.netns import Namespace, lab_name, link, reap, remove

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


@pytest.fixture
def wired() -> Iterator[tuple[Namespace, Namespace]]:
    """A machine with a mirror NIC and a target NIC, and who is at their other ends: nobody."""
    reap()
    name = lab_name()
    try:
        host, wall = Namespace(name, "box"), Namespace(name, "wall")
        for nic in ("mirror0", "target0"):
            link(host, nic, wall, nic, offloads=True)
        yield host, wall
    finally:
        remove(name)


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
