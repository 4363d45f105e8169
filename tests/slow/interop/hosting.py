"""Serves the files of a folder over TLS, as whoever hosts a document does."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.slow.interop.processes import HOST


@contextmanager
def hosted(folder: Path, certificate: Path) -> Iterator[str]:
    """The address of the folder. `certificate`: a PEM file with key and chain."""
    folder.mkdir()
    server = ThreadingHTTPServer((HOST, 0), partial(_Silent, directory=str(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"https://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Silent(SimpleHTTPRequestHandler):
    timeout = 60

    def log_message(self, *_: object) -> None:
        """The output is the tests'."""
