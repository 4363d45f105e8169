"""The forms of servers that this client is held against: how each is started, what it offers."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import httpx

from tests.slow.interop import hosting, private_ca
from tests.slow.interop.processes import (
    HERE,
    HOST,
    Answer,
    command,
    install_line,
    node_modules,
    run,
    server,
)
from tests.support.ports import free_port

# Long enough for a login and two programs, so that the refresh has little left to wait for.
LIFETIME: Final = 4
SHORT: Final = 2
# A server that ends the login of whoever shows it a dead token must not be met at the very end.
LONGER: Final = 10
# Right only where it is encoded before it is joined (RFC 6749 §2.3.1).
HARD_SECRET: Final = "a secret: with + signs / and %20 spaces"

NATIVE: Final = {
    "application_type": "native",
    "redirect_uris": [f"http://{HOST}/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
}
PUBLIC: Final = {**NATIVE, "client_id": "public", "token_endpoint_auth_method": "none"}

Start = Callable[[Path], AbstractContextManager["Place"]]


@dataclass(frozen=True, slots=True)
class Place:
    """A running server. `login`: what `mcp-login` needs there besides the URL.

    `environment`: what all its clients need.
    """

    url: str
    login: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def http(self) -> httpx.Client:
        """For raw requests, without the library that is tested."""
        authority = self.environment.get("SSL_CERT_FILE")
        trusted = ssl.create_default_context(cafile=authority) if authority else True
        return httpx.Client(trust_env=False, verify=trusted)

    def refuses(self, token: str) -> bool:
        """Whether the server itself takes a bearer token for dead."""
        accept = "application/json, text/event-stream"
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        with self.http() as http:
            status = http.post(self.url, json={}, headers=headers).status_code
            return status == httpx.codes.UNAUTHORIZED


@dataclass(frozen=True, slots=True)
class Form:
    """`tools` and `me`: what a program sees there.

    `renewals`: how often in a row its tokens are renewed. `less`: a scope that is too little;
    empty where there is nothing to step up to. `revoked`: which tokens a logout ends at the
    server (JWTs live on). `by_code`: the person signs in on another device. `shows_expiry`: an
    expired token may be presented without harm. `warned`: the checks by which the doctor warns.
    `late`: the refresh token comes with the second login only, which asks for consent (OIDC Core
    §11), as a pre-registered client does not before it has to.
    """

    name: str
    start: Start
    tools: tuple[str, ...] = ("add", "whoami")
    me: str = "ada"
    renewals: int = 1
    less: str = ""
    revoked: tuple[str, ...] = ("refresh",)
    by_code: bool = False
    shows_expiry: bool = True
    warned: tuple[str, ...] = ()
    late: bool = False

    @property
    def seen(self) -> dict[str, object]:
        return {"tools": list(self.tools), "me": self.me}


@contextmanager
def oidc(
    scratch: Path,
    *,
    kind: str = "jwt",
    login: tuple[str, ...] = (),
    scopes: tuple[str, ...] = ("openid", "email"),
    lifetime: int = LIFETIME,
    gate: bool = False,
    tls: bool = False,
    trusted: Path | None = None,
    **options: Any,
) -> Iterator[Place]:
    """oidc-provider in front of a FastMCP server; `options` are its script's.

    `gate`: the server takes tokens with a proof of possession only. `trusted`: the authorities
    of what oidc-provider fetches.
    """
    here, there = free_port(), free_port()
    made = private_ca.make(scratch) if tls else None
    trust = {"SSL_CERT_FILE": str(made.authority)} if made else {}
    node = {"NODE_EXTRA_CA_CERTS": str(trusted)} if trusted else {}
    common = {"certificate": str(made.certificate) if made else ""}
    resource = f"{'https' if tls else 'http'}://{HOST}:{here}/api/mcp"
    ours = {"port": there, "resource": resource, "lifetime": lifetime}
    with _oidc_provider({**options, **ours, **common}, node) as issuer:
        theirs = {"port": here, "issuer": issuer, "scopes": scopes, "gate": gate}
        with _fastmcp(kind, {**theirs, **common}, trust) as url:
            yield Place(url, login, trust)


behind_authkit: Final = partial(oidc, kind="authkit", authkit=True, strict=True)


@contextmanager
def oauth_proxy(scratch: Path) -> Iterator[Place]:
    """FastMCP's OAuthProxy, a confidential client of an oidc-provider without registration."""
    here, there = free_port(), free_port()
    client = {
        "client_id": "proxy",
        "client_secret": "secret",
        "redirect_uris": [f"http://{HOST}:{here}/auth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
    }
    resource = f"http://{HOST}:{here}/api/mcp"
    ours = {"port": there, "resource": resource, "lifetime": LIFETIME, "clients": [client]}
    with _oidc_provider(ours) as issuer:
        theirs = {"port": here, "issuer": issuer, "scopes": ("openid",), "secret": "secret"}
        with _fastmcp("proxy", theirs) as url:
            yield Place(url)


@contextmanager
def in_memory(
    scratch: Path, *, scopes: tuple[str, ...] = (), lifetime: int = LONGER
) -> Iterator[Place]:
    settings = {"port": free_port(), "lifetime": lifetime, "scopes": scopes}
    with _fastmcp("memory", settings) as url:
        yield Place(url)


@contextmanager
def sdk(scratch: Path, *, without: str = "", lifetime: int = LIFETIME) -> Iterator[Place]:
    script = [sys.executable, str(HERE / "sdk_server.py"), str(free_port())]
    less = ("--without", without) if without else ()
    with server([*script, "--ttl", str(lifetime), *less]) as url:
        yield Place(url)


@contextmanager
def confidential(scratch: Path) -> Iterator[Place]:
    """oidc-provider without registration, with one client that has a secret."""
    (scratch / "secret").write_text(HARD_SECRET)
    client = {**NATIVE, "client_id": "confidential", "client_secret": HARD_SECRET}
    login = (
        *("--client-id", "confidential"),
        *("--client-auth-method", "client_secret_basic"),
        *("--client-secret-file", str(scratch / "secret")),
    )
    with oidc(scratch, clients=[client], login=login) as place:
        yield place


@contextmanager
def documented(scratch: Path, *, keyed: bool = False) -> Iterator[Place]:
    """oidc-provider without registration, and a client by the document that the command wrote.

    `keyed`: it proves itself by a key, whose public part the document has.
    """
    made = private_ca.make(scratch)
    key = scratch / "key.pem"
    key.write_bytes(private_ca.private_key())
    proof = ("--client-key-file", str(key)) if keyed else ()
    with hosting.hosted(scratch / "public", made.certificate) as address:
        url, file = f"{address}/client.json", scratch / "public" / "client.json"
        _well(run(command("client-metadata", url, "--write", str(file), *proof), os.environ))
        _well(run(command("client-metadata", url, "--ca", str(made.authority)), os.environ))
        login = ("--client-metadata-url", url, *proof)
        with oidc(scratch, login=login, documents=True, trusted=made.authority) as place:
            yield place


def _well(answer: Answer) -> None:
    if answer.code:
        raise RuntimeError(f"exit code {answer.code}: {answer.out}{answer.err}")


def _oidc_provider(
    options: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> AbstractContextManager[str]:
    node = shutil.which("node") or "node"
    script = [node, str(HERE / "oidc_provider.mjs"), json.dumps(options)]
    return server(script, {**os.environ, **(environment or {})})


def _fastmcp(
    kind: str, settings: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> AbstractContextManager[str]:
    script = [sys.executable, str(HERE / "fastmcp_server.py"), kind, json.dumps(settings)]
    return server(script, {**os.environ, **(environment or {})})


def missing() -> str:
    """What this machine lacks for the servers; empty for nothing."""
    if not all(find_spec(name) for name in ("fastmcp", "mcp")):
        return "needs pip install 'fastmcp>=4.2' 'mcp>=2.3'"
    if shutil.which("node") is None or not (node_modules() / "oidc-provider").exists():
        return f"needs Node and {install_line()}"
    return ""


BOTH: Final = ("refresh", "access")
# FastMCP writes each issuer with a slash at the end, which oidc-provider's own has not
_SLASH: Final = ("issuer.identifier",)
_NO_CLIENT: Final = (*_SLASH, "issuer.clients")  # an error: no login comes about without one
_UNNAMED: Final = ("challenge.header", "resource.found")
PATH: Final = Form(
    "issuer with a path",
    partial(oidc, path="/tenant"),
    less="openid",
    warned=("issuer.metadata",),
)
CONFIDENTIAL: Final = Form("confidential client", confidential, warned=_NO_CLIENT, late=True)
PLAIN: Final = Form("oidc-provider", oidc, less="openid", warned=_SLASH)
STRICT: Final = Form("strict resource", partial(oidc, strict=True), warned=_SLASH)
PAR: Final = Form(
    "PAR required",
    partial(oidc, par="required"),
    less="openid",
    warned=(*_SLASH, "issuer.par"),
)
SHORT_LIVED: Final = Form(
    "short-lived tokens", partial(oidc, lifetime=SHORT), renewals=3, warned=_SLASH
)
DEVICE: Final = Form(
    "device flow", partial(oidc, device=True, login=("--device",)), by_code=True, warned=_SLASH
)
DPOP: Final = Form(
    "DPoP required",
    partial(oidc, dpop="nonce", gate=True, device=True),
    less="openid",
    warned=_SLASH,
)
DOCUMENT: Final = Form("metadata document", documented, less="openid", warned=_NO_CLIENT)
KEYED_DOCUMENT: Final = Form(
    "metadata document, key",
    partial(documented, keyed=True),
    less="openid",
    warned=_NO_CLIENT,
)
TLS: Final = Form("TLS with a private CA", partial(oidc, tls=True), less="openid", warned=_SLASH)
AUTHKIT: Final = Form("AuthKitProvider", partial(behind_authkit, scopes=()))
AUTHKIT_SCOPES: Final = Form("AuthKitProvider, scopes", behind_authkit)
PROXY: Final = Form("OAuthProxy", oauth_proxy)
IN_MEMORY: Final = Form(
    "InMemoryOAuthProvider",
    in_memory,
    me="somebody",
    revoked=BOTH,
    shows_expiry=False,
)
SDK: Final = Form("SDK", sdk, tools=("whoami",), revoked=BOTH, less="mcp:read")
NO_RESOURCE_METADATA: Final = replace(
    SDK,
    name="SDK, no resource metadata",
    start=partial(sdk, without="resource-metadata"),
    warned=_UNNAMED,
    less="",  # its 403 names no scope, and there is no list of them
)
NO_METADATA: Final = replace(
    NO_RESOURCE_METADATA,
    name="SDK, no metadata",
    start=partial(sdk, without="metadata"),
    warned=(*_UNNAMED, "issuer.found"),
    revoked=(),
)

IN_MEMORY_SHORT: Final = replace(
    IN_MEMORY, name="InMemoryOAuthProvider, short", start=partial(in_memory, lifetime=SHORT)
)

FORMS: Final = (
    PLAIN,
    PATH,
    STRICT,
    PAR,
    Form(
        "public client",
        partial(oidc, clients=[PUBLIC], login=("--client-id", "public")),
        warned=_NO_CLIENT,
        late=True,
    ),
    CONFIDENTIAL,
    SHORT_LIVED,
    DEVICE,
    DPOP,
    TLS,
    DOCUMENT,
    KEYED_DOCUMENT,
    AUTHKIT,
    AUTHKIT_SCOPES,
    IN_MEMORY,
    replace(
        IN_MEMORY,
        name="InMemoryOAuthProvider, scopes",
        start=partial(in_memory, scopes=("read", "write")),
        less="read",
    ),
    PROXY,
    SDK,
    NO_RESOURCE_METADATA,
    NO_METADATA,
)
