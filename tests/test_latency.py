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
BEHIND_NGINX = (
    Load("page", 200, 3, connections=8, path="/page/?"),
    Load("short", 50, 3, path="/page/?", keep_alive=False),
    Load("wait", 50, 3, connections=8, path="/wait/"),
    Load("large", 10, 3, connections=2, path="/large?"),
    Load("paced", 5, 3, connections=4, path="/paced?"),
)
RESOLUTION_MS = {"/large": 0.5}
"""Of files that go at once nginx's log has whole milliseconds, without spread: a median right within half of one."""
OF_APACHE = (Load("file", 300, 1, connections=4, path="/file?"),)


def logged_ms(folder: Path, milliseconds: float) -> dict[str, list[float]]:
    """What a server logged in units of so many milliseconds, by location."""
    times: dict[str, list[float]] = {}
    for line in (folder / "times.log").read_text().splitlines():
        uri, count = line.split()
        times.setdefault("/" + uri.split("/")[1], []).append(float(count) * milliseconds)
    return times


def compare_medians(kind: str, milliseconds: float, loads: tuple[Load, ...], endpoints_expected: int) -> None:
    def server(address: str, port: int, folder: Path) -> list[str]:
        return [sys.executable, str(SERVER), kind, address, str(port), str(folder)]

    with ServerLab(server) as lab:
        box = lab.start_box()
        lab.run_loads(*loads)
        box.settle(sum(load.requests for load in loads))
        time.sleep(1.1)
        endpoints = json.loads(box.get("/api/v1/latency"))["endpoints"]
        logs = {
            side: [logged_ms(server.folder, milliseconds) for server in servers]
            for side, servers in (("origin", lab.servers), ("target", [lab.target_server]))
        }
    wrong = []
    for endpoint in endpoints:
        path = "/" + endpoint["endpoint"].split("/")[1]
        for side, of_side in logs.items():
            times = [ms for log in of_side for ms in log.get(path, [])]
            # Of whole milliseconds, the times of each are spread over it.
            logged = statistics.median_grouped(map(round, times)) if milliseconds >= 1 else statistics.median(times)
            # Of those it logs when the kernel had all of it, which is before the wire had.
            time_of = "first_byte_us" if path in RESOLUTION_MS else "last_byte_us"
            told = endpoint[side][time_of]["p50"] / 1000
            if abs(told - logged) > max(0.2, 0.05 * logged) + RESOLUTION_MS.get(path, 0.0):
                wrong.append(f"{side} {path}: {told} ms, and its log has {logged} ms")
    assert not wrong, wrong
    assert len(endpoints) == endpoints_expected, endpoints


def test_medians_are_those_of_the_log_of_nginx() -> None:
    compare_medians("nginx", 1000.0, BEHIND_NGINX, 4)


def test_medians_of_files_are_those_of_the_log_of_apache() -> None:
    compare_medians("apache", 0.001, OF_APACHE, 1)
