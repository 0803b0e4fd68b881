"""Captures replayed against a real server: nothing is lost, however slow the server or large the capture."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import capture
from lab.box import MAP, POOL, Replay, binary
from lab.capture import Session, one_by_one, side_by_side, stamped
from lab.ledger import Ledger, check_laws, lost
from lab.load import MIB
from lab.world import TARGET_ADDRESS, TARGET_PORT, Lab

lab = pytest.mark.lab

MEMORY_MAX_KIB = 192 * 1024
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def pages(first: int, sessions: int, requests: int = 1, *, opens: bool = True) -> list[Session]:
    """Sessions whose every request has a path of its own."""
    numbers = range(first, first + sessions)
    return [
        Session(number, tuple(f"/get/{number}.{turn}" for turn in range(requests)), opens=opens) for number in numbers
    ]


def check_complete(ledger: Ledger, requests: int) -> None:
    check_laws(ledger, ended=True)
    counts = ledger["requests"]
    assert counts["captured"] == counts["replayed"] == counts["answered"] == requests, ledger
    assert lost(ledger) == 0, ledger


@contextlib.contextmanager
def slow_server(world: Lab, answer_s: float) -> Iterator[list[bytes]]:
    """A server on the target host that takes its time for each answer, on all connections at once; gives the request
    lines in the order in which it reads them.
    """
    asked: list[bytes] = []
    listener = world.target_host.inside(
        lambda: socket.create_server((TARGET_ADDRESS, TARGET_PORT + 1), backlog=4096, reuse_port=True)
    )

    def serve(connection: socket.socket) -> None:
        with connection:
            waiting = b""
            while more := connection.recv(65_536):
                waiting += more
                while b"\r\n\r\n" in waiting:
                    request, _, waiting = waiting.partition(b"\r\n\r\n")
                    asked.append(request.partition(b"\r\n")[0])
                    time.sleep(answer_s)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@lab
@pytest.mark.parametrize("speed", ["1", "max"])
def test_a_slow_server_gets_every_request_in_order(world: Lab, tmp_path: Path, speed: str) -> None:
    """1,500 sessions at once with three requests each, 0.3 s for each answer: far more than may wait for a target."""
    sessions, turns = 1_500, 3
    file = tmp_path / "many.pcap"
    capture.write(file, stamped(side_by_side(pages(0, sessions, turns))))
    with slow_server(world, 0.3) as asked:
        slow = MAP.replace(str(TARGET_PORT), str(TARGET_PORT + 1))
        ledger = Replay(world.box_host, tmp_path / "slow", file, "--speed", speed, target_map=slow).finish()
    check_complete(ledger, sessions * turns)
    assert len(asked) == len(set(asked)) == sessions * turns
    turn_of: dict[bytes, int] = {}
    for line in asked:
        number, turn = line.split()[1].removeprefix(b"/get/").split(b".")
        assert int(turn) == turn_of.get(number, 0), "the order within a connection is kept"
        turn_of[number] = int(turn) + 1


@lab
def test_one_connection_with_more_requests_than_a_session_may_hold(world: Lab, tmp_path: Path) -> None:
    file = tmp_path / "one.pcap"
    capture.write(file, stamped(one_by_one(pages(0, 1, 9_000))))
    ledger = Replay(world.box_host, tmp_path / "one", file, "--speed", "max").finish()
    check_complete(ledger, 9_000)


@lab
@pytest.mark.parametrize(("speed", "seconds"), [("1", 3.0), ("3", 1.0), ("0.5", 6.0)])
def test_production_s_own_pace_and_its_multiples(world: Lab, tmp_path: Path, speed: str, seconds: float) -> None:
    file = tmp_path / "three_seconds.pcap"
    frames = capture.write(file, stamped(one_by_one(pages(0, 100)), step_us=3_000))
    begin = time.monotonic()
    ledger = Replay(world.box_host, tmp_path / "replay", file, "--speed", speed).finish()
    took = time.monotonic() - begin
    check_complete(ledger, 100)
    assert frames == 900 == ledger["frames"]["received"]
    # The box asks for its addresses first.
    assert seconds * 0.85 < took < seconds * 0.9 + 2.5, f"{took:.1f} s"


@lab
def test_an_hour_of_silence_takes_no_time_at_full_speed(world: Lab, tmp_path: Path) -> None:
    file = tmp_path / "night.pcap"
    sessions = pages(0, 10, requests=2)
    frames = list(side_by_side(sessions))
    half = len(frames) // 2
    early, late = stamped(frames[:half]), stamped(frames[half:], begin_us=HOUR_US)
    capture.write(file, [*early, *late])
    begin = time.monotonic()
    ledger = Replay(world.box_host, tmp_path / "replay", file, "--speed", "max").finish()
    assert time.monotonic() - begin < 5
    check_complete(ledger, 20)


@lab
def test_rounds_have_sessions_and_addresses_of_their_own(world: Lab, tmp_path: Path) -> None:
    """Also those of a capture that begins in the middle of sessions, and ends before they do."""
    file, rounds = tmp_path / "rounds.pcap", 4
    sessions = [*pages(10_000, 20, 2), *pages(10_500, 20, 2, opens=False)]
    capture.write(file, stamped(side_by_side(sessions)))
    before = len(world.replayed())
    ledger = Replay(world.box_host, tmp_path / "rounds", file, "--speed", "max", "--loop", str(rounds)).finish()
    check_complete(ledger, len(sessions) * 2 * rounds)
    assert ledger["sessions"]["opened"] == len(sessions) * rounds
    replayed = world.replayed(before + len(sessions) * 2 * rounds)[before:]
    assert set(Counter(request.url for request in replayed).values()) == {rounds}
    connections = {request.connection for request in replayed}
    clients = {request.client for request in replayed}
    assert len(clients) == len(connections) == len(sessions) * rounds, "no address and port comes twice"


@lab
def test_the_directions_of_a_tap_and_a_ring_of_files_are_merged(world: Lab, tmp_path: Path) -> None:
    frames = list(stamped(side_by_side(pages(0, 50, 4))))
    files = []
    for direction in (True, False):
        mine = [(at, frame) for at, frame in frames if capture.is_of_origin(frame) == direction]
        for part in range(20):
            files.append(tmp_path / f"{direction}.{part}.pcap")
            capture.write(files[-1], mine[len(mine) * part // 20 : len(mine) * (part + 1) // 20])
    ledger = Replay(world.box_host, tmp_path / "replay", *sorted(files), "--speed", "max").finish()
    check_complete(ledger, 200)
    assert ledger["sessions"]["midstream"] == ledger["sessions"]["gaps"] == 0


@lab
def test_a_large_capture_takes_little_memory(world: Lab, tmp_path: Path) -> None:
    """1 GiB of answers, and a server that answers with as much."""
    file, answers = tmp_path / "large.pcap", 1_024
    capture.write(file, stamped(one_by_one(Session(number, (f"/mib/{number}",), MIB) for number in range(answers))))
    run = Replay(world.box_host, tmp_path / "replay", file, "--speed", "max")
    most = 0
    while run.process.running():
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{run.process.pid}/status").read_text()
            most = max(most, int(status.split("VmHWM:")[1].split()[0]))
        time.sleep(0.1)
    file.unlink()
    check_complete(run.finish(), answers)
    assert 0 < most < MEMORY_MAX_KIB, f"{most} KiB"


@lab
def test_ctrl_c_gives_the_ledger(world: Lab, tmp_path: Path) -> None:
    file = tmp_path / "long.pcap"
    capture.write(file, stamped(one_by_one(pages(0, 2_000)), step_us=10_000))
    before = len(world.replayed())
    run = Replay(world.box_host, tmp_path / "replay", file)
    while len(world.replayed()) < before + 10:
        assert run.process.running(), run.process.last_words()
        time.sleep(0.05)
    ledger = run.stop(signal.SIGINT)
    check_laws(ledger, ended=True)
    assert 10 <= ledger["requests"]["answered"] < 1_000, ledger
    assert lost(ledger) <= 1, "at most the one that was in flight"


@lab
def test_progress_is_shown_on_a_terminal_and_nowhere_else(world: Lab, tmp_path: Path) -> None:
    file = tmp_path / "progress.pcap"
    capture.write(file, stamped(one_by_one(pages(0, 100)), step_us=3_000))
    flags = ["--target-nic", "target0", "--pool", POOL, "-x", MAP]
    command = world.box_host.enter(str(binary()), "replay", str(file), *flags)
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as shown:
        os.close(theirs)
        screen = b""
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                screen += piece
        assert shown.wait() == 0
    os.close(ours)
    assert screen.count(b"requests answered") >= 4, screen
    assert b"% of" in screen
    assert screen.endswith(b"\r\x1b[K"), "the terminal is left clean"
    hidden = subprocess.run(command, capture_output=True, timeout=30, check=True)
    assert b"\x1b" not in hidden.stderr
    assert b"requests answered" not in hidden.stderr


def rehearse(
    *words: str | Path, stdin: bytes | None = None, user: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [str(binary()), "rehearse", *map(str, words), "-x", MAP]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False, user=user)


def test_standard_input_is_a_capture(tmp_path: Path) -> None:
    file = tmp_path / "some.pcap"
    capture.write(file, stamped(one_by_one(pages(0, 30))))
    done = rehearse("-", stdin=file.read_bytes())
    assert done.returncode == 0, done
    assert b"requests captured                       30" in done.stdout


def test_what_is_whole_of_a_truncated_capture_is_used(tmp_path: Path) -> None:
    file = tmp_path / "cut.pcap"
    capture.write(file, stamped(one_by_one(pages(0, 30))))
    with file.open("r+b") as whole:
        whole.truncate(file.stat().st_size - 10)
    done = rehearse(file)
    assert done.returncode == 0, done
    assert b"requests captured                       30" in done.stdout
    assert b"ends inside a frame" in done.stderr


def test_faults_of_captures_are_told_in_one_sentence(tmp_path: Path) -> None:
    words, empty, secret = tmp_path / "words", tmp_path / "empty", tmp_path / "secret.pcap"
    words.write_text("these are words, and no capture of anything\n")
    empty.touch()
    capture.write(secret, stamped(one_by_one(pages(0, 1))))
    secret.chmod(0)
    nobody = 65_534 if os.geteuid() == 0 else None
    cases = [
        ([tmp_path / "none"], None, "No such file"),
        ([tmp_path], None, "s a directory"),
        ([words], None, "neither a pcap nor a pcapng"),
        ([empty], None, "ends before its first frame"),
        ([Path("-")], None, "ends before its first frame"),
        ([secret], nobody, "ermission denied"),
    ]
    if nobody is not None:
        for folder in (tmp_path, *tmp_path.parents[:-2]):
            folder.chmod(folder.stat().st_mode | 0o055)
    for captures, user, said in cases:
        done = rehearse(*captures, stdin=b"", user=user)
        faults = done.stderr.decode().splitlines()
        assert (done.returncode, len(faults)) == (2, 1), f"{captures}: {done}"
        assert said in faults[0]


def test_a_pipe_is_not_played_twice(tmp_path: Path) -> None:
    flags = ["--target-nic", "lo", "--pool", POOL, "-x", MAP, "--loop", "2"]
    file = tmp_path / "some.pcap"
    capture.write(file, stamped(one_by_one(pages(0, 1))))
    command = [str(binary()), "replay", "-", *flags]
    done = subprocess.run(command, input=file.read_bytes(), capture_output=True, timeout=30, check=False)
    assert done.returncode == 2, done
    assert b"can be read only once" in done.stderr
