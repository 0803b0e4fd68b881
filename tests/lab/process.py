"""Processes of the lab: started in a namespace, told apart by pid, gone when the lab is gone."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from lab.netns import Namespace


class StartError(Exception):
    """A process did not come up; the message is its name and its last words."""


class Process:
    """One program in a namespace.

    It runs in a session of its own, so that Ctrl-C reaches the lab alone, and the kernel ends it when the lab's
    process dies in whatever way.
    """

    def __init__(self, namespace: Namespace, command: list[str], log: Path, stdin: bytes | None = None) -> None:
        self.name = Path(command[0]).name
        self.command = command
        self.log = log
        with log.open("ab") as errors:
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *namespace.enter(*command)],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=errors if stdin is None else subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        if stdin is not None:
            assert self._popen.stdin is not None
            self._popen.stdin.write(stdin)
            self._popen.stdin.close()
            self._popen.stdin = None

    @property
    def pid(self) -> int:
        return self._popen.pid

    def running(self) -> bool:
        return self._popen.poll() is None

    def last_words(self, lines: int = 20) -> str:
        """The end of what it wrote to standard error."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_for(self, text: str, timeout: float = 10.0) -> None:
        """Waits until a text stands in its log."""
        deadline = time.monotonic() + timeout
        while text not in self.log.read_text(errors="replace"):
            if not self.running() or time.monotonic() > deadline:
                raise StartError(f"{self.name} did not say {text!r}: {self.last_words()}")
            time.sleep(0.01)

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal, if it still runs."""
        if self.running():
            self._popen.send_signal(number)

    def output(self, timeout: float) -> bytes:
        """What it printed, once it has ended (only for one started with standard input)."""
        printed, _ = self._popen.communicate(timeout=timeout)
        return bytes(printed)

    def wait(self, timeout: float) -> int:
        """Its exit status, once it has ended."""
        return self._popen.wait(timeout)

    def stop(self, timeout: float = 5.0, first: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end, then makes it end; returns its exit status."""
        self.send_signal(first)
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()

    def kill(self) -> None:
        """Kills it and its children, as a crash would."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()] if self.running() else []
        self._popen.kill()
        self._popen.wait()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
