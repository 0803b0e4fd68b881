"""Somebody who changes settings and installs updates without a pause, so that a power cut comes in the middle of it."""

import contextlib
import http.client
import threading
from collections.abc import Callable

from lab.machine import Machine

TOML = {"Content-Type": "application/toml"}


class Unrest:
    """Numbered changes to the settings, and updates of the other slot, each on a thread, until the machine ends."""

    def __init__(self, machine: Machine, settings: str, update: bytes, number: int) -> None:
        self.number_tried = self.number_taken = number
        self.updates_installed = 0
        self._machine, self._settings, self._update = machine, settings, update
        self._threads = [
            threading.Thread(target=self._until_the_end, args=(what,)) for what in (self._change, self._install)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Waits until the machine's end has ended it."""
        for thread in self._threads:
            thread.join()

    def _until_the_end(self, what: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            while self._machine.process.running():
                what()

    def _change(self) -> None:
        number = self.number_tried = self.number_tried + 1
        self._ask("PUT", "/api/v1/settings", self._settings.format(number=number).encode(), TOML)
        self._ask("POST", "/api/v1/settings/apply")
        self._ask("POST", "/api/v1/settings/confirm")
        self.number_taken = number

    def _install(self) -> None:
        self._ask("POST", "/api/v1/system/update", self._update)
        self.updates_installed += 1

    def _ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        status, answer = self._machine.call(method, path, body, headers)
        assert status < 300, f"{method} {path}: {status} {answer!r}"
