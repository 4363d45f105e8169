"""The options that a remedy of the core names, as flags of the command."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..errors import AuthError

# Those whose flag is not the Python name with dashes. `=`: the value is part of the same word.
FLAGS: Final = {
    "ClientMetadataDocument.url": "--client-metadata-url",
    "DeviceCode": "--device",
    "EnterpriseManaged.idp_client": "--idp-client-id ID, --idp-client-secret-file",
    "HttpTransport.cert": "--cert FILE, --cert-key",
    "HttpTransport.verify": "--ca",
    "Options.authorize_params": "--param",
    "Options.endpoints": "--endpoint",
    "Options.initial_access_token": "--initial-access-token-file",
    "Options.prompt": "--param prompt=",
    "Options.push_authorization_request": "--par",
    "PreRegistered.key_file": "--client-key-file",
    "PreRegistered.method": "--client-auth-method",
    "PreRegistered.secret": "--client-secret-file",
    "login.token": "--token-file",
    "storage": "--store",
}


def hint_of(error: AuthError) -> str:
    """What the person can do, in the command's words."""
    return error.remedy.spelled(flag)


def flag(name: str, value: str | None) -> str:
    """An option with its value, or with the word that the help has for any."""
    word = FLAGS.get(name) or "--" + name.rpartition(".")[2].replace("_", "-")
    if value == "True":
        return word
    if value is None:
        import click

        from .commands import cli

        login = cli.get_command(click.Context(cli), "login")  # whose help has all of them
        options = [o for o in login.params if word.split()[-1] in o.opts] if login else []
        return f"{word} {options[0].metavar or '' if options else ''}".rstrip()
    if "=" in value:
        return " ".join(f"{word} {pair}" for pair in value.split())
    return word + value if word.endswith("=") else f"{word} {shlex.quote(value)}"
