"""A lab whose origins and target are servers of any kind: the command that starts one, and the rest is the lab's."""

import time
from collections.abc import Callable
from pathlib import Path

from lab.netns import Namespace
from lab.process import Process, StartError
from lab.world import ORIGIN_ADDRESSES, ORIGIN_PORT, TARGET_ADDRESS, TARGET_PORT, Lab

Kind = Callable[[str, int, Path], list[str]]
"""The command line of a server, in the foreground: its address, its port, a folder of its own."""


class Server:
    """One server in a namespace."""

    def __init__(self, namespace: Namespace, address: str, port: int, folder: Path, kind: Kind) -> None:
        self.namespace = namespace
        self.address, self.port, self.folder = address, port, folder
        folder.mkdir()
        self.process = Process(namespace, kind(address, port, folder), folder / "log")

    def ready(self, timeout: float = 60.0) -> None:
        """Waits until it accepts connections."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.namespace.connect((self.address, self.port), 1.0).close()
                return
            except OSError:
                if not self.process.running() or time.monotonic() > deadline:
                    words = self.process.last_words()
                    raise StartError(f"{self.process.name} on {self.address} did not start: {words}") from None
                time.sleep(0.05)

    def run(self, *command: str) -> str:
        """What a command prints beside the server."""
        return self.namespace.run(*command)


class ServerLab(Lab):
    """The lab with servers of a kind in place of nginx."""

    def __init__(self, kind: Kind, *, offloads: bool = True) -> None:
        super().__init__(offloads=offloads)
        self._kind = kind

    def _raise_servers(self) -> None:
        def server(host: Namespace, address: str, port: int) -> Server:
            started = Server(host, address, port, self.folder / host.role, self._kind)
            self._ends.callback(started.process.stop)
            return started

        self.servers = [server(self.origin_hosts[role], at, ORIGIN_PORT) for role, at in ORIGIN_ADDRESSES.items()]
        self.origin_server = self.servers[0]
        self.target_server = server(self.target_host, TARGET_ADDRESS, TARGET_PORT)
        for each in (*self.servers, self.target_server):
            each.ready()

    def client(self, *command: str) -> str:
        """Runs a real client where the clients are, and returns what it printed."""
        return self.clients.run(*command)
