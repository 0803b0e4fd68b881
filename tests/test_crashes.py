"""SIGKILL at any moment of a change of the settings: the last confirmed ones are in force, and no others."""

import contextlib
import http.client
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lab.box import Box, wired_settings
from lab.netns import Namespace

pytestmark = pytest.mark.lab

KILLS = int(os.environ.get("KILLS", "12"))
CONFIRM_SECONDS = 1
STEPS = ("stage", "apply", "confirm", "revert", "roll-back")
BEFORE = {"stage": (), "apply": STEPS[:1], "confirm": STEPS[:2], "revert": STEPS[:2], "roll-back": STEPS[:2]}


def start(host: Namespace, folder: Path) -> Box:
    box = Box(host, folder / "box", mirror_nics=(), words=("--confirm-seconds", str(CONFIRM_SECONDS)))
    try:
        box.ready()
    except BaseException:
        box.process.kill()
        raise
    return box


def port_of(document: dict[str, Any]) -> int | None:
    """The number that tells documents apart."""
    services = document.get("service")
    return int(services[0]["origins"][0].removeprefix("*:")) if services else None


def take(box: Box, step: str, port: int) -> None:
    """Takes one step of a change; it has been answered when this returns."""
    if step == "roll-back":
        time.sleep(3 * CONFIRM_SECONDS)
        return
    if step == "stage":
        toml = {"Content-Type": "application/toml"}
        answer = box.ask("PUT", "/api/v1/settings", wired_settings(port), toml)
    else:
        answer = box.ask("POST", f"/api/v1/settings/{step}")
    assert "error" not in answer, f"{step}: {answer}"


def killed_while(box: Box, step: str, port: int, after: float) -> bool:
    """Takes a step, and kills the box after some seconds; whether the step was answered by then."""
    killer = threading.Timer(after, box.process.kill)
    killer.start()
    is_answered = False
    with contextlib.suppress(OSError, http.client.HTTPException):
        take(box, step, port)
        is_answered = step != "roll-back"
    killer.join()
    return is_answered


def test_a_crash_loses_nothing_that_was_confirmed(wired: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    host, _ = wired
    chance = random.Random(KILLS)
    confirmed: int | None = None
    staged: int | None = None
    in_force = 0
    took = dict.fromkeys(STEPS, 0.05) | {"roll-back": 1.6}
    box = start(host, tmp_path)
    for number in range(KILLS):
        step, port = STEPS[number % len(STEPS)], 1_000 + number
        try:
            for earlier in BEFORE[step]:
                begin = time.monotonic()
                take(box, earlier, port)
                took[earlier] = time.monotonic() - begin
            after = chance.uniform(0.9 if step == "roll-back" else 0.0, 1.4 * took[step])
            is_answered = killed_while(box, step, port, after)
        finally:
            box.process.kill()
        box = start(host, tmp_path)
        what = f"kill {number} after {after:.3f} s of {step}, {'answered' if is_answered else 'not answered'}"
        found = port_of(box.ask("GET", "/api/v1/settings"))
        pending: Any = box.ask("GET", "/api/v1/settings/pending")
        waiting = port_of(pending["document"]) if pending["state"] != "none" else None
        # A step that was sent and not answered may have been taken or not.
        allowed = {port} if is_answered else {confirmed, port}
        assert found in (allowed if step == "confirm" else {confirmed}), what
        kept = {"stage": {port} if is_answered else {staged, port}, "apply": {None} if is_answered else {None, port}}
        assert pending["state"] != "applied", what
        assert waiting in kept.get(step, {None}), what
        confirmed, staged = found, waiting
        assert box.health()["shards"] == (0 if confirmed is None else 1), what
        in_force += found == port
    box.process.kill()
    log = box.process.log.read_text()
    assert "ERROR" not in log, log
    assert "taken back" in log
    if KILLS >= 50:
        assert in_force > 0
