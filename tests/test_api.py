"""The REST interface as its document says it, and what keeps strangers, slow clients and crashes from harm."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lab.box import binary

DOCUMENT = Path(__file__).parents[1] / "webui" / "openapi.yaml"
PASSWORD = "several plain words"
SLOW_CLIENTS = 1_000
EXAMPLES = int(os.environ.get("EXAMPLES", "6"))
ROLES = ["viewer", "operator", "admin"]
SETTINGS = """schema_version = 1
[nics]\nmirror = ["mirror0"]\ntarget = "target0"
[addressing]\npool = ["192.0.2.100-192.0.2.200/24"]
[[service]]\norigins = ["*:{port}"]\ntargets = ["192.0.2.1:80"]\n"""


# Left out: what would end the test's own rights, what takes seconds to look at a mirror that is not there, and the
# document itself, which is text that the checker reads as an object.
WHOLE = schemathesis.openapi.from_path(DOCUMENT)
INTERFACE = WHOLE.exclude(operation_id=["restore", "removeToken", "setup", "login", "doctor", "discovery", "openapi"])


class Page:
    """A box without interfaces, and what it answers; over HTTPS unless its address is on loopback."""

    def __init__(self, data: Path, *words: str, address: str = "127.0.0.1") -> None:
        with contextlib.closing(socket.create_server((address, 0))) as free:
            self.address = ("127.0.0.1", free.getsockname()[1])
        self.is_secure = address != "127.0.0.1"
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.data, self.log = data, data.parent / "box.log"
        self.command = [
            str(binary()), "run", "--data", str(data), "--listen", f"{address}:{self.address[1]}", *words,
        ]  # fmt: skip
        self.headers: dict[str, str] = {}
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.ask("GET", "/api/v1/health")
                return
            except OSError:
                assert time.monotonic() < deadline, self.log.read_text()
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.02)

    def connect(self) -> http.client.HTTPConnection:
        if self.is_secure:
            return http.client.HTTPSConnection(*self.address, timeout=10, context=self.tls)
        return http.client.HTTPConnection(*self.address, timeout=10)

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Status, body and headers of an answer; `body` is sent as JSON, text as TOML."""
        kind = "application/toml" if isinstance(body, str) else "application/json"
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        with contextlib.closing(self.connect()) as connection:
            sent = {"Content-Type": kind, **(self.headers if headers is None else headers)}
            connection.request(method, path, text, sent)
            answer = connection.getresponse()
            content = answer.read()
            is_json = answer.headers.get("Content-Type") == "application/json"
            return answer.status, json.loads(content) if is_json and content else content, answer.headers

    def claim(self) -> None:
        """Sets the password, and goes on as the admin."""
        token = (self.data / "claim-token").read_text().strip()
        status, me, headers = self.ask("POST", "/api/v1/setup", {"claim_token": token, "password": PASSWORD})
        assert status == 200, me
        self.headers = {"Cookie": headers["Set-Cookie"].split(";")[0], "X-CSRF-Token": me["csrf_token"]}

    def token(self, role: str) -> dict[str, str]:
        """The headers of a program with this role."""
        status, token, _ = self.ask("POST", "/api/v1/tokens", {"name": role, "role": role})
        assert status == 201, token
        return {"Authorization": f"Bearer {token['secret']}"}

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(5) == 0, self.log.read_text()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    page = Page(tmp_path / "data", "--confirm-seconds", "2")
    yield page
    page.kill()


@pytest.fixture
def secure_page(tmp_path: Path) -> Iterator[Page]:
    page = Page(tmp_path / "data", address="0.0.0.0")
    yield page
    page.kill()


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, dict[str, str]]]:
    """A page with an admin, and the headers of a program that may do everything."""
    page = Page(tmp_path_factory.mktemp("api") / "data", "--confirm-seconds", "1")
    page.claim()
    yield page, page.token("admin")
    page.kill()


@INTERFACE.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_no_answer_is_unknown_to_the_document(
    case: schemathesis.Case[Any], claimed: tuple[Page, dict[str, str]]
) -> None:
    page, headers = claimed
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{page.address[1]}",
        headers=headers,
        checks=[
            not_a_server_error, status_code_conformance, content_type_conformance,
            response_headers_conformance, response_schema_conformance,
        ],
    )  # fmt: skip


def test_roles_are_those_of_the_document(page: Page) -> None:
    page.claim()
    headers = {role: page.token(role) for role in ROLES}
    places = {"{username}": "nobody", "{number}": "99", "{name}": "nothing", "{id}": "0-0"}
    for path, calls in WHOLE.raw_schema["paths"].items():
        where = path
        for variable, value in places.items():
            where = where.replace(variable, value)
        for method, call in calls.items():
            if method == "parameters" or call["x-role"] == "open":
                continue
            status, answer, _ = page.ask(method.upper(), where, None, {})
            assert status == 401, f"{method} {path} by a stranger: {answer!r}"
            least = 0 if call["x-role"] == "figures" else ROLES.index(call["x-role"])
            for role in ROLES[:least]:
                status, answer, _ = page.ask(method.upper(), where, None, headers[role])
                assert (status, answer["error"]["code"]) == (403, "forbidden"), f"{method} {path} as {role}"
            if method == "get" and "seconds" not in str(call.get("parameters")):
                status, answer, _ = page.ask(method.upper(), where, None, headers[ROLES[least]])
                assert status not in (401, 403), f"{method} {path} as {ROLES[least]}: {answer!r}"


def test_a_wrong_password_ten_times(page: Page) -> None:
    page.claim()
    statuses = [page.ask("POST", "/api/v1/login", {"username": "admin", "password": "wrong"}, {})[0] for _ in range(10)]
    assert statuses == [401] * 5 + [429] * 5
    status, _, headers = page.ask("POST", "/api/v1/login", {"username": "admin", "password": PASSWORD}, {})
    assert status == 429
    assert 0 < int(headers["Retry-After"]) <= 6
    # Who is logged in already goes on.
    assert page.ask("GET", "/api/v1/me")[0] == 200


def test_another_site_cannot_use_the_cookie(page: Page) -> None:
    page.claim()
    cookie = {"Cookie": page.headers["Cookie"]}
    for headers in (cookie, cookie | {"X-CSRF-Token": "0" * 32}):
        status, answer, _ = page.ask("POST", "/api/v1/replay/stop", None, headers)
        assert (status, answer["error"]["code"]) == (403, "csrf")
    assert page.ask("POST", "/api/v1/replay/stop")[0] == 200
    login = {"username": "admin", "password": PASSWORD}
    for site, expected in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        status, answer, _ = page.ask("POST", "/api/v1/login", login, {"Sec-Fetch-Site": site})
        assert status == expected, f"{site}: {answer}"


def test_the_login_and_the_kill_switch_survive_a_crash(page: Page) -> None:
    page.claim()
    assert page.ask("POST", "/api/v1/replay/stop")[0] == 200
    page.kill()
    page.start()
    status, snapshot, _ = page.ask("GET", "/api/v1/snapshot")
    assert (status, snapshot["replaying"]) == (200, False)
    what = [entry["what"] for entry in page.ask("GET", "/api/v1/audit")[1]["entries"]]
    assert what == ["replay_stopped", "claimed"]
    page.stop()


def check_quick_beside(page: Page, heads: list[bytes]) -> None:
    """Of a thousand clients each begins as one of these do, and goes no further; others are answered at once."""
    with contextlib.ExitStack() as clients:
        for number in range(SLOW_CLIENTS):
            client = clients.enter_context(socket.create_connection(page.address))
            client.sendall(heads[number % len(heads)])
        took = []
        for _ in range(20):
            begin = time.monotonic()
            assert page.ask("GET", "/api/v1/health")[0] == 200
            took.append(time.monotonic() - begin)
    assert sorted(took)[len(took) // 2] < 0.2, took


def test_a_thousand_slow_clients_hold_nobody_up(page: Page) -> None:
    head = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX: "
    check_quick_beside(page, [head, b"POST /api/v1/login HTTP/1.1\r\nContent-Length: 99\r\n\r\n{", b""])


def test_a_thousand_slow_clients_of_tls_hold_nobody_up(secure_page: Page) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        secure_page.tls.wrap_bio(incoming, outgoing).do_handshake()
    hello = outgoing.read()
    # Half a greeting, a whole one whose answer nobody takes, and none.
    check_quick_beside(secure_page, [hello[:100], hello, b""])


def test_garbage_ends_its_own_connection_only(page: Page) -> None:
    chance = random.Random(1)
    for _ in range(200):
        with socket.create_connection(page.address) as client:
            client.settimeout(10)
            with contextlib.suppress(ConnectionError):
                client.sendall(chance.randbytes(chance.randrange(1, 400)) + b"\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1 << 16)[:12] in (b"", b"HTTP/1.1 400")
    status, answer, _ = page.ask("GET", "/api/v1/health", None, {"X-Long": "y" * 40_000})
    assert (status, answer["error"]["code"]) == (431, "head_too_long")
    assert page.ask("GET", "/api/v1/health")[0] == 200


def test_plain_http_sends_readers_on(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("0.0.0.0", 0))) as free:
        port = free.getsockname()[1]
    page = Page(tmp_path / "data", "--redirect-port", str(port), address="0.0.0.0")
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as plain:
            plain.request("GET", "/api/v1/health?x=1")
            answer = plain.getresponse()
            assert answer.status == 308
            assert answer.headers["Location"] == f"https://127.0.0.1:{page.address[1]}/api/v1/health?x=1"
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as plain:
            plain.request("POST", "/api/v1/login", "{}")
            assert plain.getresponse().status == 403
    finally:
        page.kill()


def test_https_on_every_other_address(secure_page: Page) -> None:
    page = secure_page
    with contextlib.closing(page.connect()) as connection:
        for _ in range(3):
            connection.request("GET", "/api/v1/health")
            assert json.loads(connection.getresponse().read())["claimable"]
    # Nothing is open to strangers here, claimed or not.
    assert page.ask("GET", "/api/v1/ledger")[0] == 401
    token = (page.data / "claim-token").read_text().strip()
    status, _, headers = page.ask("POST", "/api/v1/setup", {"claim_token": token, "password": PASSWORD})
    assert status == 200
    assert headers["Set-Cookie"].endswith("; HttpOnly; SameSite=Strict; Secure")
    with socket.create_connection(page.address) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"<" not in plain.recv(1 << 16)


def change(page: Page, port: int) -> None:
    """Stages settings with this port; a box without their interfaces cannot start by them, but can keep them."""
    status, answer, _ = page.ask("PUT", "/api/v1/settings", SETTINGS.format(port=port))
    assert status == 200, answer


def test_settings_that_cannot_be_used_leave_what_was(page: Page) -> None:
    page.claim()
    change(page, 80)
    status, answer, _ = page.ask("POST", "/api/v1/settings/apply")
    assert (status, [fault["field"] for fault in answer["faults"]]) == (422, ["nics.mirror[0]", "nics.target"])
    found = page.ask("POST", "/api/v1/settings/check", SETTINGS.format(port=80))[1]
    assert found["faults"] == answer["faults"]
    assert page.ask("GET", "/api/v1/health")[1]["status"] == "idle"
    assert page.ask("GET", "/api/v1/settings/pending")[1]["state"] == "staged"
