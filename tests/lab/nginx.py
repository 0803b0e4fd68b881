"""Real nginx as origin and as target, with a log that identifies every request.

One worker, so that the log's order is the order of the answers. Request bodies are read whole and kept as files,
whose hashes join the log when it is collected; what reads them is a proxied location whose upstream is a second
server of the same nginx.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from lab.netns import Namespace
from lab.process import Process

PAGE = b"tapcopy lab: a small page\n" * 8
MIB = 1 << 20
SINK = "127.0.0.1:9"

CONFIGURATION = """
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    log_format exchange escape=json '{{"instance":$pid,"connection":$connection,"turn":$connection_requests,'
        '"method":"$request_method","url":"$request_uri","status":$status,"body":"$request_body_file",'
        '"client":"$remote_addr:$remote_port","words":"$http_host|$http_x_mirrored|$http_authorization"}}';
    access_log {folder}/access.log exchange;
    default_type application/octet-stream;
    sendfile on;
    keepalive_timeout 75s;
    keepalive_requests {keepalive_requests};
    client_max_body_size 64m;
    client_body_buffer_size 64k;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    server {{
        listen {address} backlog=4096;
        root {root};
        location / {{ try_files /page.bin =404; }}
        location /mib/ {{ try_files /mib.bin =404; }}
        location /post/ {{
            client_body_in_file_only on;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://{sink};
        }}
    }}
    server {{
        listen {sink};
        access_log off;
        location / {{ return 200 "stored\\n"; }}
    }}
}}
"""


@dataclass(frozen=True)
class Served:
    """One request as a server logged it: who it was, where it came in, and what its body was."""

    server: str
    connection: tuple[int, int]
    turn: int
    method: str
    url: str
    status: int
    body: str
    client: str
    words: str = ""
    """The values of Host, X-Mirrored and Authorization, with bars between them."""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes it the same request elsewhere: URLs are unique in the lab."""
        return (self.method, self.url, self.body)


def make_root(root: Path) -> None:
    """The files that every server serves, the same files, so that answers agree in every header."""
    root.mkdir()
    (root / "page.bin").write_bytes(PAGE)
    block = b"".join(hashlib.sha256(number.to_bytes(4)).digest() for number in range(MIB // 32))
    (root / "mib.bin").write_bytes(block)


class Nginx:
    """One server; it can be stopped, killed and started again, and its log goes on."""

    def __init__(
        self, namespace: Namespace, address: str, folder: Path, root: Path, *, keepalive_requests: int = 1_000_000
    ) -> None:
        self.name = namespace.role
        self.namespace = namespace
        self.address = address
        self.folder = folder
        self._root, self._keepalive_requests = root, keepalive_requests
        self._process: Process | None = None
        self._collected: list[Served] = []
        self._read = 0
        folder.mkdir()
        self._configure()

    def _configure(self) -> None:
        text = CONFIGURATION.format(
            folder=self.folder,
            address=self.address,
            root=self._root,
            sink=SINK,
            keepalive_requests=self._keepalive_requests,
        )
        (self.folder / "nginx.conf").write_text(text)

    def move(self, address: str) -> None:
        """Starts it again, after its end, on another address."""
        self.address = address
        self._configure()
        self.start()

    def start(self) -> None:
        """Starts it and waits until it listens."""
        host, _, port = self.address.rpartition(":")
        configuration, errors = str(self.folder / "nginx.conf"), str(self.folder / "error.log")
        self._process = Process(self.namespace, ["nginx", "-c", configuration, "-e", errors], self.folder / "nginx.err")
        (self.folder / "error.log").touch()
        for _ in range(500):
            try:
                self.namespace.connect((host.strip("[]"), int(port)), 1.0).close()
                return
            except ConnectionRefusedError:
                if self._process.running():
                    time.sleep(0.01)
                    continue
                break
        raise RuntimeError(f"nginx on {self.address} did not start: {(self.folder / 'error.log').read_text()[-500:]}")

    def stop(self) -> None:
        """Ends it as an administrator would."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """Ends it as a crash would: at once, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def requests(self) -> list[Served]:
        """Every request logged so far, in the log's order."""
        with (self.folder / "access.log").open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._collected.append(self._served(json.loads(line)))
        return self._collected

    def forget(self) -> None:
        """Drops the log and the bodies so far, for runs without an end."""
        self._collected, self._read = [], 0
        (self.folder / "access.log").write_bytes(b"")
        for body in (self.folder / "bodies").iterdir():
            body.unlink(missing_ok=True)

    def _served(self, entry: dict[str, object]) -> Served:
        body = str(entry["body"])
        digest = ""
        if body:
            with open(body, "rb") as stored:
                digest = hashlib.file_digest(stored, "sha256").hexdigest()
            Path(body).unlink()
        return Served(
            server=self.name,
            connection=(int(str(entry["instance"])), int(str(entry["connection"]))),
            turn=int(str(entry["turn"])),
            method=str(entry["method"]),
            url=str(entry["url"]),
            status=int(str(entry["status"])),
            body=digest,
            client=str(entry["client"]),
            words=str(entry["words"]),
        )
