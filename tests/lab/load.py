"""Loads: what the clients ask for, how fast, over how many connections, and what they report."""

from dataclasses import dataclass, field

KIB = 1024
MIB = 1 << 20


@dataclass(frozen=True)
class Load:
    """A stream of requests at a steady rate.

    With `keep_alive` they go in turn over `connections` connections, else each has a connection of its own. With
    `seconds` 0 it has no end. `path` chooses what the servers do: `/get/` a small page, `/mib/` an answer of 1 MiB,
    `/post/` reads `body_bytes`.
    """

    name: str
    rate: float
    seconds: float
    connections: int = 1
    path: str = "/get/"
    body_bytes: int = 0
    keep_alive: bool = True

    @property
    def endless(self) -> bool:
        return self.seconds == 0

    @property
    def requests(self) -> int:
        """How many in all."""
        return round(self.rate * self.seconds)


@dataclass
class Report:
    """What the clients counted of one load."""

    name: str
    sent: int = 0
    answered: int = 0
    connections: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def mixed(rate: float, seconds: float) -> list[Load]:
    """A bit of everything, `rate` requests a second in all."""
    return [
        Load("page", rate * 0.80, seconds, connections=20),
        Load("short", rate * 0.10, seconds, keep_alive=False),
        Load("idle", rate * 0.06, seconds, connections=60),
        Load("post64k", rate * 0.03, seconds, connections=4, path="/post/", body_bytes=64 * KIB),
        Load("post1m", rate * 0.004, seconds, connections=2, path="/post/", body_bytes=MIB),
        Load("answer1m", rate * 0.006, seconds, connections=2, path="/mib/"),
    ]
