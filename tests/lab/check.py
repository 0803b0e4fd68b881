"""Whether the target was asked exactly what the origins were asked.

Every request of the origins' logs stands in the target's log exactly once, with the same body; and the requests of
one origin connection stand there in the same order, on one connection or on a chain of connections that no other
session shares.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from lab.nginx import Served

SHOWN = 5


def differences(asked: Iterable[Served], replayed: Iterable[Served]) -> list[str]:
    """What is wrong, one sentence each with the first examples; empty if nothing is."""
    asked, replayed = list(asked), list(replayed)
    return [*_counts(asked, replayed), *_order(asked, replayed), *_sharing(asked, replayed)]


def duplicates(requests: Iterable[Served]) -> list[str]:
    """Requests that a server was asked more than once."""
    counts = Counter(request.identity for request in requests)
    return [_name(identity) for identity, count in counts.items() if count > 1]


def missing(asked: Iterable[Served], replayed: Iterable[Served]) -> list[str]:
    """Requests of the origins that the target was never asked, with the same body."""
    there = {request.identity for request in replayed}
    return [f"{_name(r.identity)} of {r.client} to {r.server}" for r in asked if r.identity not in there]


def _counts(asked: list[Served], replayed: list[Served]) -> list[str]:
    found = {
        "missing at the target": missing(asked, replayed),
        "more than once at the target": duplicates(replayed),
        "at the target but not at an origin": missing(replayed, asked),
        "more than once at the origins, so that the load is at fault": duplicates(asked),
    }
    return [
        f"{len(which)} of {len(asked)} requests are {what}: {which[:SHOWN]}" for what, which in found.items() if which
    ]


def _order(asked: list[Served], replayed: list[Served]) -> list[str]:
    """The target's log, cut down to one origin connection's requests, must have the origin's order; and a target
    connection once left must not come back.
    """
    place = {request.identity: position for position, request in enumerate(replayed)}
    wrong = []
    for session, requests in _by_connection(asked).items():
        there = [place[request.identity] for request in requests if request.identity in place]
        connections = [replayed[position].connection for position in there]
        runs = [one for position, one in enumerate(connections) if position == 0 or connections[position - 1] != one]
        if there != sorted(there):
            wrong.append(f"{session}: another order")
        elif len(runs) != len(set(runs)):
            wrong.append(f"{session}: woven over connections {runs[:SHOWN]}")
    return [f"{len(wrong)} sessions came out of order: {wrong[:SHOWN]}"] if wrong else []


def _sharing(asked: list[Served], replayed: list[Served]) -> list[str]:
    session_of = {request.identity: (request.server, request.connection) for request in asked}
    users = defaultdict(set)
    for request in replayed:
        if request.identity in session_of:
            users[request.connection].add(session_of[request.identity])
    shared = [connection for connection, sessions in users.items() if len(sessions) > 1]
    return [f"{len(shared)} target connections carry several sessions: {shared[:SHOWN]}"] if shared else []


def _by_connection(requests: list[Served]) -> dict[tuple[str, tuple[int, int]], list[Served]]:
    sessions = defaultdict(list)
    for request in requests:
        sessions[request.server, request.connection].append(request)
    for session in sessions.values():
        session.sort(key=lambda request: request.turn)
    return sessions


def _name(identity: tuple[str, str, str]) -> str:
    method, url, _ = identity
    return f"{method} {url}"
