"""What to do if a browser's response may not reach this machine: the words, and a command.

`environment` guesses where this program runs.
"""

from __future__ import annotations

import ipaddress
import shlex
from typing import Final

from ..environment import Machine
from ..origin import split

_LATER: Final = "the page will not load: copy its address and paste it here"


def advice(redirect_uri: str, *, opens: bool, pastes: bool, machine: Machine | None = None) -> str:
    """What to do if the callback may not arrive: one sentence, and for SSH the command below it.

    `opens`: a browser is opened from here; `pastes`: an address can be pasted here.
    """
    machine = machine or Machine()
    where = machine.place
    if where == "ssh" and not opens:
        line = ssh_command(redirect_uri, machine)
        if pastes:
            return f"At the end {_LATER}. Or run this on your own machine first:\n  {line}"
        first = "Run this on your own machine first, otherwise the last page will not load"
        return f"{first}:\n  {line}"
    far = where in ("codespaces", "gitpod", "container")
    if pastes:
        return f"{'At' if far and not opens else 'If at'} the end {_LATER}."
    if far and not opens:
        return "The last page will not load: start this at a terminal, and paste its address there."
    return ""


def ssh_command(redirect_uri: str, machine: Machine, user: str | None = None) -> str:
    """The command that brings the callback here: `ssh -L PORT:127.0.0.1:PORT user@host`."""
    parts = split(redirect_uri)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    forward = shlex.quote(f"{parts.port}:{host}:{parts.port}")
    address, port = _reached(machine.environ.get("SSH_CONNECTION", ""))
    other = f" -p {port}" if port not in (0, 22) else ""
    if user is None:
        import getpass

        try:
            user = getpass.getuser()
        except (ImportError, KeyError, OSError):
            user = ""
    target = shlex.quote(f"{user}@{address}") if user.isprintable() and user else address
    return f"ssh -L {forward}{other} {target}"


def _reached(connection: str) -> tuple[str, int]:
    """Address and port that the person's machine connected to; a placeholder if unknown.

    `SSH_CONNECTION` has the client's address and port, and the server's. A private address
    that a public one connects to is behind address translation and cannot be reached.
    """
    try:
        client, _, server, port = connection.split()
        ours = ipaddress.ip_address(server)
        if ours.is_private and not ipaddress.ip_address(client).is_private:
            return "THIS_HOST", 0
        return str(ours), int(port)
    except ValueError:
        return "THIS_HOST", 0
