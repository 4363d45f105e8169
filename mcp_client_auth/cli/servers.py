"""Which server a person means: a URL, a bare host, or a name that stands for one.

A name that he gave himself (`--name`) comes first; one from a configuration at hand is said
with its URL, because somebody else may have written it. What has a dot, a colon or a slash
in it is never looked up in a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    _Text = click.ParamType[str]
else:  # older versions of click do not know what it gives
    _Text = click.ParamType


class Server(_Text):
    """Gives the server's URL."""

    name = "server"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return server_url(str(value))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from ..storage.index import Index

        index = Index()
        known = [*index.names(), *(entry.key.server for entry in index.all())]
        return [
            CompletionItem(word) for word in dict.fromkeys(known) if word.startswith(incomplete)
        ]


def server_url(word: str) -> str:
    """Raises `UsageError` for a name that nobody knows."""
    word = word.strip()
    if "://" in word:
        return word
    if _is_host(word):
        return _with_scheme(word)
    from ..storage.index import Index
    from .overview import VERBS

    if word in VERBS:  # which is no name, in no file
        raise UsageError(
            f"{word} is a command, and stands where a server is expected",
            hint=f"A command comes first, its options stand behind it: mcp-login {word} …",
        )
    if url := Index().names().get(word):
        return url
    found = _configured(word)
    if found is None:
        raise UsageError(
            f"{quoted(word, 80)} is no server that is known here",
            hint="Expected a URL such as https://mcp.example.com/mcp, a host, or a name that you"
            " gave (mcp-login URL --name NAME) or that an .mcp.json at hand gives",
        )
    url, place = found[0], quoted(str(found[1]))[1:-1]  # a directory may have any name
    if "${" in url:
        raise UsageError(
            f"the URL of {quoted(word, 80)} in {place} has a variable in it",
            hint="Variables are not filled in, for the file may be somebody else's: pass the URL",
        )
    from ..protocol.urls import without_user_info
    from .screen import screen

    told = quoted(without_user_info(url))[1:-1]  # whose file it is, it may hold a password
    screen.tell(f"{quoted(word, 80)} is {told}, says {place}")
    return url


def known_name(word: str) -> bool:
    from ..storage.index import Index

    return word in Index().names() or _configured(word) is not None


def require_name(word: str) -> str:
    """A name that a person may give to a server: none that could be a host, a verb or an option."""
    from .overview import VERBS

    plain = (
        word.isprintable() and not any(c in word for c in " .:/\\") and word[:1] not in ("", "-")
    )
    if not plain or word in VERBS or word == "localhost" or len(word) > 60:
        raise UsageError(
            f"{quoted(word, 80)} cannot be the name of a server",
            hint="Expected a short word without dot, colon, slash or blank that is no command",
        )
    return word


def _is_host(word: str) -> bool:
    return any(c in word for c in ".:/") or word == "localhost"


def _with_scheme(word: str) -> str:
    """https, but for this machine itself, where few servers have a certificate."""
    from ..protocol.urls import is_loopback

    try:
        scheme = "http" if is_loopback(f"http://{word}") else "https"
    except ValueError:
        scheme = "https"  # what is wrong with it is said where the URL is read
    return f"{scheme}://{word}"


def _configured(word: str) -> tuple[str, Path] | None:
    from pathlib import Path

    from .mcp_configs import named_server

    try:
        here = Path.cwd()
    except OSError:  # it was removed under us
        return None
    return named_server(word, Path.home(), here)
