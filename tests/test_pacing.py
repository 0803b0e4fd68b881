"""When requests are sent: pauses kept, slow targets told, and every manner of answering comes to its end in time."""

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
from test_protocols import settle

from lab import capture
from lab.box import Box, Replay
from lab.capture import Session, one_by_one, stamped
from lab.ledger import Ledger, broken_laws, losses
from lab.process import Process
from lab.servers import Server, ServerLab
from lab.world import TARGET_ADDRESS

pytestmark = pytest.mark.lab

TESTS = Path(__file__).parent

THINKING = """
import http.client, sys, time
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]))
for number in range(int(sys.argv[4])):
    connection.request("GET", f"{sys.argv[3]}?{number}")
    connection.getresponse().read()
    time.sleep(float(sys.argv[5]))
"""

PIPELINED = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(b"".join(b"GET /page?piped=%d HTTP/1.1\\r\\nHost: o\\r\\n\\r\\n" % n for n in range(10)))
    got = b""
    while got.count(b"HTTP/1.1 200 OK") < 10 or not got.endswith(bytes(range(256))[:44]):
        got += connection.recv(65536)
"""

HALF_CLOSED = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(b"GET /page?half HTTP/1.1\\r\\nHost: o\\r\\n\\r\\n")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass
"""

SLOWLY = """
import http.client, sys, time
def pieces():
    for number in range(12):
        yield b"piece %d\\n" % number
        time.sleep(0.5)
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]))
chunked = {"Transfer-Encoding": "chunked"}
connection.request("POST", "/store?slowly", body=pieces(), encode_chunked=True, headers=chunked)
print(connection.getresponse().read().decode())
"""

TALKING = """
import asyncio, sys
from websockets.asyncio.client import connect

async def main():
    async with connect(f"ws://{sys.argv[1]}:{sys.argv[2]}/talk", ping_interval=None) as connection:
        got = []
        async def listen():
            async for message in connection:
                got.append(message)
        listening = asyncio.create_task(listen())
        for number in range(20):
            await connection.send(f"message {number}" if number % 2 else bytes([number]) * 1000)
            if number % 5 == 0:
                await (await connection.ping())
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)
    assert len(got) == 25, got

asyncio.run(main())
"""

MAILING = """
import smtplib, sys
for number in range(3):
    with smtplib.SMTP(sys.argv[1], int(sys.argv[2])) as server:
        server.sendmail("a@example.org", ["b@example.org"], f"Subject: {number}\\r\\n\\r\\n" + "line\\r\\n" * 500)
"""


def paced(delay_s: float = 0.0) -> Callable[[str, int, Path], list[str]]:
    """A server of every manner; the target's /slow takes longer by `delay_s`."""

    def kind(address: str, port: int, folder: Path) -> list[str]:
        delay = delay_s if address == TARGET_ADDRESS else 0.0
        program = ["env", f"PYTHONPATH={TESTS}", sys.executable, "-m", "lab.paced"]
        return [*program, address, str(port), str(folder), str(delay)]

    return kind


def start_box(lab: ServerLab) -> Box:
    """A box that has asked its network for its addresses: before that, sessions wait."""
    box = lab.start_box()
    time.sleep(1.5)
    return box


def script(lab: ServerLab, program: str, *words: str) -> Process:
    """Starts a client's program."""
    server = lab.origin_server
    command = [sys.executable, "-c", program, server.address, str(server.port), *words]
    return Process(lab.clients, command, lab.folder / f"client{time.monotonic_ns()}.log")


def curl(lab: ServerLab, path: str, *words: str) -> Process:
    url = f"http://{lab.origin_server.address}:{lab.origin_server.port}{path}"
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", *words, url]
    return Process(lab.clients, command, lab.folder / f"curl{time.monotonic_ns()}.log")


def finish(*clients: Process, status: int = 0) -> None:
    for client in clients:
        assert client.wait(30.0) == status, client.last_words()


def served(server: Server) -> list[tuple[float, str]]:
    """What nginx logged: when, and what was asked."""
    lines = (server.folder / "access.log").read_text().splitlines()
    return [(float(line.split()[0]), line.split()[3]) for line in lines]


def gaps(server: Server, path: str) -> list[float]:
    times = [at for at, asked in served(server) if asked.startswith(path)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def check_complete(lab: ServerLab, ledger: Ledger, count: int, explanation: str) -> None:
    assert not broken_laws(ledger, ended=True), explanation
    assert not losses(ledger), explanation
    assert ledger["requests"]["captured"] == ledger["requests"]["answered"] == count, explanation
    assert not lab.trespasses()


def test_pauses_are_kept() -> None:
    """A client thinks for 200 ms; the target sees the same, live and in captures at several speeds."""
    with ServerLab(paced()) as lab:
        box = start_box(lab)
        finish(script(lab, THINKING, "/page", "10", "0.2"))
        settle(box)
        ledger = box.stop()
        check_complete(lab, ledger, 10, lab.explain(box, ledger))
        live, origin = gaps(lab.target_server, "/page"), gaps(lab.origin_server, "/page")
        assert len(live) == 9
        assert abs(median(live) - median(origin)) < 0.01, (live, origin)
        assert max(abs(a - b) for a, b in zip(live, origin, strict=True)) < 0.05, (live, origin)
        assert ledger["backlog"]["requests_late"] == 0, ledger

        # Three frames for each request, 50 ms apart.
        file = lab.folder / "thinking.pcap"
        thinking = Session(0, tuple(f"/page?replayed.{turn}" for turn in range(12)))
        capture.write(file, stamped(one_by_one([thinking]), step_us=50_000))
        ledger = Replay(lab.box_host, lab.folder / "replay", file, "--speed", "2").finish()
        assert ledger["backlog"]["requests_late"] == 0, ledger
        found = gaps(lab.target_server, "/page?replayed.")
        assert len(found) == 11
        assert abs(median(found) - 0.075) < 0.01, found
        assert 0.05 < min(found) <= max(found) < 0.1, found


def test_every_manner_of_answering_over_http() -> None:
    """All at once, each on connections of its own; nothing hangs, and every answer matches."""
    with ServerLab(paced()) as lab:
        big = lab.origin_server.folder / "root" / "big"
        box = start_box(lab)
        upload = ["-T", str(big), "-H", "Expect:"]
        finish(
            curl(lab, "/poll?5"),
            curl(
                lab,
                "/store?chunked",
                "-X",
                "POST",
                "-H",
                "Transfer-Encoding: chunked",
                "--data-binary",
                "@/etc/services",
            ),
            curl(lab, "/store?continue", "-H", "Expect: 100-continue", "--data-binary", "@/etc/services"),
            curl(lab, "/closing", "-0"),
            script(lab, SLOWLY),
            script(lab, PIPELINED),
            script(lab, HALF_CLOSED),
        )
        finish(curl(lab, "/store?upload", *upload))
        finish(curl(lab, "/big"))
        events = curl(lab, "/events", "--max-time", "2")
        assert events.wait(10.0) == 28
        settle(box)
        ledger = box.stop()
        explanation = lab.explain(box, ledger)
        assert not broken_laws(ledger, ended=True), explanation
        # The events had no end: the client left them, at the origin and at the target.
        assert losses(ledger) == {"not_answered.client_aborted": 1}, explanation
        assert ledger["requests"]["captured"] == 19, explanation
        assert ledger["verdicts"]["match"] == 18, explanation
        origin, target = served(lab.origin_server), served(lab.target_server)
        assert sorted(path for _, path in origin) == sorted(path for _, path in target), explanation


def test_a_websocket_behind_nginx() -> None:
    """Both directions at once: the target is told what the origin was told, word for word, and unmasks it."""
    with ServerLab(paced()) as lab:
        box = start_box(lab)
        finish(script(lab, TALKING), script(lab, TALKING))
        settle(box)
        ledger = box.stop()
        explanation = lab.explain(box, ledger)
        assert not broken_laws(ledger, ended=True), explanation
        assert not losses(ledger), explanation
        told = [(server.folder / "told.log").read_text() for server in (lab.origin_server, lab.target_server)]
        assert sorted(told[0].splitlines()) == sorted(told[1].splitlines()), explanation
        assert len(told[0].splitlines()) == 40
        assert ledger["requests"]["captured"] == ledger["requests"]["answered"] >= 2 * 20, explanation
        assert ledger["verdicts"]["match"] > 0, explanation


def test_a_target_slower_than_the_origin_is_told() -> None:
    """It takes 0.3 s for each answer: pauses are kept until the session is behind, then shortened; the box says so."""
    with ServerLab(paced(delay_s=0.3)) as lab:
        box = start_box(lab)
        client = script(lab, THINKING, "/slow", "15", "0.1")
        behind, waiting = 0, 0
        while client.running() or box.ledger()["requests"]["in_progress"]:
            backlog = box.ledger()["backlog"]
            behind, waiting = max(behind, backlog["sessions_behind"]), max(waiting, backlog["requests_waiting"])
            time.sleep(0.2)
        metrics = box.get("/metrics").decode()
        ledger = box.stop()
        explanation = lab.explain(box, ledger)
        check_complete(lab, ledger, 15, explanation)
        assert ledger["verdicts"]["match"] == 15, explanation
        assert behind == 1, explanation
        assert waiting > 2, explanation
        assert ledger["backlog"]["requests_late"] >= 10, explanation
        assert 2_000_000 < ledger["backlog"]["lag_us_max"] < 5_000_000, explanation
        assert ledger["backlog"]["sessions_behind"] == ledger["backlog"]["requests_waiting"] == 0, explanation
        assert f"tapcopy_requests_late_total {ledger['backlog']['requests_late']}\n" in metrics
        assert "The target is slower than the origin" in box.process.last_words(40)
        found = gaps(lab.target_server, "/slow")
        assert 0.33 < found[0] < 0.43, found
        assert max(found[5:]) < 0.35, found


def test_a_server_that_speaks_first() -> None:
    """Mail, whose server greets: turn by turn, without a framer."""

    def kind(address: str, port: int, folder: Path) -> list[str]:
        del folder
        return [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"{address}:{port}", "-c", "aiosmtpd.handlers.Sink"]

    with ServerLab(kind) as lab:
        box = start_box(lab)
        finish(script(lab, MAILING))
        settle(box)
        ledger = box.stop()
        explanation = lab.explain(box, ledger)
        check_complete(lab, ledger, ledger["requests"]["turns"], explanation)
        assert ledger["verdicts"]["match"] == ledger["requests"]["captured"] >= 3 * 6, explanation
