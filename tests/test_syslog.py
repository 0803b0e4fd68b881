"""The log at a collector: what it takes, what it misses while it is away, and what settings of it are refused."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.box import Box, wired_settings
from lab.netns import Namespace

pytestmark = pytest.mark.lab

PATIENCE_S = 8.0
LINE = re.compile(
    rb"<(?P<priority>\d+)>1 (?P<at>\d{4}-\d\d-\d\dT[\d:.]{15}Z) (?P<host>\S+) tapcopy \d+ - - (?P<text>.*)"
)


class Collector:
    """A collector over TCP, which reads what its one client sends by the counts of octets."""

    def __init__(self, host: Namespace) -> None:
        self._host = host
        self._client: socket.socket | None = None
        self._rest = b""
        self.port = 0
        self.come()

    def come(self) -> None:
        """Takes connections, on the port that it had before."""
        self._listener = self._host.inside(lambda: socket.create_server(("127.0.0.1", self.port)))
        self._listener.settimeout(PATIENCE_S)
        self.port = self._listener.getsockname()[1]

    def close(self) -> None:
        """Goes away."""
        self._listener.close()
        if self._client:
            self._client.close()
        self._client, self._rest = None, b""

    def messages(self) -> Iterator[bytes]:
        """Those that come, as long as they do."""
        if not self._client:
            self._client, _ = self._listener.accept()
            self._client.settimeout(PATIENCE_S)
        while True:
            count, blank, after = self._rest.partition(b" ")
            if blank and len(after) >= int(count):
                self._rest = after[int(count) :]
                yield after[: int(count)]
            else:
                more = self._client.recv(65_536)
                assert more, "the box has closed the connection"
                self._rest += more


def settings(collector: str, transport: str) -> str:
    return wired_settings(80) + f'[syslog]\nserver = "{collector}"\ntransport = "{transport}"\n'


def until(messages: Iterator[bytes], text: bytes) -> list[dict[str, bytes]]:
    """The messages up to the one that has this text."""
    found = []
    for message in messages:
        parsed = LINE.fullmatch(message)
        assert parsed, message
        found.append(parsed.groupdict())
        if text in message:
            return found
    raise AssertionError(text)


def shown(box: Box) -> dict[str, Any]:
    told: Any = box.ask("GET", "/api/v1/system")["syslog"]
    return dict(told)


@pytest.fixture
def box(wired: tuple[Namespace, Namespace], tmp_path: Path) -> Iterator[Box]:
    raised = Box(wired[0], tmp_path / "box", mirror_nics=(), words=("--confirm-seconds", "30"))
    try:
        raised.ready()
        yield raised
    finally:
        raised.process.kill()


def test_a_collector_over_tcp_that_goes_away_and_comes_back(box: Box) -> None:
    assert box.ask("PATCH", "/api/v1/system", '{"name": "box of the lab"}')["name"] == "box of the lab"
    with contextlib.closing(Collector(box.namespace)) as collector:
        assert box.change(settings(f"127.0.0.1:{collector.port}", "tcp"))["number"] == 1
        lines = until(collector.messages(), b"settings_confirmed")
        # It is told from the start on, before anybody had named it.
        assert b"waiting for the first settings" in lines[0]["text"]
        assert all(line["host"] == b"box_of_the_lab" for line in lines)
        assert {line["priority"] for line in lines} <= {b"30", b"28"}
        collector.close()
        box.process.wait_for("the log does not reach")
        assert shown(box)["fault"]
        box.ask("PATCH", "/api/v1/system", '{"name": "renamed"}')
        collector.come()
        lines = until(collector.messages(), b"reaches its collector again")
        assert any(b"does not reach" in line["text"] for line in lines)
        assert any(b"audit: named" in line["text"] for line in lines)
        told = shown(box)
        assert (told["lost"], "fault" in told) == (0, False)
        # Its last words are sent before it ends.
        box.stop()
        until(collector.messages(), b"ending; ")


def test_a_collector_over_udp(box: Box) -> None:
    receiver = box.namespace.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with contextlib.closing(receiver):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE_S)
        assert box.change(settings(f"127.0.0.1:{receiver.getsockname()[1]}", "udp"))["number"] == 1
        until((receiver.recv(65_536) for _ in range(100)), b"settings_confirmed")
        told = shown(box)
        assert (told["sent"] > 3, told["lost"]) == (True, 0), told
    # Nobody is there any more, of which the network tells when the next line is sent.
    for name in ("one", "two"):
        box.ask("PATCH", "/api/v1/system", f'{{"name": "{name}"}}')
    deadline = time.monotonic() + PATIENCE_S
    while not shown(box)["lost"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert re.search(rb"^tapcopy_syslog_lines_lost_total [1-9]", box.download("/metrics"), re.M)


def test_what_is_no_collector_is_refused_at_its_field(box: Box) -> None:
    refused: Any = box.change(settings("log.example", "http"))
    fields = {fault["field"] for fault in refused["faults"]}
    assert fields == {"syslog.server", "syslog.transport"}, refused
    assert "syslog" not in box.ask("GET", "/api/v1/system")
