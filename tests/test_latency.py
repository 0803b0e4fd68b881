"""The latencies that the box tells, against what the servers themselves have logged."""

import json
import statistics
import sys
import time
from pathlib import Path

import pytest

from lab.load import Load
from lab.servers import ServerLab

pytestmark = pytest.mark.lab

SERVER = Path(__file__).parent / "lab" / "logged.py"
LOADS = (
    Load("page", 200, 4, connections=8, path="/page/?"),
    Load("short", 50, 4, path="/page/?", keep_alive=False),
    Load("wait", 50, 4, connections=8, path="/wait/"),
    Load("file", 50, 4, connections=4, path="/file?"),
    Load("large", 10, 4, connections=2, path="/large?"),
    Load("paced", 5, 4, connections=4, path="/paced?"),
)
RESOLUTION_MS = {"/file": 0.5, "/large": 0.5}
"""Of files the log has whole milliseconds, and no spread: a median of such is right within half of one."""


def logged_ms(folder: Path) -> dict[str, list[float]]:
    """What nginx logged, by location."""
    times: dict[str, list[float]] = {}
    for line in (folder / "times.log").read_text().splitlines():
        uri, seconds = line.split()
        times.setdefault("/" + uri.split("/")[1], []).append(float(seconds) * 1000)
    return times


def test_medians_are_those_of_the_servers_logs() -> None:
    with ServerLab(lambda address, port, folder: [sys.executable, str(SERVER), address, str(port), str(folder)]) as lab:
        box = lab.start_box()
        lab.run_loads(*LOADS)
        box.settle(sum(load.requests for load in LOADS))
        time.sleep(1.1)
        endpoints = json.loads(box.get("/api/v1/latency"))["endpoints"]
        logs = {
            side: [logged_ms(server.folder) for server in servers]
            for side, servers in (("origin", lab.servers), ("target", [lab.target_server]))
        }
    wrong = []
    for endpoint in endpoints:
        path = "/" + endpoint["endpoint"].split("/")[1]
        for side, of_side in logs.items():
            # The times of each millisecond are spread over it.
            logged = statistics.median_grouped(round(ms) for log in of_side for ms in log.get(path, []))
            # Of a large file nginx logs when the kernel had all of it, which is before the wire had.
            time_of = "first_byte_us" if path in RESOLUTION_MS else "last_byte_us"
            told = endpoint[side][time_of]["p50"] / 1000
            if abs(told - logged) > max(0.2, 0.05 * logged) + RESOLUTION_MS.get(path, 0.0):
                wrong.append(f"{side} {path}: {told} ms, and its log has {logged} ms")
    assert not wrong, wrong
    assert len(endpoints) == 5, endpoints
