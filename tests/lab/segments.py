"""TCP sessions as frames, made without a kernel: what a test can drop, tag or repeat before a mirror shows it."""

import dataclasses
import socket
import struct
from pathlib import Path

CLIENT_MAC, SERVER_MAC = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
CLIENT, SERVER = "10.9.0.11", "10.9.0.1"
SERVER_PORT = 8080
FIN, SYN, ACK = 1, 2, 16
SEGMENT = 1460


@dataclasses.dataclass(frozen=True)
class Frame:
    """An Ethernet frame, due so many seconds after the beginning."""

    at: float
    from_server: bool
    data: bytes

    def tagged(self, vlan: int) -> "Frame":
        """With an 802.1Q tag."""
        return dataclasses.replace(self, data=self.data[:12] + struct.pack(">HH", 0x8100, vlan) + self.data[12:])


class Session:
    """One connection, its segments 1 ms apart."""

    def __init__(self, port: int, at: float) -> None:
        self.frames: list[Frame] = []
        self._ports = (port, SERVER_PORT)
        self._at = at
        self._sent = [1_000, 9_000]

    def say(self, from_server: bool, flags: int, content: bytes = b"") -> None:
        """One segment."""
        me, other = int(from_server), int(not from_server)
        options = struct.pack(">BBH", 2, 4, SEGMENT) if flags & SYN else b""
        acknowledged = self._sent[other] if flags & ACK else 0
        words = (self._ports[me], self._ports[other], self._sent[me], acknowledged)
        header = struct.pack(">HHIIBBHHH", *words, (20 + len(options)) // 4 << 4, flags, 512, 0, 0) + options
        self._sent[me] += len(content) + bool(flags & (SYN | FIN))
        self.frames.append(Frame(self._at, from_server, _ethernet(from_server, header + content)))
        self._at += 0.001

    def run(self, requests: int, segments: int = 3) -> list[Frame]:
        """Opens, asks so often, closes."""
        self.say(False, SYN)
        self.say(True, SYN | ACK)
        self.say(False, ACK)
        for _ in range(requests):
            self.say(False, ACK, b"GET /doctor HTTP/1.1\r\nHost: x\r\n\r\n")
            for number in range(segments):
                head = b"HTTP/1.1 200 OK\r\n\r\n" if number == 0 else b""
                self.say(True, ACK, head.ljust(SEGMENT, b"."))
                self.say(False, ACK)
        self.say(False, FIN | ACK)
        self.say(True, FIN | ACK)
        self.say(False, ACK)
        return self.frames


def sessions(count: int = 20, requests: int = 5) -> list[Frame]:
    """Sessions one after the other."""
    return [frame for n in range(count) for frame in Session(40_000 + n, n * 0.05).run(requests)]


def write_pcap(path: Path, frames: list[Frame], snaplen: int = 65_535) -> Path:
    """A capture of the frames."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snaplen, 1)]
    for frame in frames:
        seconds, micros = divmod(round((1_700_000_000 + frame.at) * 1e6), 1_000_000)
        captured = frame.data[:snaplen]
        parts += [struct.pack("<IIII", seconds, micros, len(captured), len(frame.data)), captured]
    path.write_bytes(b"".join(parts))
    return path


def _ethernet(from_server: bool, segment: bytes) -> bytes:
    addresses = [socket.inet_aton(address) for address in ((SERVER, CLIENT) if from_server else (CLIENT, SERVER))]
    pseudo_header = b"".join(addresses) + struct.pack(">HH", 6, len(segment))
    checksum = _checksum(pseudo_header + segment)
    segment = segment[:16] + struct.pack(">H", checksum) + segment[18:]
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, 6, 0) + b"".join(addresses)
    header = header[:10] + struct.pack(">H", _checksum(header)) + header[12:]
    macs = (CLIENT_MAC + SERVER_MAC) if from_server else (SERVER_MAC + CLIENT_MAC)
    return macs + b"\x08\x00" + header + segment


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
