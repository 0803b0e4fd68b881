"""The clients: a program that runs loads, exactly as many requests as asked, at the rate asked, and counts the answers.

It reads a list of loads (the fields of `lab.load.Load`) as JSON from standard input, runs them side by side and
prints a list of reports. Requests are written to raw connections, each request in one piece and each with a URL of
its own. SIGTERM ends it early and cleanly: no new request, every open one answered.
"""

import asyncio
import dataclasses
import itertools
import json
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable

from lab.load import Load, Report

CLIENTS = ("10.100.10.11", "10.100.10.12", "10.100.10.13")
ORIGINS = (("10.100.10.1", 11311), ("10.100.10.2", 11311))
PATIENCE_S = 10.0
TICK_S = 0.002
IP_BIND_ADDRESS_NO_PORT = 24


class Connection(asyncio.Protocol):
    """One client connection: idle, or one request that awaits its answer."""

    def __init__(self, answered: Callable[["Connection", bool], None], lost: Callable[["Connection"], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.busy = False
        self._answered = answered
        self._lost = lost
        self._head = b""
        self._body_left = -1
        self._closing = False
        self._good = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes) -> None:
        assert self.transport is not None
        assert not self.busy
        self.busy, self._head, self._body_left = True, b"", -1
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._body_left < 0:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            self._good = head.startswith(b"HTTP/1.1 200 ")
            self._closing = fields.get(b"connection") == b"close"
            self._body_left = int(fields[b"content-length"])
        self._body_left -= len(data)
        if self._body_left == 0:
            self.busy = False
            self._answered(self, self._good)
            if self._closing:
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._lost(self)

    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing() and not self._closing

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Driver:
    """Runs one load."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.report = Report(load.name)
        self.ending = False
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._places = itertools.count()
        method = b"POST" if load.body_bytes else b"GET"
        self._head = method + b" %s HTTP/1.1\r\nHost: adserver.example\r\nUser-Agent: tapcopy-lab\r\nAccept: */*\r\n"

    def request(self, number: int, *, last: bool = False) -> bytes:
        """A request whose URL and body no other request has.

        Of the connections with one request, every second one asks the origin to close it; the client closes the others.
        """
        url = f"{self.load.path}{self.load.name}/{number}".encode()
        lines = self._head % url + (b"Connection: close\r\n" if last and number % 2 else b"")
        if not self.load.body_bytes:
            return lines + b"\r\n"
        block = url + b"|"
        body = (block * (self.load.body_bytes // len(block) + 1))[: self.load.body_bytes]
        return lines + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def run(self) -> Report:
        loop = asyncio.get_running_loop()
        if self.load.keep_alive:
            await asyncio.gather(*(self._connect(None) for _ in range(self.load.connections)))
        begin = loop.time()
        while not self.ending and (self.load.endless or self.report.sent < self.load.requests):
            due = int((loop.time() - begin) * self.load.rate) + 1
            self._dispatch(due if self.load.endless else min(due, self.load.requests))
            await asyncio.sleep(TICK_S)
        deadline = loop.time() + PATIENCE_S
        while (any(c.busy for c in self._open) or self._opening) and loop.time() < deadline:
            await asyncio.sleep(TICK_S)
        self.report.seconds = loop.time() - begin
        self.ending = True
        for connection in list(self._open):
            connection.close()
        await asyncio.sleep(0.05)
        return self.report

    def _dispatch(self, due: int) -> None:
        while self.report.sent < due:
            if self.load.keep_alive:
                while self._idle and not self._idle[0].usable():
                    self._idle.popleft()
                if not self._idle:
                    return
                self._idle.popleft().send(self.request(self.report.sent))
            else:
                self._start(self.request(self.report.sent, last=True))
            self.report.sent += 1

    def _start(self, request: bytes | None) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(request))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, request: bytes | None) -> None:
        place = next(self._places)
        end = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        try:
            end.bind((CLIENTS[place % len(CLIENTS)], 0))
            async with asyncio.timeout(PATIENCE_S):
                await loop.sock_connect(end, ORIGINS[place % len(ORIGINS)])
                _, connection = await loop.create_connection(lambda: Connection(self._answered, self._lost), sock=end)
        except OSError as fault:
            end.close()
            self.report.faults.append(f"connect: {fault}")
            return
        self.report.connections += 1
        self._open.add(connection)
        if request is None:
            self._idle.append(connection)
        else:
            connection.send(request)

    def _answered(self, connection: Connection, good: bool) -> None:
        self.report.answered += 1
        if not good:
            self.report.faults.append("an answer that is not 200")
        if self.load.keep_alive:
            self._idle.append(connection)
        else:
            connection.close()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection.busy:
            self.report.faults.append("a connection lost before its answer")
        if self.load.keep_alive and not self.ending:
            self._start(None)


async def run(loads: list[Load]) -> list[Report]:
    drivers = [Driver(load) for load in loads]

    def end_early() -> None:
        for driver in drivers:
            driver.ending = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end_early)
    return await asyncio.gather(*(driver.run() for driver in drivers))


def main() -> None:
    loads = [Load(**fields) for fields in json.load(sys.stdin)]
    json.dump([dataclasses.asdict(report) for report in asyncio.run(run(loads))], sys.stdout)


if __name__ == "__main__":
    main()
