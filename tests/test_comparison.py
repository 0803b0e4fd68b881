"""What is found where two servers differ in what no two answers have in common, and where one of them is at fault.

The servers are one small program; the faults are those of the target alone: of the answers of one path 1 % have another
price and 0.5 % are 500, another path lacks a header, 2 % of the pages are cut, and one path takes 20 ms longer.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.box import Box
from lab.ledger import check_laws
from lab.servers import ServerLab
from lab.world import ORIGIN_ADDRESSES, ORIGIN_PORT

pytestmark = pytest.mark.lab

SERVER = Path(__file__).parent / "lab" / "shop.py"
ROUNDS = 250
PATHS = ("/items/{n}", "/orders/{n}", "/pages/{n}", "/slow/{n}")
CONNECTIONS = 5


def shop(address: str, port: int, folder: Path, *, faulty: bool = False) -> list[str]:
    """The command line of a shop."""
    is_target = address not in ORIGIN_ADDRESSES.values()
    return [sys.executable, str(SERVER), address, str(port), "faulty" if faulty and is_target else "sound"]


@contextmanager
def run(*, faulty: bool) -> Iterator[tuple[ServerLab, Box]]:
    with ServerLab(lambda address, port, folder: shop(address, port, folder, faulty=faulty)) as lab:
        box = lab.start_box()
        yield lab, box


def ask(lab: ServerLab) -> int:
    """Sends the same mixed requests to both origins; how many."""
    count = 0
    program = [sys.executable, str(SERVER), "ask"]
    for address in ORIGIN_ADDRESSES.values():
        words = [f"{address}:{ORIGIN_PORT}", str(ROUNDS), str(CONNECTIONS), *PATHS]
        count += int(lab.client(*program, *words))
    return count


def findings(box: Box) -> list[dict[str, Any]]:
    time.sleep(1.5)
    found: list[dict[str, Any]] = json.loads(box.get("/api/v1/findings"))["findings"]
    return found


def test_servers_that_are_alike() -> None:
    with run(faulty=False) as (lab, box):
        count = ask(lab)
        ledger = box.settle(count, timeout=30)
        assert ledger["requests"]["answered"] == count
        assert ledger["verdicts"]["differ"] > count / 2, "their answers differ in tokens"
        assert findings(box) == []
        summary = box.stop()
        check_laws(summary, ended=True)
        assert summary["findings"] == 0


def test_a_target_with_faults() -> None:
    with run(faulty=True) as (lab, box):
        count = ask(lab)
        box.settle(count, timeout=30)
        found = {(one["endpoint"], one["field"], one["kind"]) for one in findings(box)}
        assert found == {
            ("GET /items/{number}", "body:$.price", "value"),
            ("GET /items/{number}", "status", "value"),
            ("GET /orders/{number}", "header:x-version", "missing"),
            ("GET /pages/{number}", "body", "length"),
            ("GET /slow/{number}", "first_byte", "latency"),
        }
        latency = json.loads(box.get("/api/v1/latency"))
        slow = next(one for one in latency["endpoints"] if one["endpoint"] == "GET /slow/{number}")
        shift = slow["target"]["first_byte_us"]["p50"] - slow["origin"]["first_byte_us"]["p50"]
        assert 15_000 < shift < 35_000, slow
        assert box.stop()["findings"] == len(found)
