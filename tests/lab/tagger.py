"""A switch port that is a member of one VLAN: frames leave it without the tag that they carry on the trunk.

Run as `python -m lab.tagger VLAN TRUNK ACCESS` in a namespace that has both interfaces. It needs no VLAN devices, which
not every kernel has; a packet socket sees a frame without its tag, and the tag beside it.
"""

import select
import socket
import struct
import sys

ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 3, 263, 8, 23
VLAN_VALID, FRAME_BYTES = 1 << 4, 65_600
AUXDATA = struct.Struct("=IIIHHHH")


def port(interface: str) -> socket.socket:
    """All that arrives at an interface."""
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.bind((interface, ETH_P_ALL))
    return end


def receive(end: socket.socket) -> tuple[bytes, int | None]:
    """A frame, and the number of its VLAN."""
    frame, control, _, _ = end.recvmsg(FRAME_BYTES, socket.CMSG_SPACE(AUXDATA.size))
    status, _, _, _, _, tag, _ = AUXDATA.unpack(control[0][2][: AUXDATA.size])
    return frame, tag & 0xFFF if status & VLAN_VALID else None


def main(vlan: int, trunk_name: str, access_name: str) -> None:
    trunk, access = port(trunk_name), port(access_name)
    print("ready", file=sys.stderr, flush=True)
    while True:
        for end in select.select([trunk, access], [], [])[0]:
            frame, tag = receive(end)
            if end is trunk and tag == vlan:
                access.send(frame)
            elif end is access and tag is None:
                trunk.send(frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
