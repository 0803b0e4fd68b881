"""Real servers and their own clients, protocol by protocol: after the run, origin and target hold the same data."""

import io
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from lab.box import Box
from lab.ledger import Ledger, broken_laws, losses
from lab.process import Process
from lab.servers import Server, ServerLab

pytestmark = pytest.mark.lab

Contents = Callable[[Server], object]


def redis(address: str, port: int, folder: Path) -> list[str]:
    return [
        "redis-server", "--bind", address, "--port", str(port), "--dir", str(folder),
        "--save", "", "--appendonly", "no", "--protected-mode", "no", "--enable-debug-command", "yes",
    ]  # fmt: skip


def memcached(address: str, port: int, folder: Path) -> list[str]:
    del folder
    return ["memcached", "-u", "root", "-l", address, "-p", str(port), "-U", "0", "-m", "64"]


def redis_digest(server: Server) -> tuple[str, str]:
    """The number of keys, and a digest of all keys and values."""
    ask = ["redis-cli", "-h", server.address, "-p", str(server.port)]
    return server.run(*ask, "DBSIZE").strip(), server.run(*ask, "DEBUG", "DIGEST").strip()


def memcached_items(server: Server) -> dict[str, bytes]:
    """Every item: its key with its flags, and its data."""
    with server.namespace.connect((server.address, server.port)) as connection, connection.makefile("rb") as lines:

        def ask(command: str) -> None:
            connection.sendall(f"{command}\r\n".encode())

        ask("lru_crawler metadump all")
        listed = [line.split()[0].removeprefix(b"key=").decode() for line in iter(lines.readline, b"END\r\n")]
        items = {}
        for key in map(unquote, listed):
            ask(f"get {key}")
            head = lines.readline().split()
            if head[0] == b"VALUE":
                items[f"{key} {head[2].decode()}"] = lines.read(int(head[3]) + 2)
                assert lines.readline() == b"END\r\n"
        return items


def settle(box: Box) -> Ledger:
    """The ledger, once nothing is in progress and nothing new has come for two of its seconds."""
    before, since = -1, time.monotonic()
    deadline = since + 60.0
    while True:
        ledger = box.ledger()
        requests = ledger["requests"]
        if requests["captured"] != before or requests["in_progress"]:
            before, since = requests["captured"], time.monotonic()
        if time.monotonic() - since > 2.5 or time.monotonic() > deadline:
            return ledger
        time.sleep(0.2)


def judge(lab: ServerLab, box: Box, contents: Contents, minimum: int) -> Ledger:
    """Ends the run: everything was replayed and answered, and origin and target hold the same."""
    settle(box)
    origin, target = contents(lab.origin_server), contents(lab.target_server)
    ledger = box.stop()
    explanation = lab.explain(box, ledger)
    assert origin == target, explanation
    assert not broken_laws(ledger, ended=True), explanation
    assert ledger["requests"]["captured"] >= minimum, explanation
    assert ledger["requests"]["captured"] == ledger["requests"]["answered"], explanation
    assert not losses(ledger), explanation
    assert not lab.trespasses()
    return ledger


def findings(box: Box) -> set[tuple[str, str, str]]:
    """The findings, of which each names a record that shows it."""
    deadline = time.monotonic() + 15.0
    while True:
        found = json.loads(box.get("/api/v1/findings"))["findings"]
        if (found and all(one["example_record"] for one in found)) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for one in found:
        exchange = box.ask("GET", f"/api/v1/exchanges/{one['example_record']}")
        assert exchange["endpoint"] == one["endpoint"]
        assert one["example_target"] in [each.get("target", "") for each in exchange["differences"]]  # type: ignore[attr-defined]
    return {(one["endpoint"], one["field"], one["kind"]) for one in found}


def evidence(box: Box, folder: Path) -> Path:
    """The evidence of the one finding, unpacked."""
    (found,) = json.loads(box.get("/api/v1/findings"))["findings"]
    archive = box.download(f"/api/v1/exchanges/{found['example_record']}/evidence")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def benchmark(lab: ServerLab, connections: int, tests: str, count: int) -> None:
    lab.client(
        "redis-benchmark", "-h", lab.origin_server.address, "-p", str(lab.origin_server.port), "-q",
        "-n", str(count), "-c", str(connections), "-P", "16", "-r", "300", "-t", tests,
    )  # fmt: skip


def test_redis_in_pipelines() -> None:
    """Many connections at once: only commands whose order between connections does not matter."""
    with ServerLab(redis) as lab:
        box = lab.start_box()
        benchmark(lab, 10, "ping,set,get,incr,lpush,rpush,sadd,hset,mset", 1_600)
        ledger = judge(lab, box, redis_digest, 9 * 1_600)
        assert redis_digest(lab.origin_server)[0] != "0"
        assert not ledger["verdicts"]["incomparable"].get("origin_garbled")


def test_redis_on_one_connection_answers_alike() -> None:
    """One connection has one order: every answer must be the same. Sessions have none among each other, so that each
    waits for the one before.
    """
    tests = ["set", "get", "incr", "lpush", "rpush", "lpop", "rpop", "sadd", "hset", "zadd", "zpopmin", "mset"]
    with ServerLab(redis) as lab:
        box = lab.start_box()
        for done, test in enumerate(tests, 1):
            benchmark(lab, 1, test, 1_600)
            box.settle(done * 1_600)
        ledger = judge(lab, box, redis_digest, len(tests) * 1_600)
        assert ledger["verdicts"]["differ"] == 0, lab.explain(box, ledger)


def test_redis_publishes_to_subscribers() -> None:
    """What a subscriber is told is nobody's answer, and the other commands are compared as ever."""
    with ServerLab(redis) as lab:
        box = lab.start_box()
        ask = ["redis-cli", "-h", lab.origin_server.address, "-p", str(lab.origin_server.port)]
        subscriber = Process(lab.clients, [*ask, "SUBSCRIBE", "news"], lab.folder / "subscriber.log")
        subscriber.wait_for("subscribe")
        time.sleep(1.0)
        for number in range(20):
            lab.client(*ask, "PUBLISH", "news", f"message {number}")
        subscriber.wait_for("message 19")
        subscriber.stop()
        lab.client(*ask, "SET", "done", "1")
        ledger = judge(lab, box, redis_digest, 22)
        assert ledger["verdicts"]["match"] == 22, lab.explain(box, ledger)


def test_a_value_that_redis_has_otherwise(tmp_path: Path) -> None:
    """Of what a hash has, one field is another at the target, and nothing else is told; the evidence asks it again."""

    def price(server: Server, price: str) -> None:
        ask = ["redis-cli", "-h", server.address, "-p", str(server.port)]
        server.run(*ask, "HSET", "item:7", "name", "pen", "price", price)

    with ServerLab(redis) as lab:
        box = lab.start_box()
        box.claim()
        price(lab.origin_server, "2.50")
        price(lab.target_server, "2.51")
        ask = ["redis-cli", "-h", lab.origin_server.address, "-p", str(lab.origin_server.port)]
        lab.client(*ask, "-r", "10", "HMGET", "item:7", "name", "price")
        assert findings(box) == {("HMGET item:{number}", "reply[*]", "value")}
        folder = evidence(box, tmp_path)
        assert lab.target_server.run("sh", str(folder / "redis-cli.sh")) == "pen\n2.51\n"
        for leg, answer in (("client", "2.50"), ("target", "2.51")):
            told = lab.target_server.run(
                "tshark", "-r", str(folder / f"{leg}-leg.pcapng"), "-d", "tcp.port==11311,resp", "-d",
                "tcp.port==11511,resp", "-Y", "resp", "-T", "fields", "-e", "resp.bulk_string.value",
            )  # fmt: skip
            assert bytes(answer, "ascii").hex() in told or answer in told, told
        price(lab.target_server, "2.50")
        ledger = judge(lab, box, redis_digest, 10)
        assert ledger["verdicts"]["differ"] == 10, lab.explain(box, ledger)


def check_flags_that_differ(lab: ServerLab, box: Box) -> None:
    """The flags of one item are others at the target; the unique numbers are everybody's own."""

    def ask(server: Server, command: bytes, end: bytes, times: int = 1) -> None:
        where = (server.address, server.port)
        namespace = lab.clients if times > 1 else server.namespace
        with namespace.connect(where) as connection, connection.makefile("rb") as lines:
            for _ in range(times):
                connection.sendall(command)
                assert end in iter(lines.readline, b"")

    box.claim()
    for server, flags in ((lab.origin_server, b"1"), (lab.target_server, b"2")):
        ask(server, b"set item:7 " + flags + b" 0 3\r\npen\r\n", b"STORED\r\n")
    ask(lab.origin_server, b"get item:7\r\n", b"END\r\n", times=10)
    assert findings(box) == {("GET item:{number}", "value[*].flags", "value")}


@pytest.mark.parametrize("dialect", ["ascii", "binary"])
def test_memcached(dialect: str) -> None:
    """The conformance tests of libmemcached use nearly every command; then many connections write and read."""
    flag = {"ascii": "-a", "binary": "-b"}[dialect]
    with ServerLab(memcached) as lab:
        box = lab.start_box()
        host, port = lab.origin_server.address, str(lab.origin_server.port)
        if dialect == "ascii":
            check_flags_that_differ(lab, box)
        lab.client("memccapable", "-h", host, "-p", port, flag)
        load = ["memcslap", f"--servers={host}:{port}", "--concurrency=4", "--execute-number=200", "--initial-load=200"]
        lab.client(*load, "--test=set", *(["--binary"] if dialect == "binary" else []))
        judge(lab, box, memcached_items, 800)
        assert memcached_items(lab.origin_server)
