"""What `tapcopy doctor` says of a mirror: of captures made here, and live."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.box import binary
from lab.load import Load
from lab.netns import Namespace, lab_name, link, reap, remove
from lab.segments import Frame, sessions, write_pcap
from lab.world import ORIGIN_ADDRESSES, ORIGIN_PORT, Lab, backlog_drops

USAGE, RUN_TIME = 2, 1
ETH_P_ALL = 3
CRITICAL, WARNING, NOTICE = "critical", "warning", "notice"

Report = dict[str, Any]


def without_servers(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if not frame.from_server]


def twice(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames for _ in range(2)]


def servers_tagged(frames: list[Frame]) -> list[Frame]:
    return [frame.tagged(7) if frame.from_server else frame for frame in frames]


def losing(frames: list[Frame]) -> list[Frame]:
    return [frame for n, frame in enumerate(frames) if n % 20 != 10]


MIRRORS: list[tuple[Callable[[list[Frame]], list[Frame]], dict[str, str]]] = [
    (list, {}),
    (without_servers, {"one_way": CRITICAL}),
    (twice, {"duplicated": WARNING}),
    (servers_tagged, {"vlan_on_one_side": NOTICE}),
    (losing, {"oversubscribed": CRITICAL}),
]
"""What a mirror does with its frames, and the findings that it deserves."""

MIRROR_IDS = [mirror.__name__ for mirror, _ in MIRRORS]


def doctor(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(binary()), "doctor", *words], capture_output=True, text=True, timeout=30, check=False)


def report_of(*words: str) -> Report:
    done = doctor(*words, "--json")
    assert done.returncode == 0, done.stderr
    report: Report = json.loads(done.stdout)
    return report


def findings(report: Report) -> dict[str, str]:
    """Each finding with its severity; every one has evidence and a mend."""
    for finding in report["findings"]:
        assert finding["evidence"], finding
        assert finding["mend"], finding
    return {finding["finding"]: finding["severity"] for finding in report["findings"]}


@pytest.mark.parametrize(("mirror", "expected"), MIRRORS, ids=MIRROR_IDS)
def test_captures(tmp_path: Path, mirror: Callable[[list[Frame]], list[Frame]], expected: dict[str, str]) -> None:
    capture = write_pcap(tmp_path / "mirror.pcap", mirror(sessions()))
    report = report_of(str(capture))
    assert findings(report) == expected
    [service] = report["services"]
    assert (service["address"], service["protocol"], service["flows"]) == ("10.9.0.1:8080", "http", 20)


def test_a_capture_that_cuts_frames_off(tmp_path: Path) -> None:
    assert findings(report_of(str(write_pcap(tmp_path / "cut.pcap", sessions(), snaplen=96)))) == {
        "truncated": CRITICAL
    }


def test_the_two_outputs_of_a_tap_are_one_mirror(tmp_path: Path) -> None:
    frames = sessions()
    one = write_pcap(tmp_path / "one.pcap", [frame for frame in frames if frame.from_server])
    other = write_pcap(tmp_path / "other.pcap", without_servers(frames))
    assert findings(report_of(str(one), str(other))) == {}
    assert findings(report_of(str(one))) == {"one_way": CRITICAL}


def test_the_first_seconds_of_a_capture(tmp_path: Path) -> None:
    capture = write_pcap(tmp_path / "long.pcap", sessions(60))
    assert report_of(str(capture))["traffic"]["frames"] == len(sessions(60))
    first = report_of(str(capture), "--seconds", "1")["traffic"]
    assert first["frames"] == sum(frame.at <= 1 for frame in sessions(60))


def test_the_text_begins_with_the_verdict(tmp_path: Path) -> None:
    done = doctor(str(write_pcap(tmp_path / "mirror.pcap", without_servers(sessions()))))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "The mirror is not fit for a replay: one_way."
    assert "CRITICAL  one_way" in lines
    assert "without_server=20" in done.stdout
    assert "Mend: mirror both directions" in done.stdout
    assert any(line.split()[:2] == ["10.9.0.1:8080", "HTTP"] for line in lines), done.stdout


@pytest.mark.parametrize(
    ("words", "status", "name"),
    [
        ([], USAGE, "--nic"),
        (["--nic", "lo", "file.pcap"], USAGE, "--nic"),
        (["--nic", "lo", "--seconds", "0"], USAGE, "--seconds"),
        (["absent.pcap"], USAGE, "absent.pcap"),
        (["--nic", "nosuch0", "--seconds", "1"], RUN_TIME, "nosuch0"),
    ],
)
def test_refusals(words: list[str], status: int, name: str) -> None:
    done = doctor(*words)
    assert (done.returncode, done.stdout) == (status, ""), done
    assert name in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


class Bench:
    """A box whose mirror NIC is fed by hand."""

    def __init__(self, name: str) -> None:
        self.switch, self.box = Namespace(name, "switch"), Namespace(name, "box")
        link(self.switch, "span", self.box, "mirror0", offloads=False)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Starts a doctor, and waits until it listens."""
        command = self.box.enter(str(binary()), "doctor", "--nic", "mirror0", *words)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 10
        ring = Path(f"/proc/{process.pid}/maps")
        while "socket:[" not in ring.read_text():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.1)
        return process

    def send(self, frames: list[Frame], host: Namespace | None = None, interface: str = "span") -> None:
        """Sends frames, each at its time."""

        def packet_socket() -> socket.socket:
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0))
            sender.bind((interface, ETH_P_ALL))
            return sender

        with (host or self.switch).inside(packet_socket) as sender:
            begin = time.monotonic()
            for frame in frames:
                time.sleep(max(0.0, begin + frame.at - time.monotonic()))
                sender.send(frame.data)

    def look(self, *words: str, frames: list[Frame]) -> Report:
        """What a doctor says of these frames."""
        process = self.start("--json", *words)
        self.send(frames)
        printed, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        report: Report = json.loads(printed)
        return report


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    reap()
    name = lab_name()
    try:
        yield Bench(name)
    finally:
        remove(name)


@pytest.mark.lab
@pytest.mark.parametrize(("mirror", "expected"), MIRRORS, ids=MIRROR_IDS)
def test_live(bench: Bench, mirror: Callable[[list[Frame]], list[Frame]], expected: dict[str, str]) -> None:
    frames = mirror(sessions())
    report = bench.look("--seconds", "3", frames=frames)
    assert findings(report) == expected
    assert report["traffic"]["frames"] == len(frames)
    assert 3.0 <= report["traffic"]["seconds"] < 4.0
    assert report["services"][0]["protocol"] == "http"


@pytest.mark.lab
def test_a_silent_mirror_and_an_ordinary_port(bench: Bench) -> None:
    assert findings(bench.look("--seconds", "1", frames=[])) == {"no_traffic": CRITICAL}
    arp = Frame(0.0, False, b"\xff" * 6 + b"\x02\0\0\0\0\x09" + b"\x08\x06" + b"\0" * 46)
    report = bench.look("--seconds", "1", frames=[arp] * 5)
    assert findings(report) == {"no_traffic": CRITICAL}
    assert "ordinary port" in report["findings"][0]["summary"]


@pytest.mark.lab
def test_what_the_box_itself_sends_on_the_mirror(bench: Bench) -> None:
    process = bench.start("--json", "--seconds", "3")
    own = bytes.fromhex(bench.box.mac("mirror0").replace(":", ""))
    bench.send([Frame(0.0, False, b"\xff" * 6 + own + b"\x88\xb5" + b"\0" * 46)], bench.box, "mirror0")
    bench.send(sessions())
    printed, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    report = json.loads(printed)
    assert findings(report) == {"own_frames": WARNING}
    assert report["findings"][0]["evidence"]["sent_on_mirror_nic"] == 1


@pytest.mark.lab
def test_an_interrupt_ends_the_look_with_a_report(bench: Bench) -> None:
    process = bench.start("--seconds", "600")
    bench.send(sessions())
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=10)
    assert process.returncode == 0, said
    assert time.monotonic() - begin < 2.0
    assert printed.startswith("The mirror is good.\n"), printed


@pytest.mark.lab
@pytest.mark.parametrize("offloads", [True, False])
def test_real_traffic(offloads: bool) -> None:
    """Virtual NICs hand on joined segments with unfinished checksums, which the box copes with. Only where the lab
    itself has lost frames may more be found.
    """
    with Lab(offloads=offloads) as lab:
        backlog = backlog_drops()
        clients = lab.start_loads(
            Load("page", 100, 4, connections=10),
            Load("short", 20, 4, keep_alive=False),
            Load("mib", 5, 4, path="/mib/"),
        )
        command = lab.box_host.enter(str(binary()), "doctor", "--nic", "mirror0", "--seconds", "2", "--json")
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        lab.finish_loads(clients)
        report = json.loads(done.stdout)
        expected = {"super_frames": NOTICE, "bad_checksums": NOTICE} if offloads else {}
        lost = lab.switch_drops() + backlog_drops() - backlog
        found = findings(report)
        if lost:
            found.pop("oversubscribed", None)
        assert found == expected, f"the lab lost {lost} frames; {json.dumps(report)}"
        services = {service["address"]: service for service in report["services"]}
        assert services.keys() == {f"{address}:{ORIGIN_PORT}" for address in ORIGIN_ADDRESSES.values()}
        assert {service["protocol"] for service in services.values()} == {"http"}
        assert 150 <= sum(service["turns"] for service in services.values()) <= 320
        assert lab.trespasses() == []


@pytest.mark.lab
def test_the_page_of_a_run_looks_too() -> None:
    with Lab() as lab:
        box = lab.start_box()
        clients = lab.start_loads(Load("page", 100, 4, connections=10))
        report = json.loads(box.download("/api/v1/doctor?seconds=1"))
        assert {service["protocol"] for service in report["services"]} == {"http"}
        assert CRITICAL not in findings(report).values()
        lab.finish_loads(clients)
        assert box.settle(400)["requests"]["answered"] == 400
        box.stop()
