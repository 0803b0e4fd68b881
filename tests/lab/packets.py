"""One HTTP conversation as packets, in every wrapping that a mirror may show it in, and the files that hold them."""

import itertools
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

CLIENT_PORT, ORIGIN_PORT = 40000, 8080
FIN, SYN, PSH, ACK = 1, 2, 8, 16

ETHERNET, RAW_IP, NULL, LOOP, SLL, SLL2 = 1, 101, 0, 108, 113, 276
"""Link types, as <https://www.tcpdump.org/linktypes.html> numbers them."""

IPV4, IPV6, VLAN, QINQ, MPLS, PPPOE, BRIDGED = 0x0800, 0x86DD, 0x8100, 0x88A8, 0x8847, 0x8864, 0x6558
CLIENT_MAC, ORIGIN_MAC = bytes.fromhex("02000000000c"), bytes.fromhex("02000000000a")


@dataclass(frozen=True)
class Segment:
    """A TCP segment of the conversation; its number counts the segments, both directions together."""

    number: int
    by_client: bool
    flags: int
    seq: int
    ack: int
    payload: bytes = b""
    port: int = CLIENT_PORT
    bad_checksum: bool = False
    ttl: int = 64

    def at_ns(self) -> int:
        """When it was captured."""
        return 1_700_000_000_000_000_000 + self.number * 1_000_000

    def bytes_between(self, source: bytes, destination: bytes) -> bytes:
        """Header and payload, with the checksum for these addresses."""
        ports = (self.port, ORIGIN_PORT) if self.by_client else (ORIGIN_PORT, self.port)
        head = struct.pack(">HHIIBBHHH", *ports, self.seq, self.ack, 0x50, self.flags, 0xFFFF, 0, 0)
        whole = head + self.payload
        pseudo = source + destination + struct.pack(">II", len(whole), 6)
        checksum = internet_checksum(pseudo + whole) ^ (0x5A5A if self.bad_checksum else 0)
        return whole[:16] + struct.pack(">H", checksum) + whole[18:]


def internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: o\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: o\r\nContent-Length: 2000\r\n\r\n" + b"b" * 2000,
    b"HEAD /c HTTP/1.1\r\nHost: o\r\n\r\n",
    b"GET /d HTTP/1.1\r\nHost: o\r\n\r\n",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"d" * 5000,
]


def conversation(port: int = CLIENT_PORT, answers: Iterable[bytes] = ANSWERS, largest: int = 1400) -> list[Segment]:
    """A whole session: handshake, each request and its answer in segments of at most `largest` bytes, close."""
    numbers = itertools.count()
    seq = {True: 1000, False: 9000}
    found: list[Segment] = []

    def say(by_client: bool, flags: int, payload: bytes = b"") -> None:
        ack = seq[not by_client] if flags & ACK else 0
        found.append(Segment(next(numbers), by_client, flags, seq[by_client], ack, payload, port))
        seq[by_client] += len(payload) + (1 if flags & (SYN | FIN) else 0)

    def say_all(by_client: bool, message: bytes) -> None:
        for begin in range(0, len(message), largest):
            say(by_client, PSH | ACK, message[begin : begin + largest])
        say(not by_client, ACK)

    say(True, SYN)
    say(False, SYN | ACK)
    say(True, ACK)
    for request, answer in zip(REQUESTS, answers, strict=True):
        say_all(True, request)
        say_all(False, answer)
    say(True, FIN | ACK)
    say(False, FIN | ACK)
    say(True, ACK)
    return found


def ends(segment: Segment, client: bytes, origin: bytes) -> bytes:
    """Source and destination."""
    return client + origin if segment.by_client else origin + client


def ip4(segment: Segment, options: bytes = b"") -> bytes:
    """The segment in IPv4."""
    addresses = ends(segment, bytes([10, 1, 0, 1]), bytes([10, 1, 0, 2]))
    body = segment.bytes_between(addresses[:4], addresses[4:])
    return in_ip4(body, 6, addresses, options, number=segment.number + 1, ttl=segment.ttl)


def in_ip4(
    body: bytes, protocol: int, addresses: bytes, options: bytes = b"", *, number: int = 1, ttl: int = 64, part: int = 0
) -> bytes:
    """An IPv4 packet; `part` holds the flags and offset of a fragment. A length that 16 bits cannot hold is left 0."""
    length = 20 + len(options) + len(body)
    first = 0x45 + len(options) // 4
    fixed = struct.pack(">BBHHHBBH", first, 0, length % 65536 if length < 65536 else 0, number, part, ttl, protocol, 0)
    header = fixed + addresses + options
    return header[:10] + struct.pack(">H", internet_checksum(header)) + header[12:] + body


def ip6(
    segment: Segment, extensions: Callable[[int, bytes], tuple[int, bytes]] = lambda kind, body: (kind, body)
) -> bytes:
    """The segment in IPv6, behind extension headers if there are any."""
    addresses = ends(segment, bytes.fromhex("fd" + "00" * 14 + "01"), bytes.fromhex("fd" + "00" * 14 + "02"))
    kind, body = extensions(6, segment.bytes_between(addresses[:16], addresses[16:]))
    return in_ip6(body, kind, addresses)


def in_ip6(body: bytes, kind: int, addresses: bytes) -> bytes:
    """An IPv6 packet."""
    return struct.pack(">IHBB", 6 << 28, len(body), kind, 64) + addresses + body


def three_extensions(kind: int, body: bytes) -> tuple[int, bytes]:
    """Hop by hop, routing without hops left, destination options."""
    options = bytes([1, 4, 0, 0, 0, 0])
    body = bytes([kind, 0]) + options + body
    body = bytes([60, 0, 0, 0, 0, 0, 0, 0]) + body
    return 0, bytes([43, 0]) + options + body


def pieces4(segment: Segment) -> list[bytes]:
    """The segment in fragments of IPv4, the last one first."""
    packet = ip4(segment)
    addresses, body = packet[12:20], packet[20:]
    cuts = range(0, len(body), 24)
    parts = [(begin // 8) | (0x2000 if begin + 24 < len(body) else 0) for begin in cuts]
    return [
        in_ip4(body[begin : begin + 24], 6, addresses, number=segment.number + 1, part=part)
        for begin, part in reversed(list(zip(cuts, parts, strict=True)))
    ]


def pieces6(segment: Segment) -> list[bytes]:
    """The segment in fragments of IPv6."""
    packet = ip6(segment)
    addresses, body = packet[8:40], packet[40:]
    return [
        in_ip6(
            struct.pack(">BBHI", 6, 0, begin | (begin + 16 < len(body)), segment.number) + body[begin : begin + 16],
            44,
            addresses,
        )
        for begin in range(0, len(body), 16)
    ]


def ethernet(segment: Segment, kind: int, body: bytes) -> bytes:
    """An Ethernet frame."""
    return ends(segment, ORIGIN_MAC, CLIENT_MAC) + struct.pack(">H", kind) + body


def tag(identifier: int, kind: int, body: bytes) -> bytes:
    """What follows the EtherType of a VLAN tag."""
    return struct.pack(">HH", identifier, kind) + body


def labels(body: bytes) -> bytes:
    """Two MPLS labels, the lower one at the bottom of the stack."""
    return struct.pack(">II", 0x00064040, 0x000C8140) + body


def switch(segment: Segment) -> bytes:
    """Addresses of the two ends of a tunnel: it runs from the switch to the box whatever the direction inside."""
    return bytes([192, 0, 2, 1, 192, 0, 2, 2])


def udp(port: int, body: bytes) -> bytes:
    """A datagram without a checksum, as tunnels send them."""
    return struct.pack(">HHHH", 50000, port, len(body) + 8, 0) + body


def gre(flags: int, kind: int, fields: bytes, body: bytes) -> bytes:
    """GRE, with the optional fields that its flags announce."""
    return struct.pack(">HH", flags, kind) + fields + body


def vxlan(segment: Segment) -> bytes:
    """The frame in VXLAN, up to the outer IP packet."""
    inner = ethernet(segment, IPV4, ip4(segment))
    return in_ip4(udp(4789, struct.pack(">II", 8 << 24, 42 << 8) + inner), 17, switch(segment))


def geneve(segment: Segment) -> bytes:
    """The frame in GENEVE with one option."""
    inner = ethernet(segment, IPV4, ip4(segment))
    header = struct.pack(">BBHI", 2, 0, BRIDGED, 42 << 8) + struct.pack(">HBBI", 0x0102, 0x80, 1, 7)
    return in_ip4(udp(6081, header + inner), 17, switch(segment))


def erspan(segment: Segment, kind: int, inner: bytes | None = None) -> bytes:
    """The frame in ERSPAN of type 1, 2 or 3."""
    inner = inner or ethernet(segment, IPV4, ip4(segment))
    number = struct.pack(">I", segment.number)
    packed = {
        1: gre(0, 0x88BE, b"", inner),
        2: gre(0x1000, 0x88BE, number, struct.pack(">II", 0x1007_0001, 3) + inner),
        3: gre(0x1000, 0x22EB, number, struct.pack(">III", 0x2007_0001, 99, 0) + inner),
    }[kind]
    return in_ip4(packed, 47, switch(segment))


def tunnel(segment: Segment, protocol: int, body: bytes) -> list[bytes]:
    """A frame with an IPv4 tunnel in it."""
    return [ethernet(segment, IPV4, in_ip4(body, protocol, switch(segment)))]


def cooked(segment: Segment) -> bytes:
    """Linux cooked capture, version 1."""
    return struct.pack(">HHH", 0 if segment.by_client else 4, 1, 6) + CLIENT_MAC + bytes(2) + struct.pack(">H", IPV4)


def cooked2(segment: Segment) -> bytes:
    """Linux cooked capture, version 2."""
    return struct.pack(">HHIHBB", IPV4, 0, 2, 1, 0 if segment.by_client else 4, 6) + CLIENT_MAC + bytes(2)


def pppoe(segment: Segment, protocol: bytes) -> list[bytes]:
    """A session of PPP over Ethernet."""
    body = protocol + ip4(segment)
    return [ethernet(segment, PPPOE, struct.pack(">BBHH", 0x11, 0, 9, len(body)) + body)]


Wrap = Callable[[Segment], list[bytes]]

WRAPPINGS: dict[str, tuple[int, Wrap]] = {
    "ipv4": (ETHERNET, lambda s: [ethernet(s, IPV4, ip4(s))]),
    "ipv6": (ETHERNET, lambda s: [ethernet(s, IPV6, ip6(s))]),
    "802.1Q": (ETHERNET, lambda s: [ethernet(s, VLAN, tag(7, IPV4, ip4(s)))]),
    "802.1ad": (ETHERNET, lambda s: [ethernet(s, QINQ, tag(8, VLAN, tag(7, IPV4, ip4(s))))]),
    "a tag on one side": (
        ETHERNET,
        lambda s: [ethernet(s, VLAN, tag(7, IPV4, ip4(s)))] if s.by_client else [ethernet(s, IPV4, ip4(s))],
    ),
    "mpls": (ETHERNET, lambda s: [ethernet(s, MPLS, labels(ip4(s)))]),
    "mpls, ipv6": (ETHERNET, lambda s: [ethernet(s, MPLS, labels(ip6(s)))]),
    "pppoe": (ETHERNET, lambda s: pppoe(s, b"\x00\x21")),
    "pppoe, protocol in one byte": (ETHERNET, lambda s: pppoe(s, b"\x21")),
    "ipv4 options": (ETHERNET, lambda s: [ethernet(s, IPV4, ip4(s, bytes([1] * 8)))]),
    "ipv4 fragments": (ETHERNET, lambda s: [ethernet(s, IPV4, piece) for piece in pieces4(s)]),
    "ipv6 extensions": (ETHERNET, lambda s: [ethernet(s, IPV6, ip6(s, three_extensions))]),
    "ipv6 fragments": (ETHERNET, lambda s: [ethernet(s, IPV6, piece) for piece in pieces6(s)]),
    "4 in 4": (ETHERNET, lambda s: tunnel(s, 4, ip4(s))),
    "6 in 4": (ETHERNET, lambda s: tunnel(s, 41, ip6(s))),
    "gre": (ETHERNET, lambda s: tunnel(s, 47, gre(0, IPV4, b"", ip4(s)))),
    "gre, key": (ETHERNET, lambda s: tunnel(s, 47, gre(0x2000, IPV6, bytes(4), ip6(s)))),
    "gre, bridged": (ETHERNET, lambda s: tunnel(s, 47, gre(0, BRIDGED, b"", ethernet(s, IPV4, ip4(s))))),
    "vxlan": (ETHERNET, lambda s: [ethernet(s, IPV4, vxlan(s))]),
    "geneve": (ETHERNET, lambda s: [ethernet(s, IPV4, geneve(s))]),
    "erspan I": (ETHERNET, lambda s: [ethernet(s, IPV4, erspan(s, 1))]),
    "erspan II": (ETHERNET, lambda s: [ethernet(s, IPV4, erspan(s, 2))]),
    "erspan III": (ETHERNET, lambda s: [ethernet(s, IPV4, erspan(s, 3))]),
    "vxlan in erspan": (ETHERNET, lambda s: [ethernet(s, IPV4, erspan(s, 2, ethernet(s, IPV4, vxlan(s))))]),
    "raw ipv4": (RAW_IP, lambda s: [ip4(s)]),
    "raw ipv6": (RAW_IP, lambda s: [ip6(s)]),
    "raw, 6 in 4": (RAW_IP, lambda s: [in_ip4(ip6(s), 41, switch(s))]),
    "null, little-endian": (NULL, lambda s: [struct.pack("<I", 2) + ip4(s)]),
    "null, big-endian": (NULL, lambda s: [struct.pack(">I", 2) + ip4(s)]),
    "null, ipv6 of macOS": (NULL, lambda s: [struct.pack("<I", 30) + ip6(s)]),
    "loop": (LOOP, lambda s: [struct.pack(">I", 2) + ip4(s)]),
    "sll": (SLL, lambda s: [cooked(s) + ip4(s)]),
    "sll2": (SLL2, lambda s: [cooked2(s) + ip4(s)]),
    "wrong checksums": (ETHERNET, lambda s: [ethernet(s, IPV4, ip4(replace(s, bad_checksum=True)))]),
}
"""What a segment may be wrapped in: the capture's link type, and the frames that carry the segment."""


@dataclass(frozen=True)
class Frame:
    """A frame of a capture, perhaps not captured whole; `interface` indexes the capture's link types."""

    at_ns: int
    bytes: bytes
    interface: int = 0
    snaplen: int = 262144


def frames(segments: Iterable[Segment], wrap: Wrap, interface: int = 0) -> list[Frame]:
    """The conversation in a wrapping."""
    return [Frame(segment.at_ns(), bytes, interface) for segment in segments for bytes in wrap(segment)]


def pcap(link: int, captured: Iterable[Frame], order: str = "<", *, nanoseconds: bool = False) -> bytes:
    """A pcap file in either byte order (`<` or `>`)."""
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    found = [struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, 262144, link)]
    for frame in captured:
        kept = frame.bytes[: frame.snaplen]
        stamp = (frame.at_ns // 10**9, frame.at_ns % 10**9 // unit)
        found.append(struct.pack(f"{order}IIII", *stamp, len(kept), len(frame.bytes)) + kept)
    return b"".join(found)


def pcapng(links: Iterable[tuple[int, int]], captured: Iterable[Frame], order: str = "<") -> bytes:
    """A pcapng file whose interfaces each have a link type and a time resolution (`if_tsresol`)."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        length = struct.pack(f"{order}I", len(body) + 12)
        return struct.pack(f"{order}I", kind) + length + body + length

    found = [block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))]
    units = []
    for link, resolution in links:
        option = struct.pack(f"{order}HHB3xHH", 9, 1, resolution, 0, 0)
        found.append(block(1, struct.pack(f"{order}HHI", link, 0, 262144) + option))
        units.append(2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution)
    for frame in captured:
        stamp = -(-frame.at_ns * units[frame.interface] // 10**9)
        kept = frame.bytes[: frame.snaplen]
        numbers = (frame.interface, stamp >> 32, stamp & 0xFFFFFFFF, len(kept), len(frame.bytes))
        found.append(block(6, struct.pack(f"{order}IIIII", *numbers) + kept))
    return b"".join(found)
