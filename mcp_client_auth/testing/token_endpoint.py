"""Codes and refresh tokens in, tokens out: each check is a line, in the order of the RFC."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from .device_endpoint import DEVICE_GRANT, device_tokens
from .faults import Fault
from .ledger import Code, Ledger, Tokens
from .settings import OFFLINE_ACCESS, Addresses, RegisteredClient, Settings
from .trusted_assertions import ID_JAG_TYPE, checked

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class TokenEndpoint:
    """RFC 6749 §4.1.3, §4.4 and §6, RFC 7523 §2.1, RFC 8628 §3.4; with RFC 7636, 8707 and 9449.

    `jkt` is the thumbprint of the key that signed the request's proof, empty if there is none.
    """

    def __init__(self, settings: Settings, ledger: Ledger, addresses: Addresses) -> None:
        self._settings = settings
        self._ledger = ledger
        self._resource = addresses.resource
        self._issuer = addresses.issuer
        self._trusted = {each.issuer: each for each in settings.trusted_issuers}
        self._spent: set[str] = set()

    def answer(
        self, client: RegisteredClient, parameters: dict[str, str], jkt: str = ""
    ) -> dict[str, Any]:
        match required(parameters, "grant_type"):
            case "authorization_code":
                return self._document(self._exchange(client, parameters, jkt))
            case "refresh_token":
                return self._document(self._refresh(client, parameters, jkt))
            case "client_credentials" if self._settings.client_credentials:
                return self._document(self._for_itself(client, parameters, jkt))
            case g if g == JWT_BEARER and self._trusted:
                return self._document(self._asserted(client, parameters, jkt))
            case g if g == DEVICE_GRANT and self._settings.device_authorization:
                self._check_resource(parameters)
                return self._document(device_tokens(self._ledger, client, parameters, jkt))
        raise Fault("unsupported_grant_type")

    def _exchange(self, client: RegisteredClient, parameters: dict[str, str], jkt: str) -> Tokens:
        code = self._ledger.spend_code(required(parameters, "code"), client.client_id)
        if code is None:
            raise Fault("invalid_grant", "the code is unknown, expired or used")
        if parameters.get("redirect_uri") != code.request.redirect_uri:
            raise Fault("invalid_grant", "redirect_uri differs from the authorization request")
        check_verifier(required(parameters, "code_verifier"), code.request.challenge)
        self._check_resource(parameters)
        if code.request.jkt and code.request.jkt != jkt:
            raise Fault("invalid_grant", "the code is for another key")  # RFC 9449 §10
        public, refreshable = client.method == "none", self._refreshable(code)
        return self._ledger.begin_family(code, refreshable=refreshable, jkt=jkt, public=public)

    def _refresh(self, client: RegisteredClient, parameters: dict[str, str], jkt: str) -> Tokens:
        token = required(parameters, "refresh_token")
        family = self._ledger.find_refresh(token, client.client_id)
        if family is None:
            raise Fault("invalid_grant", "the refresh token is unknown, revoked or used")
        if family.jkt and family.jkt != jkt:
            raise Fault("invalid_grant", "the refresh token is for another key")  # RFC 9449 §5
        self._check_resource(parameters)
        scope = tuple(parameters.get("scope", "").split()) or family.scope
        if not set(scope) <= set(family.scope):
            raise Fault("invalid_scope", "more than was granted")
        rotates = self._settings.rotate_refresh_tokens
        return self._ledger.renew(token, scope, jkt, rotates=rotates)

    def _for_itself(self, client: RegisteredClient, parameters: dict[str, str], jkt: str) -> Tokens:
        if client.method == "none":  # RFC 6749 §4.4: confidential clients only
            raise Fault("unauthorized_client", "this client cannot prove itself")
        self._check_resource(parameters)
        scope = self._scope(parameters)
        return self._ledger.grant(client.client_id, self._resource, scope, jkt)

    def _asserted(self, client: RegisteredClient, parameters: dict[str, str], jkt: str) -> Tokens:
        self._check_resource(parameters)
        kind, claims = checked(required(parameters, "assertion"), self._trusted, self._issuer)
        scope = self._scope(parameters)
        if kind == ID_JAG_TYPE:
            self._check_id_jag(client, claims)
            scope = self._scope({"scope": str(claims.get("scope", ""))})
        return self._ledger.grant(client.client_id, self._resource, scope, jkt)

    def _check_id_jag(self, client: RegisteredClient, claims: dict[str, Any]) -> None:
        if claims.get("client_id") != client.client_id or not client.client_id:
            raise Fault("invalid_grant", "the grant was issued to another client")
        if claims.get("resource") != self._resource:
            raise Fault("invalid_grant", "the grant is for another resource")
        if claims.get("jti") in self._spent:
            raise Fault("invalid_grant", "the grant was used before")
        self._spent.add(str(claims.get("jti")))

    def _scope(self, parameters: dict[str, str]) -> tuple[str, ...]:
        scope = tuple(parameters.get("scope", "").split()) or self._settings.scopes
        if not set(scope) <= set(self._settings.known_scopes):
            raise Fault("invalid_scope", "a scope is not known here")
        return scope

    def _refreshable(self, code: Code) -> bool:
        return self._settings.refresh_always or OFFLINE_ACCESS in code.request.scope

    def _check_resource(self, parameters: dict[str, str]) -> None:
        if parameters.get("resource") != self._resource:  # RFC 8707 §2
            raise Fault("invalid_target", "resource must be the MCP server's URL")

    def _document(self, tokens: Tokens) -> dict[str, Any]:
        document: dict[str, Any] = {
            "access_token": tokens.access_token,
            "token_type": tokens.kind,
            "expires_in": self._settings.access_token_seconds,
            "scope": " ".join(tokens.scope),
        }
        if tokens.refresh_token:
            document["refresh_token"] = tokens.refresh_token
        return document


def required(parameters: dict[str, str], name: str) -> str:
    if name not in parameters:
        raise Fault("invalid_request", f"{name} is missing")
    return parameters[name]


def check_verifier(verifier: str, challenge: str) -> None:
    digest = sha256(verifier.encode("utf-8", "replace")).digest()
    made = urlsafe_b64encode(digest).rstrip(b"=").decode()
    if not _VERIFIER.fullmatch(verifier) or not compare_digest(made, challenge):
        raise Fault("invalid_grant", "code_verifier does not match")  # RFC 7636 §4.6
