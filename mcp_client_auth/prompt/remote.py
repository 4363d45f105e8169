"""Where the program runs, as far as that decides whether a browser's answer finds its way here.

A guess from the environment and a few files: it chooses words, never what is accepted.
"""

from __future__ import annotations

import getpass
import ipaddress
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from ..protocol.urls import split
from .browser import DISPLAYS

Place: TypeAlias = Literal[
    "here", "codespaces", "gitpod", "devcontainer", "ssh", "container", "wsl", "headless"
]

# In this order: a container in a codespace is a codespace, and one in WSL a container.
_VARIABLES: Final[tuple[tuple[Place, tuple[str, ...]], ...]] = (
    ("codespaces", ("CODESPACES",)),
    ("gitpod", ("GITPOD_WORKSPACE_ID", "GITPOD_WORKSPACE_URL")),
    ("devcontainer", ("REMOTE_CONTAINERS", "DEVCONTAINER")),
    ("ssh", ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")),
    ("container", ("KUBERNETES_SERVICE_HOST",)),
)
_CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")
_HOST_NETWORK: Final = "/run/.toolboxenv"  # a toolbox has the network of its host
_GROUPS: Final = ("docker", "kubepods", "containerd", "libpod", "/lxc/")
_WITH_DISPLAY: Final = ("win32", "cygwin", "darwin", "android", "ios")
_LATER: Final = "the page will not load: copy its address and paste it here"


@dataclass(frozen=True, slots=True)
class Machine:
    """What is looked at. `read` gives a file's text, or an empty one."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    platform: str = sys.platform
    exists: Callable[[str], bool] = os.path.exists
    read: Callable[[str], str] = lambda path: _text(path)
    user: Callable[[], str] = lambda: _user()


def place(machine: Machine | None = None) -> Place:
    """What kind of place this is; `here` where the person's browser is."""
    machine = machine or Machine()
    for kind, names in _VARIABLES:
        if any(_is_on(machine.environ.get(name, "")) for name in names):
            return kind
    if _contained(machine):
        return "container"
    if machine.environ.get("WSL_DISTRO_NAME") or _microsoft(machine.read("/proc/version")):
        return "wsl"
    shown = any(machine.environ.get(name) for name in DISPLAYS)
    return "here" if shown or machine.platform in _WITH_DISPLAY else "headless"


def arrives(machine: Machine | None = None) -> bool:
    """Whether a browser's answer finds its way here by itself."""
    return place(machine) in ("here", "wsl")


def advice(redirect_uri: str, *, opens: bool, pastes: bool, machine: Machine | None = None) -> str:
    """What to do where the callback may not arrive: one sentence, and for SSH the command below it.

    `opens`: a browser is opened from here; `pastes`: an address can be pasted here.
    """
    machine = machine or Machine()
    where = place(machine)
    if where == "ssh" and not opens:
        line = ssh_line(redirect_uri, machine)
        if pastes:
            return f"At the end {_LATER}. Or run this on your own machine first:\n  {line}"
        return f"Run this on your own machine first, else the last page will not load:\n  {line}"
    far = where in ("codespaces", "gitpod", "container")
    if pastes:
        return f"{'At' if far and not opens else 'If at'} the end {_LATER}."
    if far and not opens:
        return "The last page will not load: start this at a terminal, and paste its address there."
    return ""


def ssh_line(redirect_uri: str, machine: Machine) -> str:
    """The command that brings the callback here: `ssh -L PORT:127.0.0.1:PORT user@host`."""
    parts = split(redirect_uri)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    forward = shlex.quote(f"{parts.port}:{host}:{parts.port}")
    address, port = _reached(machine.environ.get("SSH_CONNECTION", ""))
    other = f" -p {port}" if port not in (0, 22) else ""
    user = machine.user()
    target = shlex.quote(f"{user}@{address}") if user.isprintable() and user else address
    return f"ssh -L {forward}{other} {target}"


def _reached(connection: str) -> tuple[str, int]:
    """Address and port that the person's machine has reached; a word where it is not known.

    `SSH_CONNECTION` has the client's address and port, and the server's. A private address
    that is asked for from a public one lies behind a translation, and nobody can use it.
    """
    try:
        client, _, server, port = connection.split()
        ours = ipaddress.ip_address(server)
        if ours.is_private and not ipaddress.ip_address(client).is_private:
            return "THIS_HOST", 0
        return str(ours), int(port)
    except ValueError:
        return "THIS_HOST", 0


def _contained(machine: Machine) -> bool:
    if machine.exists(_HOST_NETWORK):
        return False
    if any(map(machine.exists, _CONTAINER_FILES)) or machine.environ.get("container"):
        return True
    return any(name in machine.read("/proc/1/cgroup") for name in _GROUPS)


def _microsoft(version: str) -> bool:
    return "microsoft" in version.lower()


def _is_on(value: str) -> bool:
    return value.lower() not in ("", "0", "false")


def _text(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return ""
