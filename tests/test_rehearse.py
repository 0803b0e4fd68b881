"""A capture of the mirror, rehearsed without NIC and without a server: every exchange is replayed, every verdict is a
match.
"""

import json
import subprocess

import pytest

from lab.box import MAP, binary
from lab.ledger import check_laws, lost
from lab.load import mixed
from lab.watch import Watch
from lab.world import Lab

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("offloads", [True, False])
def test_a_capture_of_mixed_traffic(offloads: bool) -> None:
    loads = mixed(600, 5)
    total = sum(load.requests for load in loads)
    with Lab(offloads=offloads) as lab:
        capture = lab.folder / "mirror.pcap"
        watch = Watch(lab.box_host, "mirror0", capture, "tcp port 11311", recorder=True)
        watch.ready()
        lab.run_loads(*loads)
        frames = watch.stop()
        done = subprocess.run(
            [str(binary()), "rehearse", str(capture), "-x", MAP, "--summary", "-"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        ledger = json.loads(done.stdout)
        check_laws(ledger, ended=True)
        assert len(lab.asked(total)) == total
        assert ledger["frames"]["received"] == frames, ledger
        assert ledger["requests"]["captured"] == ledger["requests"]["replayed"] == total, ledger
        assert ledger["requests"]["answered"] == ledger["verdicts"]["match"] == total, ledger
        assert lost(ledger) == 0, ledger
