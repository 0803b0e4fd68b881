"""What the process has given up by the time it runs, and that it still does all that it is there for."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.box import Box, wired_settings
from lab.netns import Namespace, lab_name, link

pytestmark = pytest.mark.lab

NETWORK = 1 << 12 | 1 << 13
"""CAP_NET_ADMIN and CAP_NET_RAW."""


def wait_for(what: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def statuses(box: Box) -> dict[str, dict[str, str]]:
    """What the kernel says of each thread."""
    threads: dict[str, dict[str, str]] = {}
    for task in Path(f"/proc/{box.process.pid}/task").iterdir():
        fields = dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.M))
        threads[f"{task.name} {fields['Name']}"] = fields
    return threads


def check_confined(box: Box) -> None:
    threads = statuses(box)
    assert len(threads) > 10
    for name, status in threads.items():
        for held in ("CapPrm", "CapEff", "CapBnd"):
            assert int(status[held], 16) == NETWORK, f"{held} of {name}: {status[held]}"
        for held in ("CapInh", "CapAmb"):
            assert int(status[held], 16) == 0, f"{held} of {name}: {status[held]}"
        assert (status["NoNewPrivs"], status["Seccomp"], status["Seccomp_filters"]) == ("1", "2", "2"), name
    shown: Any = box.ask("GET", "/api/v1/system")["confinement"]
    names = ["CAP_NET_ADMIN", "CAP_NET_RAW"]
    assert (shown["capabilities"], shown["capabilities_bounding"]) == (names, names)
    assert (shown["no_new_privileges"], shown["system_calls"]) == (True, True)
    # Debian's kernels have Landlock; where one has not, the box says why.
    assert shown["files"] in ("whole", "partly") or shown["files_why"]


def test_a_confined_box_does_all_that_it_is_there_for(wired: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    host, wall = wired
    box = Box(host, tmp_path / "box", mirror_nics=(), words=("--confirm-seconds", "1"))
    try:
        box.ready()
        # A box of a claimed page has more threads: shards, archive, workers.
        assert box.change(wired_settings(80))["number"] == 1
        check_confined(box)
        # Interfaces go and come back, and are opened again.
        host.ip("link", "del", "mirror0")
        box.process.wait_for("capture ended")
        link(host, "mirror0", wall, "mirror0", offloads=True)
        box.process.wait_for("capture goes on")
        assert "message" in box.ask("POST", "/api/v1/system/restart")
        assert box.change(wired_settings(81))["number"] == 2
        box.download("/api/v1/captures/start", "POST", '{"seconds": 60}')
        wait_for(lambda: box.ask("GET", "/api/v1/captures")["recording"])
        box.download("/api/v1/captures/stop", "POST")
        # So is a folder for recordings on a disk of its own, and one elsewhere is refused with the mend.
        records = '[record]\ndirectory = "{}"\n'
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        refused: Any = box.change(wired_settings(82) + records.format(elsewhere))["error"]
        assert refused["code"] == "not_started", refused
        assert "/srv" in refused["message"], refused
        box.ask("POST", "/api/v1/settings/revert")
        disk = Path("/srv") / lab_name()
        try:
            assert box.change(wired_settings(82) + records.format(disk))["number"] == 3
        finally:
            shutil.rmtree(disk, ignore_errors=True)
        assert b"origins" in box.download("/api/v1/settings/export")
        assert json.loads(box.download("/api/v1/backup"))["content"]["settings"]["service"]
        check_confined(box)
        # Its end leaves a summary, and the interface as it was.
        box.stop()
        assert "NOARP" not in host.ip("link", "show", "mirror0")
        assert "ERROR" not in box.process.log.read_text()
    finally:
        box.process.kill()
