"""How often the box wakes, with nothing to do and with much, and how late it then is."""

import statistics
import time
from collections import Counter
from collections.abc import Callable

import pytest

from lab.box import Box
from lab.live import delays, start_box, witnesses, woken
from lab.load import Load
from lab.world import Lab

pytestmark = pytest.mark.lab

IDLE_S = 2
LOAD = Load("page", 1000, 2, connections=100)


def woken_by(box: Box, work: Callable[[], object]) -> Counter[str]:
    """How often each thread woke meanwhile."""
    before = Counter(woken(box.process.pid))
    work()
    return Counter(woken(box.process.pid)) - before


def test_a_box_wakes_for_much_at_once_and_is_not_late_for_it() -> None:
    """It once woke for each frame of the target and each timer: two to four times for each request."""
    with Lab() as lab:
        box = start_box(lab, "thrift")
        # A second's snapshot, the log's sync, the page's look at its connections: all threads together.
        idle = woken_by(box, lambda: time.sleep(IDLE_S))
        assert idle.total() < 30 * IDLE_S, idle
        ends = witnesses(lab, "thrift")
        replaying = woken_by(box, lambda: lab.run_loads(LOAD))
        box.settle(LOAD.requests)
        late = statistics.median(delays(ends, LOAD))
        box.ask("POST", "/api/v1/replay/stop")
        watching = woken_by(box, lambda: lab.run_loads(LOAD))
        ledger = box.stop()
        assert ledger["requests"]["answered"] == LOAD.requests, lab.explain(box, ledger)
        assert replaying["shard-0"] < 1.2 * LOAD.requests, replaying
        assert watching["shard-0"] < 0.2 * LOAD.requests, watching
        # Half a millisecond is the age of a block of the mirror's ring. What is late once added up to 15 ms.
        assert late < 5, late
