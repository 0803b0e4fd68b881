"""Where sessions come from: each deployment with real clients and servers, over IPv4 and IPv6.

And what the box says on the target's network, where it must answer for its own addresses and for nothing else.
"""

import time
from ipaddress import ip_address

import pytest

from lab.bench import Bench, Plan
from lab.link import announce
from lab.nginx import Served

pytestmark = pytest.mark.lab
both_families = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])


def where(served: Served) -> tuple[str, str]:
    """Address and port of a request's client."""
    address, _, port = served.client.rpartition(":")
    return address, port


def check_preserved(bench: Bench, ports_exchanged: int) -> None:
    """Every request came from its own client's address and, unless that was not free, from its port."""
    origin = {request.identity: where(request) for request in bench.asked()}
    target = {request.identity: where(request) for request in bench.replayed()}
    assert {request: client[0] for request, client in target.items()} == {r: c[0] for r, c in origin.items()}
    exchanged = {target[request] for request in target if target[request][1] != origin[request][1]}
    assert len(exchanged) == ports_exchanged, f"{exchanged} have other ports than their clients"


def replay_all(bench: Bench, settings: str) -> None:
    """Everything that real clients ask is replayed from their own addresses."""
    box = bench.start_box(settings)
    expected = bench.ask()
    box.settle(expected)
    summary = box.stop()
    wrong = bench.audit(box, summary, bench.asked())
    assert not wrong, "\n".join(wrong)
    check_preserved(bench, summary["target"]["ports_exchanged"])


@both_families
def test_clients_on_the_link(family: int) -> None:
    plan = Plan(family)
    with Bench(plan, subnet=plan.everywhere) as bench:
        replay_all(bench, bench.settings(f"mode = 'preserve'\nlink = ['{plan.everywhere}']"))
        assert bench.answered_for() == {ip_address(client) for client in plan.clients}


@both_families
def test_clients_behind_the_gateway_that_the_box_stands_in_for(family: int) -> None:
    plan = Plan(family)
    gateway = "fe80::1" if plan.six else plan.of_test_net(1)
    with Bench(plan) as bench:
        bench.route(bench.target_host, "default", gateway)
        how = f"mode = 'preserve'\nlink = ['{plan.test_net}']\nemulate_gateway = ['{gateway}']"
        replay_all(bench, bench.settings(how))
        assert bench.answered_for() == {ip_address(gateway)}


@both_families
def test_a_route_to_each_client_by_the_box(family: int) -> None:
    """As in TCPCopy's example: `route add -host CLIENT gw BOX` on the test server."""
    plan = Plan(family)
    box = plan.of_test_net(9)
    with Bench(plan) as bench:
        for client in plan.clients:
            bench.route(bench.target_host, f"{client}/{plan.host_bits}", box)
        how = f"mode = 'preserve'\nlink = ['{plan.test_net}']\nemulate_gateway = ['{box}']"
        replay_all(bench, bench.settings(how))
        assert bench.answered_for() == {ip_address(box)}


@both_families
def test_a_pool_and_a_target_behind_a_real_gateway(family: int) -> None:
    """The stranger is the router; the pool lies in his network, the target in another one behind him."""
    plan = Plan(family)
    first, last, prefix = plan.of_test_net(100), plan.of_test_net(103), plan.prefix(plan.test_net)
    far, router_there = ("fd00:100:30::31", "fd00:100:30::1") if plan.six else ("10.100.30.31", "10.100.30.1")
    with Bench(plan) as bench:
        bench.address(bench.stranger, plan.of_test_net(1), prefix)
        bench.address(bench.stranger, router_there, prefix)
        for scope in ("all", "eth0"):
            bench.stranger.sysctl(f"net/ipv{family}/conf/{scope}/forwarding", 1)
            bench.stranger.sysctl(f"net/ipv4/conf/{scope}/send_redirects", 0)
        bench.target.stop()
        bench.target_host.ip("address", "flush", "dev", "eth0", "scope", "global")
        bench.address(bench.target_host, far, prefix)
        bench.route(bench.target_host, "default", router_there)
        bench.target.move(plan.server(far))
        pool = f"pool = ['{first}-{last}/{prefix}']\ngateway = '{plan.of_test_net(1)}'"
        box = bench.start_box(bench.settings(pool))
        box.settle(bench.ask())
        wrong = bench.audit(box, box.stop(), bench.asked())
        assert not wrong, "\n".join(wrong)
        assert {where(request)[0] for request in bench.replayed()} <= {plan.of_test_net(n) for n in range(100, 104)}
        assert bench.answered_for() == {ip_address(plan.of_test_net(number)) for number in range(100, 104)}


@both_families
def test_an_address_of_the_pool_that_somebody_has(family: int) -> None:
    """It is left to him, and the others are used."""
    plan = Plan(family)
    his, ours, prefix = plan.of_test_net(100), plan.of_test_net(101), plan.prefix(plan.test_net)
    with Bench(plan) as bench:
        bench.address(bench.stranger, his, prefix)
        box = bench.start_box(bench.settings(f"pool = ['{his}-{ours}/{prefix}']"))
        box.settle(bench.ask())
        health = box.health()
        summary = box.stop()
        wrong = bench.audit(box, summary, bench.asked())
        assert not wrong, "\n".join(wrong)
        assert bench.answered_for() == {ip_address(ours)}
        assert summary["target"]["address_conflicts"] == 1
        assert health["status"] == "address_conflict"
        named = f"{his} is held by {bench.stranger.mac('eth0')}"
        assert named in str(health["address_conflicts"])
        assert named in box.process.last_words()


@both_families
def test_a_gateway_that_is_there_already(family: int) -> None:
    """The box does not stand in for it: no client off the link is replayed, and each request has its cause."""
    plan = Plan(family)
    gateway = plan.of_test_net(1)
    with Bench(plan) as bench:
        bench.address(bench.stranger, gateway, plan.prefix(plan.test_net))
        bench.route(bench.target_host, "default", gateway)
        how = f"mode = 'preserve'\nlink = ['{plan.test_net}']\nemulate_gateway = ['{gateway}']"
        box = bench.start_box(bench.settings(how))
        expected = bench.ask(requests=10)
        box.settle(expected)
        summary = box.stop()
        assert summary["requests"]["not_replayed"] == {"address_conflict": expected}
        assert bench.replayed() == []
        assert bench.answered_for() == set()
        assert f"{gateway} is held by {bench.stranger.mac('eth0')}" in box.process.last_words()


@both_families
def test_a_client_on_the_link_whose_address_somebody_has(family: int) -> None:
    plan = Plan(family)
    his, *others = plan.clients
    with Bench(plan, subnet=plan.everywhere) as bench:
        bench.address(bench.stranger, his, plan.prefix(plan.everywhere))
        box = bench.start_box(bench.settings(f"mode = 'preserve'\nlink = ['{plan.everywhere}']"))
        expected = bench.ask(requests=10)
        box.settle(expected)
        summary = box.stop()
        assert summary["requests"]["not_replayed"] == {"address_conflict": expected // 3}
        assert summary["requests"]["answered"] == expected - expected // 3
        assert {where(request)[0] for request in bench.replayed()} == set(others)
        assert bench.answered_for() == {ip_address(other) for other in others}


def test_an_address_that_somebody_takes_later() -> None:
    """The box gives way at once: no session uses it from then on."""
    plan = Plan(4)
    client = plan.clients[0]
    with Bench(plan, subnet=plan.everywhere) as bench:
        box = bench.start_box(bench.settings(f"mode = 'preserve'\nlink = ['{plan.everywhere}']"))
        before = bench.ask([client], requests=10)
        assert box.settle(before)["requests"]["answered"] == before
        announce(bench.stranger, "eth0", client)
        after = bench.ask([client], requests=10)
        box.settle(before + after)
        assert box.health()["status"] == "address_conflict"
        summary = box.stop()
        assert summary["requests"]["answered"] == before
        assert summary["requests"]["not_replayed"] == {"address_conflict": after}
        assert len(bench.replayed()) == before


@both_families
def test_a_target_that_moves_to_another_ethernet_address(family: int) -> None:
    """It says nothing of it, and everything is replayed within seconds all the same."""
    plan = Plan(family)
    prefix = plan.prefix(plan.test_net)
    with Bench(plan) as bench:
        box = bench.start_box(bench.settings(f"pool = ['{plan.of_test_net(100)}-{plan.of_test_net(103)}/{prefix}']"))
        expected = bench.ask(requests=10)
        assert box.settle(expected)["requests"]["answered"] == expected
        bench.target_host.ip("link", "set", "eth0", "address", "02:00:00:00:be:ef")
        moved = time.monotonic()
        expected += bench.ask(requests=10)
        assert box.settle(expected, timeout=15.0)["requests"]["answered"] == expected
        assert time.monotonic() - moved < 12.0
        summary = box.stop()
        wrong = bench.audit(box, summary, bench.asked())
        assert not wrong, "\n".join(wrong)


@both_families
def test_a_target_nic_with_a_vlan_tag(family: int) -> None:
    """Without the tag nothing reaches the target: the port between them passes no other frames."""
    plan = Plan(family)
    gateway = plan.of_test_net(1)
    with Bench(plan, vlan=100) as bench:
        bench.route(bench.target_host, "default", gateway)
        how = f"mode = 'preserve'\nlink = ['{plan.test_net}']\nemulate_gateway = ['{gateway}']"
        replay_all(bench, bench.settings(how, nics="target_vlan = 100"))


def test_a_mirror_that_shows_the_replay() -> None:
    """Clients keep their addresses, so that the box knows its own frames by their connections; it stops."""
    plan = Plan(4)
    with Bench(plan, subnet=plan.everywhere) as bench:
        bench.mirror_the_box()
        how = f"mode = 'preserve'\nlink = ['{plan.everywhere}']"
        box = bench.start_box(bench.settings(how, mirrors=("mirror0", "mirror1")))
        expected = bench.ask(requests=10)
        box.settle(expected)
        assert box.health()["status"] == "loop_alarm"
        summary = box.stop()
        assert summary["frames"]["ignored"]["own_frame"] > 0
        assert len(bench.replayed()) < expected
