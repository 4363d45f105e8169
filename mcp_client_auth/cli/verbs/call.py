"""`mcp-login call`: one tool, called from a shell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from ..arguments import (
    AboutLogin,
    argument,
    command_line,
    group,
    json_answer,
    option,
    server,
    timeout,
)
from ..commands import verb

_KINDS: Final = {"image": "mimeType", "audio": "mimeType", "resource_link": "uri"}


@command_line
class Arguments:
    url: str = server()
    tool: str = argument("TOOL")
    words: tuple[str, ...] = argument("[NAME=VALUE]...", nargs=-1, type=click.UNPROCESSED)
    arguments: str | None = option(
        "--arguments",
        metavar="JSON",
        help="Arguments as a JSON object: a text, @FILE, or - for standard input.",
    )
    timeout: float = timeout(300.0, "How long to wait for the answer")
    json: bool = json_answer()
    login: AboutLogin = group(AboutLogin)


@verb("call", Arguments)
def command(arguments: Arguments) -> int:
    """A VALUE is a text, unless the tool's schema says that it is a number, an integer, a boolean,
    an array or an object; an array may also be given value by value, with its NAME each time.
    NAME:=JSON is any JSON value. The text of the result goes to stdout, and other parts by their
    kind. The exit code is 1 if the tool reports an error.
    """
    from ...prompt.screen import blamed, screen
    from ..answers import answers
    from ..describe import plain
    from ..tools import read_arguments, read_object, tools_of

    given = read_object(arguments.arguments)
    with tools_of(arguments.url, arguments.login, arguments.timeout) as tools:
        with screen.waiting_for("the server's tools"):
            tool = tools.get(arguments.tool)
        words = read_arguments(tool, arguments.words, given)
        with screen.waiting_for(f"the tool {plain(tool.name)}"):
            result = tools.call(tool.name, words)
    if answers.as_json:
        answers.give(result=dict(result.raw))
    else:
        for part in result.content:
            _show(part)
        if not result.content and result.structured is not None:
            _show({"type": "structured", "value": result.structured})
    if result.is_error:
        screen.say(blamed("mcp-login:", "the tool reports an error"))
    return int(result.is_error)


def _show(part: Mapping[str, Any]) -> None:
    from ..describe import plain
    from ..json_text import pretty, safe, write

    kind, resource = str(part.get("type", "unknown")), part.get("resource")
    if kind == "structured":
        write(pretty(part["value"]))
    elif kind == "text" and isinstance(part.get("text"), str):
        write(safe(part["text"]))
    elif kind == "resource" and isinstance(resource, dict):
        write(f"[resource {plain(str(resource.get('uri')))}]")
        if isinstance(resource.get("text"), str):
            write(safe(resource["text"]))
    else:
        what = [kind, str(part.get(_KINDS.get(kind, ""), ""))]
        data = part.get("data")
        size = f", {len(data) * 3 // 4} bytes" if isinstance(data, str) else ""
        write(f"[{plain(' '.join(filter(None, what)))}{size}]")
