"""A server of every manner of answering: nginx, and behind it what answers late, slowly, for ever or both ways.

    /page, /big    files
    /store         takes an upload and answers with its hash
    /slow          answers after the server's own delay
    /poll          answers after SECONDS (`/poll?SECONDS`)
    /events        events (server-sent, without an end)
    /closing       an answer that ends with the connection (HTTP/1.0)
    /talk          a WebSocket: it echoes, pushes five messages of its own, and pings

nginx logs each request with its time, and the WebSocket what it was told. It is run as
`python -m lab.paced ADDRESS PORT FOLDER DELAY`.
"""

import asyncio
import hashlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TextIO

from websockets.asyncio.server import ServerConnection, serve

WEB, TALK = 8001, 8002
PUSHES, PUSH_EVERY_S = 5, 0.15

CONFIGURATION = """
daemon off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format timed '$msec $request_length $status $request_uri';
    access_log {folder}/access.log timed;
    client_max_body_size 100m;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_http_version 1.1;
    server {{
        listen {address}:{port};
        root {folder}/root;
        location / {{ proxy_pass http://127.0.0.1:{web}; proxy_set_header Connection ""; }}
        location /page {{ try_files /page =404; }}
        location /big {{ try_files /big =404; }}
        location /closing {{ proxy_pass http://127.0.0.1:{web}; proxy_http_version 1.0; }}
        location /talk {{
            proxy_pass http://127.0.0.1:{talk};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
}}
"""


class Web(BaseHTTPRequestHandler):
    """What nginx does not answer itself."""

    delay_s = 0.0
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path, _, words = self.path.partition("?")
        if path == "/poll":
            time.sleep(float(words))
        if path == "/slow":
            time.sleep(self.delay_s)
        if path == "/events":
            self._tell_events()
        elif path == "/closing":
            self.protocol_version, self.close_connection = "HTTP/1.0", True
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"until the end\n" * 1_000)
        else:
            self._answer(f"{self.path}\n".encode())

    def do_POST(self) -> None:
        digest, size = hashlib.sha256(), 0
        for piece in self._pieces():
            digest.update(piece)
            size += len(piece)
        self._answer(f"{size} {digest.hexdigest()}\n".encode())

    def do_PUT(self) -> None:
        self.do_POST()

    def _pieces(self) -> Iterator[bytes]:
        """The content, with a length or in chunks (RFC 9112, section 7.1)."""
        if self.headers["Transfer-Encoding"] != "chunked":
            yield from self._read(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield from self._read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _read(self, size: int) -> Iterator[bytes]:
        while size > 0:
            piece = self.rfile.read1(min(size, 65_536))
            if not piece:
                raise ConnectionError("the client left")
            size -= len(piece)
            yield piece

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _tell_events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in itertools.count():
            event = b"data: %d\n\n" % number
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            time.sleep(0.2)


class Server(ThreadingHTTPServer):
    """A client that leaves is no fault."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def talk(told: TextIO) -> Callable[[ServerConnection], Awaitable[None]]:
    """Echoes each message, and pushes some and pings besides."""

    async def push(connection: ServerConnection) -> None:
        for number in range(PUSHES):
            await asyncio.sleep(PUSH_EVERY_S)
            await connection.send(f"push {number}")
            await connection.ping(b"still there?")

    async def handle(connection: ServerConnection) -> None:
        pushing = asyncio.create_task(push(connection))
        async for message in connection:
            told.write(f"{message!r}\n")
            await connection.send(message)
        pushing.cancel()

    return handle


async def talk_for_ever(folder: Path) -> None:
    with (folder / "told.log").open("w", buffering=1) as told:
        async with serve(talk(told), "127.0.0.1", TALK, ping_interval=None):
            await asyncio.Future()


def main() -> None:
    address, port, folder, Web.delay_s = sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])
    root = folder / "root"
    root.mkdir()
    for name, size in {"page": 300, "big": 64 << 20}.items():
        (root / name).write_bytes((bytes(range(256)) * (size // 256 + 1))[:size])
        os.utime(root / name, (0, 0))
    configuration = folder / "nginx.conf"
    words = {"address": address, "port": port, "folder": folder, "web": WEB, "talk": TALK}
    configuration.write_text(CONFIGURATION.format(**words))
    threading.Thread(target=Server(("127.0.0.1", WEB), Web).serve_forever, daemon=True).start()
    command = ["setpriv", "--pdeathsig", "TERM", "nginx", "-c", str(configuration), "-e", str(folder / "error.log")]
    with subprocess.Popen(command):
        asyncio.run(talk_for_ever(folder))


if __name__ == "__main__":
    main()
