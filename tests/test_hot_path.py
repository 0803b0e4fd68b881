"""Instructions that the engine takes for a mirrored frame, counted by callgrind: they repeat where times do not.

A rise that is meant is recorded with `UPDATE=1` and explained in the commit; another compiler is a reason, too.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PROGRAM = REPOSITORY / "dist" / "tapcopy-bench"
GOLDEN = REPOSITORY / "appliance" / "bench" / "instructions.json"
RISE_MAX = 1.03


def instructions_per_frame(stage: str) -> int:
    assert PROGRAM.exists(), f"there is no {PROGRAM}: run `make bench-program` first"
    counter = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*hot_path*"]
    done = subprocess.run([*counter, str(PROGRAM), stage], capture_output=True, text=True, timeout=120, check=False)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    assert done.returncode == 0, done.stderr
    assert collected, done.stderr
    return round(int(collected[1]) / int(done.stdout))


@pytest.mark.parametrize("stage", ["decode", "flow", "reassembly", "pipeline"])
def test_the_hot_path_takes_no_more_instructions(stage: str) -> None:
    golden: dict[str, int] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    counted = instructions_per_frame(stage)
    if os.environ.get("UPDATE"):
        golden[stage] = counted
        GOLDEN.write_text(json.dumps(golden, indent=2) + "\n")
    assert counted <= golden[stage] * RISE_MAX, (
        f"{stage} takes {counted} instructions a frame, and took {golden[stage]}: if that is meant, record it with"
        f" `UPDATE=1 pytest tests/test_hot_path.py` and say why in the commit"
    )
