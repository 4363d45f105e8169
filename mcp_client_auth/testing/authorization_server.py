"""The authorization server as an ASGI application: strict where real ones are often lax."""

from __future__ import annotations

import re
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from .assertions import Assertions
from .client_authentication import authenticated_client
from .device_endpoint import DEVICE_GRANT, DEVICE_PATH, VERIFICATION_PATH, device_document
from .discovery_document import document_route
from .faults import NO_STORE, Fault, form, unique_parameters
from .journal import TOKEN_PATH
from .ledger import PUSHED_SECONDS, AuthorizationRequest, Ledger
from .pages import consent_page, device_entry_page, device_page, error_page, told_page
from .proofs import ProofFault, Proofs
from .redirects import is_allowed, is_document_url, with_parameters
from .registration import read_registration
from .settings import AUTH_METHODS, OFFLINE_ACCESS, Addresses, RegisteredClient, Settings
from .token_endpoint import JWT_BEARER, TokenEndpoint

AUTHORIZE_PATH = "/oauth2/authorize"
REGISTER_PATH = "/oauth2/register"
REVOKE_PATH = "/oauth2/revoke"
PUSH_PATH = "/oauth2/par"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def authorization_server(
    settings: Settings, ledger: Ledger, addresses: Addresses, proofs: Proofs
) -> Starlette:
    """The application; its addresses must be final."""
    endpoints = _Endpoints(settings, ledger, addresses, proofs)
    well_known = f"/.well-known/oauth-authorization-server{settings.issuer_path}"
    routes = [
        document_route(well_known, metadata(settings, addresses), cors=settings.cors),
        Route(AUTHORIZE_PATH, endpoints.authorize, methods=["GET"]),
        Route(AUTHORIZE_PATH, endpoints.decide, methods=["POST"]),
        Route(TOKEN_PATH, endpoints.token, methods=["POST"]),
        Route(REVOKE_PATH, endpoints.revoke, methods=["POST"]),
        Route(PUSH_PATH, endpoints.push, methods=["POST"]),
    ]
    if settings.device_authorization:
        routes.append(Route(DEVICE_PATH, endpoints.begin_device, methods=["POST"]))
        routes.append(Route(VERIFICATION_PATH, endpoints.show_device, methods=["GET"]))
        routes.append(Route(VERIFICATION_PATH, endpoints.decide_device, methods=["POST"]))
    if settings.registration:
        routes.append(Route(REGISTER_PATH, endpoints.register, methods=["POST"]))
    if settings.registration_management:
        place = REGISTER_PATH + "/{client_id}"
        routes.append(Route(place, endpoints.unregister, methods=["DELETE"]))
    app = Starlette(routes=routes, exception_handlers={Fault: _answer_fault})
    app.router.redirect_slashes = False
    return app


def metadata(settings: Settings, addresses: Addresses) -> dict[str, Any]:
    """RFC 8414 §2, RFC 9207 §3."""
    origin = addresses.as_origin
    document: dict[str, Any] = {
        "issuer": addresses.issuer,
        "authorization_endpoint": origin + AUTHORIZE_PATH,
        "token_endpoint": origin + TOKEN_PATH,
        "revocation_endpoint": origin + REVOKE_PATH,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(_grants(settings)),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(settings.signing_algorithms),
        "pushed_authorization_request_endpoint": origin + PUSH_PATH,
        "require_pushed_authorization_requests": settings.require_pushed_requests,
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": settings.client_id_metadata_documents,
        "scopes_supported": list(settings.known_scopes),
    }
    if settings.dpop != "off":
        document["dpop_signing_alg_values_supported"] = list(settings.dpop_algorithms)
    if settings.device_authorization:
        document["device_authorization_endpoint"] = origin + DEVICE_PATH
    if settings.registration:
        document["registration_endpoint"] = origin + REGISTER_PATH
    return document


def _grants(settings: Settings) -> tuple[str, ...]:
    more = {
        "client_credentials": settings.client_credentials,
        JWT_BEARER: bool(settings.trusted_issuers),
        DEVICE_GRANT: settings.device_authorization,
    }
    return "authorization_code", "refresh_token", *(name for name, on in more.items() if on)


async def _answer_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    return error.response()


class _Endpoints:
    def __init__(
        self, settings: Settings, ledger: Ledger, addresses: Addresses, proofs: Proofs
    ) -> None:
        self._proofs = proofs
        self._settings = settings
        self._ledger = ledger
        self._addresses = addresses
        self._tokens = TokenEndpoint(settings, ledger, addresses)
        self._assertions = Assertions(ledger, addresses.issuer, settings.signing_algorithms)

    async def authorize(self, request: Request) -> Response:
        # RFC 6749 §4.1.2.1: without a known client and redirect URI nothing is redirected
        try:
            parameters = self._asked(unique_parameters(request.url.query))
        except Fault as fault:
            return error_page(f"The request is not valid: {fault.description}.")
        client = self._client(parameters.get("client_id", ""))
        if client is None:
            return error_page("This client is not known here.")
        redirect_uri = parameters.get("redirect_uri", "")
        if not is_allowed(client, redirect_uri):
            return error_page("This redirect URI is not registered for the client.")
        try:
            asked = self._checked(client, parameters)
        except Fault as fault:
            state = parameters.get("state", "")
            return self._send_back(redirect_uri, state, fault.parameters())
        return self._ask(client, asked)

    async def decide(self, request: Request) -> Response:
        try:
            answers = await form(request)
        except Fault as fault:
            return error_page(f"The request is not valid: {fault.description}.")
        asked = self._ledger.take_request(answers.get("transaction", ""))
        if asked is None:
            return error_page("This page was already answered, or it is too old.")
        if answers.get("decision") != "allow":
            denied = Fault("access_denied", "the person said no").parameters()
            return self._send_back(asked.redirect_uri, asked.state, denied)
        code = {"code": self._ledger.issue_code(asked)}
        return self._send_back(asked.redirect_uri, asked.state, code)

    async def token(self, request: Request) -> Response:
        parameters = await form(request)
        client = self._speaking(request, parameters)
        answer = self._tokens.answer(client, parameters, self._proved(request))
        headers = (
            {**NO_STORE, **self._proofs.next_nonce()} if "dpop" in request.headers else NO_STORE
        )
        return JSONResponse(answer, headers=headers)

    def _proved(self, request: Request) -> str:
        """The key that signed the request's proof, empty if there is none (RFC 9449 §5)."""
        if self._settings.dpop == "off":
            return ""
        if self._settings.dpop == "supported" and "dpop" not in request.headers:
            return ""
        try:
            return self._proofs.check(request, self._addresses.as_origin + request.url.path)
        except ProofFault as fault:
            headers = self._proofs.challenge() if fault.code == "use_dpop_nonce" else {}
            raise Fault(fault.code, fault.description, headers=headers) from None

    async def begin_device(self, request: Request) -> Response:
        parameters = await form(request)
        client = self._authenticated(request, parameters)
        if parameters.get("resource") != self._addresses.resource:
            raise Fault("invalid_target", "resource must be the MCP server's URL")
        scope = self._scope(parameters.get("scope", ""))
        document = device_document(self._settings, self._ledger, self._addresses, client, scope)
        return JSONResponse(document, headers=NO_STORE)

    async def show_device(self, request: Request) -> Response:
        device = self._ledger.device(request.query_params.get("user_code", ""))
        if device is None:
            return device_entry_page(VERIFICATION_PATH)
        client = self._client(device.family.client_id)
        return device_page(
            action=VERIFICATION_PATH,
            user_code=device.user_code,
            client_name=client.name if client and client.name else device.family.client_id,
            scopes=device.family.scope,
            login_name=self._settings.login_name,
        )

    async def decide_device(self, request: Request) -> Response:
        try:
            answers = await form(request)
        except Fault as fault:
            return error_page(f"The request is not valid: {fault.description}.")
        device = self._ledger.device(answers.get("user_code", ""))
        if device is None:
            return error_page("This code is not known here, or it was used.")
        self._ledger.decide_device(answers.get("decision", "deny"), device.user_code)
        return told_page("You can go back to your other device.")

    async def revoke(self, request: Request) -> Response:
        parameters = await form(request)
        client = self._authenticated(request, parameters)
        if "token" not in parameters:
            raise Fault("invalid_request", "token is missing")
        self._ledger.revoke(parameters["token"], client.client_id)
        return Response(status_code=200, headers=NO_STORE)  # RFC 7009 §2.2: known or not

    async def push(self, request: Request) -> Response:
        """RFC 9126 §2.1: checked here as it would be at the authorization endpoint."""
        parameters = await form(request)
        client = self._authenticated(request, parameters)
        if "request_uri" in parameters or parameters.get("client_id") != client.client_id:
            raise Fault("invalid_request", "client_id is needed, and request_uri not allowed")
        if not is_allowed(client, parameters.get("redirect_uri", "")):
            raise Fault("invalid_request", "redirect_uri is not registered for the client")
        self._checked(client, parameters)
        secret = ("client_secret", "client_assertion", "client_assertion_type")
        kept = {name: value for name, value in parameters.items() if name not in secret}
        answer = {"request_uri": self._ledger.push(kept), "expires_in": int(PUSHED_SECONDS)}
        return JSONResponse(answer, 201, headers=NO_STORE)

    async def register(self, request: Request) -> Response:
        token = self._settings.initial_access_token
        if token and request.headers.get("authorization") != f"Bearer {token}":
            raise Fault("invalid_token", "an initial access token is needed", status=401)
        method = self._settings.registration_method
        grants = [name for name in _grants(self._settings) if name != "client_credentials"]
        client, answer = read_registration(await request.body(), method, grants)
        if OFFLINE_ACCESS in answer.get("scope", "").split():
            self._allow_offline("registration")
        self._ledger.register(client)
        if self._settings.registration_management:
            place = f"{self._addresses.as_origin}{REGISTER_PATH}/{client.client_id}"
            answer["registration_client_uri"] = place
            answer["registration_access_token"] = self._ledger.manage(client.client_id)
        return JSONResponse(answer, 201, headers=NO_STORE)

    async def unregister(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        client_id = request.path_params["client_id"]
        if scheme != "Bearer" or not self._ledger.unregister(token, client_id):
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer", **NO_STORE})
        return Response(status_code=204, headers=NO_STORE)

    def _asked(self, parameters: dict[str, str]) -> dict[str, str]:
        """The request's parameters: the pushed ones if it refers to them (RFC 9126 §4)."""
        reference = parameters.get("request_uri", "")
        if not reference:
            if self._settings.require_pushed_requests:
                raise Fault("invalid_request", "the request must be pushed")
            return parameters
        if set(parameters) != {"client_id", "request_uri"}:
            raise Fault("invalid_request", "what was pushed may not stand here as well")
        pushed = self._ledger.take_pushed(reference)
        if pushed is None or pushed["client_id"] != parameters["client_id"]:
            raise Fault("invalid_request_uri", "this reference is unknown, used or too old")
        return pushed

    def _client(self, client_id: str) -> RegisteredClient | None:
        known = self._ledger.client(client_id)
        if known is None and self._settings.client_id_metadata_documents:
            return RegisteredClient(client_id) if is_document_url(client_id) else None
        return known

    def _speaking(self, request: Request, parameters: dict[str, str]) -> RegisteredClient:
        """The authenticated client; an assertion grant may come without one (RFC 7523 §3.1)."""
        named = "client_id" in parameters or "authorization" in request.headers
        if not named and parameters.get("grant_type") == JWT_BEARER:
            return RegisteredClient("")
        return self._authenticated(request, parameters)

    def _authenticated(self, request: Request, parameters: dict[str, str]) -> RegisteredClient:
        header = request.headers.get("authorization", "")
        return authenticated_client(header, parameters, self._client, self._assertions)

    def _checked(self, client: RegisteredClient, asked: dict[str, str]) -> AuthorizationRequest:
        if self._settings.refuse_document_clients and is_document_url(client.client_id):
            raise Fault("unauthorized_client", "this metadata document is not trusted here")
        if "response_type" not in asked:
            raise Fault("invalid_request", "response_type is missing")
        if asked["response_type"] != "code":
            raise Fault("unsupported_response_type")
        challenge = asked.get("code_challenge", "")
        if asked.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
            raise Fault("invalid_request", "PKCE with S256 is required")  # RFC 7636 §4.4.1
        if asked.get("resource") != self._addresses.resource:  # RFC 8707 §2
            raise Fault("invalid_target", "resource must be the MCP server's URL")
        return AuthorizationRequest(
            client_id=client.client_id,
            redirect_uri=asked["redirect_uri"],
            state=asked.get("state", ""),
            challenge=challenge,
            resource=asked["resource"],
            scope=self._scope(asked.get("scope", "")),
            jkt="" if self._settings.dpop == "off" else asked.get("dpop_jkt", ""),
        )

    def _scope(self, asked: str) -> tuple[str, ...]:
        scope = tuple(dict.fromkeys(asked.split())) or self._settings.scopes
        if not set(scope) <= set(self._settings.known_scopes):
            raise Fault("invalid_scope", "a scope is not known here")
        if OFFLINE_ACCESS in scope:
            self._allow_offline("authorization")
        return scope

    def _allow_offline(self, place: str) -> None:
        if self._settings.refuse_offline_access == place:
            raise Fault("invalid_scope", "offline_access is not for this client")

    def _ask(self, client: RegisteredClient, asked: AuthorizationRequest) -> Response:
        return consent_page(
            action=AUTHORIZE_PATH,
            transaction=self._ledger.open_request(asked),
            client_name=client.name or client.client_id,
            redirect_uri=asked.redirect_uri,
            scopes=asked.scope,
            login_name=self._settings.login_name,
        )

    def _send_back(self, redirect_uri: str, state: str, answer: dict[str, str]) -> Response:
        known = {"state": state} if state else {}
        parameters = {**answer, **known, "iss": self._addresses.issuer}  # RFC 9207 §2
        return RedirectResponse(with_parameters(redirect_uri, parameters), 303, headers=NO_STORE)
