"""Real servers none of whose answers is quite like another: nothing is found of them, and of a faulty one its faults.

`python -m lab.unlike --exchanges 1000000` lets clients ask two origins and a Redis through the lab, beside a box whose
targets are the same programs, and looks at the findings every ten seconds. `--fault error=0.005` gives the target a
fault of that share of its kind of requests (`FOUND` has them all); that is to be found then, and nothing beside it.
Run as root, after `make build`.
"""

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.box import POOL, Box
from lab.ledger import Ledger, broken_laws, losses
from lab.process import Process
from lab.servers import Server, ServerLab
from lab.world import ORIGIN_ADDRESSES, ORIGIN_PORT, TARGET_ADDRESS, TARGET_PORT

PROGRAM = Path(__file__).with_suffix(".mjs")
REDIS_PORT = 6379
CONNECTIONS = 32
RATE = 2_000.0
LOOK_SECONDS = 10.0
TOLD_SECONDS = 6.5
"""By when all that was found is told."""
CLAIMED_SECONDS = 1.5
"""By when the box has its first addresses."""

FOUND = {
    "price": ("GET /api/items/{number}", "body:$.price", "value"),
    "error": ("GET /api/items/{number}", "status", "value"),
    "version": ("GET /cart", "header:x-version", "missing"),
    "slow": ("GET /api/search", "first_byte", "latency"),
    "closed": ("GET /pages/{number}", "body", "length"),
    "short": ("GET /api/users/{uuid}/profile", "body", "length"),
    "element": ("GET /api/feed", "body:$.items[*].price", "value"),
}
"""What is to be found of each fault."""

REDIS = (
    *(
        f"-t {test}"
        for test in ("set", "get", "incr", "lpush", "rpop", "sadd", "hset", "spop", "zadd", "zpopmin", "mset")
    ),
    "lrange mylist 0 20",
    "time",
    "srandmember {tag} 2",
    "randomkey",
    "object idletime key:__rand_int__",
    "getset token __rand_int__",
    "info clients",
)
"""What the clients of Redis ask, in turn, as arguments of its benchmark."""
BURST = 200
"""How often in a row."""

SETTINGS = f"""
schema_version = 1
[nics]
mirror = ["mirror0"]
target = "target0"
[addressing]
pool = ["{POOL}"]
[[service]]
name = "shop"
origins = ["*:{ORIGIN_PORT}"]
targets = ["{TARGET_ADDRESS}:{TARGET_PORT}"]
[[service]]
name = "redis"
origins = ["*:{REDIS_PORT}"]
targets = ["{TARGET_ADDRESS}:{REDIS_PORT}"]
"""

Found = set[tuple[str, str, str]]


@dataclass
class Outcome:
    """What a run has shown."""

    asked: int
    ledger: Ledger
    found: Found
    ever_found: Found
    occurred: dict[str, int]
    details: list[dict[str, Any]]
    seconds: float

    def wrong(self, faults: Iterable[str]) -> list[str]:
        """What is not as it must be, where the target has these faults."""
        expected = {FOUND[fault] for fault in faults}
        wrong = [f"not found: {one}" for one in expected - self.found]
        wrong += [f"found beside it: {one}" for one in self.ever_found - expected]
        return wrong + [f"the ledger breaks {law}" for law in broken_laws(self.ledger, ended=True)]


def redis(address: str, port: int, folder: Path) -> list[str]:
    """The command line of a Redis that forgets all at its end."""
    place = ["--bind", address, "--port", str(port), "--dir", str(folder)]
    return ["redis-server", *place, "--save", "", "--appendonly", "no", "--protected-mode", "no"]


class UnlikeLab(ServerLab):
    """The lab with such servers, and a Redis beside one origin and beside the target."""

    def __init__(self, faults: dict[str, float]) -> None:
        self._faults = [f"{fault}={share}" for fault, share in faults.items()]
        super().__init__(self._shop)

    def _shop(self, address: str, port: int, folder: Path) -> list[str]:
        del folder
        faults = self._faults if address == TARGET_ADDRESS else []
        return ["node", str(PROGRAM), "serve", address, str(port), *faults]

    def _raise_servers(self) -> None:
        super()._raise_servers()
        places = [(self.origin_hosts["o1"], ORIGIN_ADDRESSES["o1"]), (self.target_host, TARGET_ADDRESS)]
        for host, address in places:
            server = Server(host, address, REDIS_PORT, self.folder / f"redis-{host.role}", redis)
            self._ends.callback(server.process.stop)
            server.ready()

    def start_asking(self, count: int, rate: float) -> Process:
        """Starts the clients of the shop; they say how many requests were answered."""
        hosts = ",".join(f"{address}:{ORIGIN_PORT}" for address in ORIGIN_ADDRESSES.values())
        command = ["node", str(PROGRAM), "ask", hosts, str(count), str(CONNECTIONS), str(rate)]
        process = Process(self.clients, command, self.folder / "clients.log", stdin=b"")
        self._ends.callback(process.kill)
        return process

    def ask_redis(self, count: int, rate: float) -> None:
        """Asks the Redis of the origin so many requests, in bursts, so many a second on the whole."""
        begin, asked = time.monotonic(), 0
        flags = ["-h", ORIGIN_ADDRESSES["o1"], "-p", str(REDIS_PORT), "-c", "4", "-r", "500", "-q", "-n", str(BURST)]
        while asked < count:
            for words in REDIS:
                command = self.clients.enter("redis-benchmark", *flags, *words.split())
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=60)
                asked += BURST
                time.sleep(max(0.0, begin + asked / rate - time.monotonic()))


def findings(box: Box) -> list[dict[str, Any]]:
    """What the box has found by now."""
    found: list[dict[str, Any]] = json.loads(box.get("/api/v1/findings"))["findings"]
    return found


def keys(found: list[dict[str, Any]]) -> Found:
    return {(one["endpoint"], one["field"], one["kind"]) for one in found}


def run(
    exchanges: int, faults: dict[str, float], *, rate: float = RATE, redis_share: float = 0.2, tell: bool = False
) -> Outcome:
    """One run: so many exchanges, of which some are of Redis."""
    begin = time.monotonic()
    ever_found: Found = set()
    of_redis = int(exchanges * redis_share)
    with UnlikeLab(faults) as lab:
        settings = lab.folder / "settings.toml"
        settings.write_text(SETTINGS)
        box = lab.start_box(settings)
        time.sleep(CLAIMED_SECONDS)
        clients = lab.start_asking(exchanges - of_redis, rate * (1 - redis_share))
        asking = threading.Thread(target=lab.ask_redis, args=(of_redis, rate * redis_share))
        asking.start()
        while clients.running() or asking.is_alive():
            time.sleep(min(LOOK_SECONDS, exchanges / 20_000))
            found = findings(box)
            ever_found |= keys(found)
            if tell:
                told = box.ledger()
                print(
                    f"{time.monotonic() - begin:5.0f} s {told['requests']} {told['verdicts']} {losses(told)}",
                    flush=True,
                )
                print("".join(f"  {one}\n" for one in found), end="", flush=True)
        asked = int(clients.output(10.0))
        box.settle(asked)
        time.sleep(TOLD_SECONDS)
        details = findings(box)
        ledger = box.stop()
        lab.target_server.process.stop()
        said = re.search(r"faults (\{.*\})", lab.target_server.process.last_words())
        occurred = json.loads(said[1]) if said else {}
    return Outcome(
        asked, ledger, keys(details), ever_found | keys(details), occurred, details, time.monotonic() - begin
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--exchanges", type=int, default=10_000)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=SHARE")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second")
    parser.add_argument("--redis", type=float, default=0.2, help="share of the exchanges")
    parser.add_argument("--worlds", type=int, default=1)
    arguments = parser.parse_args()
    faults = {name: float(share) for name, _, share in (words.partition("=") for words in arguments.fault)}
    failed = 0
    for world in range(arguments.worlds):
        outcome = run(
            arguments.exchanges, faults, rate=arguments.rate, redis_share=arguments.redis, tell=arguments.worlds == 1
        )
        wrong = outcome.wrong(faults)
        failed += bool(wrong)
        requests, verdicts = outcome.ledger["requests"], outcome.ledger["verdicts"]
        print(f"world {world}: {outcome.seconds:.0f} s, {requests['captured']} exchanges, {verdicts}")
        print(
            f"  losses {losses(outcome.ledger)}, faults {outcome.occurred}, {'; '.join(wrong) or 'as it must be'}",
            flush=True,
        )
        for one in outcome.details if wrong else []:
            print(f"  {one}")
    print(f"{arguments.worlds - failed} of {arguments.worlds} worlds are as they must be")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
