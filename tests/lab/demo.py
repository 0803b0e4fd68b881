"""The demonstration: the lab, the appliance in it, steady traffic, and the ledger as it grows.

With `--seconds N` the status is 0 if every request of the origins' logs reached the target once, in order, and was
answered.
"""

import argparse
import ctypes
import os
import signal
import sys
import time
from types import FrameType

from lab.box import MAP, PAGE, Box
from lab.forward import Forwarder
from lab.ledger import Ledger, broken_laws, losses, lost
from lab.load import mixed
from lab.netns import CommandError
from lab.process import Process, StartError
from lab.world import Lab

PR_SET_PDEATHSIG = 1
TABLE_EVERY_S = 2.0
HEADS = ("seconds", "captured", "replayed", "answered", "open", "lost", "match", "differ", "incomparable", "p50 us o/t")


def say(topic: str, text: str) -> None:
    print(f"{topic:>9}  {text}", flush=True)


def row(*cells: object) -> str:
    return "  ".join(f"{cell!s:>{len(head)}}" for cell, head in zip(cells, HEADS, strict=True))


def ledger_row(seconds: float, ledger: Ledger) -> str:
    requests, verdicts, latency = ledger["requests"], ledger["verdicts"], ledger["latency_us"]
    return row(
        f"{seconds:.0f}",
        requests["captured"],
        requests["replayed"],
        requests["answered"],
        requests["in_progress"],
        lost(ledger),
        verdicts["match"],
        verdicts["differ"],
        sum(verdicts["incomparable"].values()),
        f"{latency['origin']['p50']}/{latency['target']['p50']}",
    )


def show_until(lab: Lab, box: Box, clients: Process, *, endless: bool) -> None:
    """Prints the ledger every few seconds until the clients are done."""
    print(row(*HEADS), flush=True)
    begin = time.monotonic()
    due = begin + TABLE_EVERY_S
    while clients.running():
        time.sleep(0.05)
        if time.monotonic() < due:
            continue
        due += TABLE_EVERY_S
        print(ledger_row(time.monotonic() - begin, box.ledger()), flush=True)
        if not box.process.running():
            raise StartError(f"the box ended: {box.process.last_words()}")
        if endless:
            for server in (*lab.origins, lab.target):
                server.forget()


def demonstrate(lab: Lab, seconds: float, rate: float, port: int) -> int:
    hosts = "clients 10.100.10.11-13, origins 10.100.10.1 and .2 port 11311, a mirroring switch, the box, a target"
    say("lab", hosts)
    try:
        forwarder = Forwarder(("127.0.0.1", port), lab.box_host, PAGE)
    except OSError as fault:
        raise StartError(
            f"port {port} of this machine cannot be had ({fault.strerror}); choose another with PORT=n"
        ) from None
    box = lab.start_box()
    say("box", f"tapcopy run --mirror-nic mirror0 --target-nic target0 -x {MAP}")
    say("page", f"http://127.0.0.1:{port}, claim token {box.claim_token()}")
    say("traffic", f"{rate:.0f} requests/s: pages, short connections, idle ones, bodies and answers up to 1 MiB")
    clients = lab.start_loads(*mixed(rate, seconds))
    begin = time.monotonic()
    try:
        show_until(lab, box, clients, endless=seconds == 0)
    except KeyboardInterrupt:
        say("traffic", "interrupted")
        clients.stop()
        box.settle(0, timeout=3.0)
        status = finish_interrupted(box, time.monotonic() - begin) if seconds == 0 else 130
    else:
        status = finish(lab, box, clients)
    forwarder.close()
    return status


def finish(lab: Lab, box: Box, clients: Process) -> int:
    reports = lab.finish_loads(clients)
    sent, faults = sum(r.sent for r in reports), [fault for r in reports for fault in r.faults]
    box.settle(sent)
    summary = box.stop()
    print(ledger_row(max(r.seconds for r in reports), summary), flush=True)
    wrong = [*(f"the clients met a fault: {fault}" for fault in faults[:5]), *lab.audit(box, summary)]
    for sentence in wrong:
        say("WRONG", sentence)
    if wrong:
        return 1
    say("proof", f"{sent} requests in the origins' logs, each once in the target's, same body, same order")
    say("silence", "no frame of the box on a production link, none out of its mirror NIC, no route on the target")
    return 0


def finish_interrupted(box: Box, seconds: float) -> int:
    summary = box.stop()
    print(ledger_row(seconds, summary), flush=True)
    wrong = broken_laws(summary, ended=True)
    say("end", f"the ledger breaks {wrong}" if wrong else f"lost: {losses(summary) or 'nothing'}")
    return 1 if wrong else 0


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0, help="how long; without it, until Ctrl-C")
    parser.add_argument("--rate", type=float, default=500, help="requests a second")
    parser.add_argument("--port", type=int, default=PAGE[1], help="where the page is shown on this machine")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("The lab needs root for its network namespaces: run it as root or through sudo.", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        with Lab() as lab:
            return demonstrate(lab, options.seconds, options.rate, options.port)
    except KeyboardInterrupt:
        return 130
    except (AssertionError, CommandError, StartError, OSError) as fault:
        print(f"The demonstration failed: {fault}", file=sys.stderr)
        return 1
    finally:
        say("lab", "removed")


if __name__ == "__main__":
    sys.exit(main())
