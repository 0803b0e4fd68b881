"""A target that is not there, dies, or swallows everything: the run goes on, and the ledger names every loss."""

import signal
import time
from collections.abc import Callable

import pytest

from lab.box import Box, wired_settings
from lab.check import duplicates, missing
from lab.ledger import Ledger, check_laws, losses, lost
from lab.load import KIB, Load
from lab.process import Process
from lab.world import ORIGIN_PORT, TARGET_ADDRESS, TARGET_PORT, Lab

pytestmark = pytest.mark.lab

TRAFFIC = (
    Load("page", 150, 8, connections=10),
    Load("short", 50, 8, keep_alive=False),
    Load("post", 5, 8, path="/post/", body_bytes=64 * KIB),
)
AFTERWARDS = Load("after", 100, 2, connections=5)


def watch_laws(box: Box, clients: Process, until_s: float) -> None:
    """Holds the ledger to its laws, again and again, for a while."""
    deadline = time.monotonic() + until_s
    while time.monotonic() < deadline and clients.running():
        check_laws(box.ledger())
        time.sleep(0.25)


def run_with_fault(lab: Lab, begin: Callable[[], None], end: Callable[[], None]) -> tuple[Box, Ledger]:
    """Traffic in whose middle a fault begins and ends; then more traffic, of which nothing may be lost."""
    box = lab.start_box()
    clients = lab.start_loads(*TRAFFIC)
    watch_laws(box, clients, 2.0)
    begin()
    watch_laws(box, clients, 2.5)
    end()
    watch_laws(box, clients, 30.0)
    reports = lab.finish_loads(clients)
    assert all(r.answered == load.requests for r, load in zip(reports, TRAFFIC, strict=True)), reports
    total = sum(load.requests for load in TRAFFIC)
    before = box.settle(total, timeout=30.0)
    check_laws(before)
    lab.run_loads(AFTERWARDS)
    box.settle(total + AFTERWARDS.requests)
    return box, box.stop()


def check_account(lab: Lab, box: Box, summary: Ledger) -> None:
    """Everything captured, nothing asked twice, and no request missing that the ledger does not name."""
    asked, replayed = lab.asked(), lab.replayed()
    explanation = lab.explain(box, summary)
    absent = missing(asked, replayed)
    check_laws(summary, ended=True)
    assert summary["requests"]["captured"] == len(asked), explanation
    assert summary["requests"]["answered"] + lost(summary) == len(asked), explanation
    assert len(absent) <= lost(summary), f"{len(absent)} are missing, such as {absent[:5]}; {explanation}"
    assert summary["requests"]["answered"] <= len(replayed), explanation
    assert not duplicates(replayed), explanation
    assert not [url for url in absent if "after." in url], f"lost after the fault: {absent[-5:]}; {explanation}"
    assert summary["verdicts"]["differ"] == 0, explanation
    assert not lab.trespasses()


def test_a_target_without_listener() -> None:
    with Lab() as lab:
        lab.target.stop()
        box, summary = run_with_fault(lab, lambda: None, lab.target.start)
        check_account(lab, box, summary)
        assert "not_replayed.target_refused" in losses(summary), losses(summary)


def test_a_target_killed_in_the_middle() -> None:
    with Lab() as lab:
        box, summary = run_with_fault(lab, lab.target.kill, lab.target.start)
        check_account(lab, box, summary)
        assert lost(summary) > 0


def test_a_target_that_swallows_everything() -> None:
    with Lab() as lab:
        box, summary = run_with_fault(lab, lambda: lab.black_hole(True), lambda: lab.black_hole(False))
        check_account(lab, box, summary)


def test_a_target_whose_link_is_down() -> None:
    with Lab() as lab:
        box, summary = run_with_fault(
            lab,
            lambda: lab.target_link(up=False),
            lambda: lab.target_link(up=True),
        )
        check_account(lab, box, summary)


def test_a_black_hole_that_never_ends() -> None:
    """Time limits end what is in flight, the ledger names it, and the box still ends in time."""
    with Lab() as lab:
        lab.black_hole(True)
        box = lab.start_box()
        lab.run_loads(Load("page", 50, 2, connections=5), Load("short", 20, 2, keep_alive=False))
        check_laws(box.ledger())
        summary = box.stop()
        check_laws(summary, ended=True)
        assert summary["requests"]["captured"] == lost(summary) == 140, lab.explain(box, summary)
        assert lab.replayed() == []


def test_a_ring_that_is_too_small() -> None:
    """While the box stands still its ring runs over: the kernel's drops are told, and every request has its cause."""
    loads = (
        Load("page", 200, 3, connections=10),
        Load("short", 30, 3, keep_alive=False),
        Load("post", 40, 3, connections=4, path="/post/", body_bytes=64 * KIB),
    )
    with Lab() as lab:
        settings = lab.folder / "settings.toml"
        settings.write_text(wired_settings(ORIGIN_PORT, f"{TARGET_ADDRESS}:{TARGET_PORT}", nics="buffer_mib = 1"))
        box = lab.start_box(settings)
        clients = lab.start_loads(*loads)
        time.sleep(1.0)
        box.process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        box.process.send_signal(signal.SIGCONT)
        reports = lab.finish_loads(clients)
        assert [report.answered for report in reports] == [load.requests for load in loads]
        shown = box.settle(0)["requests"]["captured"]
        lab.run_loads(AFTERWARDS)
        box.settle(shown + AFTERWARDS.requests)
        summary = box.stop()
        asked, replayed = lab.asked(), lab.replayed()
        absent = missing(asked, replayed)
        explanation = lab.explain(box, summary)
        unseen = len(asked) - summary["requests"]["captured"]
        check_laws(summary, ended=True)
        assert losses(summary)["frames.dropped_kernel"] > 0, explanation
        assert 0 <= unseen < len(asked) / 2, explanation
        assert len(absent) <= lost(summary) + unseen, f"{len(absent)} are missing, such as {absent[:5]}; {explanation}"
        assert not [url for url in absent if "after." in url], explanation
        assert not duplicates(replayed), explanation
        assert summary["verdicts"]["differ"] == 0, explanation
