"""`mcp-login completion`: for the shell that completes verbs, options and servers."""

from __future__ import annotations

import click

from ..commands import cli, verb


@verb("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash, in ~/.bashrc:
      eval "$(mcp-login completion bash)"
    zsh, in ~/.zshrc, after compinit:
      eval "$(mcp-login completion zsh)"
    fish, in ~/.config/fish/config.fish:
      mcp-login completion fish | source
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(kind(cli, {}, "mcp-login", "_MCP_LOGIN_COMPLETE").source())
