"""The lab's network and its hosts, raised and removed as one.

    clients ──┐            ┌── o1  10.100.10.1:11311   nginx
    .10.11-13 ├── switch ──┤
              │  (bridge)  └── o2  10.100.10.2:11311   nginx
              │
              └─ SPAN ──▶ mirror0  box  target0 ── target  10.100.20.31:11511   nginx

The switch mirrors what the origins' ports receive and send, each frame once, to the SPAN port. The box has no address
on either NIC. The target has one address and no route but its own link.
"""

import contextlib
import dataclasses
import json
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.box import Box
from lab.check import differences
from lab.ledger import Ledger, broken_laws, losses
from lab.load import Load, Report
from lab.netns import Namespace, folder_of, lab_name, link, reap, remove, run
from lab.nginx import Nginx, Served, make_root
from lab.process import Process
from lab.watch import Watch

CLIENT_ADDRESSES = ("10.100.10.11/24", "10.100.10.12/24", "10.100.10.13/24")
ORIGIN_ADDRESSES = {"o1": "10.100.10.1", "o2": "10.100.10.2"}
ORIGIN_PORT = 11311
TARGET_ADDRESS, TARGET_PORT = "10.100.20.31", 11511
TEST_NETWORK = "10.100.20.0/24"


class Lab:
    """The whole lab, as a context: raised on entry, gone on exit however that comes about."""

    def __init__(
        self,
        *,
        offloads: bool = True,
        split_mirror: bool = False,
        origin_keepalive: int = 1_000_000,
        target_keepalive: int = 1_000_000,
    ) -> None:
        self.offloads = offloads
        self.spans = {"ingress": "span", "egress": "span1" if split_mirror else "span"}
        self.mirror_nics = {"span": "mirror0"} | ({"span1": "mirror1"} if split_mirror else {})
        self.name = lab_name()
        self.folder = folder_of(self.name)
        self._keepalive = {"origin": origin_keepalive, "target": target_keepalive}
        self._ends = contextlib.ExitStack()
        self._boxes = 0
        self._loads = 0

    def __enter__(self) -> Self:
        reap()
        try:
            self._ends.callback(remove, self.name)
            self.folder.mkdir()
            self._raise_network()
            self._raise_servers()
            self._raise_watches()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes everything; signals wait until it is done."""
        with _signals_held():
            self._ends.close()

    def _raise_network(self) -> None:
        self.clients, self.switch, self.box_host, self.target_host, o1, o2 = (
            Namespace(self.name, role) for role in ("clients", "switch", "box", "target", "o1", "o2")
        )
        self.origin_hosts = {"o1": o1, "o2": o2}
        for key in ("iptables", "ip6tables", "arptables"):
            self.switch.sysctl(f"net/bridge/bridge-nf-call-{key}", 0)
        self.switch.ip("link", "add", "bridge", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        self.switch.ip("link", "set", "bridge", "up")
        for span, nic in self.mirror_nics.items():
            link(self.box_host, nic, self.switch, span, offloads=self.offloads)
        link(self.box_host, "target0", self.target_host, "eth0", offloads=self.offloads)
        for host in (self.clients, o1, o2):
            link(host, "eth0", self.switch, host.role, offloads=self.offloads)
            self.switch.ip("link", "set", host.role, "master", "bridge")
        for origin in self.origin_hosts:
            self._mirror(origin)
        for address in CLIENT_ADDRESSES:
            self.clients.ip("address", "add", address, "dev", "eth0")
        for role, address in ORIGIN_ADDRESSES.items():
            self.origin_hosts[role].ip("address", "add", f"{address}/24", "dev", "eth0")
        self.target_host.ip("address", "add", f"{TARGET_ADDRESS}/24", "dev", "eth0")

    def _mirror(self, port: str) -> None:
        """What the switch receives on a port (ingress) and sends on it (egress) goes to a SPAN port too."""
        everything = ["protocol", "all", "u32", "match", "u32", "0", "0"]
        run("tc", "-n", self.switch.name, "qdisc", "add", "dev", port, "clsact")
        for direction, span in self.spans.items():
            to_span = ["action", "mirred", "egress", "mirror", "dev", span]
            run("tc", "-n", self.switch.name, "filter", "add", "dev", port, direction, *everything, *to_span)

    def _raise_servers(self) -> None:
        root = self.folder / "root"
        make_root(root)

        def server(host: Namespace, address: str, kind: str) -> Nginx:
            return Nginx(host, address, self.folder / host.role, root, keepalive_requests=self._keepalive[kind])

        self.origins = [
            server(self.origin_hosts[role], f"{address}:{ORIGIN_PORT}", "origin")
            for role, address in ORIGIN_ADDRESSES.items()
        ]
        self.target = server(self.target_host, f"{TARGET_ADDRESS}:{TARGET_PORT}", "target")
        for nginx in (*self.origins, self.target):
            self._ends.callback(nginx.stop)
            nginx.start()

    def _raise_watches(self) -> None:
        """Frames of the box on any production link, or out of its mirror NIC: there must be none, in the whole run."""
        box_macs = [self.box_host.mac(nic) for nic in (*self.mirror_nics.values(), "target0")]
        of_the_box = " or ".join(
            [*(f"ether host {mac}" for mac in box_macs), f"net {TEST_NETWORK}", f"arp net {TEST_NETWORK}"]
        )
        links = {"clients": of_the_box, "o1": of_the_box, "o2": of_the_box}
        links |= dict.fromkeys(self.mirror_nics, "inbound")
        self._watches = {
            port: Watch(self.switch, port, self.folder / f"{port}.pcap", expression)
            for port, expression in links.items()
        }
        for watch in self._watches.values():
            self._ends.callback(watch.kill)
        for watch in self._watches.values():
            watch.ready()

    def start_box(self, settings: Path | None = None, *, empty: bool = False, words: Iterable[str] = ()) -> Box:
        """Starts the appliance, on these settings or on flags for everything, and waits until it captures.

        An empty one waits for its first settings. `words` are added to its command line.
        """
        self._boxes += 1
        nics = () if empty else self.mirror_nics.values()
        box = Box(self.box_host, self.folder / f"box{self._boxes}", settings, nics, words)
        self._ends.callback(box.process.kill)
        box.ready()
        return box

    def start_loads(self, *loads: Load) -> Process:
        """Starts loads, side by side; their URLs differ from those of all loads before."""
        self._loads += 1
        named = [dataclasses.replace(load, name=f"{load.name}.{self._loads}") for load in loads]
        order = json.dumps([dataclasses.asdict(load) for load in named]).encode()
        program = ["env", f"PYTHONPATH={Path(__file__).parents[1]}", sys.executable, "-m", "lab.client"]
        process = Process(self.clients, program, self.folder / "clients.log", stdin=order)
        self._ends.callback(process.kill)
        return process

    def finish_loads(self, process: Process, timeout: float = 120.0) -> list[Report]:
        """The reports of loads, once they are done."""
        printed = process.output(timeout)
        assert printed, f"the clients failed: {process.last_words()}"
        return [Report(**fields) for fields in json.loads(printed)]

    def run_loads(self, *loads: Load) -> list[Report]:
        """Runs loads to their end; every request must have been sent and answered, else the lab is at fault."""
        reports = self.finish_loads(self.start_loads(*loads), timeout=max(load.seconds for load in loads) + 60)
        for load, report in zip(loads, reports, strict=True):
            good = report.sent == report.answered == load.requests and not report.faults
            assert good, f"the lab's own load failed, {report.faults[:5]}: {report}"
        return reports

    def asked(self, expected: int | None = None) -> list[Served]:
        """Every request of the origins' logs; waits until there are as many as expected."""
        return _requests(self.origins, expected)

    def replayed(self, expected: int | None = None) -> list[Served]:
        """Every request of the target's log."""
        return _requests([self.target], expected)

    def trespasses(self) -> list[str]:
        """Where the box was seen though it must not be, and what the target was told though it must not be."""
        frames = {port: watch.stop() for port, watch in self._watches.items()}
        found = [f"{count} frames of the box on link {port}" for port, count in frames.items() if count]
        for span, nic in self.mirror_nics.items():
            sent = int(self._stats(span)["rx"]["packets"])
            if sent:
                found.append(f"{sent} frames came out of the mirror NIC {nic}")
        routes = self.target_host.ip("route", "show", "table", "all", "type", "unicast").strip().splitlines()
        if len(routes) != 1 or not routes[0].startswith(f"{TEST_NETWORK} dev eth0"):
            found.append(f"the target has routes: {routes}")
        return found

    def switch_drops(self) -> int:
        """Frames that the lab's own switch could not put on the mirror."""
        sent = [self._stats(span)["tx"] for span in self.mirror_nics]
        return sum(int(counts["dropped"]) + int(counts["errors"]) for counts in sent)

    def _stats(self, port: str) -> dict[str, dict[str, int]]:
        stats: dict[str, dict[str, int]] = json.loads(self.switch.ip("-s", "-j", "link", "show", port))[0]["stats64"]
        return stats

    def black_hole(self, on: bool) -> None:
        """Makes the target host swallow every packet for its server, or not any more."""
        if on:
            rules = "add table inet hole; add chain inet hole in { type filter hook input priority 0; };"
            self.target_host.run("nft", f"{rules} add rule inet hole in tcp dport {TARGET_PORT} drop")
        else:
            self.target_host.run("nft", "delete table inet hole")

    def lossy_target(self, percent: int) -> None:
        """Loses so many of a hundred packets between the box and the target, either way."""
        chains = (
            f"add chain inet lossy {hook} {{ type filter hook {hook} priority 0; }};"
            f"add rule inet lossy {hook} numgen random mod 100 < {percent} drop;"
            for hook in ("input", "output")
        )
        self.target_host.run("nft", "add table inet lossy;" + "".join(chains))

    def target_link(self, *, up: bool) -> None:
        """Pulls the target's cable, or puts it back."""
        self.target_host.ip("link", "set", "eth0", "up" if up else "down")

    def audit(self, box: Box, summary: Ledger) -> list[str]:
        """Everything that is wrong with a finished run in which nothing may be lost; empty if nothing is."""
        asked = self.asked()
        requests = summary["requests"]
        found = differences(asked, self.replayed(len(asked)))
        found += [f"the ledger breaks the law {law}" for law in broken_laws(summary, ended=True)]
        if not requests["captured"] == requests["answered"] == len(asked):
            counts = f"{requests['captured']} captured and {requests['answered']} answered"
            found.append(f"the ledger has {counts} of {len(asked)} requests")
        if summary["verdicts"]["differ"]:
            found.append(f"{summary['verdicts']['differ']} answers are said to differ, though the servers are alike")
        found += self.trespasses()
        return [*found, self.explain(box, summary)] if found else []

    def explain(self, box: Box, summary: Ledger | None = None) -> str:
        """What a person needs beside a failed check."""
        ledger = summary or box.ledger()
        return (
            f"the ledger names {losses(ledger) or 'no loss'}; the lab's switch dropped {self.switch_drops()} frames, "
            f"the machine's backlog {backlog_drops()} since boot; "
            f"the ledger: {json.dumps(ledger)}; the box's last words: {box.process.last_words()}"
        )


def backlog_drops() -> int:
    """Frames that the machine's processors had no room for since boot, wherever they went."""
    return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())


def _requests(servers: list[Nginx], expected: int | None) -> list[Served]:
    deadline = time.monotonic() + 2.0
    while True:
        found = [request for server in servers for request in server.requests()]
        if expected is None or len(found) >= expected or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Lets no signal cut a removal short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
