"""Servers with a log of how long each answer took: `nginx|apache ADDRESS PORT FOLDER`.

nginx stands before a backend that takes its time: `/page/` some milliseconds, `/wait/` longer. That is any time between
two bounds, because the log has whole milliseconds: of times at the same place between two, it tells only to which side
they were rounded. `/large` is 1 MiB, `/paced` the same at 8 MiB/s. Of files that go at once nginx logs nothing below a
millisecond: its clock stands still while it works. Apache logs microseconds: `/file` is small.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

SECONDS = {b"page": (0.008, 0.02), b"wait": (0.02, 0.06)}
"""How long the backend takes for which path."""
BACKEND = "127.0.0.1:9"

NGINX = """
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
        location /large {{ alias {folder}/large; }}
        location /paced {{ alias {folder}/large; limit_rate 8m; }}
    }}
}}
"""

APACHE = """
ServerRoot {folder}
ServerName logged
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
Listen {address}:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
User nobody
Group nogroup
DocumentRoot {public}
LogFormat "%U %D" times
CustomLog {folder}/times.log times
MaxKeepAliveRequests 0
KeepAliveTimeout 60
"""


async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(random.uniform(*SECONDS[head.split(b"/")[1]]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslow\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve_nginx(address: str, port: str, folder: Path) -> None:
    (folder / "large").write_bytes(b"thirty-two bytes of a large page" * (1 << 15))
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(address=address, port=port, folder=folder, backend=BACKEND))
    host, backend_port = BACKEND.split(":")
    async with await asyncio.start_server(answer_slowly, host, int(backend_port)):
        await run_until_told("nginx", "-c", str(configuration), "-e", str(folder / "error.log"))


async def serve_apache(address: str, port: str, folder: Path) -> None:
    """It gives up being root, and could not read what the lab keeps to itself."""
    with tempfile.TemporaryDirectory(prefix="tapcopy-public-") as public:
        Path(public).chmod(0o755)
        (Path(public) / "file").write_bytes(b"a small page\n" * 16)
        configuration = folder / "apache.conf"
        configuration.write_text(APACHE.format(address=address, port=port, folder=folder, public=public))
        await run_until_told("/usr/sbin/apache2", "-f", str(configuration), "-DFOREGROUND")


async def run_until_told(*command: str) -> None:
    # How long it waits for a processor is on the wire, and not in its log.
    with contextlib.suppress(PermissionError):
        os.nice(-20)
    server = await asyncio.create_subprocess_exec(*command)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.terminate)
    await server.wait()


if __name__ == "__main__":
    kind = {"nginx": serve_nginx, "apache": serve_apache}[sys.argv[1]]
    asyncio.run(kind(sys.argv[2], sys.argv[3], Path(sys.argv[4])))
