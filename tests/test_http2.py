"""HTTP/2 without TLS, and gRPC over it, with real servers and clients; and TLS, which is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_protocols import evidence, findings

from lab.box import Box
from lab.ledger import Ledger, broken_laws, losses
from lab.nginx import make_root
from lab.servers import ServerLab
from lab.world import ORIGIN_PORT, TARGET_ADDRESS, TARGET_PORT

pytestmark = pytest.mark.lab

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_max_body_size 64m;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    server {{
        listen {address}:{port} {manner};
        {certificate}
        root {root};
        location /post/ {{
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://unix:{folder}/sink;
        }}
    }}
    server {{
        listen unix:{folder}/sink;
        location / {{ return 200 "stored\\n"; }}
    }}
}}
"""

GRPC_SERVER = """
import sys
import time
from concurrent import futures

import grpc

is_odd = sys.argv[3] == "odd"

def unary(request, context):
    if request == b"odd" and is_odd:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
    context.set_trailing_metadata((("told", str(len(request))),))
    if request == b"missing":
        context.abort(grpc.StatusCode.NOT_FOUND, "there is none")
    if request == b"large":
        return b"large" * 200_000
    return request[::-1]

def server_stream(request, context):
    for number in range(int(request)):
        yield b"item %d" % number

def client_stream(requests, context):
    return b"%d bytes" % sum(map(len, requests))

def both(requests, context):
    for request in requests:
        yield b"to " + request

handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Both": grpc.stream_stream_rpc_method_handler(both),
}
server = grpc.server(futures.ThreadPoolExecutor(16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("lab.Lab", handlers),))
server.add_insecure_port(f"{sys.argv[1]}:{sys.argv[2]}")
server.start()
server.wait_for_termination()
"""

GRPC_CLIENT = """
import queue
import sys

import grpc

with grpc.insecure_channel(f"{sys.argv[1]}:{sys.argv[2]}") as channel:
    unary = channel.unary_unary("/lab.Lab/Unary")
    for number in range(50):
        assert unary(b"call %d" % number) == (b"call %d" % number)[::-1]
    for call in [unary.future(b"at once %d" % number) for number in range(100)]:
        call.result()
    try:
        unary(b"missing")
    except grpc.RpcError as fault:
        assert fault.code() is grpc.StatusCode.NOT_FOUND
    assert len(unary(b"large")) == 1_000_000
    unary(b"x" * 1_000_000)
    assert len(list(channel.unary_stream("/lab.Lab/ServerStream")(b"500"))) == 500
    told = channel.stream_unary("/lab.Lab/ClientStream")(b"part" * 1000 for _ in range(100))
    assert told == b"400000 bytes"
    said = queue.Queue()
    answers = channel.stream_stream("/lab.Lab/Both")(iter(said.get, None))
    for number in range(100):
        said.put(b"message %d" % number)
        assert next(answers) == b"to message %d" % number
        if number % 10 == 0:
            unary(b"beside %d" % number)
    said.put(None)
    assert list(answers) == []
"""

GRPC_ODD_CLIENT = """
import sys

import grpc

with grpc.insecure_channel(f"{sys.argv[1]}:{sys.argv[2]}") as channel:
    for _ in range(10):
        channel.unary_unary("/lab.Lab/Unary")(b"odd", metadata=(("authorization", "Bearer hush"),))
"""

GRPC_CALLS = 50 + 100 + 1 + 2 + 1 + 1 + 1 + 10


def nginx(address: str, port: int, folder: Path, manner: str = "http2", certificate: str = "") -> list[str]:
    root = folder.parent / "root"
    if not root.exists():
        make_root(root)
    settings = folder / "nginx.conf"
    settings.write_text(
        NGINX.format(folder=folder, address=address, port=port, manner=manner, certificate=certificate, root=root)
    )
    return ["nginx", "-c", str(settings), "-e", str(folder / "error.log")]


def nginx_with_tls(address: str, port: int, folder: Path) -> list[str]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=lab", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    words = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
    return nginx(address, port, folder, "ssl http2", words)


def grpc(address: str, port: int, folder: Path) -> list[str]:
    del folder
    return [sys.executable, "-c", GRPC_SERVER, address, str(port), "odd" if address == TARGET_ADDRESS else "even"]


def url(lab: ServerLab, path: str, scheme: str = "http") -> str:
    return f"{scheme}://{lab.origin_server.address}:{lab.origin_server.port}{path}"


def check_all_match(lab: ServerLab, box: Box, requests: int) -> Ledger:
    """Ends the run: so many requests, each replayed, answered and answered alike."""
    box.settle(requests)
    ledger = box.stop()
    explanation = lab.explain(box, ledger)
    assert not broken_laws(ledger, ended=True), explanation
    assert ledger["requests"]["captured"] == requests, explanation
    assert ledger["requests"]["turns"] == 0, explanation
    assert not losses(ledger), explanation
    assert ledger["verdicts"]["match"] == requests, explanation
    assert not lab.trespasses()
    return ledger


@pytest.mark.parametrize("streams", [1, 10])
def test_h2load(streams: int) -> None:
    """Many requests on each connection, one after the other or side by side."""
    with ServerLab(nginx) as lab:
        box = lab.start_box()
        load = ["h2load", "-n", "1000", "-c", "4", "-m", str(streams), url(lab, "/page.bin")]
        assert "1000 succeeded" in lab.client(*load)
        ledger = check_all_match(lab, box, 1_000)
        assert ledger["target"]["connections_opened"] == 4


def test_h2load_with_little_credit() -> None:
    """Windows of 64 KiB for answers of a mebibyte: what the client lets the origin say, it lets the target say."""
    with ServerLab(nginx) as lab:
        box = lab.start_box()
        load = ["h2load", "-n", "60", "-c", "2", "-m", "10", "-w", "16", "-W", "16", url(lab, "/mib.bin")]
        assert "60 succeeded" in lab.client(*load)
        check_all_match(lab, box, 60)


def test_curl_and_nghttp() -> None:
    """Downloads with one client, uploads with the other: under back-pressure curl 7.88 sends more than it declared."""
    with ServerLab(nginx) as lab:
        box = lab.start_box()
        curl = ["curl", "-sS", "--http2-prior-knowledge"]
        upload = lab.folder / "upload"
        upload.write_bytes(bytes(range(256)) * 8_192)
        for path in ("/mib.bin", "/nowhere"):
            lab.client(*curl, "-o", "/dev/null", url(lab, path))
        lab.client(*curl, "-I", url(lab, "/page.bin"))
        for number in range(3):
            assert lab.client("nghttp", "-d", str(upload), url(lab, f"/post/{number}")) == "stored\n"
        check_all_match(lab, box, 2 + 1 + 3)


def test_grpc() -> None:
    """Calls of all four kinds on one connection: single ones, streams either way, and one both ways in turns."""
    with ServerLab(grpc) as lab:
        box = lab.start_box()
        lab.client(sys.executable, "-c", GRPC_CLIENT, lab.origin_server.address, str(lab.origin_server.port))
        check_all_match(lab, box, GRPC_CALLS)


def test_a_call_that_the_target_refuses(tmp_path: Path) -> None:
    """The finding is the call's status; what was said is recorded, and its evidence is HTTP/2 to another program."""
    with ServerLab(grpc) as lab:
        box = lab.start_box()
        box.claim()
        lab.client(sys.executable, "-c", GRPC_ODD_CLIENT, lab.origin_server.address, str(lab.origin_server.port))
        assert findings(box) == {("POST /lab.Lab/Unary", "header:grpc-status", "value")}
        number = json.loads(box.get("/api/v1/findings"))["findings"][0]["example_record"]
        exchange = box.ask("GET", f"/api/v1/exchanges/{number}")
        folder = evidence(box, tmp_path)
        again = lab.target_server.run("sh", "-c", f"cd {folder} && sh curl.sh")
        box.stop()
    assert "grpc-status: 8" in again
    contents: dict[str, dict[str, str]] = exchange["contents"]  # type: ignore[assignment]
    assert contents["request"]["head"].startswith("POST /lab.Lab/Unary HTTP/2\r\nhost: ")
    assert contents["request"]["body"].endswith("odd")
    assert contents["origin"]["head"].startswith("HTTP/2 200 \r\n")
    assert "grpc-status: 8\r\n" in contents["target"]["head"]
    assert not [file for file in folder.iterdir() if b"hush" in file.read_bytes()]
    fields = ["-T", "fields", "-e", "http2.headers.method", "-e", "http2.headers.path", "-e", "http2.headers.status"]
    ports = [word for port in (ORIGIN_PORT, TARGET_PORT) for word in ("-d", f"tcp.port=={port},http2")]
    for leg in ("client-leg.pcapng", "target-leg.pcapng"):
        command = ["tshark", "-r", str(folder / leg), *ports, "-Y", "http2.headers || _ws.malformed", *fields]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert told[:2] == ["POST", "/lab.Lab/Unary"], told
        assert "200" in told, told


def test_tls_is_named() -> None:
    """What is encrypted is not replayed in vain: the ledger names it, and the log says once what to do."""
    with ServerLab(nginx_with_tls) as lab:
        box = lab.start_box()
        for _ in range(3):
            lab.client("curl", "-sSk", "-o", "/dev/null", url(lab, "/page.bin", "https"))
        box.settle(3)
        ledger = box.stop()
        explanation = lab.explain(box, ledger)
        assert not broken_laws(ledger, ended=True), explanation
        assert set(losses(ledger)) == {"not_replayed.tls_encrypted"}, explanation
        assert ledger["requests"]["replayed"] == 0, explanation
        assert ledger["sessions"]["opened"] == 3, explanation
        warnings = [line for line in box.process.log.read_text().splitlines() if "WARN" in line]
        assert len(warnings) == 1, explanation
        assert "mirror the traffic behind the terminator" in warnings[0]
