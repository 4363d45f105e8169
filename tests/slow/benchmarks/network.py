"""A network in front of servers on loopback, in a process of its own: TLS, and a distance.

Run with the seconds of a round trip, the files of a certificate and its key, and the ports of
servers that speak plain HTTP; prints a port for each. Each byte takes half a round trip. The
first ones of a connection take a whole one more, for the TCP handshake, which costs nothing on
one machine; those of TLS pay for themselves, since they are carried like all others.
"""

from __future__ import annotations

import asyncio
import ssl
import sys


async def carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    latency: float,
    not_before: float = 0.0,
) -> None:
    """Copy one way; each piece arrives `latency` after it was sent, in order."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        data = b"x"
        while data:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            under_way.put_nowait((max(loop.time(), not_before) + latency, data))

    reading = asyncio.create_task(read())
    while True:
        due, data = await under_way.get()
        await asyncio.sleep(due - loop.time())
        if not data:
            break
        writer.write(data)
    await reading
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()


async def connect(
    front: tuple[asyncio.StreamReader, asyncio.StreamWriter], port: int, rtt: float
) -> None:
    began = asyncio.get_running_loop().time()
    back = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(
            carry(front[0], back[1], rtt / 2, began + rtt),
            carry(back[0], front[1], rtt / 2),
        )
    except OSError:
        pass
    finally:
        for _, writer in (front, back):
            writer.close()


async def serve(rtt: float, port: int, tls: ssl.SSLContext | None = None) -> asyncio.Server:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connect((reader, writer), port, rtt)

    return await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)


async def main(rtt: float, certificate: str, key: str, *ports: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    servers = []
    for port in ports:
        secured = await serve(0.0, int(port), tls)
        servers.append(await serve(rtt, _port(secured)))
        servers.append(secured)
    print(*(_port(server) for server in servers[::2]), flush=True)
    await asyncio.Event().wait()


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), *sys.argv[2:]))
