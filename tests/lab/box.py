"""The box in the lab: the appliance's process, its page and its summary."""

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from lab.ledger import Ledger
from lab.netns import Namespace
from lab.process import Process, StartError

REPOSITORY = Path(__file__).parents[2]
PAGE = ("127.0.0.1", 8080)
CLAIM_S = 1.5
MAP = "11311-10.100.20.31:11511"
POOL = "10.100.20.100-10.100.20.200/24"


def wired_settings(
    port: int,
    target: str = "10.100.20.31:80",
    *,
    mirror: Iterable[str] = ("mirror0",),
    nics: str = "",
    sections: str = "",
) -> str:
    """Settings for a machine with mirror NICs and a target NIC, and one service, whose port tells them apart.

    `nics` is more of the section of that name, `sections` are others.
    """
    return f"""schema_version = 1
[nics]
mirror = {json.dumps(list(mirror))}
target = "target0"
{nics}
[addressing]
pool = ["{POOL}"]
{sections}
[[service]]
name = "shop"
origins = ["*:{port}"]
targets = ["{target}"]
"""


def binary() -> Path:
    """The program under test: `TAPCOPY` in the environment, or what `make build` makes."""
    program = Path(os.environ.get("TAPCOPY", REPOSITORY / "dist" / "tapcopy"))
    assert program.exists(), f"there is no {program}: run `make build` first"
    return program


class Box:
    """One run of `tapcopy run`, from start to summary: on a settings file or, without one, on the lab's own flags.

    Without a mirror NIC it is given nothing but its data folder, and waits for its first settings.
    """

    def __init__(
        self,
        namespace: Namespace,
        folder: Path,
        settings: Path | None = None,
        mirror_nics: Iterable[str] = ("mirror0",),
        words: Iterable[str] = (),
    ) -> None:
        self.namespace = namespace
        self.summary_file = folder / "summary.json"
        folder.mkdir(exist_ok=True)
        mirrors = [word for nic in mirror_nics for word in ("--mirror-nic", nic)]
        flags = [*mirrors, "--target-nic", "target0", "--pool", POOL, "-x", MAP] if mirrors else []
        self.data = folder / "data"
        self.command = [
            str(binary()), "run", *(flags if settings is None else ["--settings", str(settings)]),
            "--summary", str(self.summary_file), "--listen", f"{PAGE[0]}:{PAGE[1]}", "--data", str(self.data),
            *words,
        ]  # fmt: skip
        self.process = Process(namespace, self.command, folder / "box.log")

    def restart(self) -> None:
        """Ends it, and starts it again on the same data."""
        self.process.stop(timeout=8.0)
        self.process = Process(self.namespace, self.command, self.process.log)
        self.ready()

    def ready(self, timeout: float = 10.0) -> None:
        """Waits until its page answers; capture is on by then."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.health()
                return
            except (OSError, http.client.HTTPException) as fault:
                if not self.process.running() or time.monotonic() > deadline:
                    raise StartError(f"tapcopy did not come up ({fault}): {self.process.last_words()}") from None
                time.sleep(0.05)

    def claim(self) -> None:
        """Waits until it has asked its network for its addresses.

        Before that sessions wait, and what a target is asked late proves nothing of it.
        """
        time.sleep(CLAIM_S)

    def health(self) -> dict[str, object]:
        """What it says of itself, be it well or not."""
        health: dict[str, object] = json.loads(self.get("/api/v1/health", accepted=(200, 503)))
        return health

    def get(self, path: str, accepted: tuple[int, ...] = (200,)) -> bytes:
        """What its page answers to a GET from inside its own namespace."""
        with contextlib.closing(http.client.HTTPConnection(*PAGE)) as connection:
            connection.sock = self.namespace.connect(PAGE)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status not in accepted:
                raise http.client.HTTPException(f"{path}: {answer.status}")
            return body

    def change(self, settings: str) -> dict[str, object]:
        """Stages, applies and confirms settings; what its page answers to the last of it, or to what it refuses."""
        toml = {"Content-Type": "application/toml"}
        answer: dict[str, object] = self.ask("PUT", "/api/v1/settings", settings, toml)
        for step in ("apply", "confirm"):
            if "error" not in answer:
                answer = self.ask("POST", f"/api/v1/settings/{step}")
        return answer

    def claim_token(self) -> str:
        """What claims it, as its data folder tells."""
        data = Path(self.command[self.command.index("--data") + 1])
        return (data / "claim-token").read_text().strip()

    def ask(self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> dict[str, object]:
        """What its page answers, as JSON, to who has the claim token."""
        answer: dict[str, object] = json.loads(self.download(path, method, body, headers))
        return answer

    def download(self, path: str, method: str = "GET", body: str = "", headers: dict[str, str] | None = None) -> bytes:
        """The same as it comes."""
        token = self.claim_token()
        with contextlib.closing(http.client.HTTPConnection(*PAGE)) as connection:
            connection.sock = self.namespace.connect(PAGE)
            connection.request(method, path, body, {"Authorization": f"Bearer {token}", **(headers or {})})
            return connection.getresponse().read()

    def ledger(self) -> Ledger:
        """The ledger now (the box refreshes it each second)."""
        ledger: Ledger = json.loads(self.get("/api/v1/ledger"))
        return ledger

    def settle(self, captured: int, timeout: float = 15.0) -> Ledger:
        """Waits until so many requests are captured and none is in progress, or the time is up; returns the ledger."""
        deadline = time.monotonic() + timeout
        while True:
            ledger = self.ledger()
            requests = ledger["requests"]
            done = requests["captured"] >= captured and requests["in_progress"] == 0
            if done or time.monotonic() > deadline:
                return ledger
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Ledger:
        """Ends it by a signal, within the five seconds that the contract grants, and returns its summary."""
        begin = time.monotonic()
        status = self.process.stop(timeout=8.0, first=number)
        took = time.monotonic() - begin
        assert status == 0, f"tapcopy ended with status {status}: {self.process.last_words()}"
        assert took < 5.0, f"tapcopy took {took:.1f} s to end"
        ledger: Ledger = json.loads(self.summary_file.read_text())
        return ledger


class Replay:
    """One run of `tapcopy replay`, from start to summary."""

    def __init__(self, namespace: Namespace, folder: Path, *words: str | Path, target_map: str = MAP) -> None:
        self.summary_file = folder / "summary.json"
        folder.mkdir(exist_ok=True)
        flags = ["--target-nic", "target0", "--pool", POOL, "-x", target_map, "--summary", str(self.summary_file)]
        self.process = Process(namespace, [str(binary()), "replay", *map(str, words), *flags], folder / "replay.log")

    def finish(self, timeout: float = 120.0) -> Ledger:
        """Its summary, once the captures are at their end."""
        status = self.process.wait(timeout)
        assert status == 0, f"tapcopy ended with status {status}: {self.process.last_words()}"
        ledger: Ledger = json.loads(self.summary_file.read_text())
        return ledger

    def stop(self, number: signal.Signals = signal.SIGINT) -> Ledger:
        """Its summary, after a signal."""
        begin = time.monotonic()
        self.process.send_signal(number)
        ledger = self.finish(timeout=8.0)
        took = time.monotonic() - begin
        assert took < 5.0, f"tapcopy took {took:.1f} s to end"
        return ledger
