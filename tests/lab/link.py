"""What is said on a link: by whom an address is claimed, and frames that a test says itself."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from lab.netns import Namespace
from lab.watch import PCAP_HEADER, RECORD_HEADER

ETH_P_ALL = 3
ARP, IPV6, VLAN = b"\x08\x06", b"\x86\xdd", b"\x81\x00"
IPV6_HEADER, ICMPV6, ADVERTISEMENT = 40, 58, 136

Address = IPv4Address | IPv6Address


def claimed(capture: Path, mac: str) -> set[Address]:
    """The addresses that the station with this Ethernet address has said to be its own, by ARP or NDP."""
    own = bytes.fromhex(mac.replace(":", ""))
    found = {_claim(frame) for frame in _frames(capture) if frame[6:12] == own}
    return found - {None, ip_address("0.0.0.0")}  # type: ignore[return-value]


def _frames(capture: Path) -> list[bytes]:
    data, position, frames = capture.read_bytes(), PCAP_HEADER, []
    while position + RECORD_HEADER <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 8)
        position += RECORD_HEADER
        frames.append(data[position : position + length])
        position += length
    return frames


def _claim(frame: bytes) -> Address | None:
    kind, payload = frame[12:14], frame[14:]
    if kind == ARP:
        return ip_address(payload[14:18])
    is_advertisement = kind == IPV6 and payload[6] == ICMPV6 and payload[IPV6_HEADER] == ADVERTISEMENT
    return ip_address(payload[48:64]) if is_advertisement else None


def announce(namespace: Namespace, interface: str, address: str) -> None:
    """Says once to all stations that an IPv4 address is at this interface, as a machine that has just taken it does."""
    mac = bytes.fromhex(namespace.mac(interface).replace(":", ""))
    own = ip_address(address).packed
    frame = b"\xff" * 6 + mac + ARP + b"\x00\x01\x08\x00\x06\x04\x00\x01" + mac + own + bytes(6) + own

    def say() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as end:
            end.bind((interface, 0))
            end.send(frame)

    namespace.inside(say)
