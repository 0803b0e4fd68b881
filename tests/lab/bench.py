"""A smaller lab for the ways of addressing: one origin, and a test network that has room for more than one station.

    clients ── switch ── origin                    target ──┐
                 └─ SPAN ─▶ mirror0  box  target0 ── lan (bridge) ── stranger

Clients are real ones (curl), each with an address of its own, over IPv4 or IPv6.
"""

import contextlib
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.box import Box
from lab.check import differences
from lab.ledger import Ledger, broken_laws
from lab.link import Address, claimed
from lab.netns import Namespace, folder_of, lab_name, link, reap, remove, run
from lab.nginx import Nginx, Served, make_root
from lab.process import Process
from lab.watch import Watch

PORT = 11311
EVERYTHING = ["protocol", "all", "u32", "match", "u32", "0", "0"]


class Plan:
    """Who has which address, in IPv4 or in IPv6."""

    def __init__(self, family: int) -> None:
        six = family == 6
        self.six = six
        self.everywhere = "fd00:100::/32" if six else "10.100.0.0/16"
        self.test_net = "fd00:100:20::/64" if six else "10.100.20.0/24"
        self.clients = [f"fd00:100:10::{n}" if six else f"10.100.10.{n}" for n in (11, 12, 13)]
        self.origin = "fd00:100:10::1" if six else "10.100.10.1"
        self.target = self.of_test_net(31)
        self.host_bits = 128 if six else 32

    def of_test_net(self, number: int) -> str:
        """An address of the target's network."""
        return f"fd00:100:20::{number}" if self.six else f"10.100.20.{number}"

    def prefix(self, subnet: str) -> str:
        """The length of a subnet's prefix."""
        return subnet.partition("/")[2]

    def server(self, address: str) -> str:
        """An address with the port."""
        return f"[{address}]:{PORT}" if self.six else f"{address}:{PORT}"


class Bench:
    """The lab as a context. `subnet`: the network that the target host takes for its own link."""

    def __init__(self, plan: Plan, subnet: str | None = None, vlan: int | None = None) -> None:
        self.plan = plan
        self.subnet = subnet or plan.test_net
        self.vlan = vlan
        self.name = lab_name()
        self.folder = folder_of(self.name)
        self._ends = contextlib.ExitStack()
        self._loads = 0

    def __enter__(self) -> Self:
        reap()
        try:
            self._ends.callback(remove, self.name)
            self.folder.mkdir()
            self._raise_network()
            self._raise_servers()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def _raise_network(self) -> None:
        self.clients, self.switch, self.box_host, self.lan, self.target_host, self.stranger, self.origin_host = (
            self._namespace(role) for role in ("clients", "switch", "box", "lan", "target", "stranger", "origin")
        )
        for switch in (self.switch, self.lan):
            switch.ip("link", "add", "bridge", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
            switch.ip("link", "set", "bridge", "up")
        link(self.box_host, "mirror0", self.switch, "span", offloads=True)
        for host in (self.clients, self.origin_host):
            self._plug(host, "eth0", self.switch, host.role)
        for host in (self.target_host, self.stranger):
            self._plug(host, "eth0", self.lan, host.role)
        if self.vlan is None:
            self._plug(self.box_host, "target0", self.lan, "box")
        else:
            link(self.box_host, "target0", self.lan, "trunk", offloads=False)
            self._plug(self._namespace("unused"), "eth0", self.lan, "unused")
            self._raise_tagger(self.vlan)
        self._mirror(self.switch, "origin", "span")
        prefix = self.plan.prefix(self.plan.everywhere)
        for address in self.plan.clients:
            self.address(self.clients, address, prefix)
        self.address(self.origin_host, self.plan.origin, prefix)
        self.address(self.target_host, self.plan.target, self.plan.prefix(self.subnet))
        self.watch = Watch(
            self.lan, "bridge" if self.vlan is None else "trunk", self.folder / "lan.pcap", "arp or icmp6"
        )
        self._ends.callback(self.watch.kill)
        self.watch.ready()

    def _namespace(self, role: str) -> Namespace:
        namespace = Namespace(self.name, role)
        for scope in ("all", "default"):
            namespace.sysctl(f"net/ipv4/conf/{scope}/forwarding", 0)
            if self.plan.six and role in ("clients", "origin", "target", "stranger", "router"):
                namespace.sysctl(f"net/ipv6/conf/{scope}/accept_dad", 0)
                namespace.sysctl(f"net/ipv6/conf/{scope}/disable_ipv6", 0)
        return namespace

    def _plug(self, host: Namespace, interface: str, switch: Namespace, port: str) -> None:
        link(host, interface, switch, port, offloads=self.vlan is None)
        switch.ip("link", "set", port, "master", "bridge")

    def _raise_tagger(self, vlan: int) -> None:
        """The port of the box on the switch: tagged on its side, a member of the target's network on the other."""
        self.lan.ip("link", "add", "access", "type", "veth", "peer", "name", "member")
        for interface in ("access", "member"):
            self.lan.run("ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "sg", "off")
            self.lan.ip("link", "set", interface, "up", "promisc", "on")
        self.lan.ip("link", "set", "member", "master", "bridge")
        path = f"PYTHONPATH={Path(__file__).parents[1]}"
        program = ["env", path, sys.executable, "-m", "lab.tagger", str(vlan), "trunk", "access"]
        tagger = Process(self.lan, program, self.folder / "tagger.log")
        self._ends.callback(tagger.kill)
        tagger.wait_for("ready")

    def _mirror(self, switch: Namespace, port: str, span: str) -> None:
        run("tc", "-n", switch.name, "qdisc", "add", "dev", port, "clsact")
        for direction in ("ingress", "egress"):
            to_span = ["action", "mirred", "egress", "mirror", "dev", span]
            run("tc", "-n", switch.name, "filter", "add", "dev", port, direction, *EVERYTHING, *to_span)

    def mirror_the_box(self) -> None:
        """A second SPAN port, `mirror1` of the box, which shows the box's own port on the target's network."""
        link(self.box_host, "mirror1", self.lan, "span", offloads=True)
        self._mirror(self.lan, "box", "span")

    def _raise_servers(self) -> None:
        root = self.folder / "root"
        make_root(root)
        self.origin = Nginx(self.origin_host, self.plan.server(self.plan.origin), self.folder / "origin", root)
        self.target = Nginx(self.target_host, self.plan.server(self.plan.target), self.folder / "target", root)
        for nginx in (self.origin, self.target):
            self._ends.callback(nginx.stop)
            nginx.start()

    def second_target(self, number: int) -> Nginx:
        """Another server under test: the stranger, with this number in the target's network."""
        address = self.plan.of_test_net(number)
        self.address(self.stranger, address, self.plan.prefix(self.plan.test_net))
        nginx = Nginx(self.stranger, self.plan.server(address), self.folder / "second", self.folder / "root")
        self._ends.callback(nginx.stop)
        nginx.start()
        return nginx

    def address(self, host: Namespace, address: str, prefix: str | int) -> None:
        """Gives a host an address."""
        words = ["nodad"] if self.plan.six else []
        host.ip("address", "add", f"{address}/{prefix}", "dev", "eth0", *words)

    def route(self, host: Namespace, destination: str, gateway: str) -> None:
        """Gives a host a route."""
        family = "-6" if self.plan.six else "-4"
        host.ip(family, "route", "add", destination, "via", gateway, "dev", "eth0")

    def settings(
        self,
        addressing: str,
        *,
        nics: str = "",
        mirrors: tuple[str, ...] = ("mirror0",),
        targets: list[str] | None = None,
    ) -> str:
        """A settings file; it ends within its only service."""
        return (
            f"schema_version = 1\n[nics]\nmirror = {list(mirrors)}\ntarget = 'target0'\n{nics}\n"
            f"[addressing]\n{addressing}\n"
            f"[[service]]\norigins = ['{self.plan.server(self.plan.origin)}']\n"
            f"targets = {targets or [self.target.address]}\n"
        )

    def start_box(self, settings: str) -> Box:
        """Starts the appliance and waits until it captures."""
        file = self.folder / "settings.toml"
        file.write_text(settings)
        box = Box(self.box_host, self.folder / "box", file)
        self._ends.callback(box.process.kill)
        box.ready()
        return box

    def ask(self, clients: Iterable[str] | None = None, requests: int = 40, rate: int = 40) -> int:
        """Real clients, each on one connection of its own and then on another, ask the origin; how often they did."""
        clients = list(clients or self.plan.clients)
        for turn in range(2):
            self._loads += 1
            asked = [
                self._curl(client, f"{self._loads}-{number}", requests, rate) for number, client in enumerate(clients)
            ]
            for process in asked:
                status = process.wait(60.0)
                assert status == 0, f"curl ended with {status} in turn {turn}: {process.last_words()}"
        return 2 * requests * len(clients)

    def curl(self, client: str, requests: Iterable[Sequence[str]]) -> None:
        """A real client asks the origin on one connection: of each request the path and curl's words for it."""
        self._loads += 1
        common = ["-s", "-S", "-f", "--interface", client, "-H", "Expect:", "-o", "/dev/null"]
        url = f"http://{self.plan.server(self.plan.origin)}"
        each = [word for path, *words in requests for word in ("--next", *common, *words, url + path)]
        process = Process(self.clients, ["curl", *each[1:]], self.folder / f"curl{self._loads}.log")
        status = process.wait(30.0)
        assert status == 0, f"curl ended with {status}: {process.last_words()}"

    def _curl(self, client: str, name: str, requests: int, rate: int) -> Process:
        url = f"http://{self.plan.server(self.plan.origin)}/{name}/[1-{requests}]"
        command = ["curl", "-s", "-S", "-f", "--interface", client, "--rate", f"{rate}/s", "-o", "/dev/null", url]
        return Process(self.clients, command, self.folder / f"curl{name}.log")

    def asked(self) -> list[Served]:
        """Every request of the origin's log."""
        return self.origin.requests()

    def replayed(self, expected: int = 0, timeout: float = 2.0) -> list[Served]:
        """Every request of the target's log; waits until there are as many as expected."""
        deadline = time.monotonic() + timeout
        while len(self.target.requests()) < expected and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.target.requests()

    def answered_for(self) -> set[Address]:
        """The addresses on the target's network that the box has said to be its own."""
        self.watch.stop()
        return claimed(self.folder / "lan.pcap", self.box_host.mac("target0"))

    def audit(self, box: Box, summary: Ledger, asked: list[Served]) -> list[str]:
        """What is wrong with a finished run in which these requests had to be replayed."""
        found = differences(asked, self.replayed(len(asked)))
        found += [f"the ledger breaks the law {law}" for law in broken_laws(summary, ended=True)]
        if summary["requests"]["answered"] != len(asked) or summary["verdicts"]["match"] != len(asked):
            found.append(f"{len(asked)} requests should be answered alike: {summary}")
        return [*found, f"the box's last words: {box.process.last_words()}"] if found else []
