"""The verbs, each loaded when it is used, and how a word is read that is none."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import click

from .. import __version__
from ..errors import quoted
from .overview import PURPOSE, VERBS, columns, overview

PREFIX: Final = "MCP_CLIENT_AUTH_"
_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}
_WIDEST: Final = 100
_NARROWEST: Final = 30
_SIDE_BY_SIDE: Final = 60  # in less, what an option means stands below it


class Page(click.Context):
    """Help as wide as the terminal, where click takes none for narrower than 50 columns."""

    def make_formatter(self) -> click.HelpFormatter:
        return click.HelpFormatter(width=max(min(columns(), _WIDEST) - 2, _NARROWEST))


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

    def get_help(self, ctx: click.Context) -> str:
        return overview(columns())


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


@click.group(cls=Verbs, no_args_is_help=True, help=PURPOSE, context_settings=_SETTINGS)
@click.version_option(__version__, message="mcp-login %(version)s")
def cli() -> None: ...
