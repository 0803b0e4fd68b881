"""What a management network offers to a box: an address by DHCP, which names a time server; that server; a collector of
logs. All of it is one host.
"""

import select
import socket
import struct
import threading
import time
from typing import Self

from lab.netns import Namespace

DHCP, NTP, SYSLOG = 67, 123, 514
DHCP_HEAD = 240
COOKIE = bytes((99, 130, 83, 99))
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
TO_UNIX = 2_208_988_800
"""Seconds from 1900 to 1970."""
LEASED = "10.100.20.50"


class Management:
    """Serves from its entry to its exit, at an interface with this address."""

    def __init__(self, host: Namespace, interface: str, address: str) -> None:
        self.logged: list[str] = []
        self.questions_of_time = 0
        self._own = socket.inet_aton(address)
        self._sockets = {
            port: host.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for port in (DHCP, NTP, SYSLOG)
        }
        for port, end in self._sockets.items():
            end.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            end.bind(("0.0.0.0", port))
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        for end in self._sockets.values():
            end.close()

    def _serve(self) -> None:
        answers = {DHCP: self._lease, NTP: self._tell_time, SYSLOG: self._collect}
        while not self._is_over.is_set():
            ready, _, _ = select.select(list(self._sockets.values()), [], [], 0.1)
            for port, end in self._sockets.items():
                if end in ready:
                    message, sender = end.recvfrom(65_536)
                    answer = answers[port](message)
                    if answer:
                        end.sendto(answer, ("255.255.255.255", 68) if port == DHCP else sender)

    def _lease(self, question: bytes) -> bytes | None:
        """An offer, or the grant of it (RFC 2131)."""
        kind = question[DHCP_HEAD + 2]
        if kind not in (DISCOVER, REQUEST):
            return None
        given = [(53, bytes([OFFER if kind == DISCOVER else ACK])), (54, self._own), (1, bytes((255, 255, 255, 0)))]
        given += [(51, struct.pack("!I", 3600)), (42, self._own)]
        options = b"".join(bytes((code, len(content))) + content for code, content in given)
        head = bytearray(question[:DHCP_HEAD])
        head[0] = 2
        head[16:20] = socket.inet_aton(LEASED)
        return bytes(head) + options + b"\xff"

    def _tell_time(self, question: bytes) -> bytes:
        """This machine's time, as a server at a reference clock (RFC 5905)."""
        self.questions_of_time += 1
        now = time.time() + TO_UNIX
        stamp = struct.pack("!II", int(now), int(now % 1 * 2**32))
        return struct.pack("!BBbb8x4s", 4 << 3 | 4, 1, 6, -20, b"LAB\0") + stamp + question[40:48] + stamp + stamp

    def _collect(self, message: bytes) -> None:
        self.logged.append(message.decode())
