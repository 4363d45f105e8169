"""A server for the benchmarks, in a process of its own: one answer, after so many seconds; a new
token to a POST of `/token`.

Prints its port. A GET of `/peak` tells how many requests were in flight at most, and begins anew.
"""

from __future__ import annotations

import asyncio
import sys

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

_TOKEN = b'{"access_token": "a-new-access-token", "token_type": "Bearer", "expires_in": 3600}'


class Answering(asyncio.Protocol):
    flying = peak = 0

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, rest = self._read.partition(b"\r\n\r\n")
            length = _length(head)
            if len(rest) < length:
                return
            self._read = rest[length:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        kind = Answering
        if head.startswith(b"GET /peak"):
            self._write(b"%d" % kind.peak)
            kind.peak = 0
            return
        kind.flying += 1
        kind.peak = max(kind.peak, kind.flying)
        body = _TOKEN if head.startswith(b"POST /token") else b"{}"
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._land, body)
        else:
            self._land(body)

    def _land(self, body: bytes) -> None:
        Answering.flying -= 1
        self._write(body)

    def _write(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % (len(body), body))


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def main(delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(delay), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
