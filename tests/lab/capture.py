"""Captures made by hand, as large as a test wants them: HTTP sessions as a mirror shows them, frame by frame, so that
neither a file nor its making takes memory. Checksums are unfinished, as in every capture behind an offloading NIC.
"""

import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CLIENT_NET, ORIGIN = b"\x0a\x64\x0a", b"\x0a\x64\x0a\x01"
ORIGIN_PORT = 11311
SYN, ACK, PSH, FIN = 0x02, 0x10, 0x08, 0x01
SEGMENT = 60_000
"""Payload of one frame: a super frame, as every virtual network and every offloading NIC shows them."""
START_S = 1_700_000_000


@dataclass(frozen=True)
class Session:
    """One client connection with its requests, whose answers have bodies of `answer_bytes`."""

    number: int
    paths: tuple[str, ...]
    answer_bytes: int = 0
    closes: bool = True
    opens: bool = True

    def frames(self) -> Iterator[bytes]:
        """Its frames from SYN to FIN; without `opens` it is met midstream."""
        client = CLIENT_NET + bytes([11 + self.number // 50_000 % 200]), 12_000 + self.number % 50_000
        origin = ORIGIN, ORIGIN_PORT
        sent, got = 1_000, 5_000
        if self.opens:
            yield _frame(client, origin, sent - 1, 0, SYN)
            yield _frame(origin, client, got - 1, sent, SYN | ACK)
            yield _frame(client, origin, sent, got, ACK)
        for path in self.paths:
            request = f"GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n".encode()
            yield _frame(client, origin, sent, got, PSH | ACK, request)
            sent += len(request)
            answer = f"HTTP/1.1 200 OK\r\nContent-Length: {self.answer_bytes}\r\n\r\n".encode()
            answer += b"x" * self.answer_bytes
            for at in range(0, len(answer), SEGMENT):
                piece = answer[at : at + SEGMENT]
                yield _frame(origin, client, got, sent, PSH | ACK, piece)
                got += len(piece)
            yield _frame(client, origin, sent, got, ACK)
        if self.closes:
            yield _frame(client, origin, sent, got, FIN | ACK)
            yield _frame(origin, client, got, sent + 1, FIN | ACK)
            yield _frame(client, origin, sent + 1, got + 1, ACK)


def one_by_one(sessions: Iterable[Session]) -> Iterator[bytes]:
    """Each session after the one before."""
    return itertools.chain.from_iterable(session.frames() for session in sessions)


def side_by_side(sessions: Iterable[Session]) -> Iterator[bytes]:
    """All sessions at once, frame by frame."""
    for frames in itertools.zip_longest(*(session.frames() for session in sessions)):
        yield from (frame for frame in frames if frame is not None)


def stamped(frames: Iterable[bytes], begin_us: int = 0, step_us: int = 100) -> Iterator[tuple[int, bytes]]:
    """A frame each `step_us`."""
    return zip(itertools.count(begin_us, step_us), frames, strict=False)


def is_of_origin(frame: bytes) -> bool:
    """Whether the origin sent it."""
    return frame[26:30] == ORIGIN


def write(file: Path, frames: Iterable[tuple[int, bytes]]) -> int:
    """Writes a pcap file of frames with their stamps in microseconds; how many they were."""
    count = 0
    with file.open("wb") as out:
        out.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for at, frame in frames:
            out.write(struct.pack("<IIII", START_S + at // 1_000_000, at % 1_000_000, len(frame), len(frame)))
            out.write(frame)
            count += 1
    return count


def _frame(
    source: tuple[bytes, int], destination: tuple[bytes, int], seq: int, ack: int, flags: int, payload: bytes = b""
) -> bytes:
    tcp = struct.pack(">HHIIBBHHH", source[1], destination[1], seq & 0xFFFFFFFF, ack, 0x50, flags, 0xFFFF, 0, 0)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0x4000, 64, 6, 0, source[0], destination[0])
    return b"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00" + ip + tcp + payload
