"""The verbs by name, how a first word that is not a verb is read, and the help pages."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import cleandoc
from typing import Any, Final, TypeAlias, TypeVar

import click
from click.core import ParameterSource

from .. import __version__
from ..environment import page_width
from ..errors import UsageError
from ..paths import project_file
from ..secret import quoted
from .arguments import PREFIX, Option, parameters, read
from .servers import is_host, known_name, suggestion
from .verbs import RARE, SECTIONS, VERBS, module_of

A = TypeVar("A")
Words: TypeAlias = Callable[[list[str], list[str]], list[str]]
WRITTEN: Final = "mcp_client_auth.words"  # of a verb, in the context's `meta`
_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}
_WIDEST: Final = 100
_NARROWEST: Final = 30
_SIDE_BY_SIDE: Final = 60  # in less, what an option means stands below it
_WHOLE: Final = "mcp_client_auth.whole_help"  # in the meta of a context
_CLOSE: Final = 0.75  # out of 1: allows a letter added, missing or swapped in a short word
# None is longer than 36, so that it fits a line of 40.
_EXAMPLES: Final = [
    ("mcp-login https://mcp.example.com/mcp", "the same as mcp-login login …"),
    ("mcp-login mcp.example.com --name work", "uses https, and remembers it as work"),
    ("mcp-login call work TOOL NAME=VALUE", "call a tool (mcp-login tools work)"),
    ("mcp-login token work --header", 'for curl -H "$(…)"'),
    ("mcp-login doctor mcp.example.com", "why does a login fail there?"),
]


class Page(click.Context):
    """Help as wide as the terminal, where click takes none for narrower than 50 columns."""

    def make_formatter(self) -> click.HelpFormatter:
        return click.HelpFormatter(width=max(min(page_width(), _WIDEST) - 2, _NARROWEST))


def _write_list(formatter: click.HelpFormatter, rows: list[tuple[str, str]], most: int) -> None:
    """Two columns, or in a narrow terminal the second one below the first."""
    formatter.write_dl(rows, most if formatter.width > _SIDE_BY_SIDE else 4)


class HelpAll(click.Option):
    """`--help-all`: what `--help` leaves out so that it fits a screen."""

    def __init__(self) -> None:
        super().__init__(
            ["--help-all"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Show all options.",
            callback=self._show,
        )

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        titles = (getattr(each, "section", Option.section) for each in ctx.command.params)
        titles = (title.lower() for title in titles if title not in (Option.section, "More"))
        left_out = ", ".join(dict.fromkeys(titles))
        return "--help-all", "Show all options" + (f": {left_out}." if left_out else ".")

    @staticmethod
    def _show(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            ctx.meta[_WHOLE] = True
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()


class Verbs(click.Group):
    """Verbs by name; what is not a verb may be a server to log in to."""

    context_class = Page

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = import_module(module_of(name)).command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`mcp-login SERVER` means `mcp-login login SERVER`, with its options in any place."""
        first = args[0] if args else "--help"
        if first not in (*VERBS, "-h", "--help", "--help-all", "--version") and (
            first.startswith("-") or is_host(first) or known_name(first)
        ):
            args = ["login", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not ctx.resilient_parsing:
            meant = suggestion(args[0], VERBS)
            raise click.UsageError(
                f"{quoted(args[0], 80)} is neither a command nor a known server{meant}", ctx
            )
        return super().resolve_command(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("mcp-login", "SERVER [OPTION]…")
        formatter.write_usage("mcp-login", "VERB [OPTION]…", "       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        room = max(map(len, VERBS))
        if not ctx.meta.get(_WHOLE):
            formatter.write_paragraph()
            with formatter.indentation():
                rows = [(name.ljust(room), VERBS[name]) for name in VERBS if name not in RARE]
                _write_list(formatter, rows, 30)
            return
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                _write_list(formatter, [(name.ljust(room), verbs[name]) for name in verbs], 30)
        click.Command.format_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if ctx.meta.get(_WHOLE):
            with formatter.section("Examples"):
                _write_list(formatter, _EXAMPLES, 40)
            formatter.write_paragraph()
            formatter.write_text("See `mcp-login VERB --help` for the options of a verb.")
        else:
            formatter.write_paragraph()
            formatter.write_text("VERB --help shows its options; --help-all shows examples, too.")


class Verb(click.Command):
    """A verb whose help has its options in sections, and the environment's in one sentence."""

    context_class = Page
    translated: Words | None = None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self.translated and not ctx.resilient_parsing:  # which a completion sets
            options = (each for each in self.params if isinstance(each, click.Option))
            args = self.translated(
                args, [name for each in options if not each.is_flag for name in each.opts]
            )
        ctx.meta[WRITTEN] = [*args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        from .servers import NEARBY, require_trusted

        url, default = ctx.params.get("url"), ParameterSource.DEFAULT
        program = self.name != "login" and ctx.params.get("grant")
        typed = program or ctx.get_parameter_source("account") is not default
        if url and not typed and project_file():
            from .project import project_account

            account = project_account(url, self.name or "")
            ctx.params["account"] = account or ctx.params["account"]
        if nearby := ctx.meta.get(NEARBY):
            require_trusted(nearby, self.name or "", ctx.params)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the first section; with `--help-all`, those of every section."""
        whole = ctx.meta.get(_WHOLE)
        sections: dict[str, list[tuple[str, str]]] = {Option.section: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                title = getattr(parameter, "section", Option.section)
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            if whole or title == Option.section:
                with formatter.section(title):
                    _write_list(formatter, records, 26)
        if not whole:
            return
        named = [str(p.envvar) for p in self.get_params(ctx) if p.envvar]
        known = [name.removeprefix(PREFIX) for name in named if name.startswith(PREFIX)]
        if known:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(
                    f"Environment variables, prefixed with {PREFIX}: {', '.join(known)}."
                )


def verb(
    name: str, arguments: type[A], translated: Words | None = None
) -> Callable[[Callable[[A], int | None]], Verb]:
    """Turn a function of its arguments into a verb; the function's docstring ends the help.

    `translated`: rewrites the words of the command line, given our options that take a value.
    """

    def made(function: Callable[[A], int | None]) -> Verb:
        own = Verb(
            name,
            params=[*parameters(arguments), HelpAll()],
            callback=lambda **values: function(read(arguments, values)),
            help=f"{VERBS[name]}\n\n{cleandoc(function.__doc__ or '')}",
            context_settings=_SETTINGS,
        )
        own.translated = translated
        return own

    return made


@click.group(
    cls=Verbs,
    no_args_is_help=True,
    help="Log in to MCP servers, keep the logins, and use them.",
    params=[HelpAll()],
    context_settings=_SETTINGS,
)
@click.version_option(__version__, message="mcp-login %(version)s")
def cli() -> None: ...


def usage_error(error: click.ClickException) -> UsageError:
    """Return a usage error of click as one of ours.

    Of similar options it names only one, and only if it is close.
    """
    from difflib import get_close_matches

    from .describe import plain

    text, ctx = error.format_message(), getattr(error, "ctx", None)
    if ctx and isinstance(error, click.NoSuchOption):
        words = [o.lstrip("-") for p in ctx.command.get_params(ctx) for o in p.opts]
        near = get_close_matches(error.option_name.lstrip("-"), words, n=1, cutoff=_CLOSE)
        text = error.message.rstrip(".") + (f". Did you mean --{near[0]}?" if near else "")
    text = plain(text).rstrip(".")
    hint = f"See: {ctx.command_path} --help" if ctx else ""
    return UsageError(text[:1].lower() + text[1:], hint=hint)
