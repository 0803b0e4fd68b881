"""A box that begins empty: it waits with its page, and takes its first settings, and others, while it runs."""

import json

import pytest

from lab.box import POOL, Box, wired_settings
from lab.load import Load
from lab.world import ORIGIN_PORT, TARGET_ADDRESS, TARGET_PORT, Lab

pytestmark = pytest.mark.lab


def settings(mirror: list[str], nics: str = "") -> str:
    return wired_settings(ORIGIN_PORT, f"{TARGET_ADDRESS}:{TARGET_PORT}", mirror=mirror, nics=nics)


def load(lab: Lab, box: Box, name: str, expected: int) -> None:
    lab.run_loads(Load(name, 300, 1.5, connections=5))
    box.settle(expected)


def test_settings_come_and_change_while_the_box_runs() -> None:
    with Lab(split_mirror=True) as lab:
        box = lab.start_box(empty=True)
        assert box.health()["status"] == "idle"
        both = ["mirror0", "mirror1"]
        refused = box.change(settings(["mirror0", "nosuch0"]))
        assert "nosuch0" in str(refused["error"])
        box.ask("POST", "/api/v1/settings/revert")
        assert box.health()["status"] == "idle"

        assert box.change(settings(both))["number"] == 1
        assert box.health()["status"] == "ok"
        load(lab, box, "first", 450)
        # Other interfaces are other shards; what the earlier ones counted stays.
        assert box.change(settings(list(reversed(both))))["number"] == 2
        load(lab, box, "second", 900)

        wrong = lab.audit(box, box.stop())
        assert not wrong, "\n".join(wrong)


def test_a_target_is_tried_before_there_are_settings() -> None:
    with Lab() as lab:
        box = lab.start_box(empty=True)

        def tried(target: str) -> str:
            body = json.dumps({"target": target, "nic": "target0", "pool": [POOL]})
            return str(box.ask("POST", "/api/v1/target/test", body, {"Content-Type": "application/json"})["outcome"])

        assert tried("10.100.20.31:11511") == "reached"
        assert tried("10.100.20.31:9") == "refused"
        assert tried("10.100.20.77:80") == "no_link_answer"
        lab.black_hole(on=True)
        assert tried("10.100.20.31:11511") == "no_answer"
        assert lab.replayed() == []
        box.stop()


def test_the_mirror_is_silent_while_it_is_read_and_as_before_afterwards() -> None:
    def state(lab: Lab) -> tuple[set[str], str]:
        (shown,) = json.loads(lab.box_host.ip("-j", "link", "show", "mirror0"))
        return set(shown["flags"]) & {"NOARP", "MULTICAST"}, lab.box_host.run("ethtool", "-k", "mirror0")

    with Lab() as lab:
        lab.box_host.run("ethtool", "-K", "mirror0", "gro", "on")
        before = state(lab)
        assert before[0] == {"MULTICAST"}
        box = lab.start_box(empty=True)
        assert state(lab) == before
        # The second settings open the mirror anew while the first still hold it.
        for queue in (8, 16):
            answer = box.change(settings(["mirror0"], f"buffer_mib = {queue}"))
            assert "error" not in answer, answer
            flags, features = state(lab)
            assert flags == {"NOARP"}
            assert "generic-receive-offload: off" in features
        box.stop()
        assert state(lab) == before


def test_stored_settings_that_cannot_be_used_yet() -> None:
    with Lab() as lab:
        box = lab.start_box(empty=True)
        assert box.change(settings(["mirror0"]))["number"] == 1
        box.stop()
        lab.box_host.ip("link", "set", "target0", "down")
        box.process = type(box.process)(lab.box_host, box.command, lab.folder / "again.log")
        box.ready()
        assert box.health()["status"] == "failed"
        assert "ip link set target0 up" in str(box.health()["message"])
        lab.box_host.ip("link", "set", "target0", "up")
        box.process.wait_for("the settings can be used now", timeout=8)
        load(lab, box, "late", 450)
        wrong = lab.audit(box, box.stop())
        assert not wrong, "\n".join(wrong)


def test_no_frame_is_lost_while_filters_change() -> None:
    """Single segments, so many that no pause of a filter stays unseen."""
    answers = Load("mib", 20, 4, connections=4, path="/mib/")
    filters = [f"filter = '{filter}'" for filter in ("tcp", "tcp or udp")]
    with Lab(offloads=False) as lab:
        box = lab.start_box(empty=True)
        box.change(settings(["mirror0"]))
        clients = lab.start_loads(answers)
        changes = 0
        while clients.running():
            assert "error" not in box.change(settings(["mirror0"], filters[changes % 2]))
            changes += 1
        lab.finish_loads(clients)
        box.settle(answers.requests)
        wrong = lab.audit(box, box.stop())
        assert not wrong, "\n".join(wrong)
        assert changes > 10
