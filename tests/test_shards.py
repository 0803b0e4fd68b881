"""The traffic shared out: to the shards of a box, and to boxes that are fed with the same mirror."""

import contextlib
import os
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from lab.box import Box, binary
from lab.check import differences, duplicates
from lab.ledger import broken_laws
from lab.load import KIB, Load
from lab.packets import ETHERNET, WRAPPINGS, conversation
from lab.process import Process
from lab.world import TARGET_ADDRESS, TARGET_PORT, Lab

pytestmark = pytest.mark.lab

LOADS = [
    Load("page", 300, 3, connections=30),
    Load("short", 60, 3, keep_alive=False),
    Load("post", 20, 3, connections=4, path="/post/", body_bytes=64 * KIB),
]
PORTS_EACH = 6


def settings(folder: Path, head: str, pool: str = "100-10.100.20.119", origin: str = "*:11311") -> Path:
    """A settings file, with these keys before its first section."""
    folder.mkdir(exist_ok=True)
    file = folder / "settings.toml"
    file.write_text(
        f"schema_version = 1\n{head}\n[nics]\nmirror = ['mirror0']\ntarget = 'target0'\n"
        f"[addressing]\npool = ['10.100.20.{pool}/24']\n"
        f"[[service]]\norigins = ['{origin}']\ntargets = ['{TARGET_ADDRESS}:{TARGET_PORT}']\n"
    )
    return file


def shards_of(box: Box) -> list[dict[str, int | str]]:
    """What its snapshot says of its shards."""
    shards = box.ask("GET", "/api/v1/snapshot")["shards"]
    assert isinstance(shards, list)
    return shards


def threads_of(pid: int) -> dict[str, set[int]]:
    """The process's shards by name, each with the processors that it may run on."""
    tasks = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    names = {tid: Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip() for tid in tasks}
    return {name: os.sched_getaffinity(tid) for tid, name in names.items() if name.startswith("shard-")}


def test_two_shards_replay_every_request_once() -> None:
    expected = sum(load.requests for load in LOADS)
    with Lab() as lab:
        box = lab.start_box(settings(lab.folder / "set", "shards = 2"))
        lab.run_loads(*LOADS)
        box.settle(expected)
        time.sleep(1.1)  # Each shard publishes once a second.
        shards = shards_of(box)
        threads = threads_of(box.process.pid)
        summary = box.stop()
        wrong = lab.audit(box, summary)
        assert not wrong, "\n".join(wrong)
    assert [shard["name"] for shard in shards] == ["shard-0", "shard-1"] == sorted(threads)
    for shard in shards:
        assert threads[str(shard["name"])] == {shard["processor"]}
        assert int(shard["frames"]) > summary["frames"]["received"] / 5, "a shard has next to nothing"
    assert sum(int(shard["frames"]) for shard in shards) == summary["frames"]["received"]


def test_whatever_the_mirror_wraps_frames_in_reaches_its_shard() -> None:
    """Tags, which the kernel tells beside the frame, labels, tunnels, fragments: each session is one shard's."""
    wraps = [wrap for link, wrap in WRAPPINGS.values() if link == ETHERNET]
    with Lab() as lab, contextlib.ExitStack() as ends:
        box = lab.start_box(settings(lab.folder / "set", "shards = 2", origin="*:8080"))
        end = lab.switch.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        ends.callback(end.close)
        lab.switch.inside(lambda: end.bind(("span", 0)))
        for number, wrap in enumerate(wraps * PORTS_EACH):
            for segment in conversation(port=40_000 + 7 * number, largest=1200):
                for frame in wrap(segment):
                    end.send(frame)
            time.sleep(0.005)
        expected = 4 * len(wraps) * PORTS_EACH
        box.settle(expected)
        shards = shards_of(box)
        summary = box.stop()
        assert not broken_laws(summary, ended=True)
        requests = summary["requests"]
        assert (requests["captured"], requests["answered"]) == (expected, expected), lab.explain(box, summary)
        assert len(lab.replayed(expected)) == expected
        assert summary["sessions"]["opened"] == len(wraps) * PORTS_EACH
        assert summary["frames"]["ignored"]["other_share"] > 0, "what is wrapped reaches both shards"
        assert all(int(shard["frames"]) for shard in shards)


def break_ring(lab: Lab, box: Box, shard: str) -> Process:
    """Lets the kernel refuse a shard's next look at its ring, as if the descriptor were none any more."""
    tasks = Path(f"/proc/{box.process.pid}/task").iterdir()
    [tid] = [task.name for task in tasks if (task / "comm").read_text().strip() == shard]
    refusing = ["strace", "-p", tid, "-e", "inject=poll:error=EBADF:when=1", "-e", "trace=poll"]
    return Process(lab.box_host, refusing, lab.folder / "strace.log")


def test_a_shard_whose_ring_fails_loses_frames_of_its_share_and_of_no_other() -> None:
    """Within two seconds it has another; the shard beside it does not notice."""
    load = Load("page", 300, 4, connections=40)
    with Lab() as lab:
        box = lab.start_box(settings(lab.folder / "set", "shards = 2"))
        clients = lab.start_loads(load)
        time.sleep(1.0)
        refusal = break_ring(lab, box, "shard-0")
        refusal.wait_for("EBADF")
        refusal.stop()
        lab.finish_loads(clients)
        box.settle(load.requests, timeout=2.0)
        asked, replayed = lab.asked(load.requests), lab.replayed()
        ledger = box.stop()
        explanation = lab.explain(box, ledger)
        assert not broken_laws(ledger, ended=True), explanation
        assert ledger["verdicts"]["differ"] == 0, explanation
        log = box.process.last_words(60)
        assert (log.count("capture ended"), log.count("capture goes on")) == (1, 1), log
        arrived = {request.url for request in replayed}
        of_client = Counter(request.client for request in asked)
        kept = Counter(request.client for request in asked if request.url in arrived)
        untouched = [client for client, count in of_client.items() if kept[client] == count]
        assert len(of_client) / 5 < len(untouched) < len(of_client) * 4 / 5, (of_client, kept)
        assert all(kept[client] for client in of_client), "a session goes on when its shard has a ring again"
        assert not duplicates(replayed), explanation
        assert not lab.trespasses()


def test_two_boxes_on_one_mirror_replay_every_request_once() -> None:
    """Here they share their NICs, too."""
    expected = sum(load.requests for load in LOADS)
    with Lab() as lab:
        first = lab.start_box(settings(lab.folder / "set1", "shard = '1/2'"))
        summary_file = lab.folder / "set2" / "summary.json"
        second_settings = settings(lab.folder / "set2", "shard = '2/2'\nshards = 2", pool="120-10.100.20.139")
        words = [
            "run",
            "--settings",
            str(second_settings),
            "--summary",
            str(summary_file),
            "--listen",
            "127.0.0.1:8081",
        ]
        second = Process(lab.box_host, [str(binary()), *words], lab.folder / "second.log")
        try:
            second.wait_for("the page is on")
            lab.run_loads(*LOADS)
            first.settle(expected // 3)
            asked = lab.asked(expected)
            replayed = lab.replayed(expected)
            mine = first.stop()["requests"]
            assert second.stop(timeout=8.0, first=signal.SIGTERM) == 0, second.last_words()
        finally:
            second.kill()
        wrong = [*differences(asked, replayed), *lab.trespasses()]
        assert not wrong, "\n".join(wrong)
        assert expected / 5 < mine["captured"] < expected * 4 / 5
        assert f'"captured": {expected - mine["captured"]},' in summary_file.read_text()
