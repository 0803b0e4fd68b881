"""The checkers themselves: each kind of unfaithful replay is found, a faithful one is not."""

import dataclasses

import pytest

from lab.check import differences
from lab.ledger import broken_laws
from lab.nginx import Served


def request(url: str, *, server: str = "o1", connection: int = 1, turn: int = 1, body: str = "") -> Served:
    return Served(server, (100, connection), turn, "GET", url, 200, body, "10.100.10.11:4000")


def at_target(url: str, *, connection: int = 1, turn: int = 1, body: str = "") -> Served:
    return request(url, server="target", connection=connection, turn=turn, body=body)


ASKED = [request("/a", turn=1), request("/b", turn=2), request("/c", turn=3), request("/x", connection=2)]
A, B, C, X = (
    at_target("/a", connection=7),
    at_target("/b", connection=7),
    at_target("/c", connection=7),
    at_target("/x", connection=8),
)


def moved(served: Served, connection: int) -> Served:
    return dataclasses.replace(served, connection=(100, connection))


@pytest.mark.parametrize(
    ("replayed", "complaint"),
    [
        ([A, B, C, X], None),
        ([X, A, B, C], None),
        ([A, B, moved(C, 9), X], None),
        ([A, B, X], "missing"),
        ([A, B, C, C, X], "more than once"),
        ([A, B, C, X, at_target("/z", connection=9)], "not at an origin"),
        ([A, B, C, dataclasses.replace(X, body="another")], "missing"),
        ([B, A, C, X], "another order"),
        ([A, moved(B, 9), C, X], "woven"),
        ([A, B, C, moved(X, 7)], "several sessions"),
    ],
)
def test_differences(replayed: list[Served], complaint: str | None) -> None:
    found = differences(ASKED, replayed)
    if complaint is None:
        assert found == []
    else:
        assert any(complaint in sentence for sentence in found), found


def ledger(**changes: int) -> dict[str, dict[str, object]]:
    sound: dict[str, dict[str, object]] = {
        "frames": {"received": 10, "decoded": 8, "ignored": {"not_ip": 2}, "dropped_kernel": 0, "dropped_nic": 0},
        "sessions": {"opened": 3, "live": 1, "ended": {"closed": 2}, "midstream": 0},
        "requests": {
            "captured": 9,
            "replayed": 7,
            "answered": 5,
            "in_progress": 2,
            "not_replayed": {"limit": 1},
            "not_answered": {"target_closed": 1},
        },
        "verdicts": {"match": 3, "differ": 1, "incomparable": {"mirror_gap": 1}},
    }
    for path, value in changes.items():
        part, key = path.split("__")
        sound[part][key] = value
    return sound


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({}, None),
        ({"frames__received": 11}, "frames"),
        ({"sessions__live": 2}, "sessions"),
        ({"requests__in_progress": 1}, "in_progress"),
        ({"requests__captured": 7}, "captured >="),
        ({"requests__replayed": 5}, "replayed >="),
        ({"verdicts__match": 4}, "answered = match"),
    ],
)
def test_ledger_laws(change: dict[str, int], law: str | None) -> None:
    broken = broken_laws(ledger(**change))
    if law is None:
        assert broken == []
    else:
        assert any(law in sentence for sentence in broken), broken


def test_nothing_is_open_at_the_end() -> None:
    assert len(broken_laws(ledger(), ended=True)) == 2
