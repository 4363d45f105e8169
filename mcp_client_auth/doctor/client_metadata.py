"""`mcp-login client-metadata URL`: a hosted document as an authorization server fetches it.

draft-ietf-oauth-client-id-metadata-document: where it is, how it is served, and its fields.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from ..errors import AuthError, InsecureUrl, UsageError
from ..origin import is_loopback, shown, split
from ..protocol.client_document import CALLBACK, LARGEST, PUBLIC_MEMBERS
from ..protocol.document import parsed, read_document
from ..protocol.flow import HttpRequest, HttpResponse
from ..protocol.oauth_error import is_passing
from ..protocol.options import Options
from ..protocol.redirects import callback_for
from ..protocol.registration import WITH_SECRET, ClientMetadataDocument
from ..protocol.urls import Endpoint
from ..secret import Secret, quoted
from ..transport.addresses import CLASS_NAMES, PUBLIC, host_class
from . import connections
from .exam import Check, Exam
from .faults import for_machine
from .report import Finding, Level, Question, Report

_JSON: Final = re.compile(r"application/(?:[^\s/;]+\+)?json", re.IGNORECASE)
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE)
_A_DAY: Final = 86_400
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_ALL: Final = "every authorization server that keeps to the draft"
_SOME: Final = "authorization servers that look at it"
_ELSEWHERE: Final = "Host it where the authorization server can reach it, as a rule on the internet"
_SECRET: Final = ("client_secret", "client_secret_expires_at", "registration_access_token")
# RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2; `priv` is that of the newer key types
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")
_KEYS: Final = "a JWK set with public keys only (RFC 7517 §5, §9.3)"
_LOST: Final = (
    "Publish public keys only (mcp-login client-metadata URL --write FILE --client-key-file KEY)."
    " Count what is secret and stood there as lost: anyone can have read it"
)
_Fields: TypeAlias = Mapping[str, Any]


def examine_document(
    url: str, options: Options, on_check: Callable[[str], None], **connection: Any
) -> Report:
    """Fetch the document and judge it. `connection`: the other arguments of `HttpTransport`.

    Raises `UsageError` if `url` cannot be that of such a document.
    """
    ClientMetadataDocument(url)
    exam = Exam.over_http(url, options, on_check, 1, **connection)
    response = exam.perform("document.url", _fetched(exam, url))
    document = exam.perform("document.served", _served(response)) if response else None
    if document is not None:
        exam.secrets += _secrets(document)
        exam.perform("document.content", content(url, document))
        if isinstance(document.get("jwks_uri"), str):
            exam.perform("document.jwks_uri", _other_keys(exam, document["jwks_uri"]))
        exam.perform("tls", connections.tls(exam))
        if exam.report().worst != "error":
            question = Question("document.use", "how mcp-login uses it")
            try:
                exam.findings.append(question.ok(command_for(url, document)))
            except UsageError as error:
                remedy = for_machine(error.remedy)
                exam.findings.append(question.note(error.summary, remedy=remedy))
    return replace(exam.report(), subject="document")


def command_for(url: str, document: _Fields) -> str:
    """Return the command that logs in with a sound document. Raises `UsageError` if none of its
    callbacks can arrive here."""
    uris = tuple(document["redirect_uris"])
    words = ["mcp-login", "SERVER", "--client-metadata-url", shlex.quote(url)]
    if CALLBACK not in uris:
        where = callback_for(ClientMetadataDocument(url, uris), False, "", Options())
        words += ["--redirect-uri", shlex.quote(where.uri)]
    if document.get("token_endpoint_auth_method") == "private_key_jwt":
        words += ["--client-key-file", "KEY"]
    return " ".join(words)


def _get(exam: Exam, url: str) -> HttpResponse:
    return exam.send(HttpRequest("GET", url, {"Accept": "application/json"}, redirects=False))


def _fetched(exam: Exam, url: str) -> Check[HttpResponse | None]:
    """Check where it is, as seen from here: a server may resolve the name to another address."""
    standard = "https with a path, short and stable, better without a query (draft §3)"
    question = Question("document.url", shown(url), standard)
    if split(url).query:
        affected = "authorization servers that take no client_id with a query"
        yield question.note("it has a query", affected, "Leave it out")
    else:
        yield question.ok("https with a path")
    host = split(url).hostname or ""
    standard = "a public address (draft “SSRF Attacks”, RFC 6890)"
    question, kind = Question("document.address", host, standard), host_class(host)
    if kind == PUBLIC:
        yield question.ok("public, or not known here")
    else:
        affected = "authorization servers elsewhere, which cannot or must not fetch from there"
        yield question.warning(CLASS_NAMES[kind], affected, _ELSEWHERE)
    standard = "200 at once; no redirect is followed (draft §4)"
    question = Question("document.answer", f"GET {shown(url)}", standard)
    try:
        response = _get(exam, url)
    except AuthError as error:
        yield question.failed(error)
        return None
    came, target = f"HTTP {response.status}", response.header("location")
    if response.status == 200:
        yield question.ok(came)
        return response
    if 300 <= response.status < 400 and target:
        came += f", a redirect to {shown(target)}"
    remedy = "Serve the document at this very URL, or name the client by the URL where it is"
    ends_with = "Unavailable" if is_passing(response.status) else "BadResponse"
    yield question.finding("error", came, _ALL, remedy, ends_with)
    return None


def _served(response: HttpResponse) -> Check[_Fields | None]:
    """How it is served: its type, size and caching, and whether it is an object."""
    requested = f"GET {shown(response.url)}"
    kind = response.header("content-type").partition(";")[0].strip()
    standard = "application/json, or a type of its own with +json (draft §4.1)"
    fault = "" if _JSON.fullmatch(kind) else f"Content-Type is {_text(kind or None)}"
    remedy = "Send Content-Type: application/json"
    yield _judged(Question("document.type", requested, standard), kind, fault, remedy, "warning")
    size, standard = f"{len(response.body)} bytes", "5 kB at most (draft “Maximum Response Size”)"
    fault = size if len(response.body) > LARGEST else ""
    yield _judged(Question("document.size", requested, standard), size, fault, "Shorten it")
    caching, standard = response.header("cache-control"), "kept as long as it says (draft §4.4)"
    age = _MAX_AGE.search(caching)
    came = f"max-age={age[1]}" if age else ""
    fault = _first(
        ("no-store" in caching.lower(), "no-store: it is fetched for each login"),
        (not age, "no max-age: each server decides how soon it sees a change"),
        (age and int(age[1]) > _A_DAY, f"{came}: a change, also of a key, is seen days later"),
    )
    question = Question("document.caching", requested, standard)
    yield _judged(question, came, fault, "Send Cache-Control: max-age=300", "note")
    question = Question("document.json", requested, "a JSON object (draft §4.1, RFC 8259)")
    try:
        remedy = "Serve one JSON object there"
        document = read_document(response, "client metadata document", remedy).raw
    except AuthError as error:
        yield question.failed(error)
        return None
    yield question.ok("a JSON object")
    return document


def _first(*faults: tuple[object, str]) -> str:
    """The first fault that is there, or empty."""
    return next((fault for there, fault in faults if there), "")


def _judged(
    question: Question, value: str, fault: str, remedy: str, level: Level = "error"
) -> Finding:
    """`fault`: what is wrong, or empty where `value` is fine."""
    if not fault:
        return question.ok(value)
    wrong = level == "error"
    affected, error = (_ALL, "BadResponse") if wrong else (_SOME, "")
    return question.finding(level, fault, affected, remedy, error)


def _other_keys(exam: Exam, url: str) -> Check[None]:
    """The keys that an authorization server fetches from elsewhere."""
    question = Question("document.jwks_uri", f"GET {shown(url)}", f"https, and {_KEYS}")
    try:
        Endpoint.checked(url, "jwks_uri")
        response = _get(exam, url)
    except AuthError as error:
        remedy = _ELSEWHERE if isinstance(error, InsecureUrl) else for_machine(error.remedy)
        yield replace(question.failed(error), remedy=remedy)
        return
    keys = parsed(response)
    exam.secrets += _secrets({"": keys})
    fault = f"HTTP {response.status}" if response.status != 200 else key_set_fault(keys)
    yield _judged(question, "public keys", fault, _LOST)


def content(url: str, document: _Fields) -> Check[None]:
    """One finding for each field that matters, of a document hosted at `url`; nothing is sent."""

    def field(name: str, standard: str, fault: str, remedy: str, level: Level = "error") -> Finding:
        question = Question(f"document.{name}", f"{name} in the document", standard)
        return _judged(question, _text(document.get(name)), fault, remedy, level)

    named, name, uris = (document.get(n) for n in ("client_id", "client_name", "redirect_uris"))
    yield field(
        "client_id",
        "the URL of the document, equal as a string (draft §4.1)",
        "" if named == url else f"client_id: {_text(named)}",
        f"Write it exactly: {url}; or name the client by the URL that stands there",
    )
    yield field(
        "client_name",
        "a name that a person will recognise (MCP “Client ID Metadata Documents”)",
        "" if isinstance(name, str) and name.strip() else _text(name),
        "Add the name that the consent page will show",
    )
    faults = map(redirect_fault, uris if isinstance(uris, list) and uris else [None])
    yield field(
        "redirect_uris",
        "https, or http on loopback (RFC 8252 §7, MCP “Security”)",
        next(filter(None, faults), ""),
        f'Write, for example, "redirect_uris": ["{CALLBACK}"]',
    )
    standard = "nothing secret, for anyone can read the document (draft §4.1)"
    private = _private_parts({**document, "jwks": None})  # jwks has its own finding below
    fault = _first(
        *((name in document, f"{name} is there") for name in _SECRET),
        (private, f"a private key is there: {private}"),
        ("PRIVATE KEY-----" in json.dumps(document), "a private key is there in PEM"),
    )
    yield field("secrets", standard, fault, _LOST)
    if "jwks" in document:
        yield field("jwks", _KEYS, key_set_fault(document["jwks"]), _LOST)
    method = document.get("token_endpoint_auth_method", "")
    keyed = method in ("private_key_jwt", "self_signed_tls_client_auth")
    fault = _first(
        (not isinstance(method, str), "it is not text"),
        (not method, "it is left out, which stands for client_secret_basic (RFC 7591 §2)"),
        (method in [*WITH_SECRET], f"{method}, a shared secret"),
        (keyed and not {"jwks", "jwks_uri"} & {*document}, f"{method} without jwks or jwks_uri"),
    )
    yield field(
        "token_endpoint_auth_method",
        "none or private_key_jwt (draft §4.1, §6.2)",
        fault,
        'Write "none", or private_key_jwt with the public key as jwks',
        "error" if "token_endpoint_auth_method" in document else "warning",
    )
    grants = document.get("grant_types", ["authorization_code"])
    lacking = {"authorization_code", "refresh_token"} - {*(grants if _are_texts(grants) else ())}
    yield field(
        "grant_types",
        "authorization_code and refresh_token (RFC 7591 §2)",
        f"{_text(document.get('grant_types'))}, without {' and '.join(sorted(lacking))}"
        if lacking
        else "",
        "Write both, or people sign in again whenever a token has expired",
        "error" if "authorization_code" in lacking else "warning",
    )
    kinds = document.get("response_types", ["code"])
    yield field(
        "response_types",
        "code, which is also the default (RFC 7591 §2)",
        "" if _are_texts(kinds) and "code" in kinds else _text(kinds),
        'Write ["code"]',
    )
    local = _are_texts(uris) and any(uri.startswith("http:") for uri in uris or ())
    native = document.get("application_type") == "native"
    yield field(
        "application_type",
        "native for loopback: for web, OpenID providers refuse http, or any port but the one that"
        " is written (OpenID Connect Registration §2)",
        "" if native or not local else f"{_text(document.get('application_type'))} (default: web)",
        "Write native",
        "warning",
    )


def redirect_fault(uri: object) -> str:
    """Return why no client may register this redirect URI; empty if one may.

    RFC 6749 §3.1.2: absolute and without a fragment. RFC 8252 §7: https, http on loopback, or a
    scheme of the application's own.
    """
    if not isinstance(uri, str) or not (scheme := _SCHEME.match(uri)):
        return f"{_text(uri)}: it is not an absolute URI"
    where, own = quoted(uri, 120), scheme[1].lower() not in ("http", "https")
    if "#" in uri:
        return f"{where}: it has a fragment"
    if own:
        return "" if "." in scheme[1] else f"{where}: its scheme is not a reversed domain name"
    try:
        parts = split(uri)
    except ValueError as error:
        return f"{where}: {error}"
    if "@" in parts.netloc:
        return f"{where}: it has user info"
    if parts.scheme == "http" and not is_loopback(uri):
        return f"{where}: it is http beyond loopback, where anyone can read the code"
    return ""


def key_set_fault(key_set: Any) -> str:
    """Return why this is not a JWK set of public keys; empty if it is one."""
    from joserfc.jwk import JWKRegistry

    keys = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(keys, list) or not keys:
        return "it has no keys"
    if parts := _private_parts(keys):
        return f"a key has private members: {parts}"
    for number, jwk in enumerate(keys, 1):
        try:
            JWKRegistry.import_key({name: jwk[name] for name in PUBLIC_MEMBERS if name in jwk})
        except Exception:  # another project's parser raises many classes of errors
            return f"key {number} is not a public JWK"
    return ""


def private_members(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and values of the private members of JWKs in a JSON value, at any depth."""
    left = [value]  # no recursion: it is as deep as its author likes
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if "kty" in item:
                yield from ((name, item[name]) for name in _PRIVATE if name in item)
            left += item.values()
        elif isinstance(item, list):
            left += item


def _private_parts(value: Any) -> str:
    return ", ".join(dict.fromkeys(name for name, _ in private_members(value)))


def _secrets(document: _Fields) -> list[Secret]:
    """What no finding may repeat, although anyone can read it there."""
    values = [*map(document.get, _SECRET), *(value for _, value in private_members(document))]
    return [Secret(value) for value in values if isinstance(value, str) and len(value) > 3]


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _text(value: Any) -> str:
    """A field as it may be shown."""
    items = value if isinstance(value, list) else [value]
    texts = " ".join(item for item in items if isinstance(item, str))
    return quoted(texts, 200)[1:-1] or ("left out" if value is None else "no text")
