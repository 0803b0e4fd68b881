"""Captures on the lab's links: the witnesses that the box keeps silent where it must, and the record of what the
mirror showed.
"""

import re
import struct
import time
from pathlib import Path

from lab.netns import Namespace
from lab.process import Process

PCAP_HEADER, RECORD_HEADER = 24, 16
RECORDER_BUFFER_KIB = 128 * 1024


HAND_OVER_S = 1.2


class Watch:
    """A capture of the frames on one interface that pass a filter, into a pcap file.

    A witness expects none and takes each at once; a recorder expects many, has a large buffer, and gets them in
    blocks that the kernel hands over within a second.
    """

    def __init__(
        self, namespace: Namespace, interface: str, file: Path, expression: str, *, recorder: bool = False
    ) -> None:
        self.file = file
        self._recorder = recorder
        how = ["-B", str(RECORDER_BUFFER_KIB)] if recorder else ["-U", "--immediate-mode"]
        options = ["-i", interface, "-n", *how, "-s", "0", "-Z", "root", "-w", str(file)]
        self._process = Process(namespace, ["tcpdump", *options, expression], file.with_suffix(".log"))

    def ready(self) -> None:
        """Waits until it captures."""
        self._process.wait_for("listening on")

    def stop(self) -> int:
        """Ends it and returns how many frames it took; a capture that lost frames is a fault."""
        if self._recorder:
            time.sleep(HAND_OVER_S)
        self._process.stop()
        said = self._process.last_words()
        lost = re.search(r"(\d+) packets? dropped by kernel", said)
        assert lost, f"tcpdump on {self.file.stem} ended badly: {said}"
        assert lost[1] == "0", f"tcpdump on {self.file.stem} lost {lost[1]} frames"
        return self.frames()

    def kill(self) -> None:
        """Ends it without looking."""
        self._process.kill()

    def frames(self) -> int:
        """How many frames are in its file."""
        return len(self.lengths())

    def lengths(self) -> list[int]:
        """The length of each frame in its file."""
        data = self.file.read_bytes()
        lengths, position = [], PCAP_HEADER
        while position + RECORD_HEADER <= len(data):
            captured, length = struct.unpack_from("<II", data, position + 8)
            position += RECORD_HEADER + captured
            lengths.append(length)
        return lengths
