"""The lab itself, without the box: what the mirror shows, and that nothing stays behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.load import KIB, Load
from lab.netns import PREFIX, RUN_NETNS, reap, start_time
from lab.watch import Watch
from lab.world import Lab

pytestmark = pytest.mark.lab

HOLD_A_LAB = """
import signal, time
from lab.world import Lab
# A shell's background job is started with the signal ignored, and so is all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
with Lab() as lab:
    print(lab.name, flush=True)
    time.sleep(60)
"""


def left_of(lab: str) -> list[str]:
    """Namespaces, folders and processes that carry a lab's name."""
    namespaces = [path.name for path in RUN_NETNS.glob(f"{lab}-*")]
    folders = [str(path) for path in Path("/tmp").glob(f"{lab}*")]
    processes = subprocess.run(["pgrep", "-f", lab], capture_output=True, text=True, check=False).stdout.split()
    return namespaces + folders + processes


def hold_a_lab() -> tuple[subprocess.Popen[str], str]:
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parent))
    holder = subprocess.Popen([sys.executable, "-c", HOLD_A_LAB], stdout=subprocess.PIPE, text=True, env=environment)
    assert holder.stdout is not None
    name = holder.stdout.readline().strip()
    assert name.startswith(PREFIX), name
    return holder, name


@pytest.mark.parametrize("offloads", [True, False])
def test_the_mirror_shows_every_segment_once(offloads: bool) -> None:
    with Lab(offloads=offloads) as lab:
        watches = {
            place: Watch(host, interface, lab.folder / f"seen-{place}.pcap", "tcp port 11311", recorder=True)
            for place, (host, interface) in {
                "mirror": (lab.box_host, "mirror0"),
                "o1": (lab.origin_hosts["o1"], "eth0"),
                "o2": (lab.origin_hosts["o2"], "eth0"),
            }.items()
        }
        for watch in watches.values():
            watch.ready()
        lab.run_loads(
            Load("page", 200, 1, connections=10),
            Load("post", 20, 1, connections=2, path="/post/", body_bytes=64 * KIB),
        )
        seen = {place: watch.stop() for place, watch in watches.items()}
        assert seen["mirror"] == seen["o1"] + seen["o2"]
        largest = max(watches["mirror"].lengths())
        assert largest > 1514 if offloads else largest <= 1514
        assert len(lab.asked(220)) == 220
        assert lab.replayed() == []
        assert lab.trespasses() == []


def test_two_labs_stand_side_by_side() -> None:
    with Lab() as one, Lab() as other:
        one.run_loads(Load("one", 50, 1))
        other.run_loads(Load("other", 50, 1))
        assert len(one.asked(50)) == len(other.asked(50)) == 50
    assert left_of(one.name) == left_of(other.name) == []


def test_an_exception_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), Lab() as lab:
        _ = 1 / 0
    assert left_of(lab.name) == []


def test_an_interrupt_leaves_nothing_behind() -> None:
    holder, name = hold_a_lab()
    holder.send_signal(signal.SIGINT)
    holder.wait(10)
    assert left_of(name) == []


def test_the_next_lab_reaps_what_a_killed_one_left_and_no_other() -> None:
    alive, alive_name = hold_a_lab()
    dead, dead_name = hold_a_lab()
    try:
        dead.kill()
        dead.wait()
        assert left_of(dead_name)
        assert start_time(dead.pid) is None
        assert reap() == [dead_name]
        assert not list(RUN_NETNS.glob(f"{dead_name}-*"))
        assert len(list(RUN_NETNS.glob(f"{alive_name}-*"))) == 6
    finally:
        alive.send_signal(signal.SIGINT)
        alive.wait(10)
    assert left_of(alive_name) == []
