"""A small shop over HTTP/1.1, and its clients.

`ADDRESS PORT sound|faulty` serves; `ask HOST:PORT ROUNDS CONNECTIONS PATH...` asks each path in turn and prints how
many requests were answered. Every answer has a date, a request id and tokens of its own; some are compressed. A faulty
shop has wrong prices, leaves out a header, fails now and then, cuts pages short, and is slow on one path.
"""

import asyncio
import gzip
import itertools
import json
import random
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Iterator

SLOW_SECONDS = 0.02

ASKED: dict[str, Iterator[int]] = defaultdict(itertools.count)
"""How often each kind was asked for: faults come in exactly their share."""


def content(path: str, faulty: bool) -> tuple[int, str, bytes]:
    """Status, type and body of the answer."""
    kind, number = path.split("/")[1], int(path.split("/")[2])
    asked = next(ASKED[kind])
    if faulty and kind == "items" and asked % 200 == 50:
        return 500, "text/plain", b"out of order"
    price = 7 * number + (1 if faulty and kind == "items" and asked % 100 == 7 else 0)
    if kind == "pages":
        lines = [f"<p>line {line} of {number}</p>" for line in range(40)]
        lines[3] = f"<input name=csrf value={secrets.token_hex(16)}>"
        text = "\n".join(lines)
        return 200, "text/html", (text[: len(text) // 2] if faulty and asked % 50 == 9 else text).encode()
    body = {
        "id": number,
        "price": price,
        "at": time.time(),
        "token": secrets.token_urlsafe(24),
        "took_us": random.randrange(40, 90),
        "tags": ["a", secrets.token_hex(4)],
    }
    return 200, "application/json", json.dumps(body).encode()


async def answer(path: str, faulty: bool) -> bytes:
    if path.startswith("/slow/"):
        await asyncio.sleep(0.001 + (SLOW_SECONDS if faulty else 0))
    status, kind, body = content(path, faulty)
    fields = [f"Content-Type: {kind}", f"X-Request-Id: {secrets.token_hex(8)}", f"X-Trace: {secrets.token_hex(8)}"]
    fields.append(time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT", time.gmtime()))
    if not (faulty and path.startswith("/orders/")):
        fields.append("X-Version: 7")
    if path.startswith("/orders/"):
        body = gzip.compress(body)
        fields.append("Content-Encoding: gzip")
    fields.append(f"Content-Length: {len(body)}")
    head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Fault'}\r\n" + "\r\n".join(fields) + "\r\n\r\n"
    return head.encode() + body


async def serve(address: str, port: int, faulty: bool) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await answer(head.split(b" ")[1].decode(), faulty))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, address, port)
    async with server:
        await server.serve_forever()


async def ask(host: str, rounds: int, connections: int, paths: list[str]) -> int:
    address, port = host.rsplit(":", 1)

    async def client(number: int) -> int:
        reader, writer = await asyncio.open_connection(address, int(port))
        answered = 0
        for turn in range(rounds):
            for path in paths:
                writer.write(
                    f"GET {path.format(n=(turn * connections + number) % 400)} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                answered += 1
        writer.close()
        return answered

    return sum(await asyncio.gather(*(client(number) for number in range(connections))))


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        print(asyncio.run(ask(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])))
    else:
        asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "faulty"))
