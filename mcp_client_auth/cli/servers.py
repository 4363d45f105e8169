"""Which server the user means: a URL, a bare host, or a name that stands for one.

A name that they gave (`--name`) comes first, then one from their own configuration, then one
from a file nearby. Someone else may have written that file: the name is shown with its URL, and
nothing is sent to that server without a login. A word with a dot, colon or slash is never a name.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from click.core import ParameterSource

from ..errors import LoginRequired, StorageError, UsageError
from ..secret import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from .mcp_configs import NamedServer

    _Text = click.ParamType[str]
else:  # older versions of click are not generic
    _Text = click.ParamType


NEARBY: Final = "mcp_client_auth.nearby"  # in the context of click
_SLASHLESS: Final = re.compile(r"(https?)(?::(?!\d)/?|//)", re.IGNORECASE)  # no host of that name
# Every other verb sends a token, a body or a secret.
_LOOKING: Final = ("login", "logout", "status", "doctor")
_SECRETS: Final = (
    "grant",  # which brings a secret or an assertion
    "client_secret_file",
    "client_key_file",
    "initial_access_token_file",
    "assertion_file",
    "token_file",
    "gateway_headers",
)


class Nearby(NamedTuple):
    """A server by a name that only a file nearby gives it."""

    name: str
    url: str
    place: str


def is_host(word: str) -> bool:
    """Whether a word can be a host or a URL, and so never a name."""
    return any(c in word for c in ".:/") or word == "localhost"


class Server(_Text):
    """Gives the server's URL, and notes in the context where only a file nearby names it."""

    name = "server"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if ctx and ctx.resilient_parsing:  # a completion: a message would spoil the line
            return str(value)
        try:
            url, nearby = _meant(str(value).strip())
        except UsageError as error:
            source = ctx.get_parameter_source(param.name or "") if ctx and param else None
            if param and source is ParameterSource.ENVIRONMENT:
                error = UsageError(f"{param.envvar}: {error.summary}", hint=error.remedy)
            raise error from None
        if ctx is not None and nearby is not None:
            ctx.meta[NEARBY] = nearby
        return url

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from ..storage import local_index
        from ..storage.settings import Settings

        try:
            logins = local_index().all()
            known = [*Settings().names(), *(entry.key.server for entry in logins)]
        except StorageError:  # the user is typing: a message would spoil the line
            return []
        return [
            CompletionItem(word) for word in dict.fromkeys(known) if word.startswith(incomplete)
        ]


def server_url(word: str) -> str:
    """Return the server's URL; raises `UsageError` for an unknown name."""
    return _meant(word.strip())[0]


def _meant(word: str) -> tuple[str, Nearby | None]:
    """The URL, and the name where only a file nearby gives it."""
    if "://" in word:
        return word, None
    if is_host(word):
        from ..origin import is_loopback

        if start := _SLASHLESS.match(word):
            raise UsageError(
                f"the server URL begins with “{start[0]}”, which has to be “{start[1]}://”",
                hint="Expected something like https://mcp.example.com/mcp",
            )
        # https, but for this machine itself, where few servers have a certificate
        with suppress(ValueError):  # the check of the URL says what is wrong with it
            if is_loopback(f"http://{word}"):
                return f"http://{word}", None
        return f"https://{word}", None
    from ..storage.settings import Settings
    from .verbs import VERBS

    if url := Settings().names().get(word):  # first, for it may be older than a verb of that name
        return url, None
    if word in VERBS:
        raise UsageError(
            f"{word} is a command, but a server is expected here",
            hint=f"A command comes first, then its options: mcp-login {word} …",
        )
    if (configured := _configured(word)) is None:
        raise _unknown(word)
    return _configured_url(word, configured)


def _configured_url(word: str, server: NamedServer) -> tuple[str, Nearby | None]:
    """The URL in a configuration; it is shown, above all where it may be someone else's."""
    from ..origin import without_user_info
    from ..prompt.screen import screen

    url, place = server.url, quoted(str(server.place))[1:-1]  # a directory may have any name
    if "${" in url:
        raise UsageError(
            f"the URL of {quoted(word, 80)} in {place} has a variable in it",
            hint="Variables are not expanded, because the file may be someone else's: pass the URL",
        )
    safe = quoted(without_user_info(url))[1:-1]  # it may hold a password
    show = screen.remark if server.own else screen.tell
    show(f"{quoted(word, 80)} is {safe} (from {place})")
    return url, None if server.own else Nearby(word, url, place)


def require_trusted(nearby: Nearby, verb: str, options: Mapping[str, Any]) -> None:
    """Refuse to send something to a server that only a file nearby names.

    Secrets are never sent; a token, a body and a certificate are sent only if a login to exactly
    that server is stored.
    """
    from ..credential import key_for
    from ..storage import local_index

    key = key_for(nearby.url, options.get("account", "default"))
    which = f"{quoted(nearby.name, 80)} is a name from {nearby.place}, which may be someone else's"
    secrets = [name for name in _SECRETS if options.get(name)]
    if secrets:
        from .sources import source_of

        raise UsageError(
            f"{which}: {source_of(secrets[0])} cannot be used with it",
            url=key.server,
            hint="Pass the URL, or name the server yourself: mcp-login URL --name NAME",
        )
    sending = options.get("check") or options.get("client_cert")
    looking = verb in _LOOKING and not sending
    if not looking and local_index().get(key) is None:
        raise LoginRequired(
            f"{which}, and you are not logged in to that server",
            server=key.server,
            url=key.server,
            hint=f"If it is the right server, log in: {key.login_command()}",
        )


def known_name(word: str) -> bool:
    from ..storage.settings import Settings

    return word in Settings().names() or _configured(word) is not None


def require_name(word: str) -> str:
    """Return the word if it may name a server: it is not like a host, a verb or an option."""
    from .verbs import VERBS

    plain = word.isprintable() and not set(word) & set(" \\") and word[:1] not in ("", "-")
    if not plain or is_host(word) or word in VERBS or len(word) > 60:
        raise UsageError(
            f"{quoted(word, 80)} cannot be the name of a server",
            hint="Expected a short word without dot, colon, slash or space that is not a command",
        )
    return word


def _configured(word: str) -> NamedServer | None:
    from pathlib import Path

    from ..paths import user_home
    from .mcp_configs import named_server

    return named_server(word, Path(user_home()), _here())


def _unknown(word: str) -> UsageError:
    from .mcp_configs import passed_over

    hint = (
        "Expected a URL such as https://mcp.example.com/mcp, a host, or a name: one that you gave"
        " (mcp-login URL --name NAME), or one from an .mcp.json nearby"
    )
    if passed := passed_over(_here()):
        place, why = passed
        hint += f". {quoted(str(place))} was not read: {why}"
    return UsageError(f"{quoted(word, 80)} is not a known server{suggestion(word)}", hint=hint)


def suggestion(word: str, verbs: Iterable[str] = ()) -> str:
    """A sentence with the verb or the person's own name that is nearest to a mistyped word."""
    from difflib import get_close_matches

    from ..storage.settings import Settings
    from .describe import plain

    near = get_close_matches(word, [*verbs, *Settings().names()], n=1, cutoff=0.6)
    return f". Did you mean {plain(near[0])}?" if near else ""


def _here() -> Path | None:
    from pathlib import Path

    with suppress(OSError):  # it was removed under us
        return Path.cwd()
    return None
