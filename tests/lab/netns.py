"""Network namespaces, the links between them, and sockets and processes inside them.

A namespace's name carries the lab that made it: `tapcopy-lab-PID-START-N-ROLE`, where PID and START (its start time
in clock ticks) are one process for ever, and N counts the labs of that process. So labs run side by side, and what a
killed lab left behind is known as nobody's and reaped by the next.
"""

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

RUN_NETNS = Path("/run/netns")
PREFIX = "tapcopy-lab"
CLONE_NEWNET = 0x40000000
LEFTOVER = re.compile(rf"({PREFIX}-(\d+)-(\d+)-\d+)(?:-\w+)?")

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)
_labs = itertools.count(1)


class CommandError(Exception):
    """A command of the system said no; the message is the command and what it said."""


def run(*command: str) -> str:
    """Runs a command to its end and returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def start_time(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot; none if it is no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])


def lab_name() -> str:
    """A name for a new lab of this process."""
    return f"{PREFIX}-{os.getpid()}-{start_time(os.getpid())}-{next(_labs)}"


class Namespace:
    """One host of the lab: a network namespace without IPv6, its loopback up."""

    def __init__(self, lab: str, role: str) -> None:
        self.role = role
        self.name = f"{lab}-{role}"
        run("ip", "netns", "add", self.name)
        for scope in ("all", "default"):
            self.sysctl(f"net/ipv6/conf/{scope}/disable_ipv6", 1)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str) -> str:
        """`ip` inside."""
        return run("ip", "-n", self.name, *words)

    def run(self, *command: str) -> str:
        """Any command inside."""
        return run(*self.enter(*command))

    def enter(self, *command: str) -> list[str]:
        """The command line which runs a command inside."""
        return ["ip", "netns", "exec", self.name, *command]

    def inside(self, work: Callable[[], T]) -> T:
        """The result of a call made inside, by a thread of its own which never comes out again."""
        results: list[T] = []
        faults: list[BaseException] = []

        def enter_and_work() -> None:
            try:
                with (RUN_NETNS / self.name).open() as namespace:
                    if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                        number = ctypes.get_errno()
                        raise OSError(number, f"setns {self.name}: {os.strerror(number)}")
                results.append(work())
            except BaseException as fault:
                faults.append(fault)

        thread = threading.Thread(target=enter_and_work)
        thread.start()
        thread.join()
        if faults:
            raise faults[0]
        return results[0]

    def connect(self, address: tuple[str, int], timeout: float = 5.0) -> socket.socket:
        """A TCP connection made from inside; the socket works from any thread."""
        return self.inside(lambda: socket.create_connection(address, timeout))

    def sysctl(self, key: str, value: int) -> None:
        """Sets a kernel setting of this namespace; a key that this kernel lacks is passed over."""
        path = Path("/proc/sys") / key

        def write() -> None:
            if path.exists():
                path.write_text(f"{value}\n")

        self.inside(write)

    def mac(self, interface: str) -> str:
        """The Ethernet address of an interface."""
        found = re.search(r"link/ether (\S+)", self.ip("link", "show", interface))
        assert found, f"{interface} in {self.name} has no Ethernet address"
        return found[1]


def link(a: Namespace, a_name: str, b: Namespace, b_name: str, *, offloads: bool) -> None:
    """A cable between two namespaces.

    With offloads, frames of up to 64 KiB with unfinished checksums travel on it, as they do in every virtual network.
    """
    run("ip", "link", "add", a_name, "netns", a.name, "type", "veth", "peer", "name", b_name, "netns", b.name)
    for namespace, interface in ((a, a_name), (b, b_name)):
        if not offloads:
            namespace.run(
                "ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "sg", "off"
            )
        namespace.ip("link", "set", interface, "up")


def remove(lab: str) -> None:
    """Removes all that a lab left: processes in its namespaces, the namespaces with their links, its folder."""
    names = [path.name for path in RUN_NETNS.glob(f"{lab}-*")] if RUN_NETNS.exists() else []
    for name in names:
        with contextlib.suppress(CommandError):
            for pid in run("ip", "netns", "pids", name).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    for name in names:
        with contextlib.suppress(CommandError):
            run("ip", "netns", "del", name)
    shutil.rmtree(folder_of(lab), ignore_errors=True)


def folder_of(lab: str) -> Path:
    """Where a lab keeps its files."""
    return Path(tempfile.gettempdir()) / lab


def reap() -> list[str]:
    """Removes what labs left whose process is gone, and returns their names."""
    places = [RUN_NETNS, Path(tempfile.gettempdir())]
    entries = [entry.name for place in places if place.exists() for entry in place.glob(f"{PREFIX}-*")]
    found = {(m[1], int(m[2]), int(m[3])) for m in map(LEFTOVER.fullmatch, entries) if m}
    dead = sorted(lab for lab, pid, started in found if start_time(pid) != started)
    for lab in dead:
        remove(lab)
    return dead
