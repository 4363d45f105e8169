"""The table of verbs, each loaded when it is used, and how a word is read that is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import click

from .. import __version__
from ..errors import quoted

# Section by section: the verb and its one line, which its own help begins with.
SECTIONS: Final[dict[str, dict[str, str]]] = {
    "Log in": {
        "login": "Log in to an MCP server.",
        "logout": "Log out: delete the login here, end it at the server.",
        "list": "List the logins on this machine.",
        "status": "Show a login, and with --check whether it works.",
    },
    "Use a login": {
        "token": "Print a valid access token, refreshed first when needed.",
        "request": "Make an authorized HTTP request.",
        "exec": "Run a command with the token in its environment.",
        "refresh": "Renew the access token now.",
    },
    "For operators and authors": {
        "doctor": "Check all that a login needs, without a login.",
        "client-metadata": "Write or check a client ID metadata document.",
    },
    "More": {
        "import": "Take over the logins of mcp-remote.",
        "demo": "Log in to a demo server in fifteen steps, and call a tool.",
        "completion": "Print the completion script of a shell.",
    },
}
PREFIX: Final = "MCP_CLIENT_AUTH_"
VERBS: Final = {verb: line for verbs in SECTIONS.values() for verb, line in verbs.items()}
_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}
# No line is longer than 40, for it is not wrapped.
_EXAMPLES: Final = """\
Examples:

\b
mcp-login https://mcp.example.com/mcp
    log in; the same: mcp-login login
mcp-login mcp.example.com --name work
    https is understood; named work
mcp-login token work --header
    for curl -H "$(…)"
mcp-login request work -d @call.json
    the same, and renewed when needed
mcp-login doctor mcp.example.com
    why can nobody log in there?

`mcp-login VERB --help` tells the rest."""
_WIDEST: Final = 100
_NARROWEST: Final = 30
_SIDE_BY_SIDE: Final = 60  # in less, what an option means stands below it


class Page(click.Context):
    """Help as wide as the terminal, where click takes none for narrower than 50 columns."""

    def make_formatter(self) -> click.HelpFormatter:
        return click.HelpFormatter(width=max(min(_columns(), _WIDEST) - 2, _NARROWEST))


def _columns() -> int:
    """As `shutil.get_terminal_size` finds them, which loads what packs archives."""
    with suppress(OSError, ValueError, AttributeError):
        named = os.environ.get("COLUMNS", "")
        return int(named) if named.isdecimal() else os.get_terminal_size(1).columns
    return 80


class Verbs(click.Group):
    """Verbs by name; what is no verb may be a server to log in to."""

    context_class = Page

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = import_module(f"{__package__}.verbs.{name.replace('-', '_')}_")
        command: click.Command = module.command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`mcp-login SERVER` means `mcp-login login SERVER`, with its options in any place."""
        first = args[0] if args else "--help"
        if first not in (*VERBS, "-h", "--help", "--version") and (
            first.startswith("-") or _may_be_server(first)
        ):
            args = ["login", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS:
            raise click.UsageError(_neither(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table: no verb is loaded to be listed."""
        width = max(map(len, VERBS))
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.ljust(width), line) for verb, line in verbs.items()])


def _may_be_server(word: str) -> bool:
    """A URL, a host, or a name that stands for one."""
    if any(c in word for c in ".:/") or word == "localhost":
        return True
    from .servers import known_name

    return known_name(word)


def _neither(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, VERBS, n=1, cutoff=0.6)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{quoted(word, 80)} is neither a command nor a server that is known here.{meant}"


class Option(click.Option):
    """An option that stands in a section of its verb's help."""

    section: str = "Options"


class Verb(click.Command):
    """A verb whose help has its options in sections, and the environment's in one sentence."""

    context_class = Page

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {Option.section: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                title = getattr(parameter, "section", Option.section)
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, 26 if formatter.width > _SIDE_BY_SIDE else 4)
        known = [str(p.envvar).removeprefix(PREFIX) for p in self.get_params(ctx) if p.envvar]
        if known:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(
                    f"From the environment, each behind {PREFIX}: {', '.join(known)}."
                )


def verb(name: str) -> Callable[[Callable[..., Any]], Verb]:
    return click.command(name, cls=Verb, context_settings=_SETTINGS)


@click.group(cls=Verbs, no_args_is_help=True, context_settings=_SETTINGS, epilog=_EXAMPLES)
@click.version_option(__version__, message="mcp-login %(version)s")
def cli() -> None:
    """Log in to MCP servers, keep the logins, and use them."""
