"""One conversation in every link type, encapsulation and file format: the rehearsal of each gives the same ledger, and
tshark sees the same requests.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.box import binary
from lab.ledger import Ledger, check_laws, lost
from lab.packets import (
    ACK,
    ANSWERS,
    CLIENT_PORT,
    ETHERNET,
    FIN,
    IPV4,
    ORIGIN_PORT,
    PSH,
    REQUESTS,
    SYN,
    VLAN,
    WRAPPINGS,
    Frame,
    Segment,
    conversation,
    ethernet,
    frames,
    ip4,
    pcap,
    pcapng,
    tag,
)

MICROSECONDS, NANOSECONDS, BINARY = 6, 9, 0x80 | 30
"""Time resolutions of pcapng."""


def rehearse(capture: Path) -> Ledger:
    """The ledger of a rehearsal, held to its laws."""
    command = [str(binary()), "rehearse", str(capture), "-x", f"{ORIGIN_PORT}-192.0.2.9:9", "--summary", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr, done.stderr
    ledger: Ledger = json.loads(done.stdout)
    check_laws(ledger, ended=True)
    return ledger


def essence(ledger: Ledger) -> Ledger:
    """What no wrapping may change."""
    return {part: ledger[part] for part in ("requests", "verdicts", "sessions")}


def tsharks_requests(capture: Path) -> Counter[int]:
    """The requests that tshark sees, by the client's port."""
    command = ["tshark", "-n", "-r", str(capture), "-Y", "http.request", "-T", "fields", "-E", "occurrence=l"]
    done = subprocess.run([*command, "-e", "tcp.srcport"], capture_output=True, text=True, timeout=120, check=True)
    return Counter(int(port) for port in done.stdout.split())


def check(file: Path, capture: bytes) -> Ledger:
    """Rehearses a capture of the whole conversation; every answer must match."""
    file.write_bytes(capture)
    ledger = rehearse(file)
    assert ledger["requests"]["captured"] == ledger["verdicts"]["match"] == len(REQUESTS), ledger
    assert lost(ledger) == 0, ledger
    return ledger


def plain(segment: Segment) -> list[bytes]:
    return [ethernet(segment, IPV4, ip4(segment))]


@pytest.fixture
def usual(tmp_path: Path) -> Ledger:
    """The ledger of the conversation in the most usual of captures."""
    return check(tmp_path / "usual.pcap", pcap(ETHERNET, frames(conversation(), plain)))


@pytest.mark.parametrize("name", WRAPPINGS)
def test_every_wrapping_comes_off(name: str, tmp_path: Path, usual: Ledger) -> None:
    link, wrap = WRAPPINGS[name]
    segments = conversation()
    ledger = check(tmp_path / "wrapped.pcap", pcap(link, frames(segments, wrap)))
    assert essence(ledger) == essence(usual), ledger
    assert ledger["frames"]["decoded"] == len(segments), ledger
    assert set(ledger["frames"]["ignored"]) <= {"fragment"}, ledger
    wrong = len(segments) if name == "wrong checksums" else 0
    assert (ledger["frames"]["checksums_verified"], ledger["frames"]["bad_checksums"]) == (len(segments), wrong), ledger


def test_tshark_sees_as_many_requests_in_every_wrapping(tmp_path: Path) -> None:
    """All wrappings side by side in one file of many interfaces, each with a client of its own."""
    links, captured = [], list[Frame]()
    for index, (link, wrap) in enumerate(WRAPPINGS.values()):
        links.append((link, (MICROSECONDS, NANOSECONDS, BINARY)[index % 3]))
        captured += frames(conversation(CLIENT_PORT + index), wrap, index)
    file = tmp_path / "all.pcapng"
    file.write_bytes(pcapng(links, sorted(captured, key=lambda frame: frame.at_ns)))
    seen = tsharks_requests(file)
    by_name = {name: seen[CLIENT_PORT + index] for index, name in enumerate(WRAPPINGS)}
    assert by_name == dict.fromkeys(WRAPPINGS, len(REQUESTS))
    ledger = rehearse(file)
    assert ledger["requests"]["captured"] == ledger["verdicts"]["match"] == seen.total(), ledger


def formats(order: str) -> dict[str, Callable[[list[Frame]], bytes]]:
    """Every kind of file in a byte order."""
    return {
        "pcap, microseconds": lambda found: pcap(ETHERNET, found, order),
        "pcap, nanoseconds": lambda found: pcap(ETHERNET, found, order, nanoseconds=True),
        "pcapng, microseconds": lambda found: pcapng([(ETHERNET, MICROSECONDS)], found, order),
        "pcapng, nanoseconds": lambda found: pcapng([(ETHERNET, NANOSECONDS)], found, order),
        "pcapng, powers of two": lambda found: pcapng([(ETHERNET, BINARY)], found, order),
    }


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("name", formats("<"))
def test_every_format_is_read(name: str, order: str, tmp_path: Path, usual: Ledger) -> None:
    file = tmp_path / "file"
    ledger = check(file, formats(order)[name](frames(conversation(), plain)))
    assert essence(ledger) == essence(usual), ledger
    assert ledger["latency_us"] == usual["latency_us"], ledger
    assert tsharks_requests(file).total() == len(REQUESTS)


def test_the_directions_may_lie_in_different_files(tmp_path: Path, usual: Ledger) -> None:
    """As a TAP with two ports gives them; here as two interfaces of one file, too, with clocks of other resolutions."""
    links = [(ETHERNET, MICROSECONDS), (ETHERNET, NANOSECONDS)]
    both = [replace(frame, interface=number % 2) for number, frame in enumerate(frames(conversation(), plain))]
    assert essence(check(tmp_path / "both.pcapng", pcapng(links, both))) == essence(usual)


def test_a_mirror_of_ingress_and_egress_shows_every_frame_twice(tmp_path: Path, usual: Ledger) -> None:
    def twice(segment: Segment) -> list[bytes]:
        return [*plain(segment), ethernet(segment, VLAN, tag(7, IPV4, ip4(replace(segment, ttl=63))))]

    segments = conversation()
    ledger = check(tmp_path / "twice.pcap", pcap(ETHERNET, frames(segments, twice)))
    assert ledger["frames"]["duplicates"] == len(segments), ledger
    assert ledger["requests"] == usual["requests"], ledger
    assert ledger["verdicts"] == usual["verdicts"], ledger


@pytest.mark.parametrize("length", [40_000, 100_000])
def test_super_frames(length: int, tmp_path: Path) -> None:
    """Receive offload joins segments, even beyond what the length field of IP can say."""
    answers = [*ANSWERS[:3], b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + b"d" * length]
    ledger = check(
        tmp_path / "super.pcap", pcap(ETHERNET, frames(conversation(answers=answers, largest=length), plain))
    )
    assert ledger["verdicts"]["match"] == len(REQUESTS), ledger


def test_what_the_capture_cut_off_is_never_said_to_differ(tmp_path: Path) -> None:
    """Heads are there, content is not: the one request that has some is not sent, the one answer is not compared."""
    file = tmp_path / "cut.pcap"
    file.write_bytes(pcap(ETHERNET, [replace(frame, snaplen=256) for frame in frames(conversation(), plain)]))
    ledger = rehearse(file)
    assert ledger["frames"]["truncated"] == 6, ledger
    assert ledger["requests"]["captured"] == tsharks_requests(file).total() == len(REQUESTS), ledger
    assert ledger["requests"]["not_replayed"] == {"mirror_gap": 1}, ledger
    assert ledger["verdicts"] == {"match": 2, "differ": 0, "incomparable": {"mirror_gap": 1}}, ledger


def test_an_answer_that_goes_on_after_the_client_has_closed_its_side(tmp_path: Path) -> None:
    """Without a framer, what comes after the client's close is a part of the last answer, too."""
    segments = [
        Segment(0, True, SYN, 1000, 0),
        Segment(1, False, SYN | ACK, 9000, 1001),
        Segment(2, True, PSH | ACK, 1001, 9001, b"\x01\x02\x03\x04"),
        Segment(3, False, PSH | ACK, 9001, 1005, b"welcome"),
        Segment(4, True, FIN | ACK, 1005, 9008),
        Segment(500, False, PSH | ACK, 9008, 1006, b"to"),
        Segment(501, False, FIN | ACK, 9010, 1006),
        Segment(502, True, ACK, 1006, 9011),
    ]
    file = tmp_path / "turn.pcap"
    file.write_bytes(pcap(ETHERNET, frames(segments, plain)))
    ledger = rehearse(file)
    assert ledger["requests"]["captured"] == ledger["requests"]["turns"] == 1, ledger
    assert ledger["verdicts"] == {"match": 1, "differ": 0, "incomparable": {}}, ledger
