"""Find the operator's fault behind an error: the rows of `remedies` are for operators, whereas an
error's own remedy is for a client's user."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final

from ..errors import (
    AuthError,
    AuthorizationDenied,
    InsecureUrl,
    IssuerMismatch,
    RegistrationRefused,
    Remedy,
    ResourceMismatch,
    Unavailable,
    Untrusted,
)
from ..origin import is_loopback, origin_url, same_origin, shown, split
from ..protocol.registration_errors import about_callback, about_scope
from ..protocol.urls import well_known
from ..transport.addresses import PUBLIC, address_class, literal_address

_BY_CODE: Final = {
    "unknown_host": "unknown-host",
    "forbidden_address": "internal-address",
    "redirects": "redirect-loop",
    "redirected": "redirected",
    "in_front": "in-front",
    "no_endpoint": "wrong-path",
    "not_an_mcp_server": "not-mcp",
    "no_challenge": "no-401",
    "no_resource_metadata": "metadata-absent",
    "no_server_metadata": "issuer-absent",
    "pkce_unsupported": "no-pkce",
    "invalid_scope": "scope-refused",
    "invalid_target": "resource-refused",
    "invalid_redirect_uri": "redirect-refused",
}
_OF_PAGES: Final = {
    "authorize_absent": "authorize-absent",
    "authorize_refused": "authorize-refused",
}
_BY_WORDS: Final = (
    ("registration response is not usable", "registration-unfit"),
    ("compression is broken", "document-compression"),
    ("registered with other redirect URIs", "registration-redirect"),
    ("protected resource metadata is not usable", "metadata-unfit"),
    ("authorization server metadata is not usable", "server-unfit"),
    ("authorization_endpoint", "server-unfit"),
)
_CERTIFICATES: Final = (
    ("has expired", "certificate-expired"),
    ("not yet valid", "certificate-future"),
    ("self-signed certificate in certificate chain", "certificate-chain"),
    ("self signed certificate in certificate chain", "certificate-chain"),
    ("self-signed", "certificate-self-signed"),
    ("self signed", "certificate-self-signed"),
    ("ostname mismatch", "certificate-name"),
    ("ip address mismatch", "certificate-name"),
    ("not valid for", "certificate-name"),
    ("local issuer", "certificate-chain"),
    ("first certificate", "certificate-chain"),
)
_INTERNAL: Final = re.compile(
    r"localhost$|\.(?:local|internal|lan|intranet|cluster\.local|svc|test|home\.arpa)$",
    re.IGNORECASE,
)
# what OpenSSL says of a server that ends the handshake (RFC 8446 §6)
_HANDSHAKE: Final = re.compile(
    r"ALERT_|HANDSHAKE_FAILURE|UNSUPPORTED_PROTOCOL|UNRECOGNIZED_NAME|CERTIFICATE_REQUIRED"
)
_STATUS: Final = re.compile(r"HTTP (\d{3})")
_OF_SERVERS: Final = re.compile(r"/\.well-known/(?:oauth-authorization-server|openid-config)")
_LED: Final = re.compile(r"a redirect to (\S+)")
_LED_TO: Final = re.compile(r"redirects to (\S+)")
# of oauth2-proxy, Cloudflare Access, Vercel, Authelia, identity providers and web frameworks
_SIGN_IN: Final = re.compile(
    r"(?:^|[/._-])(?:log[-_]?[io]n|sign[-_]?in|sso|saml2?|adfs|authorize|authenticate)(?:[/._-]|$)"
    r"|/auth/?$|/oauth2/start$|/cdn-cgi/access/",
    re.IGNORECASE,
)
_OF_SIGN_IN: Final = re.compile(r"^(?:log[io]n|signin|sso|auth|accounts)\.", re.IGNORECASE)
_WORKS: Final = re.compile(r"The MCP server is at (\S+): use that URL")
_MARKS: Final = "\"' "
_QUOTED: Final = re.compile(r"got “([^”]*)”")
_EXPECTED: Final = re.compile(r"expected (\S+), got")
_NAMED: Final = re.compile(r"“([^”]*)”")
_OF_OTHERS: Final = re.compile(r"(?<=[.;]) |(?<=[.;:])\s")


# a template that was not rendered, or what a language writes for a value that is not there
_UNSET: Final = re.compile(
    r"[{}<>]|\$[A-Z_]|(?:^|/)(?:undefined|null|none)(?=[/:]|$)|(?:^|/)your[-_]", re.IGNORECASE
)


def fault_of(error: AuthError, server_url: str) -> tuple[str, dict[str, Any]]:
    """The key of `remedies.FIXES`, empty where no row fits, and the values of its texts."""
    values = places(server_url) | {"url": error.url or server_url}
    values["host"] = host_of(error.url) or host_of(server_url)
    if error.url:
        values["base"] = _base(error.url) if _same_site(error.url, server_url) else values["base"]
    text = error.summary
    if error.code == "certificate":
        found = (fault for part, fault in _CERTIFICATES if part in text.lower())
        return next(found, "certificate"), values
    if unset := _unset(error):
        return "value-unset", values | {"named": unset}
    if isinstance(error, ResourceMismatch):
        return _resource(text, server_url), values
    if isinstance(error, IssuerMismatch):
        named = _QUOTED.search(text)
        values |= {"issuer": error.url, "named": named[1] if named else "…"}
        if _UNSET.search(values["named"]):
            tenant = "tenant" in values["named"].lower()
            return "issuer-tenant" if tenant else "value-unset", values
        expected = _EXPECTED.search(text)
        if expected and expected[1].rstrip("/") == values["named"].rstrip("/"):
            return "issuer-slash", values | {"issuer": values["named"]}
        plain = bool(named and named[1].startswith("http://"))
        return "issuer-http" if plain else "issuer-other", values
    if error.code == "no_server_metadata":
        values["issuer"] = error.url.rstrip("/")
        with suppress(ValueError):  # a very long URL is there only in part
            where = well_known(error.url, "oauth-authorization-server")
            values |= {"expected": shown(where), "expected_path": split(where).path}
    if isinstance(error, InsecureUrl) and error.code == "insecure_url":
        named = _NAMED.search(text)
        values["domain"] = named[1].strip(_MARKS) if named else "YOUR_DOMAIN"
        return _insecure(error, server_url), values
    if error.code == "authorize_inside":
        led = _LED_TO.search(text)
        return "authorize-internal", values | {"led": led[1].rstrip(",") if led else "it"}
    if error.code in _OF_PAGES:
        status = _STATUS.search(text)
        values["got"] = status[0] if status else "no answer"
        if status and status[1] == "429":
            return "rate-limited", values
        failing = bool(status and status[1].startswith("5") and status[1] != "501")
        return "authorize-fails" if failing else _OF_PAGES[error.code], values
    if error.code == "unknown_host" and values["host"] in ("http", "https"):
        return "scheme-twice", values
    if error.code == "unknown_host" and internal(values["host"]):
        return "internal-address", values
    if isinstance(error, RegistrationRefused) and error.code == "no_client":
        values["issuer"] = error.url.rstrip("/")
        offered = "no client ID metadata documents" not in text
        return "documents-no-public" if offered else "no-client", values
    if isinstance(error, AuthorizationDenied):
        return _BY_CODE.get(error.code, "login-refused"), values
    if isinstance(error, RegistrationRefused):
        values["got"] = f"HTTP {error.status}"
        if error.status in (404, 405, 410, 501):
            return "registration-absent", values
        if "HTML page" in str(error.remedy):
            return "registration-blocked", values
        if about_callback(error):
            return "redirect-refused", values
        # Keycloak's policy “Allowed Client Scopes”
        policy = error.code == "insufficient_scope" and "scope" in error.description.lower()
        scope = policy or about_scope(error)
        return "scope-refused" if scope else "registration-refused", values
    if error.code == "redirected" and isinstance(error, Untrusted):
        led = _LED_TO.search(text)
        return "redirect-inside", values | {"led": led[1].rstrip(",") if led else "the other one"}
    if fault := _BY_CODE.get(error.code, ""):
        led, works = _LED_TO.search(text), _WORKS.search(str(error.remedy))
        values["led"] = led[1].rstrip(",") if led else "the other one"
        values["instead"] = (
            f"Give people {works[1]}, where the MCP server answers. " if works else ""
        )
        downgrade = server_url.startswith("https:") and values["led"].startswith("http:")
        if fault == "redirected" and downgrade and _same_site(values["led"], server_url):
            return "http-urls", values
        return "sign-in" if led and is_sign_in(values["led"]) else fault, values
    if isinstance(error, Unavailable) and error.code != "proxy":
        status = _STATUS.search(text)
        values["status"] = status[1] if status else ""
        if "wrong version number" in text.lower():  # what OpenSSL says of an answer in clear text
            return "no-tls", values
        if _HANDSHAKE.search(text):
            return "tls-refused", values
        if values["status"] == "429":
            return "rate-limited", values
        if not status and _of_another_port(error.url, server_url):
            return "challenge-port", values
        return "server-error" if status else "no-connection", values
    if "registration endpoint must answer" in text:
        status, led = _STATUS.search(text), _LED.search(text)
        values["got"] = status[0] if status else "no answer"
        guarded = bool(led and is_sign_in(led[1].rstrip(",")))
        return "registration-blocked" if guarded else "registration-unfit", values
    if "protected resource metadata is not" in text and _OF_SERVERS.search(error.url):
        return "challenge-server-metadata", values
    return next((fault for words, fault in _BY_WORDS if words in text), ""), values


def _unset(error: AuthError) -> str:
    """Return what a document names in place of a setting; empty if nothing shows that."""
    if error.code == "unknown_host":
        host = host_of(error.url)
        return host if _UNSET.search(host) else ""
    if isinstance(error, ResourceMismatch | InsecureUrl):
        named = (_QUOTED if isinstance(error, ResourceMismatch) else _NAMED).search(error.summary)
        return named[1] if named and _UNSET.search(named[1]) else ""
    return ""


def _of_another_port(url: str, server_url: str) -> bool:
    """Whether it is a place of the server's own metadata, at a port that its URL does not have."""
    if "/.well-known/oauth-protected-resource" not in url:
        return False
    same = _same_site(url, server_url) or (is_loopback(url) and is_loopback(server_url))
    return same and not same_origin(url, server_url)


def _insecure(error: InsecureUrl, server_url: str) -> str:
    text = error.summary
    if "resource_metadata" in text and not error.url:
        return "challenge-quotes"
    if "resource_metadata" in text:
        return "http-urls" if _same_site(error.url, server_url) else "challenge-elsewhere"
    if "the authorization server" in text:
        named = _NAMED.search(text)
        marked = bool(named and named[1] != named[1].strip(_MARKS))
        if marked or "a character that no URL has" in text:
            return "issuer-quotes"
        if "://" not in error.url:
            return "issuer-no-scheme"
        return "issuer-http" if error.url.startswith("http:") else "issuer-unfit"
    if "endpoint" in text and "not a usable URL" in text:
        return "endpoint-relative"
    if "endpoint" in text:
        return "endpoint-internal" if internal(host_of(error.url)) else "endpoint-http"
    return ""


def _resource(text: str, server_url: str) -> str:
    """Return the fault by what differs between `resource` and the server's URL."""
    named = _QUOTED.search(text)
    try:
        mine, theirs = split(server_url), split(named[1].rstrip("?…") if named else "")
    except ValueError:
        return "resource-other"
    address = literal_address(theirs.hostname or "")
    inside = internal(theirs.hostname or "") or bool(address and address_class(address) != PUBLIC)
    known = inside or theirs.hostname == mine.hostname
    if theirs.scheme == "http" and mine.scheme == "https" and known:
        return "http-urls"
    if inside and not internal(mine.hostname or "") and theirs.hostname != mine.hostname:
        return "internal-address"
    if theirs.hostname != mine.hostname or theirs.scheme != mine.scheme:
        return "resource-other"
    same = same_origin(server_url, theirs.geturl())
    return "resource-path" if same else "resource-port"


def internal(host: str) -> bool:
    """Whether a host belongs to a private network: no one elsewhere has it in their DNS."""
    if literal_address(host):
        return False  # addresses have classes of their own
    return bool(host) and ("." not in host or bool(_INTERNAL.search(host)))


def is_sign_in(url: str) -> bool:
    """Whether it is, by its name, where a person signs in to a site."""
    try:
        host, path = split(url).hostname or "", split(url).path
    except ValueError:
        return False
    document = "/.well-known/" in path or path.endswith(".json")
    root = path in ("", "/") and _OF_SIGN_IN.search(host)
    return not document and bool(root or _SIGN_IN.search(path))


def places(server_url: str) -> dict[str, Any]:
    """What every row may name of the server: its URL, its base URL and where its metadata goes."""
    try:
        path, where = split(server_url).path, well_known(server_url, "oauth-protected-resource")
    except ValueError:
        return {"base": "https://YOUR_HOST", "server": server_url, "metadata": "…", "path": "/"}
    return {
        "base": _base(server_url),
        "server": shown(server_url),
        "metadata": shown(where),
        "path": path or "/",
        "host": host_of(server_url),
    }


def for_operator(remedy: Remedy) -> str:
    """Return an error's own remedy without the sentences that name an option: the operator has
    neither our command nor our Python, and has to fix it for every client."""
    text = remedy.spelled(lambda name, value: "\0")
    kept = [part for part in _OF_OTHERS.split(text) if "\0" not in part]
    return " ".join(kept).rstrip(" ;:.,").removesuffix(" and")


def for_machine(remedy: Remedy) -> str:
    """Return the remedy for the user of this machine, who can set the options of this client."""

    def option(name: str, value: str | None) -> str:
        given = "" if value in (None, "True") else f" ({value or 'empty'})"
        return f"the option {name.rpartition('.')[2]}{given} of mcp-client-auth"

    return remedy.spelled(option)


def _same_site(url: str, server_url: str) -> bool:
    return host_of(url) == host_of(server_url)


def _base(url: str) -> str:
    try:
        return origin_url(url).replace("http://", "https://", 1)
    except ValueError:
        return "https://YOUR_HOST"


def host_of(url: str) -> str:
    try:
        return split(url).hostname or ""
    except ValueError:
        return ""
