"""A demo MCP server and its authorization server, started and stopped together."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final, Literal, Self

from starlette.types import ASGIApp

from .authorization_server import authorization_server
from .faults import Fault
from .journal import TOKEN_PATH, Gate, Held, Journal, RequestRecord, Side
from .ledger import Ledger
from .mcp_server import mcp_server
from .proofs import Proofs
from .serving import Serving, bound_socket
from .settings import Addresses, Settings
from .tools import Notebook

SERVERS: Final[weakref.WeakSet[DemoServer]] = weakref.WeakSet()


class DemoServer:
    """Two servers on loopback, on two origins; use it as a context manager.

    Clients, tokens, notes and both ports outlive `stop()`, so that `start()` again is the
    same server after a restart; nobody else gets the ports meanwhile.

    Example:
        ```python
        import httpx
        from mcp_client_auth import BrowserPrompt, MCPAuth, MemoryStorage
        from mcp_client_auth.testing import DemoServer, ScriptedBrowser

        with DemoServer() as server:
            prompt = BrowserPrompt(ScriptedBrowser())
            auth = MCPAuth(server.url, storage=MemoryStorage(), prompt=prompt)
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            assert httpx.post(server.url, json=call, auth=auth).status_code == 200
            assert server.token_requests("authorization_code") == 1
        ```
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._ledger = Ledger(self.settings.clients, self.settings.access_token_seconds)
        self._journal = Journal()
        self._notebook = Notebook(self.settings)
        wanted = self.settings.dpop_nonces
        self._proofs = {
            "mcp": Proofs(self.settings, nonces=wanted in ("mcp", "both")),
            "as": Proofs(self.settings, nonces=wanted in ("as", "both")),
        }
        self._addresses: Addresses | None = None
        self._ports = (0, 0)
        SERVERS.add(self)
        self._kept = ExitStack()
        weakref.finalize(self, self._kept.close)
        self._serving: Serving | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._kept.close()

    def start(self) -> None:
        """Start both servers and wait until they answer; raises `OSError` if a port is taken."""
        if self._serving is not None:
            raise RuntimeError("the demo server is running already")
        self._kept.close()
        sockets = _two_sockets(self._ports)
        self._ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
        mcp_origin, as_origin = (f"http://127.0.0.1:{port}" for port in self._ports)
        self._addresses = Addresses(mcp_origin, as_origin, self.settings.issuer_path)
        self._serving = Serving(lambda: list(zip(self._apps(), sockets, strict=True)))
        try:
            self._serving.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both servers quickly, and close open connections; calling it twice is fine."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.stop()
            for port in self._ports:
                with suppress(OSError):  # if another program takes it now, the next start fails
                    self._kept.enter_context(bound_socket(port, backlog=None))

    @property
    def url(self) -> str:
        """The MCP endpoint, which is also the resource identifier."""
        return self._where().resource

    @property
    def issuer(self) -> str:
        """The authorization server's issuer identifier."""
        return self._where().issuer

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests answered so far, in order, of both servers."""
        return self._journal.records

    def count(self, path_suffix: str) -> int:
        """How many requests were answered on paths that end with `path_suffix`."""
        return sum(record.path.endswith(path_suffix) for record in self.requests)

    def token_requests(self, grant_type: str) -> int:
        """How many token requests of this grant type were answered, refusals included."""
        return sum(
            record.grant_type == grant_type and record.path.endswith(TOKEN_PATH)
            for record in self.requests
        )

    def clear_requests(self) -> None:
        """Count from here."""
        self._journal.clear()

    @property
    def families_revoked(self) -> int:
        """How often a used code or a rotated refresh token was used again."""
        return self._ledger.reuses

    @property
    def secrets(self) -> set[str]:
        """What no log or error may repeat: every token, code and client secret so far."""
        given = {client.client_secret or "" for client in self.settings.clients}
        return (self._ledger.issued | given | {self.settings.initial_access_token}) - {""}

    def expire_access_tokens(self) -> None:
        """Every access token is invalid from now on; refresh tokens stay."""
        self._ledger.expire_access_tokens()

    def revoke_everything(self) -> None:
        """Every access token, refresh token and code is invalid from now on."""
        self._ledger.revoke_everything()

    def decide_device(self, decision: Literal["allow", "deny"] = "allow") -> int:
        """Decide for the person at the other device; return how many codes were waiting."""
        return self._ledger.decide_device(decision)

    def slow_devices_down(self, times: int = 1) -> None:
        """The next `times` polls for a device's tokens are answered with `slow_down`."""
        self._ledger.hurry_devices(times)

    def rotate_dpop_nonces(self) -> None:
        """Of the two nonces that each server accepts, the older one is no longer valid."""
        for proofs in self._proofs.values():
            proofs.rotate()

    def forget_clients(self) -> None:
        """No client is known any more, not even a pre-registered one."""
        self._ledger.forget_clients()

    def mint_token(self, scope: Iterable[str] | None = None, client_id: str = "demo") -> str:
        """An access token without a login, for tests of what comes after one."""
        granted = self.settings.scopes if scope is None else tuple(scope)
        return self._ledger.mint(client_id, self.url, granted)

    def fail_next(
        self,
        path_suffix: str,
        status: int,
        times: int = 1,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """The next `times` requests on paths with this suffix get this answer, unprocessed."""
        self._journal.plan(path_suffix, status, times, body, headers)

    def change_answers(self, path_suffix: str, **fields: Any) -> None:
        """From now on answers on paths with this suffix have these fields, None to leave one out:
        members of a JSON object, or parameters of a redirect. A call without fields undoes it."""
        self._journal.change(path_suffix, fields)

    def refuse_next(
        self, error: str, path_suffix: str = TOKEN_PATH, times: int = 1, description: str = ""
    ) -> None:
        """The same as an OAuth error (RFC 6749 §5.2), such as `invalid_grant`."""
        refusal = Fault(error, description, status=401 if error == "invalid_client" else 400)
        answer = refusal.response()
        kind = [("Content-Type", "application/json")]
        self.fail_next(path_suffix, answer.status_code, times, bytes(answer.body), kind)

    def hold_next(self, path_suffix: str = TOKEN_PATH, *, processed: bool = True) -> Held:
        """Stop the next request there: before its answer, or before it is `processed` at all."""
        held = Held(path_suffix, processed=processed)
        self._journal.hold(held)
        return held

    def _where(self) -> Addresses:
        if self._addresses is None:
            raise RuntimeError("the demo server has no address before it is started")
        return self._addresses

    def _apps(self) -> tuple[ASGIApp, ASGIApp]:
        assert self._serving is not None
        where, pause = self._where(), self._serving.pause
        notebook, proofs = self._notebook, self._proofs
        mcp = mcp_server(self.settings, self._ledger, where, notebook, pause, proofs["mcp"])
        oauth = authorization_server(self.settings, self._ledger, where, proofs["as"])
        return self._gated("mcp", mcp), self._gated("as", oauth)

    def _gated(self, side: Side, app: ASGIApp) -> Gate:
        assert self._serving is not None
        return Gate(
            app,
            side=side,
            journal=self._journal,
            pause=self._serving.pause,
            latency=self.settings.latency,
        )


def _two_sockets(ports: Sequence[int]) -> tuple[socket.socket, socket.socket]:
    first = bound_socket(ports[0])
    try:
        return first, bound_socket(ports[1])
    except OSError:
        first.close()
        raise
