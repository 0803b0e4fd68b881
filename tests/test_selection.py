"""How often sessions are replayed, against which servers, which of their requests, and in which words.

Real clients and servers; every count is of the servers' own logs.
"""

import json
import subprocess
import time
from collections import Counter, defaultdict

import pytest

from lab.bench import Bench, Plan
from lab.box import binary
from lab.ledger import Ledger, check_laws
from lab.nginx import Nginx, Served
from lab.watch import Watch

pytestmark = pytest.mark.lab

PLAN = Plan(4)
REQUESTS = 10
SESSIONS = 6
ASKED = SESSIONS * REQUESTS
# So long after its start the box has claimed all addresses of its pool; before, it uses those that it has.
CLAIMED_S = 1.0


def pool(last: int) -> str:
    """The first address of the pool, or as many as there are up to `last`."""
    return f"pool = ['{PLAN.of_test_net(100)}-{PLAN.of_test_net(last)}/24']"


def perform(bench: Bench, settings: str, captured: int, wait_s: float = 0.0) -> Ledger:
    """Replays what real clients ask; so many requests must be captured, all replays counted."""
    box = bench.start_box(settings)
    time.sleep(wait_s)
    assert bench.ask(requests=REQUESTS) == ASKED
    box.settle(captured)
    summary = box.stop()
    check_laws(summary, ended=True)
    assert summary["requests"]["captured"] == captured, summary
    return summary


def times(requests: list[Served]) -> Counter[tuple[str, str, str]]:
    """How often each request was served."""
    return Counter(request.identity for request in requests)


def check_served(bench: Bench, replayed: list[Served], copies: int) -> None:
    """Each request so often, in the order of its client, on connections that carry one session each."""
    assert times(replayed) == {request: copies for request in times(bench.asked())}
    sessions: dict[tuple[int, int], list[str]] = defaultdict(list)
    for request in bench.asked():
        sessions[request.connection].append(request.url)
    connections: dict[str, list[str]] = defaultdict(list)
    for request in replayed:
        connections[request.client].append(request.url)
    assert sorted(connections.values()) == sorted(list(sessions.values()) * copies)


@pytest.mark.parametrize("last", [100, 103], ids=["one address", "four addresses"])
def test_ten_copies_are_exactly_ten_times_the_requests(last: int) -> None:
    with Bench(PLAN) as bench:
        summary = perform(bench, bench.settings(pool(last)) + "copies = 10\n", 10 * ASKED, CLAIMED_S)
        replayed = bench.replayed(10 * ASKED)
        assert len(replayed) == 10 * ASKED
        check_served(bench, replayed, 10)
        assert len({request.client.rpartition(":")[0] for request in replayed}) == last - 99
        assert summary["verdicts"]["match"] == 10 * ASKED
        assert summary["sessions"]["opened"] == SESSIONS


def test_copies_of_clients_that_keep_their_addresses() -> None:
    """One has the client's own port, the others have other ports of its address."""
    with Bench(PLAN, subnet=PLAN.everywhere) as bench:
        settings = bench.settings(f"mode = 'preserve'\nlink = ['{PLAN.everywhere}']") + "copies = 3\n"
        summary = perform(bench, settings, 3 * ASKED)
        replayed = bench.replayed(3 * ASKED)
        check_served(bench, replayed, 3)
        origin = {request.identity: request.client for request in bench.asked()}
        kept = [request for request in replayed if request.client == origin[request.identity]]
        assert times(kept) == times(bench.asked())
        address = {identity: client.rpartition(":")[0] for identity, client in origin.items()}
        assert all(request.client.rpartition(":")[0] == address[request.identity] for request in replayed)
        assert summary["target"]["ports_exchanged"] == 2 * SESSIONS


def test_every_target_gets_every_session() -> None:
    with Bench(PLAN) as bench:
        other = bench.second_target(32)
        settings = bench.settings(pool(103), targets=[bench.target.address, other.address])
        summary = perform(bench, settings + "mirror_to = 'all'\ncopies = 2\n", 4 * ASKED)
        for target in (bench.target, other):
            check_served(bench, target.requests(), 2)
        assert summary["verdicts"]["match"] == 4 * ASKED


def test_a_client_always_meets_the_same_target() -> None:
    """With a box started anew, too."""
    with Bench(PLAN) as bench:
        other = bench.second_target(32)
        settings = bench.settings(pool(103), targets=[bench.target.address, other.address])
        perform(bench, settings, ASKED)
        first = met(bench, [bench.target, other])
        perform(bench, settings, ASKED)
        assert met(bench, [bench.target, other]) == first
        assert len(bench.target.requests()) + len(other.requests()) == 2 * ASKED


def met(bench: Bench, targets: list[Nginx]) -> dict[str, str]:
    """Which target each client's requests came to; each came to one only."""
    client = {request.identity: request.client.rpartition(":")[0] for request in bench.asked()}
    pairs = {(client[request.identity], target.address) for target in targets for request in target.requests()}
    assert len(pairs) == len(dict(pairs)) == len(PLAN.clients)
    return dict(pairs)


RULES = """
[[service.filter]]
action = "allow"
path = "/admin/health"
[[service.filter]]
action = "deny"
path = "/admin/*"
[[service.filter]]
action = "deny"
method = ["PUT", "DELETE"]
[[service.filter]]
action = "deny"
header = "X-No-Mirror: *"
"""


def test_a_denied_request_is_not_asked_and_the_others_are() -> None:
    """Allowed and denied ones in turns on one connection; contents of denied ones are left out, too."""
    with Bench(PLAN) as bench:
        box = bench.start_box(bench.settings(pool(103)) + RULES)
        asked = [
            ("/admin/health",),
            ("/admin/users?all",),
            ("/a",),
            ("/post/b", "-X", "PUT", "--data", "y" * 100_000),
            ("/post/c", "--data", "z" * 100_000),
            ("/d", "-H", "X-No-Mirror: 1"),
            ("/admin/", "-H", "Host: other"),
            ("/post/e", "-X", "DELETE"),
            ("/f",),
        ]
        bench.curl(PLAN.clients[0], asked)
        box.settle(len(asked))
        summary = box.stop()
        check_laws(summary, ended=True)
        assert len({request.connection for request in bench.asked()}) == 1, "the denied ones must lie between others"
        assert [request.url for request in bench.replayed(4)] == ["/admin/health", "/a", "/post/c", "/f"]
        bodies = {request.url: request.body for request in bench.asked()}
        assert all(request.body == bodies[request.url] for request in bench.replayed())
        assert summary["requests"]["not_replayed"] == {"filtered": 5}
        assert summary["verdicts"]["match"] == 4, summary


REWRITE = """
[service.rewrite]
host = "test.example:8080"
path_prefix = { from = "/api", to = "/v2/x" }
set_headers = { X-Mirrored = "by the box" }
remove_headers = ["Authorization"]
"""


def test_requests_in_other_words() -> None:
    with Bench(PLAN) as bench:
        box = bench.start_box(bench.settings(pool(103)) + REWRITE)
        asked = [
            ("/api/a?q=/api", "-H", "Authorization: secret"),
            ("/apis", "-H", "X-Mirrored: no"),
            ("/post/b", "-H", "Authorization: secret", "--data", "z" * 120_000),
            ("/post/c", "-H", "Transfer-Encoding: chunked", "--data", "z" * 3_000),
        ]
        bench.curl(PLAN.clients[0], asked)
        box.settle(len(asked))
        summary = box.stop()
        origin, target = bench.asked(), bench.replayed(4)
        assert [request.url for request in target] == ["/v2/x/a?q=/api", "/apis", "/post/b", "/post/c"]
        assert [request.body for request in target] == [request.body for request in origin]
        assert {request.words for request in target} == {"test.example:8080|by the box|"}
        assert origin[0].words == f"{bench.origin.address}||secret"
        assert summary["verdicts"]["match"] == 4, summary


def test_a_cap_leaves_out_whole_sessions() -> None:
    """Three sessions begin at once, and after more than a second three others: the first of each is replayed."""
    requests = 60
    with Bench(PLAN) as bench:
        # With a second shard, the first alone would have the one session, and clients of the other none.
        settings = bench.settings(pool(103)).replace("schema_version = 1", "schema_version = 1\nshards = 1")
        box = bench.start_box(settings + "max_sessions_per_second = 1\n")
        assert bench.ask(requests=requests, rate=40) == SESSIONS * requests
        box.settle(SESSIONS * requests)
        summary = box.stop()
        check_laws(summary, ended=True)
        assert summary["requests"]["not_replayed"] == {"rate_capped": 4 * requests}
        sessions = Counter(request.url.split("/")[1] for request in bench.replayed(2 * requests))
        assert sorted(sessions.values()) == [requests, requests]
        assert {name[0] for name in sessions} == {"1", "2"}


def test_a_rehearsal_of_copies() -> None:
    """A capture of real traffic, without a server: each copy is answered as its client was, or denied."""
    with Bench(PLAN) as bench:
        capture = bench.folder / "mirror.pcap"
        watch = Watch(bench.box_host, "mirror0", capture, "tcp", recorder=True)
        watch.ready()
        bench.ask(requests=REQUESTS)
        watch.stop()
        settings = bench.folder / "settings.toml"
        deny = '[[service.filter]]\naction = "deny"\npath = "/1-0/*"\n[service.rewrite]\nhost = "test"\n'
        settings.write_text(bench.settings(pool(103)) + "copies = 10\n" + deny)
        done = subprocess.run(
            [str(binary()), "rehearse", str(capture), "--settings", str(settings), "--summary", "-"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        check_laws(summary, ended=True)
        assert summary["requests"]["captured"] == 10 * ASKED, summary
        assert summary["requests"]["not_replayed"] == {"filtered": 10 * REQUESTS}
        assert summary["verdicts"]["match"] == 10 * (ASKED - REQUESTS), summary
