"""What the command line does with bad input, and how a run ends."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.box import MAP, POOL, binary
from lab.ledger import check_laws
from lab.load import KIB, MIB, Load
from lab.world import Lab

ORIGINS_MAP = "10.100.10.1:11311-10.100.20.31:11511"
USAGE, RUN_TIME = 2, 1


def tapcopy(*words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, str(binary()), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def check_refusal(done: subprocess.CompletedProcess[str], statuses: set[int], *names: str) -> None:
    """One sentence on standard error that names the thing, nothing on standard output, the status of the contract."""
    assert done.returncode in statuses, (done.returncode, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert all(name in lines[0] for name in names), lines[0]
    assert not re.search(r"panicked|backtrace|Os \{|Err\(", lines[0]), lines[0]


def run_flags(
    *, mirror: str = "mirror0", target: str = "target0", pool: str = POOL, maps: tuple[str, ...] = (MAP,)
) -> list[str]:
    flags = ["run", "--mirror-nic", mirror, "--target-nic", target, "--pool", pool, "--listen", "127.0.0.1:8089"]
    return [*flags, *(word for one in maps for word in ("-x", one))]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """An empty capture, in the classic format."""
    path = tmp_path / "empty.pcap"
    path.write_bytes(bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000"))
    return path


@pytest.mark.lab
@pytest.mark.parametrize(
    ("flags", "statuses", "names"),
    [
        (run_flags(mirror="nosuch0"), {USAGE, RUN_TIME}, ("nosuch0",)),
        (run_flags(target="nosuch1"), {USAGE, RUN_TIME}, ("nosuch1",)),
        (run_flags(maps=("10.100.20.31:11511-10.100.20.31:11511",)), {USAGE}, ("10.100.20.31:11511",)),
        (run_flags(maps=(ORIGINS_MAP, "10.100.20.31:11511-10.100.20.32:80")), {USAGE}, ("10.100.20.31:11511",)),
        (run_flags(maps=("11311=10.100.20.31:11511",)), {USAGE}, ("11311=10.100.20.31:11511",)),
        (run_flags(maps=("11311-10.100.20.31",)), {USAGE}, ("11311-10.100.20.31",)),
        (run_flags(maps=("99999-10.100.20.31:11511",)), {USAGE}, ("99999",)),
        (run_flags(pool="10.100.20.100-10.100.21.200/24"), {USAGE}, ("10.100.21.200",)),
        (run_flags(pool="10.100.20.200-10.100.20.100/24"), {USAGE}, ("10.100.20.200",)),
        (run_flags(pool="10.100.20.100"), {USAGE}, ("10.100.20.100",)),
        ([*run_flags(), "-F", "tcp prot 80"], {USAGE}, ("tcp prot 80",)),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)  # fmt: skip
def test_run_refuses(lab: Lab, tmp_path: Path, flags: list[str], statuses: set[int], names: tuple[str, ...]) -> None:
    data, summary = tmp_path / "data", tmp_path / "summary.json"
    done = tapcopy(*flags, "--data", str(data), "--summary", str(summary), before=tuple(lab.box_host.enter()))
    check_refusal(done, statuses, *names)
    assert not summary.exists()


@pytest.mark.lab
def test_run_without_permission(lab: Lab, tmp_path: Path) -> None:
    program = lab.folder / "tapcopy"
    shutil.copy(binary(), program)
    stranger = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all")
    flags = [*run_flags(), "--data", str(lab.folder / "stranger")]
    done = subprocess.run(
        lab.box_host.enter(*stranger, str(program), *flags), capture_output=True, text=True, timeout=20, check=False
    )
    check_refusal(done, {USAGE, RUN_TIME})


@pytest.mark.parametrize("command", ["rehearse", "replay"])
@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "empty"), (b"#!/bin/sh\necho no capture\n" * 10, "text"), (bytes.fromhex("d4c3b2a1 0200 0400"), "cut")],
    ids=["empty", "text", "cut"],
)
def test_a_file_that_is_no_capture(tmp_path: Path, command: str, content: bytes, what: str) -> None:
    file = tmp_path / f"{what}.pcap"
    file.write_bytes(content)
    flags = ["-x", ORIGINS_MAP]
    if command == "replay":
        flags += ["--target-nic", "lo", "--pool", POOL]
    check_refusal(tapcopy(command, str(file), *flags), {USAGE, RUN_TIME}, file.name)


def test_a_capture_cut_within_a_frame(capture: Path) -> None:
    frame_header = (0).to_bytes(8, "little") + (60).to_bytes(4, "little") * 2
    capture.write_bytes(capture.read_bytes() + frame_header + b"\0" * 20)
    done = tapcopy("rehearse", str(capture), "-x", ORIGINS_MAP)
    assert done.returncode in {USAGE, RUN_TIME}
    assert capture.name in done.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    check_refusal(tapcopy("rehearse", str(tmp_path / "absent.pcap"), "-x", MAP), {USAGE, RUN_TIME}, "absent.pcap")


def test_a_capture_without_a_frame_is_rehearsed(capture: Path) -> None:
    done = tapcopy("rehearse", str(capture), "-x", ORIGINS_MAP, "--summary", "-")
    assert done.returncode == 0, done.stderr
    check_laws(json.loads(done.stdout), ended=True)


def test_check_names_every_fault_with_its_field(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(
        'schema_version = 1\ncolour = "blue"\n[nics]\nmirror = ["mirror0"]\ntarget = "target0"\n'
        '[addressing]\nmode = "pool"\npool = ["10.100.20.100-10.100.99.200/24"]\n'
        '[[service]]\nname = "ads"\norigins = ["10.100.10.1:11311"]\ntargets = ["10.100.10.1:11311"]\n'
    )
    done = tapcopy("check", "--settings", str(settings))
    assert done.returncode == USAGE, done.stderr
    for word in ("colour", "pool", "targets"):
        assert word in done.stderr, f"{word} is not among the faults: {done.stderr}"


def test_check_accepts_good_settings(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(
        'schema_version = 1\n[nics]\nmirror = ["mirror0"]\ntarget = "target0"\n'
        '[addressing]\nmode = "pool"\npool = ["10.100.20.100-10.100.20.200/24"]\n'
        '[[service]]\nname = "ads"\norigins = ["10.100.10.1:11311"]\ntargets = ["10.100.20.31:11511"]\n'
    )
    done = tapcopy("check", "--settings", str(settings))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["--nonsense"], ["fly"], ["run", "--speed", "9"], ["rehearse"]])
def test_bad_usage(words: list[str]) -> None:
    done = tapcopy(*words)
    assert done.returncode == USAGE
    assert done.stdout == ""
    assert done.stderr


def test_help_names_every_command() -> None:
    done = tapcopy("--help")
    assert done.returncode == 0
    for command in ("run", "replay", "rehearse", "doctor", "records", "check"):
        assert re.search(rf"^\s+{command}\b", done.stdout, re.M), done.stdout


@pytest.mark.lab
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_in_time_with_a_summary(number: signal.Signals) -> None:
    """In the middle of traffic, long bodies among it; `Box.stop` holds it to five seconds and status 0."""
    with Lab() as lab:
        box = lab.start_box()
        clients = lab.start_loads(
            Load("page", 300, 5, connections=20),
            Load("post", 5, 5, connections=2, path="/post/", body_bytes=MIB),
            Load("short", 50, 5, keep_alive=False),
        )
        while len(lab.asked()) < 300:
            assert clients.running()
        summary = box.stop(number)
        check_laws(summary, ended=True)
        assert summary["requests"]["captured"] >= 250
        lab.finish_loads(clients)


@pytest.mark.lab
def test_the_page_answers_hostile_requests_and_the_run_goes_on() -> None:
    with Lab() as lab:
        box = lab.start_box()
        for garbage in (b"", b"\r\n\r\n", b"GET", os.urandom(64 * KIB), b"GET / HTTP/1.1\r\nHost: " + b"x" * 256 * KIB):
            with lab.box_host.connect(("127.0.0.1", 8080)) as stranger:
                try:
                    stranger.sendall(garbage)
                except ConnectionError:
                    continue
        lab.run_loads(Load("page", 100, 1, connections=5))
        assert box.settle(100)["requests"]["answered"] == 100
        box.stop()
