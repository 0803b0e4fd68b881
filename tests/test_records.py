"""The records of exchanges: what a killed box has shown is still there, findings come with evidence, secrets do not."""

import io
import json
import os
import random
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.box import Box, binary, wired_settings
from lab.load import Load
from lab.netns import run
from lab.world import ORIGIN_PORT, TARGET_ADDRESS, TARGET_PORT, Lab

pytestmark = pytest.mark.lab

KILLS = int(os.environ.get("KILLS", "6"))
"""How often the box is killed; 200 by hand."""

REWRITTEN = """
[service.rewrite]
path_prefix = { from = "/get/", to = "/mib/" }
"""
Exchange = dict[str, object]


def settings(sample: float) -> str:
    """With what was said of so many of a hundred exchanges."""
    kept = f'[records]\nsample_percent_bodies = {sample}\nmask_headers = ["X-Customer"]'
    return wired_settings(ORIGIN_PORT, f"{TARGET_ADDRESS}:{TARGET_PORT}", sections=kept)


def records(data: Path, *flags: str) -> list[Exchange]:
    """What the data folder has, read without the box."""
    command = [str(binary()), "records", "--data", str(data), "--json-lines", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def page(box: Box, query: str) -> list[Exchange]:
    answer = box.ask("GET", f"/api/v1/exchanges?{query}")
    exchanges: list[Exchange] = answer["exchanges"]  # type: ignore[assignment]
    return exchanges


def health(box: Box) -> Exchange:
    figures: Exchange = box.health()["records"]  # type: ignore[assignment]
    return figures


def start(lab: Lab, settings: str, folder: str = "box") -> Box:
    """A box whose data folder is that of the one before."""
    file = lab.folder / "settings.toml"
    file.write_text(settings)
    box = Box(lab.box_host, lab.folder / folder, file)
    box.ready()
    return box


def wait_for_records(box: Box, count: int = 1, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while int(str(health(box)["records_written"])) < count:
        assert time.monotonic() < deadline, f"{count} records did not come: {box.health()}"
        time.sleep(0.05)


def test_nothing_that_was_shown_is_lost_to_a_kill() -> None:
    """Whenever the box is killed during load, what any page showed is read again, the same under the same id."""
    shown: dict[object, Exchange] = {}
    chance = random.Random(7)
    with Lab() as lab:
        clients = lab.start_loads(Load("page", 400, 0, connections=20), Load("short", 40, 0, keep_alive=False))
        for kill in range(KILLS):
            box = start(lab, settings(20))
            try:
                wait_for_records(box)
                time.sleep(chance.uniform(0, 0.6))
                known = page(box, "limit=500")
            finally:
                box.process.kill()
            assert known, "a box that has written records shows them"
            shown |= {exchange["id"]: exchange for exchange in known}
            found = {exchange["id"]: exchange for exchange in records(box.data)}
            assert list(found) == list(range(1, len(found) + 1)), f"after kill {kill}"
            lost = [number for number, exchange in shown.items() if found.get(number) != exchange]
            assert not lost, f"after kill {kill}, of {len(shown)} that were shown: {lost[:5]}"
        clients.kill()
        box = start(lab, settings(20))
        exported = [json.loads(line) for line in box.download("/api/v1/exchanges.jsonl").splitlines()]
        part = box.download("/api/v1/exchanges.jsonl?limit=10&cursor=5").splitlines()
        box.stop()
    assert exported == list(found.values())
    assert [json.loads(line) for line in part] == exported[5:15]
    assert len(shown) > 100 * KILLS


def tshark(file: Path, *flags: str) -> list[str]:
    return run(
        "tshark", "-r", str(file), "-d", "tcp.port==11311,http", "-d", "tcp.port==11511,http", *flags
    ).splitlines()


def ask_with_secrets(lab: Lab) -> None:
    secrets = ("Authorization: Bearer hush1", "Cookie: session=hush2", "X-Customer: hush3", "X-Api-Key: hush4")
    headers = [word for secret in secrets for word in ("-H", secret)]
    url = "http://10.100.10.1:11311/get/1?token=hush5&card=4111111111111111"
    lab.clients.run("curl", "-sS", "-o", "/dev/null", *headers, url)


def test_a_finding_comes_with_evidence_and_without_secrets(tmp_path: Path) -> None:
    with Lab() as lab:
        before = time.time()
        box = start(lab, settings(0) + REWRITTEN)
        ask_with_secrets(lab)
        wait_for_records(box)
        (finding,) = page(box, "verdict=differ&service=shop")
        assert page(box, "verdict=match") == page(box, "service=other") == []
        exchange = box.ask("GET", f"/api/v1/exchanges/{finding['id']}")
        archive = box.download(f"/api/v1/exchanges/{finding['id']}/evidence")
        refused = box.ask("GET", "/api/v1/exchanges/99/evidence")
        box.stop()
        kept = b"".join(file.read_bytes() for file in (box.data / "records").iterdir())
        (again,) = records(box.data, "--contents", "--verdict", "differ")
    assert again == exchange
    assert before < float(str(finding["at"])) < time.time()
    assert refused["error"]["code"] == "not_found"  # type: ignore[index]
    assert b"hush" not in kept + archive
    assert b"4111" not in kept + archive
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    check_messages(folder)
    check_legs(folder, exchange)


def check_messages(folder: Path) -> None:
    request, origin = (folder / "request.bin").read_bytes(), (folder / "origin-answer.bin").read_bytes()
    assert request.startswith(b"GET /get/1?token=*****&card=**************** HTTP/1.1\r\n")
    assert b"Authorization: Bearer *****\r\n" in request
    assert origin.startswith(b"HTTP/1.1 200 OK\r\n")
    assert origin.endswith(b"tapcopy lab: a small page\n")
    difference = json.loads((folder / "difference.json").read_text())
    assert difference["outcome"] == "differ"
    assert difference["target"]["body_bytes"] == 1 << 20
    run("sh", "-n", str(folder / "curl.sh"))
    assert "http://10.100.20.31:11511/get/1" in (folder / "curl.sh").read_text()


def check_legs(folder: Path, exchange: Exchange) -> None:
    """As another program reads them: whole conversations, right checksums, the real ends and times."""
    ends = {"client": ("client", "origin", 11311), "target": ("contents", "target", 11511)}
    for leg, (near, far, port) in ends.items():
        file = folder / f"{leg}-leg.pcapng"
        fields = ("-T", "fields", "-e", "ip.src", "-e", "tcp.srcport", "-e", "ip.dst", "-e", "frame.time_epoch")
        (line,) = tshark(file, "-Y", "http.request", *fields)
        source, source_port, destination, at = line.split()
        contents: dict[str, str] = exchange["contents"]  # type: ignore[assignment]
        local = contents["local"] if near == "contents" else exchange[near]
        assert (f"{source}:{source_port}", f"{destination}:{port}") == (local, exchange[far])
        assert abs(float(at) - float(str(exchange["at"]))) < 1.0
        bad = "tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.flags"
        checks = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
        assert tshark(file, *checks, "-Y", bad) == []
    assert tshark(folder / "client-leg.pcapng", "-Y", "http.response", "-T", "fields", "-e", "http.response.code") == [
        "200"
    ]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tapcopy-lab", str(folder))
    try:
        yield
    finally:
        run("umount", "-l", str(folder))


def test_a_full_disk_costs_records_and_nothing_else() -> None:
    load = Load("page", 400, 4, connections=10)
    with Lab() as lab, small_disk(lab.folder / "box" / "data" / "records"):
        box = start(lab, settings(100))
        lab.run_loads(load)
        box.settle(load.requests)
        box.process.wait_for("exchanges are not recorded, and replay goes on")
        figures = health(box)
        assert "No space left" in str(figures["fault"])
        assert int(str(figures["records_dropped"])) > 0
        summary = box.stop()
        wrong = lab.audit(box, summary)
        assert not wrong, "\n".join(wrong)
        assert len(records(box.data)) == int(str(figures["records_written"])) > 100
