"""Real traffic through the box: every request of the origins reaches the target once, whole and in order.

Each load is one that the machine carries; `Lab.audit` is the judge, of the replay, of the ledger, and of the box's
silence.
"""

import pytest

from lab.check import differences, duplicates
from lab.load import KIB, MIB, Load, mixed
from lab.world import Lab

pytestmark = pytest.mark.lab

LOADS = {
    "2,000 pages a second over 10 connections": [Load("page", 2000, 6, connections=10)],
    "2,000 pages a second over 100 connections": [Load("page", 2000, 6, connections=100)],
    "300 short connections a second": [Load("short", 300, 8, keep_alive=False)],
    "bodies of 64 KiB": [Load("post", 60, 5, connections=6, path="/post/", body_bytes=64 * KIB)],
    "bodies of 1 MiB": [Load("post", 6, 5, connections=3, path="/post/", body_bytes=MIB)],
    "answers of 1 MiB": [Load("mib", 10, 5, connections=4, path="/mib/")],
    "500 mostly idle connections": [Load("idle", 80, 12, connections=500)],
    "a bit of everything": mixed(600, 6),
}


def replay(lab: Lab, loads: list[Load]) -> None:
    box = lab.start_box()
    lab.run_loads(*loads)
    box.settle(sum(load.requests for load in loads))
    wrong = lab.audit(box, box.stop())
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("loads", LOADS.values(), ids=LOADS.keys())
def test_every_request_is_replayed(loads: list[Load]) -> None:
    with Lab() as lab:
        replay(lab, loads)


def test_without_super_frames() -> None:
    with Lab(offloads=False) as lab:
        replay(lab, mixed(400, 5))


def test_requests_and_answers_on_different_mirror_nics() -> None:
    """As a TAP gives them; the kernel hands over each NIC in blocks, so that answers overtake their requests."""
    with Lab(split_mirror=True) as lab:
        replay(lab, mixed(400, 5))


def test_a_lossy_way_to_the_target() -> None:
    """What is lost there is sent again: it costs time, and no request."""
    loads = [
        Load("page", 100, 4, connections=10),
        Load("short", 20, 4, keep_alive=False),
        Load("post", 8, 4, connections=4, path="/post/", body_bytes=64 * KIB),
        Load("mib", 1, 4, connections=2, path="/post/", body_bytes=MIB),
    ]
    with Lab() as lab:
        lab.lossy_target(percent=1)
        replay(lab, loads)


def test_a_target_that_closes_earlier_than_the_origins() -> None:
    """Its sessions go on over chains of connections."""
    with Lab(target_keepalive=20) as lab:
        replay(lab, [Load("page", 500, 5, connections=10), Load("post", 20, 5, path="/post/", body_bytes=64 * KIB)])


def test_origins_that_close_earlier_than_the_target() -> None:
    with Lab(origin_keepalive=20) as lab:
        replay(lab, [Load("page", 500, 5, connections=10)])


def test_a_box_started_in_the_middle() -> None:
    """Sessions that were open before are picked up at a request boundary, and nothing after the pick-up is lost."""
    load = Load("page", 200, 6, connections=10)
    with Lab() as lab:
        clients = lab.start_loads(load)
        while len(lab.asked()) < load.requests // 4:
            assert clients.running()
        box = lab.start_box()
        lab.finish_loads(clients)
        box.settle(load.requests // 2, timeout=5.0)
        summary = box.stop()
        replayed = lab.replayed(summary["requests"]["captured"])
        replayed_urls = {request.url for request in replayed}
        asked = [request for request in lab.asked(load.requests) if request.url in replayed_urls]
        explanation = lab.explain(box, summary)
        assert not differences(asked, replayed), explanation
        assert not duplicates(replayed), explanation
        assert len(replayed) > load.requests // 2, explanation
        assert summary["requests"]["answered"] == len(replayed), explanation
        assert summary["sessions"]["midstream"] == load.connections, explanation
        last_missed = {request.connection: request.turn for request in lab.asked() if request.url not in replayed_urls}
        resumed = [request for request in asked if request.turn < last_missed.get(request.connection, 0)]
        assert not resumed, f"requests were lost after the pick-up: {resumed[:5]}; {explanation}"
