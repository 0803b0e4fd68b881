"""What is found where two servers differ in what no two answers have in common, and where one of them is at fault."""

import json

import pytest

from lab.ledger import losses
from lab.unlike import Outcome, run

pytestmark = pytest.mark.lab

SHARES = {"price": 0.01, "error": 0.01, "version": 1.0, "slow": 1.0, "closed": 0.02, "short": 0.02, "element": 0.05}


def explain(outcome: Outcome, wrong: list[str]) -> str:
    told = {"occurred": outcome.occurred, "losses": losses(outcome.ledger), "findings": outcome.details}
    return "\n".join([*wrong, json.dumps(told)])


def test_servers_that_are_alike() -> None:
    outcome = run(5_000, {})
    wrong = outcome.wrong({})
    assert not wrong, explain(outcome, wrong)
    assert outcome.ledger["verdicts"]["differ"] > outcome.asked / 2, "their answers differ in tokens"
    assert outcome.ledger["findings"] == 0


def test_a_target_with_faults() -> None:
    outcome = run(10_000, SHARES, redis_share=0.0)
    wrong = outcome.wrong(SHARES)
    assert not wrong, explain(outcome, wrong)
    assert outcome.ledger["findings"] == len(SHARES)
    (slow,) = (one for one in outcome.details if one["field"] == "first_byte")
    origin_ms, target_ms = (float(slow[f"example_{side}"].removesuffix(" ms")) for side in ("origin", "target"))
    assert 15.0 < target_ms - origin_ms < 40.0, slow
