"""A way from this machine's loopback to a port inside a namespace, so that a browser here shows a page served there."""

import contextlib
import shutil
import socket
import socketserver
import threading
from socket import SocketIO

from lab.netns import Namespace


class Forwarder:
    """Listens on this machine and hands every connection on to an address inside a namespace."""

    def __init__(self, listen: tuple[str, int], namespace: Namespace, to: tuple[str, int]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    _splice(self.connection, namespace.connect(to))

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

        self._server = Server(listen, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _splice(near: socket.socket, far: socket.socket) -> None:
    with far, far.makefile("rwb", 0) as far_file, near.makefile("rwb", 0) as near_file:
        far.settimeout(None)
        back = threading.Thread(target=_copy, args=(far_file, near_file, near), daemon=True)
        back.start()
        _copy(near_file, far_file, far)
        back.join()


def _copy(source: SocketIO, sink: SocketIO, sink_socket: socket.socket) -> None:
    with contextlib.suppress(OSError):
        shutil.copyfileobj(source, sink)
        sink_socket.shutdown(socket.SHUT_WR)
