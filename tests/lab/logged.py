"""nginx with a log of how long each answer took, in front of a backend that takes its time: `ADDRESS PORT FOLDER`.

`/page/` takes the backend some milliseconds, `/wait/` longer; `/file` is small, `/large` 1 MiB and `/paced` the same
at 8 MiB/s. The backend takes any
time between two bounds, because the log has whole milliseconds: of times at the same place between two, it tells
only to which side they were rounded. Of files nginx logs whole milliseconds: its clock stands still while it works.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

SECONDS = {b"page": (0.008, 0.02), b"wait": (0.02, 0.06)}
"""How long the backend takes for which path."""
BACKEND = "127.0.0.1:9"

CONFIGURATION = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format times '$uri $request_time';
    access_log {folder}/times.log times;
    keepalive_requests 1000000;
    proxy_temp_path {folder}/proxy;
    client_body_temp_path {folder}/bodies;
    upstream backend {{ server {backend}; keepalive 64; }}
    server {{
        listen {address}:{port};
        root {folder};
        location ~ ^/(page|wait)/ {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://backend;
        }}
        location /paced {{ alias {folder}/large; limit_rate 8m; }}
    }}
}}
"""


async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(random.uniform(*SECONDS[head.split(b"/")[1]]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslow\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(address: str, port: str, folder: Path) -> None:
    (folder / "file").write_bytes(b"a small page\n" * 16)
    (folder / "large").write_bytes(b"thirty-two bytes of a large page" * (1 << 15))
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(address=address, port=port, folder=folder, backend=BACKEND))
    host, backend_port = BACKEND.split(":")
    backend = await asyncio.start_server(answer_slowly, host, int(backend_port))
    # How long it waits for a processor is on the wire, and not in its log.
    with contextlib.suppress(PermissionError):
        os.nice(-20)
    nginx = subprocess.Popen(["nginx", "-c", str(configuration), "-e", str(folder / "error.log")])
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    try:
        async with backend:
            await ended.wait()
    finally:
        nginx.terminate()
        nginx.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
