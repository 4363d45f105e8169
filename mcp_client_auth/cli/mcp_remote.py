"""What mcp-remote keeps in its cache: read here, never written, and believed in nothing.

As its versions 0.0.10 to 0.15.1 write it: `~/.mcp-auth` (or `$MCP_REMOTE_CONFIG_DIR`) holds
files named by an MD5 of how it was started (`Launch`), at first in the directory itself, since
0.0.13 in `mcp-remote-<version>`, since 0.3.2 in `mcp-remote-v1`. `<md5>_tokens.json` is the
token response: since 0.1.46 with `expires_at` (in ms), since 0.9 with the `issuer`, which its
own early refresh drops again. `<md5>_client_info.json` is the registration response, since 0.9
with its `issuer`, which stays. Nothing names the server, but for a debug log or a login that
was broken off.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ..errors import AuthError
from ..protocol.document import Document, parsed
from ..protocol.flow import HttpResponse
from ..protocol.registration import Client
from ..protocol.scopes import parse
from ..protocol.tokens import TokenSet, read_token_response
from ..protocol.urls import split
from ..secret import Secret
from .progress import plain

LARGEST: Final = 1 << 20
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
        pairs = (_object(pairs) for pairs in (self.parameters, self.headers))
        parts = [self.url, self.resource, *pairs, self.document]
        text = "|".join(part for part in parts if part)
        return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class CachedLogin:
    """One login of the cache. `name` is that of a `Launch`; `place` its directory.

    `tokens.issued_at` is when the file was written. `issuer` is what the cache records for the
    tokens, and `client.issuer` for the client; empty where it is silent. `copies` is in how
    many directories there are tokens by this name: these are the newest.
    """

    name: str
    place: str
    tokens: TokenSet
    issuer: str = ""
    client: Client | None = None
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Cache:
    """`skipped` are lines for a person; `urls` stand in the cache and may be servers."""

    logins: tuple[CachedLogin, ...]
    skipped: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


def read_cache(root: Path, now: float) -> Cache:
    """Every login below `root`; what cannot be used is a line in `skipped`."""
    logins: dict[str, CachedLogin] = {}
    skipped: list[str] = []
    urls: dict[str, None] = {}
    for directory in _directories(root, skipped):
        for name, rest in _files(directory, skipped):
            path = directory / f"{name}_{rest}"
            try:
                if rest == "tokens.json":
                    login = _login(path, name, now)
                    logins[name] = _newest(logins.get(name), login)
                elif _TELLING.fullmatch(rest):
                    urls.update(dict.fromkeys(_urls(path)))
            except Unusable as why:
                shown = plain(f"{directory.name}/{path.name}", 120)
                skipped.append(f"{shown}: {why}")
    return Cache(tuple(logins.values()), tuple(skipped), tuple(islice(urls, _MOST_URLS)))


def assign(
    cache: Cache, launches: Iterable[Launch]
) -> tuple[list[tuple[Launch, CachedLogin]], int]:
    """Which login is whose, the newest first, and how many are nobody's."""
    known: dict[str, Launch] = {}
    for launch in launches:
        known.setdefault(launch.name, launch)
        # before it knew these options, it named its files by the URL alone
        known.setdefault(Launch(launch.url).name, Launch(launch.url))
    found = [(known[login.name], login) for login in cache.logins if login.name in known]
    found.sort(key=lambda pair: -pair[1].tokens.issued_at)
    return found, len(cache.logins) - len(found)


def read_bytes(path: Path, most: int) -> tuple[bytes, float]:
    """The first `most` bytes of a regular file and when it was written; `Unusable` for a link."""
    try:
        _require_regular(path.lstat())  # where there is no O_NOFOLLOW
        with open(os.open(path, _FLAGS), "rb") as file:
            state = os.fstat(file.fileno())
            _require_regular(state)
            return file.read(most), state.st_mtime
    except OSError as error:
        raise Unusable(error.strerror or "it cannot be read") from None


def _require_regular(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise Unusable("not a regular file")


def read_object(path: Path, most: int = LARGEST) -> tuple[dict[str, Any], float]:
    """The JSON object in a file and when it was written; `Unusable` for anything else."""
    content, written = read_bytes(path, most + 1)
    if len(content) > most:
        raise Unusable(f"larger than {most >> 20} MiB")
    value = parsed(HttpResponse(200, "", body=content))
    if not isinstance(value, dict):
        raise Unusable("not a JSON object")
    return value, written


def _directories(root: Path, skipped: list[str]) -> Iterator[Path]:
    yield root
    for entry in _entries(root, skipped):
        if not entry.name.startswith("mcp-remote-"):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
        elif entry.is_symlink():
            skipped.append(f"{plain(entry.name, 120)}: a link, not a directory")


def _files(directory: Path, skipped: list[str]) -> Iterator[tuple[str, str]]:
    for entry in _entries(directory, skipped):
        if match := _FILE.fullmatch(entry.name):
            yield match[1], match[2]


def _entries(directory: Path, skipped: list[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            found = list(islice(entries, _MOST_FILES + 1))
    except OSError as error:
        skipped.append(f"{plain(directory.name, 120)}: {error.strerror}")
        return []
    if len(found) > _MOST_FILES:
        skipped.append(f"{plain(directory.name, 120)}: more than {_MOST_FILES} files, the rest")
    return sorted(found[:_MOST_FILES], key=lambda entry: entry.name)


def _login(path: Path, name: str, now: float) -> CachedLogin:
    raw, written = read_object(path)
    document = Document("cached token", "", raw)
    client, registered = _client(path.with_name(f"{name}_client_info.json"))
    issuer = document.text("issuer")
    if "issuer" not in raw and client and registered <= written:
        issuer = client.issuer  # tokens come by a client: this one, where it is not a later one
    tokens = _tokens(document, min(written, now))
    return CachedLogin(name, plain(path.parent.name, 120), tokens, issuer, client)


def _newest(one: CachedLogin | None, other: CachedLogin) -> CachedLogin:
    if one is None:
        return other
    newer = max(one, other, key=lambda login: login.tokens.issued_at)
    return replace(newer, copies=one.copies + 1)


def _tokens(document: Document, written: float) -> TokenSet:
    """The file is a token response with a few words added, and is checked like one."""
    raw = dict(document.raw)
    until = document.number("expires_at")
    if until is not None:
        raw["expires_in"] = until / 1000 - written
    answer = HttpResponse(200, "", body=json.dumps(raw).encode())
    try:
        return read_token_response(answer, written)
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
    client = Client(
        client_id=client_id,
        issuer=document.text("issuer"),
        kind="dynamic",
        method=document.text("token_endpoint_auth_method"),
        secret=Secret(secret) if secret else None,
        redirect_uris=tuple(filter(_splits, document.texts("redirect_uris") or ())),
        scope=parse(document.text("scope")),
        secret_expires_at=document.number("client_secret_expires_at") or 0.0,
    )
    return client, written


def _urls(path: Path) -> Iterator[str]:
    content, _ = read_bytes(path, LARGEST)
    for match in _URL.finditer(content):
        yield match[0].decode("ascii", "replace").rstrip(",.;:)]}")


def _splits(url: str) -> bool:
    try:
        split(url)
    except ValueError:
        return False
    return True


def _object(pairs: Pairs) -> str:
    """`JSON.stringify` of an object, its keys in order; empty where there are none."""
    if not pairs:
        return ""
    last = dict(pairs)
    ordered = {name: last[name] for name in sorted(last)}
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
