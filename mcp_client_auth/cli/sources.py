"""Where the value of an option of this run comes from: the command line, or the environment."""

from __future__ import annotations

import click
from click.core import ParameterSource


def source_of(name: str) -> str:
    """Where an option's value comes from: the option itself, or the variable that gave it."""
    ctx = click.get_current_context()
    option = next(each for each in ctx.command.params if each.name == name)
    if ctx.get_parameter_source(name) is ParameterSource.ENVIRONMENT:
        return str(option.envvar)
    return option.opts[0]


def is_typed(name: str) -> bool:
    """Whether an option is in the command, not in the environment, which is for all verbs."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE
