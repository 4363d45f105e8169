"""Public https names on one machine: a proxy that answers for `*.example.com` itself.

A client that uses `proxy` and trusts `ca` reaches, for each host that was routed, a server on
loopback that speaks plain HTTP and does not know about this.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Self

import httpx

from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from mcp_client_auth.testing.settings import Addresses
from tests.support.listening import PATIENCE, Listening, head, relay
from tests.support.mutual_tls import Authority


class PublicHosts(Listening):
    """`route` says which host is which port; `otherwise` is the port of every other host."""

    def __init__(self, folder: Path, otherwise: int = 0) -> None:
        super().__init__()
        self._ports: dict[str, int] = {}
        self._otherwise = otherwise
        self.proxy = f"http://127.0.0.1:{self.port}"
        authority = Authority(folder, "public-ca")
        self.ca = authority.file
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(*authority.issue("public-hosts", host="*.example.com"))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables for the command."""
        return {"MCP_CLIENT_AUTH_PROXY": self.proxy, "MCP_CLIENT_AUTH_CA": self.ca}

    def route(self, host: str, port: int) -> None:
        self._ports[host] = port

    def _serve(self, connection: socket.socket) -> None:
        method, target, _ = head(connection).decode("latin-1").split(" ", 2)
        if method != "CONNECT":
            return  # only https goes through here
        port = self._ports.get(target.rpartition(":")[0], self._otherwise)
        if not port:
            connection.sendall(b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as behind:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            with self._tls.wrap_socket(connection, server_side=True) as front:
                relay(front, behind)


class Named(DemoServer):
    """A demo server that presents itself at public addresses, once it is `routed`."""

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(settings)
        self._hosts = f"{name}.example.com", f"{name}-login.example.com"

    def routed(self, hosts: PublicHosts) -> Self:
        for host, port in zip(self._hosts, self._ports, strict=True):
            hosts.route(host, port)
        return self

    def _where(self) -> Addresses:
        mcp, login = (f"https://{host}" for host in self._hosts)
        return Addresses(mcp, login, self.settings.issuer_path)


class Person(ScriptedBrowser):
    """A person whose browser reaches these names."""

    def __init__(self, hosts: PublicHosts) -> None:
        super().__init__()
        self._through = hosts

    def _opened(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=self._through.ca)
        through = httpx.HTTPTransport(verify=trusted, proxy=self._through.proxy)
        return httpx.Client(
            trust_env=False, follow_redirects=True, timeout=20, mounts={"https://": through}
        )
