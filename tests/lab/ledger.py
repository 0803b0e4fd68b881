"""The ledger's laws, as the contract states them, and the ledger in words."""

from typing import Any

Ledger = dict[str, Any]


def broken_laws(ledger: Ledger, *, ended: bool = False) -> list[str]:
    """The laws that a ledger breaks, at any moment of a run or at its end; empty if it is sound."""
    frames, sessions, requests, verdicts = (ledger[part] for part in ("frames", "sessions", "requests", "verdicts"))
    not_replayed, not_answered = _sum(requests["not_replayed"]), _sum(requests["not_answered"])
    unreleased = requests["captured"] - requests["replayed"] - not_replayed
    unanswered = requests["replayed"] - requests["answered"] - not_answered
    judged = verdicts["match"] + verdicts["differ"] + _sum(verdicts["incomparable"])
    laws = {
        "frames.received = decoded + ignored": frames["received"] == frames["decoded"] + _sum(frames["ignored"]),
        "sessions.opened = live + ended": sessions["opened"] == sessions["live"] + _sum(sessions["ended"]),
        "requests.captured >= replayed + not_replayed": unreleased >= 0,
        "requests.replayed >= answered + not_answered": unanswered >= 0,
        "requests.in_progress = unreleased + unanswered": requests["in_progress"] == unreleased + unanswered,
        "requests.answered = match + differ + incomparable": requests["answered"] == judged,
        "every reason is a snake_case word": all(
            reason.replace("_", "").isalnum() and reason == reason.lower() for reason in _reasons(ledger)
        ),
    }
    if ended:
        laws["at the end no request is in progress"] = requests["in_progress"] == 0
        laws["at the end no session is live"] = sessions["live"] == 0
    return [law for law, holds in laws.items() if not holds]


def check_laws(ledger: Ledger, *, ended: bool = False) -> None:
    """Fails with the laws that are broken."""
    broken = broken_laws(ledger, ended=ended)
    assert not broken, f"the ledger breaks {broken}: {ledger}"


def losses(ledger: Ledger) -> dict[str, int]:
    """Everything that the ledger names as lost, by reason."""
    requests = ledger["requests"]
    parts = {"not_replayed": requests["not_replayed"], "not_answered": requests["not_answered"]}
    found = {f"{part}.{reason}": count for part, reasons in parts.items() for reason, count in reasons.items() if count}
    drops = {
        f"frames.{key}": ledger["frames"][key] for key in ("dropped_kernel", "dropped_nic") if ledger["frames"][key]
    }
    return found | drops


def lost(ledger: Ledger) -> int:
    """Captured requests that got no answer from the target, by the ledger's own count."""
    requests = ledger["requests"]
    return _sum(requests["not_replayed"]) + _sum(requests["not_answered"])


def _sum(reasons: dict[str, int]) -> int:
    return sum(reasons.values())


def _reasons(ledger: Ledger) -> list[str]:
    tallies = [value for part in ledger.values() if isinstance(part, dict) for value in part.values()]
    return [reason for tally in tallies if isinstance(tally, dict) for reason in tally]
