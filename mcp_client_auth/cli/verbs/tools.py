"""`mcp-login tools`: what a server offers, as it would be called."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from ..arguments import AboutLogin, command_line, group, json_answer, server, timeout
from ..commands import verb

if TYPE_CHECKING:
    from ...mcp import Tool

_LONGEST: Final = 400


@command_line
class Arguments:
    url: str = server()
    timeout: float = timeout(60.0, "How long to wait for each answer")
    json: bool = json_answer()
    login: AboutLogin = group(AboutLogin)


@verb("tools", Arguments)
def command(arguments: Arguments) -> None:
    """Each tool is shown as `call` takes it, with the first paragraph of its description; what is
    in brackets may be left out. --json has everything that the server says.
    """
    from ...prompt.screen import screen
    from ..answers import answers
    from ..tools import tools_of

    with (
        tools_of(arguments.url, arguments.login, arguments.timeout) as tools,
        screen.waiting_for("the server's tools"),
    ):
        listed = tools.list()
    if answers.as_json:
        answers.give(tools=[dict(tool.raw) for tool in listed])
        return
    for tool in listed:
        _show(tool)
    if not listed:
        screen.remark("The server has no tools.")


def _show(tool: Tool) -> None:
    from ...prompt.screen import hanging
    from ..describe import plain
    from ..json_text import write
    from ..tools import kinds

    words = []
    for name, schema in tool.properties.items():
        kind = "|".join(sorted(kinds(tool, schema) - {"null"})) or "value"
        word = f"{plain(name, 80)}={plain(kind.upper(), 80)}"
        words.append(word if name in tool.required else f"[{word}]")
    write(hanging(f"{plain(tool.name, 128)} ", " ".join(words), sys.stdout).rstrip())
    summary = tool.description.strip().partition("\n\n")[0] or tool.title
    if summary:
        write(hanging("    ", plain(" ".join(summary.split()), _LONGEST), sys.stdout))
