"""A company's identity provider on loopback: it signs in nobody, but all its tokens are real.

ID tokens and workload JWTs are had from a method; ID-JAGs by token exchange, strictly.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .assertions import Assertions
from .client_authentication import authenticated_client
from .discovery_document import document_route
from .faults import NO_STORE, Fault, form
from .ledger import Ledger
from .serving import Serving, bound_socket
from .settings import AUTH_METHODS, SIGNING_ALGORITHMS, RegisteredClient, TrustedIssuer
from .trusted_assertions import ID_JAG_TYPE, checked, signed

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
_PATH = "/token"
_SECRETS = ("subject_token", "client_secret", "client_assertion")


class IdentityProvider:
    """Use it as a context manager; hand `trusted` to the `Settings` of a `DemoServer`.

    `clients`: who may exchange. `client_at`: what the provider believes each of them is called
    at the authorization server. `issued_token_type`: what an exchange is said to have given.
    """

    def __init__(
        self,
        clients: Iterable[RegisteredClient] = (),
        client_at: str = "demo-enterprise",
        issued_token_type: str = ID_JAG,
    ) -> None:
        from joserfc.jwk import ECKey

        self._key: Any = ECKey.generate_key("P-256")
        self._clients = {client.client_id: client for client in clients}
        self._client_at, self._issued = client_at, issued_token_type
        self._lock = threading.Lock()
        self._exchanges: list[dict[str, str]] = []
        self._ledger = Ledger((), 0)
        self._socket = bound_socket()
        self.issuer = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.token_endpoint = self.issuer + _PATH
        self._serving = Serving(lambda: [(self._app(), self._socket)])

    @property
    def trusted(self) -> TrustedIssuer:
        return TrustedIssuer(self.issuer, self._key.as_dict(private=False))

    @property
    def exchanges(self) -> list[dict[str, str]]:
        """The parameters of each exchange but its subject token, refusals included."""
        with self._lock:
            return list(self._exchanges)

    def id_token(self, client_id: str, subject: str = "ada", seconds: float = 300.0) -> str:
        claims = {"iss": self.issuer, "sub": subject, "aud": client_id}
        return signed(self._key, claims, seconds=seconds)

    def workload_token(
        self, audience: str, subject: str = "job-1", seconds: float = 300.0, **more: Any
    ) -> str:
        """A JWT as a platform gives one to each of its workloads."""
        claims = {"iss": self.issuer, "sub": subject, "aud": audience, **more}
        return signed(self._key, claims, seconds=seconds)

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._serving.stop()

    def _app(self) -> Starlette:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.token_endpoint,
            "grant_types_supported": [TOKEN_EXCHANGE],
            "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        }
        routes = [
            document_route("/.well-known/openid-configuration", document, cors=False),
            Route(_PATH, self._exchange, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={Fault: _answer_fault})

    async def _exchange(self, request: Request) -> Response:
        asked = await form(request)
        with self._lock:
            public = {k: v for k, v in asked.items() if k not in _SECRETS}
            self._exchanges.append(public)
        header = request.headers.get("authorization", "")
        assertions = Assertions(self._ledger, self.issuer, SIGNING_ALGORITHMS)
        client = authenticated_client(header, asked, self._clients.get, assertions)
        return JSONResponse(self._granted(client, asked), headers=NO_STORE)

    def _granted(self, client: RegisteredClient, asked: dict[str, str]) -> dict[str, Any]:
        wanted = {
            "grant_type": TOKEN_EXCHANGE,
            "requested_token_type": ID_JAG,
            "subject_token_type": ID_TOKEN,
        }
        for name, value in wanted.items():
            if asked.get(name) != value:
                raise Fault("invalid_request", f"{name} must be {value}")
        for name in ("audience", "resource", "subject_token"):
            if name not in asked:
                raise Fault("invalid_request", f"{name} is missing")
        trusted = {self.issuer: self.trusted}
        _, claims = checked(asked["subject_token"], trusted, client.client_id)
        grant = {
            "iss": self.issuer,
            "sub": claims["sub"],
            "aud": asked["audience"],
            "resource": asked["resource"],
            "client_id": self._client_at,
            "scope": asked.get("scope", ""),
        }
        return {
            "access_token": signed(self._key, grant, ID_JAG_TYPE),
            "issued_token_type": self._issued,
            "token_type": "N_A",
            "expires_in": 300,
        }


async def _answer_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    return error.response()
