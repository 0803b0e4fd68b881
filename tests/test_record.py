"""The mirror recorded while it is replayed: what is chosen can be replayed again, and the disk harms nothing."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.box import MAP, Box, binary
from lab.ledger import Ledger, check_laws
from lab.load import KIB, Load, mixed
from lab.netns import run
from lab.world import ORIGIN_ADDRESSES, ORIGIN_PORT, Lab

pytestmark = pytest.mark.lab

SETTINGS = """
schema_version = 1
[nics]
mirror = ["mirror0"]
target = "target0"
[addressing]
pool = ["10.100.20.100-10.100.20.200/24"]
[record]
directory = "{folder}"
services = ["first"]
file_mib = {file_mib}
total_mib = 10000
[[service]]
name = "other"
origins = [{others}]
targets = ["10.100.20.31:11511"]
[[service]]
name = "first"
origins = [{chosen}]
targets = ["10.100.20.31:11511"]
"""
FIRST, SECOND = (f'"{address}:{ORIGIN_PORT}"' for address in ORIGIN_ADDRESSES.values())
PAGES = Load("page", 300, 4, connections=10)


def start(lab: Lab, folder: Path, *, chosen: str, others: str = '"10.9.9.9:1"', file_mib: int = 100) -> Box:
    settings = lab.folder / "settings.toml"
    settings.write_text(SETTINGS.format(folder=folder, file_mib=file_mib, chosen=chosen, others=others))
    return lab.start_box(settings)


def rehearse(files: list[Path]) -> Ledger:
    command = [str(binary()), "rehearse", *map(str, files), "-x", MAP, "--summary", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    ledger: Ledger = json.loads(done.stdout)
    check_laws(ledger, ended=True)
    return ledger


def frames_of(file: Path, expression: str = "") -> list[str]:
    """The frames of a file as tcpdump sees them."""
    return run("tcpdump", "-nn", "--nano", "-tt", "-r", str(file), *expression.split()).splitlines()


def test_what_is_recorded_can_be_replayed(tmp_path: Path) -> None:
    """In files that follow one another, whole, with the stamps of the mirror."""
    loads = mixed(400, 5)
    total = sum(load.requests for load in loads)
    with Lab() as lab:
        begin = time.time()
        box = start(lab, tmp_path, chosen=f"{FIRST}, {SECOND}", file_mib=5)
        lab.run_loads(*loads)
        box.settle(total)
        summary = box.stop()
        wrong = lab.audit(box, summary)
        assert not wrong, "\n".join(wrong)
    record, files = summary["record"], sorted(tmp_path.iterdir())
    known = summary["frames"]["decoded"] + summary["frames"]["ignored"].get("no_session", 0)
    assert record["frames"] == known, summary
    assert record["dropped"] == {}
    assert len(files) == record["files"] > 2
    assert all(re.fullmatch(r"tapcopy-\d{8}T\d{6}Z-\d{4}\.pcapng", file.name) for file in files)
    assert all(file.stat().st_size < 6 << 20 for file in files), "a chunk beyond 5 MiB at most"
    lines = [line for file in files for line in frames_of(file)]
    assert len(lines) == record["frames"]
    stamps = [float(line.split()[0]) for line in lines]
    assert begin < min(stamps) < max(stamps) < time.time()
    assert any(not line.split()[0].endswith("000") for line in lines), "nanoseconds"
    ledger = rehearse(files)
    assert ledger["requests"]["captured"] == summary["requests"]["captured"] == total
    assert ledger["frames"]["received"] == record["frames"]


def test_only_chosen_services_are_recorded(tmp_path: Path) -> None:
    with Lab() as lab:
        box = start(lab, tmp_path, chosen=FIRST, others=SECOND)
        lab.run_loads(PAGES)
        box.settle(PAGES.requests)
        summary = box.stop()
        chosen = len(lab.origins[0].requests())
    (file,) = tmp_path.iterdir()
    first = next(iter(ORIGIN_ADDRESSES.values()))
    assert frames_of(file, f"not host {first}") == []
    assert summary["requests"]["captured"] == PAGES.requests > chosen > 0
    assert rehearse([file])["requests"]["captured"] == chosen


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=3m", "tapcopy-lab", str(folder))
    try:
        yield folder
    finally:
        run("umount", "-l", str(folder))


def test_a_full_disk_pauses_the_recording_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, Lab() as lab:
        box = start(lab, disk, chosen=f"{FIRST}, {SECOND}", file_mib=1)
        load = Load("post", 50, 4, connections=4, path="/post/", body_bytes=64 * KIB)
        lab.run_loads(load)
        box.process.wait_for("recording pauses")
        full = box.settle(load.requests)
        assert full["record"]["dropped"]["disk_full"] > 0
        kept = sorted(disk.iterdir())
        assert rehearse([file for file in kept if file.suffix == ".pcapng"])["requests"]["captured"] > 0
        for file in kept:
            file.unlink()
        lab.run_loads(Load("page", 100, 8, connections=10))
        box.process.wait_for("recording goes on")
        summary = box.stop()
        wrong = lab.audit(box, summary)
        assert not wrong, "\n".join(wrong)
        assert summary["record"]["frames"] > full["record"]["frames"]
        assert rehearse(sorted(disk.iterdir()))["requests"]["captured"] > 0


def test_a_killed_box_leaves_a_file_that_can_be_read(tmp_path: Path) -> None:
    with Lab() as lab:
        box = start(lab, tmp_path, chosen=f"{FIRST}, {SECOND}")
        lab.run_loads(PAGES)
        box.settle(PAGES.requests)
        # What is recorded is written within a second.
        time.sleep(1.5)
        box.process.send_signal(signal.SIGKILL)
        box.process.wait(5)
        (part,) = tmp_path.iterdir()
        assert part.suffix == ".part"
        assert rehearse([part])["requests"]["captured"] == PAGES.requests
        start(lab, tmp_path, chosen=f"{FIRST}, {SECOND}").stop()
        (file,) = tmp_path.iterdir()
        assert file == part.with_suffix("")
        assert rehearse([file])["requests"]["captured"] == PAGES.requests


def test_a_folder_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    with Lab() as lab:
        settings = lab.folder / "settings.toml"
        settings.write_text(SETTINGS.format(folder="/proc/none", file_mib=1, chosen=FIRST, others=SECOND))
        command = lab.box_host.enter(str(binary()), "run", "--settings", str(settings))
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("tapcopy: record.directory: /proc/none: "), done.stderr
