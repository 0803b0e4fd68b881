"""The benchmark's live part: what the built program takes of the processor, and how long it holds a frame, in the lab.

Clients, servers and the box share this machine, so that each figure that can be one is a ratio of two works done at the
same time. Processor time is that of the process, with the kernel's work on its behalf; what the kernel does to deliver
a frame to its ring is nobody's. Run as root by `make bench`, after the part in memory, to whose table in
`dist/bench.json` it adds.
"""

import argparse
import json
import os
import re
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.box import REPOSITORY, Box, binary
from lab.ledger import Ledger
from lab.load import KIB, Load
from lab.process import Process
from lab.watch import PCAP_HEADER, RECORD_HEADER, Watch
from lab.world import TARGET_ADDRESS, TARGET_PORT, Lab

GOLDEN = REPOSITORY / "appliance" / "bench" / "golden.json"
FIGURES = REPOSITORY / "dist" / "bench.json"
CAPTURE_RATE, DELAY_RATE = 1500, 1000
HIGHEST = "live, highest rate without loss"
RATES = (1000, 1500, 2000, 3000, 4000, 6000, 8000, 10_000, 12_000)
NOTHING = "less 13"
ASKED = re.compile(rb"GET (\S+) HTTP")


@dataclass
class Figure:
    """A value of each round, and what it is held against."""

    unit: str
    against: str = ""
    values: list[float] = field(default_factory=list)


class Figures(dict[str, Figure]):
    """All of them, in the order in which they were first noted."""

    def note(self, name: str, unit: str, value: float, against: str = "") -> None:
        self.setdefault(name, Figure(unit, against)).values.append(value)

    def ratio(self, figure: Figure) -> float | None:
        if not figure.against:
            return None
        pairs = zip(figure.values, self[figure.against].values, strict=True)
        return round(statistics.median(value / base for value, base in pairs), 2)

    def shown(self) -> list[dict[str, object]]:
        return [
            {
                "name": name, "unit": figure.unit, "median": statistics.median(figure.values),
                "lowest": min(figure.values), "highest": max(figure.values), "runs": len(figure.values),
                "against": figure.against, "ratio": self.ratio(figure),
            }
            for name, figure in self.items()
        ]  # fmt: skip


def worked_ns(pid: int) -> int:
    """What all threads of a process have worked so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def woken(pid: int) -> dict[str, int]:
    """How often each thread of a process has begun to run after it had waited."""
    counts: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.MULTILINE)
        assert found
        counts[name] = counts.get(name, 0) + int(found[1])
    return counts


def start_box(lab: Lab, name: str) -> Box:
    """A box that has its addresses."""
    box = lab.start_box(settings(lab, name))
    box.claim()
    return box


def settings(lab: Lab, name: str, extra: str = "") -> Path:
    file = lab.folder / f"{name}.toml"
    file.write_text(
        f"schema_version = 1\n[nics]\nmirror = ['mirror0']\ntarget = 'target0'\n{extra}\n"
        "[addressing]\npool = ['10.100.20.100-10.100.20.139/24']\n"
        f"[[service]]\norigins = ['*:11311']\ntargets = ['{TARGET_ADDRESS}:{TARGET_PORT}']\n"
    )
    return file


def counter(lab: Lab) -> Process:
    """The bare reader, which is built first."""
    program = lab.folder / "counter"
    source = Path(__file__).with_name("counter.c")
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", str(program), str(source), "-lpcap"], check=True)
    process = Process(lab.box_host, [str(program), "mirror0"], lab.folder / "counter.log")
    process.wait_for("ready")
    return process


def capture(figures: Figures, seconds: float) -> None:
    """Three readers of the same frames: one that counts, a box that lets none through, one that replays none."""
    with Lab() as lab:
        box = lab.start_box(settings(lab, "all"))
        box.ask("POST", "/api/v1/replay/stop")
        idle_settings = settings(lab, "nothing", f"filter = '{NOTHING}'")
        words = ["run", "--settings", str(idle_settings), "--listen", "127.0.0.1:8081"]
        idle = Process(lab.box_host, [str(binary()), *words], lab.folder / "idle.log")
        bare = counter(lab)
        try:
            idle.wait_for("the page is on")
            readers = {"bare libpcap": bare, "filter that matches nothing": idle, "mirror only": box.process}
            before = {name: worked_ns(process.pid) for name, process in readers.items()}
            lab.run_loads(Load("page", CAPTURE_RATE, seconds, connections=50))
            spent = {name: worked_ns(process.pid) - before[name] for name, process in readers.items()}
        finally:
            idle.stop()
            bare.stop()
        counted = re.search(r"frames (\d+)", bare.last_words())
        assert counted, bare.last_words()
        ledger = box.stop()
        assert ledger["frames"]["received"] > 0, ledger
        assert ledger["requests"]["replayed"] == 0, ledger
        for name, nanos in spent.items():
            figures.note(f"capture, {name}", "ns/frame", nanos / int(counted[1]), "capture, bare libpcap")


def loads(seconds: float) -> dict[str, Load]:
    """What a request costs in."""
    return {
        "keep-alive GET": Load("page", 1000, seconds, connections=100),
        "short connections": Load("short", 1000, seconds, keep_alive=False),
        "POST of 64 KiB": Load("post", 50, seconds, connections=10, path="/post/", body_bytes=64 * KIB),
    }


def answered_all(ledger: Ledger, expected: int) -> bool:
    requests, frames = ledger["requests"], ledger["frames"]
    return requests["answered"] == expected and not frames["dropped_kernel"]


def live(figures: Figures, seconds: float) -> None:
    """Processor time for each request that the box replays."""
    with Lab() as lab:
        box = start_box(lab, "live")
        expected = 0
        for name, load in loads(seconds).items():
            pid = box.process.pid
            worked_before, woken_before = worked_ns(pid), sum(woken(pid).values())
            lab.run_loads(load)
            expected += load.requests
            assert answered_all(box.settle(expected), expected), lab.explain(box)
            worked, wakes = worked_ns(pid) - worked_before, sum(woken(pid).values()) - woken_before
            figures.note(f"live, {name}", "us/request", worked / 1e3 / load.requests, "live, keep-alive GET")
            figures.note(f"live, {name}, wake-ups", "/request", wakes / load.requests)
        box.stop()


def stamped(file: Path) -> Iterator[tuple[int, bytes]]:
    """The frames of a pcap file, each with its stamp in microseconds."""
    data, position = file.read_bytes(), PCAP_HEADER
    while position + RECORD_HEADER <= len(data):
        seconds, micros, length, _ = struct.unpack_from("<IIII", data, position)
        position += RECORD_HEADER
        yield seconds * 1_000_000 + micros, data[position : position + length]
        position += length


def first_shown(file: Path) -> dict[bytes, int]:
    """When each URL was asked for first."""
    shown: dict[bytes, int] = {}
    for at, frame in stamped(file):
        if asked := ASKED.search(frame[54:]):
            shown.setdefault(asked[1], at)
    return shown


def witnesses(lab: Lab, name: str) -> list[Watch]:
    """Captures on the mirror NIC and at the target: what the box sends goes past what would show it on its own NIC."""
    ends = [(lab.box_host, "mirror0"), (lab.target_host, "eth0")]
    watches = [Watch(host, nic, lab.folder / f"{nic}-{name}.pcap", "tcp", recorder=True) for host, nic in ends]
    for watch in watches:
        watch.ready()
    return watches


def delays(ends: list[Watch], load: Load) -> list[float]:
    """From a request's frame on the mirror NIC to its frame at the target, in ms, sorted.

    The first requests are left out, which wait for their connections.
    """
    for watch in ends:
        watch.stop()
    mirrored, sent = (first_shown(watch.file) for watch in ends)
    later = sorted(mirrored, key=mirrored.__getitem__)[2 * load.connections :]
    found = sorted((sent[url] - mirrored[url]) / 1e3 for url in later if url in sent)
    assert len(found) > load.requests / 2, f"{len(found)} of {load.requests} requests were seen at both ends"
    return found


def delay(figures: Figures, seconds: float) -> None:
    """How late a request is at the target, on connections that are open."""
    with Lab() as lab:
        box = start_box(lab, "delay")
        load = Load("page", DELAY_RATE, seconds, connections=100)
        ends = witnesses(lab, "delay")
        lab.run_loads(load)
        box.settle(load.requests)
        found = delays(ends, load)
        box.stop()
        figures.note("live, delay added, median", "ms", statistics.median(found))
        figures.note("live, delay added, 99 %", "ms", found[len(found) * 99 // 100])


def cost_at(rate: int, seconds: float) -> float | None:
    """Processor time for each request at a rate, in us; none where the rate is not reached or something is lost."""
    with Lab() as lab:
        box = start_box(lab, "rate")
        load = Load("page", rate, seconds, connections=100)
        before = worked_ns(box.process.pid)
        [report] = lab.finish_loads(lab.start_loads(load))
        is_good = report.answered == load.requests and report.seconds < seconds * 1.2
        is_good = is_good and answered_all(box.settle(load.requests), load.requests)
        spent = worked_ns(box.process.pid) - before
        box.stop()
    return spent / 1e3 / load.requests if is_good else None


def highest_rate(figures: Figures, seconds: float) -> None:
    """The last of some rates at which nothing is lost; the lab's own clients and servers end it, too.

    A round begins below the rate of the round before.
    """
    before = int(figures[HIGHEST].values[-1]) if HIGHEST in figures else 0
    reached, cost = 0, 0.0
    for rate in RATES[max(RATES.index(before) - 1, 0) if before else 0 :]:
        spent = cost_at(rate, seconds)
        if spent is None:
            break
        reached, cost = rate, spent
    assert reached, "not even a rate below that of the round before was reached: the machine does too much else"
    figures.note(HIGHEST, "requests/s", reached)
    figures.note("live, keep-alive GET at that rate", "us/request", cost, "live, keep-alive GET")


def tell(figures: Figures) -> None:
    """Prints the table and adds it to that of the part in memory."""
    golden = json.loads(GOLDEN.read_text())
    shown = figures.shown()
    for one in shown:
        name, ratio, known = str(one["name"]), one["ratio"], golden.get(one["name"])
        spread = f"{one['lowest']:.1f}..{one['highest']:.1f}"
        held = f"{'' if ratio is None else ratio:>6} {'' if known is None else known:>6}  {one['against']}"
        print(f"{name:<36} {one['median']:>10.2f} {one['unit']:<10} {spread:>18}  {held}")
    whole = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"figures": []}
    whole["figures"] = [one for one in whole["figures"] if one["name"] not in figures] + shown
    whole["load_average"] = os.getloadavg()[0]
    FIGURES.write_text(json.dumps(whole, indent=2) + "\n")
    if os.environ.get("UPDATE"):
        golden |= {str(one["name"]): one["ratio"] for one in shown if one["ratio"] is not None}
        GOLDEN.write_text(json.dumps(dict(sorted(golden.items())), indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    figures = Figures()
    for number in range(arguments.rounds):
        begin = time.monotonic()
        for part in (capture, live, delay, highest_rate):
            part(figures, arguments.seconds)
        print(f"round {number + 1}: {time.monotonic() - begin:.0f} s", flush=True)
    tell(figures)


if __name__ == "__main__":
    main()
