"""A company's identity provider on loopback, whose tokens are all real.

People sign in at its page; methods return ID tokens and workload JWTs without a person. Its token
exchange, which is strict, issues ID-JAGs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from .assertions import Assertions
from .client_authentication import authenticated_client
from .discovery_document import document_route
from .faults import NO_STORE, Fault, form, unique_parameters
from .ledger import AuthorizationRequest, Ledger, Tokens
from .pages import consent_page, error_page
from .redirects import is_allowed, with_parameters
from .serving import Serving, bound_socket
from .settings import AUTH_METHODS, SIGNING_ALGORITHMS, RegisteredClient, TrustedIssuer
from .token_endpoint import check_verifier, required
from .trusted_assertions import ID_JAG_TYPE, checked, signed

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
_SIGN_IN = "/authorize"
_PATH = "/token"
_REVOKE = "/revoke"
_SECRETS = ("subject_token", "client_secret", "client_assertion")


class IdentityProvider:
    """Use it as a context manager; hand `trusted` to the `Settings` of a `DemoServer`.

    `clients`: which clients may sign people in, and exchange tokens. `issued_token_type`: the type
    that an exchange claims to have issued.

    Each of these may be set at any time. `client_at`: the id that the provider believes each
    client has at the authorization server. `subject`: who is at the browser.
    `id_token_seconds`: the life of an ID token. `id_token_claims`: claims that replace its own,
    None to leave one out. `renews_id_tokens`: whether a refresh returns one. `allows_exchange`: the
    policy. `available`: whether the token endpoint works.

    Example:
        ```python
        from mcp_client_auth.testing import DemoServer, IdentityProvider, Settings

        with IdentityProvider() as idp:
            settings = Settings(trusted_issuers=(idp.trusted,))
            with DemoServer(settings) as server:
                jwt = idp.workload_token(server.issuer)  # for WorkloadIdentity(assertion=…)
        ```
    """

    def __init__(
        self,
        clients: Iterable[RegisteredClient] = (),
        client_at: str = "demo-enterprise",
        issued_token_type: str = ID_JAG,
    ) -> None:
        from joserfc.jwk import ECKey

        self._key: Any = ECKey.generate_key("P-256")
        self.client_at, self._issued = client_at, issued_token_type
        self.subject, self.id_token_seconds = "ada", 300.0
        self.id_token_claims: Mapping[str, Any] = {}
        self.renews_id_tokens = self.allows_exchange = self.available = True
        self._lock = threading.Lock()
        self._exchanges: list[dict[str, str]] = []
        self._grants: list[str] = []
        self._tokens: set[str] = set()
        self._visits = 0
        self._ledger = Ledger(clients, 3600)
        self._socket = bound_socket()
        self.issuer = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.token_endpoint = self.issuer + _PATH
        self._serving = Serving(lambda: [(self._app(), self._socket)])

    @property
    def trusted(self) -> TrustedIssuer:
        return TrustedIssuer(self.issuer, self._key.as_dict(private=False))

    @property
    def exchanges(self) -> list[dict[str, str]]:
        """The parameters of each exchange except its subject token, refusals included."""
        with self._lock:
            return list(self._exchanges)

    @property
    def visits(self) -> int:
        """How often a person was asked to sign in."""
        with self._lock:
            return self._visits

    @property
    def tokens(self) -> frozenset[str]:
        """Every token, code and ID token of a sign-in: nobody but this provider may see them."""
        with self._lock:
            return frozenset(self._tokens | self._ledger.issued)

    def token_requests(self, grant_type: str) -> int:
        """How many token requests of this grant type were answered, refusals included."""
        with self._lock:
            return self._grants.count(grant_type)

    def clear_requests(self) -> None:
        """Count from here."""
        with self._lock:
            self._exchanges, self._grants, self._visits = [], [], 0

    @property
    def refresh_tokens_reused(self) -> int:
        """How often a refresh token was used again after it was rotated."""
        return self._ledger.reuses

    def end_sessions(self) -> None:
        """End all sessions as an administrator would: no refresh token of a sign-in works then."""
        self._ledger.revoke_everything()

    def id_token(self, client_id: str, subject: str = "ada", seconds: float = 300.0) -> str:
        claims = {"iss": self.issuer, "sub": subject, "aud": client_id}
        return signed(self._key, claims, seconds=seconds)

    def workload_token(
        self, audience: str, subject: str = "job-1", seconds: float = 300.0, **more: Any
    ) -> str:
        """A JWT like those that a platform issues to its workloads."""
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
            "authorization_endpoint": self.issuer + _SIGN_IN,
            "token_endpoint": self.token_endpoint,
            "revocation_endpoint": self.issuer + _REVOKE,
            "scopes_supported": ["openid", "offline_access"],
            "grant_types_supported": ["authorization_code", "refresh_token", TOKEN_EXCHANGE],
            "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        }
        routes = [
            document_route("/.well-known/openid-configuration", document, cors=False),
            Route(_SIGN_IN, self._ask, methods=["GET"]),
            Route(_SIGN_IN, self._decide, methods=["POST"]),
            Route(_PATH, self._token, methods=["POST"]),
            Route(_REVOKE, self._end, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={Fault: _answer_fault})

    async def _ask(self, request: Request) -> Response:
        try:
            asked = unique_parameters(request.url.query)
            client = self._ledger.client(required(asked, "client_id"))
            redirect_uri = required(asked, "redirect_uri")
            if client is None or not is_allowed(client, redirect_uri):
                return error_page("This client, or its redirect URI, is not known here.")
            if "resource" in asked or asked.get("code_challenge_method") != "S256":
                raise Fault("invalid_request", "PKCE with S256 is required, and no resource known")
            scope = tuple(asked.get("scope", "").split())
            if "openid" not in scope:
                raise Fault("invalid_scope", "openid is missing")
        except Fault as fault:
            return error_page(f"The request is not valid: {fault.description}.")
        with self._lock:
            self._visits += 1
        wanted = AuthorizationRequest(
            client_id=client.client_id,
            redirect_uri=redirect_uri,
            state=asked.get("state", ""),
            challenge=asked.get("code_challenge", ""),
            resource=self.subject,  # here the tokens are about the person
            scope=scope,
            nonce=asked.get("nonce", ""),
        )
        return consent_page(
            action=_SIGN_IN,
            transaction=self._ledger.open_request(wanted),
            client_name=client.name or client.client_id,
            redirect_uri=redirect_uri,
            scopes=scope,
            login_name=self.subject,
        )

    async def _decide(self, request: Request) -> Response:
        answers = await form(request)
        asked = self._ledger.take_request(answers.get("transaction", ""))
        if asked is None:
            return error_page("This page was already answered, or it is too old.")
        answer = {"error": "access_denied"}
        if answers.get("decision") == "allow":
            answer = {"code": self._ledger.issue_code(asked)}
        target = with_parameters(asked.redirect_uri, {**answer, "state": asked.state})
        return RedirectResponse(target, 303, headers=NO_STORE)

    async def _token(self, request: Request) -> Response:
        if not self.available:
            return Response(status_code=503)
        asked = await form(request)
        with self._lock:
            self._grants.append(asked.get("grant_type", ""))
            if asked.get("grant_type") == TOKEN_EXCHANGE:
                self._exchanges.append({k: v for k, v in asked.items() if k not in _SECRETS})
        client = self._speaking(request, asked)
        match asked.get("grant_type"):
            case "authorization_code":
                answer = self._signed_in(client, asked)
            case "refresh_token":
                answer = self._refreshed(client, asked)
            case _:
                answer = self._granted(client, asked)
        return JSONResponse(answer, headers=NO_STORE)

    def _speaking(self, request: Request, asked: dict[str, str]) -> RegisteredClient:
        header = request.headers.get("authorization", "")
        assertions = Assertions(self._ledger, self.issuer, SIGNING_ALGORITHMS)
        return authenticated_client(header, asked, self._ledger.client, assertions)

    def _signed_in(self, client: RegisteredClient, asked: dict[str, str]) -> dict[str, Any]:
        code = self._ledger.spend_code(required(asked, "code"), client.client_id)
        if code is None or asked.get("redirect_uri") != code.request.redirect_uri:
            raise Fault("invalid_grant", "the code is unknown, expired, used or another one's")
        check_verifier(required(asked, "code_verifier"), code.request.challenge)
        offline = "offline_access" in code.request.scope
        tokens = self._ledger.begin_family(code, refreshable=offline)
        nonce = {"nonce": code.request.nonce} if code.request.nonce else {}
        return self._document(tokens, client, code.request.resource, **nonce)

    def _refreshed(self, client: RegisteredClient, asked: dict[str, str]) -> dict[str, Any]:
        token = required(asked, "refresh_token")
        family = self._ledger.find_refresh(token, client.client_id)
        if family is None or "resource" in asked:
            raise Fault("invalid_grant", "the refresh token is unknown, revoked or used")
        return self._document(self._ledger.renew(token, family.scope), client, family.resource)

    def _document(
        self, tokens: Tokens, client: RegisteredClient, subject: str, **more: Any
    ) -> dict[str, Any]:
        document: dict[str, Any] = {
            "access_token": tokens.access_token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": tokens.refresh_token,
            "scope": " ".join(tokens.scope),
        }
        if more or self.renews_id_tokens:
            claims = {"iss": self.issuer, "sub": subject, "aud": client.client_id, **more}
            claims.update(self.id_token_claims)
            given = {name: value for name, value in claims.items() if value is not None}
            document["id_token"] = signed(self._key, given, seconds=self.id_token_seconds)
            with self._lock:
                self._tokens.add(document["id_token"])
        return {name: value for name, value in document.items() if value}

    async def _end(self, request: Request) -> Response:
        asked = await form(request)
        client = self._speaking(request, asked)
        self._ledger.revoke(required(asked, "token"), client.client_id)
        return Response(status_code=200, headers=NO_STORE)

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
        if not self.allows_exchange:
            raise Fault("access_denied", "the company's policy does not allow this server")
        grant = {
            "iss": self.issuer,
            "sub": claims["sub"],
            "aud": asked["audience"],
            "resource": asked["resource"],
            "client_id": self.client_at,
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
