"""The cache of mcp-remote: read here, never written, and trusted in nothing.

As versions 0.9 to 0.15.1 write it: `~/.mcp-auth` (or `$MCP_REMOTE_CONFIG_DIR`) holds a directory
`mcp-remote-v1` with files named by an MD5 of how it was started (`Launch`). `<md5>_tokens.json` is
the token response with `expires_at` (in ms) and the `issuer`, which its own early refresh drops
again; `<md5>_client_info.json` is the registration response with its `issuer`, which stays. Nothing
names the server, except for a debug log or a login that was interrupted. Earlier versions recorded
no issuer, so their refresh tokens may not be sent anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ..errors import AuthError, UsageError
from ..origin import split
from ..paths import user_home
from ..protocol.document import Document, parsed
from ..protocol.flow import HttpResponse
from ..protocol.registration import Client
from ..protocol.scopes import parse
from ..protocol.tokens import TokenSet, read_token_response
from ..secret import Secret
from .describe import plain

LARGEST: Final = 1 << 20
_DIRECTORY: Final = "mcp-remote-v1"
_MOST_FILES: Final = 10_000
_MOST_URLS: Final = 1000
_FILE: Final = re.compile(r"([0-9a-f]{32})_(.+)")
_TELLING: Final = re.compile(r"debug\.log|discovery_state_.*")
_URL: Final = re.compile(rb"https?://[^\s\"'<>\\]{1,2000}")
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for its writer
    | getattr(os, "O_BINARY", 0)
)
Pairs = tuple[tuple[str, str], ...]
Require = Callable[[os.stat_result], None]


class Unusable(Exception):
    """A file that is not what it should be; the text says why and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How mcp-remote was started for a server; what its files are named by.

    `document` is the URL of a client ID metadata document.
    """

    url: str
    resource: str = ""
    parameters: Pairs = field(default=(), repr=False)
    headers: Pairs = field(default=(), repr=False)
    document: str = ""

    @property
    def name(self) -> str:
        # `JSON.stringify` of an object, its keys in order; nothing where there are none
        write = partial(json.dumps, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        objects = (write(dict(pairs)) if pairs else "" for pairs in (self.parameters, self.headers))
        text = "|".join(filter(None, (self.url, self.resource, *objects, self.document)))
        return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class CachedLogin:
    """One login of the cache. `name` is that of a `Launch`.

    `tokens.issued_at` is when the file was written. `issuer` is what the cache records for the
    tokens, and `client.issuer` for the client; empty where it is silent.
    """

    name: str
    tokens: TokenSet
    issuer: str = ""
    client: Client | None = None


@dataclass(frozen=True, slots=True)
class Cache:
    """`skipped` are lines for a person; `urls` stand in the cache and may be servers."""

    logins: tuple[CachedLogin, ...]
    skipped: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


def usual_place() -> Path:
    """Return where its cache is, unless the user names another place."""
    if named := os.environ.get("MCP_REMOTE_CONFIG_DIR"):
        return Path(named)
    if user_home() == os.devnull:
        raise UsageError(
            "no home directory is known, so there is no cache of mcp-remote to read",
            hint="Name its directory: --from DIRECTORY",
        )
    return Path(user_home(), ".mcp-auth")


def read_cache(root: Path, now: float) -> Cache:
    """Read every login in `root`, or in the directory that mcp-remote makes there.

    Each file that cannot be used is a line in `skipped`.
    """
    logins: list[CachedLogin] = []
    skipped: list[str] = []
    urls: dict[str, None] = {}
    directory = root / _DIRECTORY if (root / _DIRECTORY).is_dir() else root
    for name, rest in _files(directory, skipped):
        path = directory / f"{name}_{rest}"
        try:
            if rest == "tokens.json":
                logins.append(_login(path, name, now))
            elif _TELLING.fullmatch(rest):
                for match in _URL.finditer(read_bytes(path, LARGEST)[0]):
                    urls[match[0].decode("ascii", "replace").rstrip(",.;:)]}")] = None
        except Unusable as why:
            skipped.append(f"{plain(path.name, 120)}: {why}")
    with suppress(OSError):
        old = islice(root.glob("mcp-remote-[0-9]*/*_tokens.json"), _MOST_FILES)
        for name in sorted({path.parent.name for path in old}):
            skipped.append(
                f"{plain(name, 120)}: of mcp-remote before 0.9, which does not say where its"
                " tokens may go; log in instead"
            )
    return Cache(tuple(logins), tuple(skipped), tuple(islice(urls, _MOST_URLS)))


def assign(
    cache: Cache, launches: Iterable[Launch]
) -> tuple[list[tuple[Launch, CachedLogin]], int]:
    """Return each login with its launch, the newest first, and how many have no launch."""
    known = {launch.name: launch for launch in reversed(list(launches))}  # the first one counts
    pairs = [(known[login.name], login) for login in cache.logins if login.name in known]
    pairs.sort(key=lambda pair: -pair[1].tokens.issued_at)
    return pairs, len(cache.logins) - len(pairs)


def require_regular(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise Unusable("not a regular file")


def read_bytes(path: Path, most: int, require: Require = require_regular) -> tuple[bytes, float]:
    """The first `most` bytes of a file and when it was written.

    `Unusable` for a link, and for what `require` refuses.
    """
    try:
        require(path.lstat())  # where there is no O_NOFOLLOW
        with open(os.open(path, _FLAGS), "rb") as file:
            state = os.fstat(file.fileno())
            require(state)
            return file.read(most), state.st_mtime
    except OSError as error:
        raise Unusable(error.strerror or "it cannot be read") from None


def read_object(
    path: Path, most: int = LARGEST, require: Require = require_regular
) -> tuple[dict[str, Any], float]:
    """The JSON object in a file and when it was written; `Unusable` for anything else."""
    content, written = read_bytes(path, most + 1, require)
    if len(content) > most:
        raise Unusable(f"larger than {most >> 20} MiB")
    value = parsed(HttpResponse(200, "", body=content))
    if not isinstance(value, dict):
        raise Unusable("not a JSON object (comments and a comma at the end are not JSON)")
    return value, written


def _files(directory: Path, skipped: list[str]) -> Iterator[tuple[str, str]]:
    """The names of its files in two parts, in order."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in islice(entries, _MOST_FILES + 1)]
    except OSError as error:
        skipped.append(f"{plain(directory.name, 120)}: {error.strerror}")
        return
    if len(names) > _MOST_FILES:
        skipped.append(f"{plain(directory.name, 120)}: more than {_MOST_FILES} files, the rest")
    for name in sorted(names[:_MOST_FILES]):
        if match := _FILE.fullmatch(name):
            yield match[1], match[2]


def _login(path: Path, name: str, now: float) -> CachedLogin:
    raw, written = read_object(path)
    document = Document("cached token", "", raw)
    client, registered = _client(path.with_name(f"{name}_client_info.json"))
    issuer = document.text("issuer")
    if "issuer" not in raw and client and registered <= written:
        issuer = client.issuer  # tokens belong to a client: this one, unless it was written later
    began, until = min(written, now), document.number("expires_at")
    left = {} if until is None else {"expires_in": until / 1000 - began}
    # it is a token response with a few words added, and is checked like one
    answer = HttpResponse(200, "", body=json.dumps({**raw, **left}).encode())
    try:
        return CachedLogin(name, read_token_response(answer, began), issuer, client)
    except AuthError:
        raise Unusable("it holds no access token that could be sent") from None


def _client(path: Path) -> tuple[Client | None, float]:
    """The client and when it was written; None: without one, a refresh token is of no use."""
    try:
        raw, written = read_object(path)
    except Unusable:
        return None, 0.0
    document = Document("cached client", "", raw)
    client_id, secret = document.text("client_id"), document.text("client_secret")
    if not client_id:
        return None, 0.0
    uris = []
    for uri in document.texts("redirect_uris") or ():
        with suppress(ValueError):
            split(uri)
            uris.append(uri)
    client = Client(
        client_id=client_id,
        issuer=document.text("issuer"),
        kind="dynamic",
        method=document.text("token_endpoint_auth_method"),
        secret=Secret(secret) if secret else None,
        redirect_uris=tuple(uris),
        scope=parse(document.text("scope")),
        secret_expires_at=document.number("client_secret_expires_at") or 0.0,
    )
    return client, written
