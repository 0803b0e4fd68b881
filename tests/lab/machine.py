"""A machine that the firmware runs on, emulated by QEMU, in the place of the lab's box: its two cards stand for the
box's interfaces, so that everything which watches the box watches the machine.
"""

import contextlib
import hashlib
import http.client
import json
import re
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.netns import Namespace
from lab.process import Process, StartError

EVERY_PROTOCOL = 3
"""`ETH_P_ALL` of linux/if_ether.h."""
SENT_BY_US = 4
"""`PACKET_OUTGOING` of linux/if_packet.h."""
FRAME_BYTES = 65_536
BURST = 64
ROOM_BYTES = 16 << 20
PAGE = ("127.0.0.1", 8443)
ELSEWHERE = {("127.0.0.1", 8444): "10.0.2.77", ("127.0.0.1", 8445): "10.0.3.15"}
"""Further addresses that a machine without a target may have: one by the settings, and one by DHCP at a third card."""
THIRD = "52:54:00:00:00:03"
"""The third card, which a machine without a target has, too."""
TYPING_S = 1
"""How long the machine's console is silent when it has taken what was typed."""
PATIENCE_S = 2
"""How long a card that takes nothing is waited for."""
ANSWER_S = 60.0
"""An update is written to a disk, all of it emulated, before it is answered."""


class Cable:
    """Joins an interface to a card of the machine, frame by frame, each of which is a datagram between two sockets."""

    def __init__(self, host: Namespace, interface: str, folder: Path) -> None:
        self.near, self.far = folder / f"{interface}.lab", folder / f"{interface}.card"
        self.mac = host.mac(interface)
        self.sent_by_machine = 0
        self._wire = host.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM_BYTES)
        host.inside(lambda: self._wire.bind((interface, EVERY_PROTOCOL)))
        self._card = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._card.bind(str(self.near))
        self._card.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE_S, 0))
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Ends it."""
        self._is_over.set()
        self._thread.join()
        self._wire.close()
        self._card.close()

    def _carry(self) -> None:
        while not self._is_over.is_set():
            ready, _, _ = select.select([self._wire, self._card], [], [], 0.1)
            with contextlib.suppress(BlockingIOError):
                for _ in range(BURST if self._wire in ready else 0):
                    self._to_card()
            with contextlib.suppress(BlockingIOError):
                for _ in range(BURST if self._card in ready else 0):
                    self._to_wire()

    def _to_card(self) -> None:
        frame, (_, _, kind, *_) = self._wire.recvfrom(FRAME_BYTES, socket.MSG_DONTWAIT)
        # A machine that is off takes nothing.
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            if kind != SENT_BY_US:
                self._card.sendto(frame, str(self.far))

    def _to_wire(self) -> None:
        frame = self._card.recv(FRAME_BYTES, socket.MSG_DONTWAIT)
        self.sent_by_machine += 1
        self._wire.send(frame)


class Machine:
    """A PC with a card for the mirror and one for the target, in this order on its bus; what it says on its serial
    console is its log. With `reboots` it starts again where it otherwise goes off. Without a target, QEMU's own network
    is at the second card, which gives the page an address and lets the lab reach it, and another at a third.
    """

    def __init__(
        self,
        host: Namespace,
        folder: Path,
        *words: str,
        card: str = "virtio-net-pci",
        reboots: bool = False,
        has_target: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        names = ("mirror0", "target0") if has_target else ("mirror0",)
        self.cables = {name: Cable(host, name, folder) for name in names}
        self.token = ""
        self.at = PAGE
        self._host = host
        self._control, self._serial, log = folder / "control", folder / "serial", folder / "console.log"
        command = [
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512", "-display", "none",
            "-chardev", f"socket,id=serial,path={self._serial},server=on,wait=off,logfile={log},logappend=on",
            "-serial", "chardev:serial", "-qmp", f"unix:{self._control},server=on,wait=off", *words,
        ]  # fmt: skip
        for slot, (name, cable) in enumerate(self.cables.items(), start=3):
            ends = f"local.type=unix,local.path={cable.far},remote.type=unix,remote.path={cable.near}"
            command += ["-netdev", f"dgram,id={name},{ends}"]
            command += ["-device", f"{card},netdev={name},mac={cable.mac},addr={slot},romfile="]
        if not has_target:
            address, port = PAGE
            (fixed, third) = [f"hostfwd=tcp:{own}:{port}-{to}:443" for (own, port), to in ELSEWHERE.items()]
            command += ["-netdev", f"user,id=page,restrict=on,hostfwd=tcp:{address}:{port}-:443,{fixed}"]
            command += ["-device", f"{card},netdev=page,addr=4,romfile="]
            command += ["-netdev", f"user,id=third,restrict=on,net=10.0.3.0/24,{third}"]
            command += ["-device", f"{card},netdev=third,mac={THIRD},addr=6,romfile="]
        self.process = Process(host, command + ([] if reboots else ["-no-reboot"]), log)

    def console(self) -> str:
        """All that it has said."""
        return self.process.log.read_text(errors="replace")

    def page_at(self, host: Namespace, address: str) -> None:
        """Its page is reached from this host of the lab, at an address that it has been given."""
        self._host, self.at = host, (address, 443)

    def page(self, path: str) -> bytes:
        """What its page answers to a GET."""
        status, content = self.call("GET", path)
        assert status == 200, f"{path}: {status}"
        return content

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """What its page, known by the fingerprint that its console told, answers to who knows the claim token."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.closing(http.client.HTTPSConnection(*self.at, context=context)) as connection:
            connection.sock = context.wrap_socket(self._host.connect(self.at, timeout=ANSWER_S))
            certificate = connection.sock.getpeercert(binary_form=True)
            assert certificate
            assert f"certificate: SHA-256 {hashlib.sha256(certificate).hexdigest()}" in self.console()
            own = {"Authorization": f"Bearer {self.claim_token()}"}
            connection.request(method, path, body, own | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def claim_token(self) -> str:
        """As the console told it at the first start with these data, or else as it is given in `token`."""
        told = re.findall(r"claim token: (\w+)", self.console())
        return str(told[-1]) if told else self.token

    def type(self, text: str) -> None:
        """Types at its serial console."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as line:
            line.connect(str(self._serial))
            line.sendall(text.encode())
            # Its answers are in its log; a line that hangs up may lose what it has not read.
            line.settimeout(TYPING_S)
            with contextlib.suppress(TimeoutError):
                while line.recv(FRAME_BYTES):
                    pass

    def press(self, *keys: str) -> None:
        """Presses keys together."""
        self._order("send-key", {"keys": [{"type": "qcode", "data": key} for key in keys]})

    def press_power_button(self) -> None:
        """Presses it, as a finger does."""
        self._order("system_powerdown")

    def _order(self, command: str, arguments: dict[str, Any] | None = None) -> None:
        order = {"execute": command} | ({"arguments": arguments} if arguments else {})
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
            control.settimeout(PATIENCE_S * 5)
            control.connect(str(self._control))
            lines = control.makefile("rw")
            lines.readline()
            for line in ({"execute": "qmp_capabilities"}, order):
                lines.write(json.dumps(line) + "\n")
                lines.flush()
                # Events may come in between.
                while "return" not in (answer := lines.readline()):
                    assert '"event"' in answer, answer

    def switch_off(self, timeout: float) -> None:
        """Asks it to end, by the three keys, and waits until it is off."""
        self.press("ctrl", "alt", "delete")
        self.wait_for_end(timeout)

    def wait_for_end(self, timeout: float) -> None:
        """Waits until it is off."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise StartError(f"the machine does not end: {self.process.last_words()}") from None

    def cut_power(self) -> None:
        """Ends it at once, as a power cut would, and takes its cables away."""
        self.process.kill()
        for cable in self.cables.values():
            cable.cut()


def wait_until(done: Callable[[], bool], what: str, timeout: float) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < deadline, f"after {timeout:.0f} s it is still not so that {what}"
        time.sleep(0.1)


def partitions(disk: Path) -> dict[str, int]:
    """Where each partition of a disk image begins, in bytes, by its name (UEFI specification, chapter 5)."""
    with disk.open("rb") as image:
        table = image.read(34 * 512)
    assert table[512:520] == b"EFI PART", f"{disk} has no partition table"
    entries = [table[at : at + 128] for at in range(1024, len(table), 128)]
    used = [entry for entry in entries if any(entry[:16])]
    return {entry[56:].decode("utf-16-le").rstrip("\0"): struct.unpack_from("<Q", entry, 32)[0] * 512 for entry in used}
