"""`mcp-login completion`: the script by which a shell completes verbs, options and servers."""

from __future__ import annotations

from typing import Final

import click

from ..arguments import argument, command_line
from ..commands import cli, verb

# bash splits words at colons, and every URL has one: whole words are completed, and what stands
# on the line already is taken off the answers
_COLONS: Final = """
_mcp_login_words() {
    local IFS=$' \\t\\n' line=${COMP_LINE:0:COMP_POINT} before
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    COMP_WORDS=("${words[@]}")
    COMP_CWORD=$((${#words[@]} - 1))
    _mcp_login_completion "$@"
    before=${words[COMP_CWORD]}
    before=${before%"${before##*:}"}
    [[ $COMP_WORDBREAKS == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"$before"}")
    return 0
}
complete -o nosort -F _mcp_login_words mcp-login
"""


@command_line
class Arguments:
    shell: str = argument("{bash|zsh|fish}", type=click.Choice(["bash", "zsh", "fish"]))


@verb("completion", Arguments)
def command(arguments: Arguments) -> None:
    """\b
    bash, in ~/.bashrc:
      eval "$(mcp-login completion bash)"
    zsh, in ~/.zshrc, after compinit:
      eval "$(mcp-login completion zsh)"
    fish, in ~/.config/fish/config.fish:
      mcp-login completion fish | source
    """
    from click.shell_completion import get_completion_class

    shell = arguments.shell
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    script = kind(cli, {}, "mcp-login", "_MCP_LOGIN_COMPLETE").source()
    click.echo(script + (_COLONS if shell == "bash" else ""))
