"""The question for a client, where a server gives none to a program by itself."""

from __future__ import annotations

import sys

import click

from ..errors import RegistrationRefused
from ..protocol.registration import PreRegistered
from .screen import screen


def somebody() -> bool:
    """Whether a person can be asked here."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def client_of_person(error: RegistrationRefused) -> PreRegistered:
    """The client that a person has; the error itself where there is nobody to ask, or none."""
    if error.code == "no_authorization_server" or not somebody():
        raise error
    screen.clear()
    screen.tell(f"{error.summary[0].upper()}{error.summary[1:]}.")
    screen.tell(
        "The server's operator, or the page where the service lists its OAuth apps, gives you a"
        " client id: register http://127.0.0.1/callback as its redirect URI there."
    )
    client_id = click.prompt("Client id (empty ends it)", default="", show_default=False, err=True)
    if not client_id.strip():
        raise error
    secret = click.prompt(
        "Client secret (empty for none)", default="", show_default=False, hide_input=True, err=True
    )
    return PreRegistered(client_id.strip(), secret.strip() or None)
