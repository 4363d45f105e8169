"""Where this program runs, who sees its output, and what the programs that it starts may see.

The answers are guesses from the environment and a few files: they decide on words and whom to
ask, never on what is accepted. It imports next to nothing, because every command may need it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing costs more than all that is done here
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final, Literal, TextIO, TypeAlias

    Place: TypeAlias = Literal[
        "here", "codespaces", "gitpod", "devcontainer", "hub", "ssh", "container", "wsl", "headless"
    ]

# The key to the stored logins, and variables that name a file with a secret or hold a password.
SECRET_VARIABLES: Final = frozenset(
    "MCP_CLIENT_AUTH_" + name
    for name in (
        "KEY",
        "KEY_FILE",
        "CLIENT_SECRET_FILE",
        "CLIENT_KEY_FILE",
        "IDP_CLIENT_SECRET_FILE",
        "INITIAL_ACCESS_TOKEN_FILE",
        "ASSERTION_FILE",
        "CERT_KEY",
        "PROXY",
    )
)
_CLOUD: Final[dict[Place, tuple[str, ...]]] = {
    "codespaces": ("CODESPACES",),
    "gitpod": ("GITPOD_WORKSPACE_ID", "GITPOD_WORKSPACE_URL"),
    "devcontainer": ("REMOTE_CONTAINERS", "DEVCONTAINER"),
    "hub": ("JUPYTERHUB_API_URL", "COLAB_RELEASE_TAG"),  # many people's notebooks, on a server
}
_SSH: Final = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
_CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")
_HOST_NETWORK: Final = "/run/.toolboxenv"  # a toolbox has the network of its host
_GROUPS: Final = ("docker", "kubepods", "containerd", "libpod", "/lxc/")
_WITH_DISPLAY: Final = ("win32", "cygwin", "darwin", "android", "ios")
_USUAL_WIDTH: Final = 80
_BUS: Final = "DBUS_SESSION_BUS_ADDRESS"
# Values of TERM_PROGRAM whose terminals show OSC 8 as links.
_LINKING: Final = ("ghostty", "Hyper", "iTerm.app", "vscode", "WezTerm")


def for_other_programs() -> dict[str, str]:
    """Our environment without our secrets."""
    return {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}


def find_session_bus() -> None:
    """Set the variable for the user's session bus, behind which the keyring is.

    Hosts on the official SDKs start a server with little more than HOME and PATH. If the variable
    is set to nothing, the user wants no bus.
    """
    if not sys.platform.startswith("linux") or _BUS in os.environ:
        return
    from stat import S_ISSOCK
    from urllib.parse import quote

    # pam_systemd(8): the usual place, since the variable that names it is not passed on either
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    bus = os.path.join(runtime, "bus")
    try:
        state = os.stat(bus)
    except (OSError, ValueError):
        return
    if S_ISSOCK(state.st_mode) and state.st_uid == os.getuid():
        os.environ[_BUS] = f"unix:path={quote(bus)}"


class Machine:
    """The machine to look at: this one, unless a test passes another."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        platform: str | None = None,
        exists: Callable[[str], bool] = os.path.exists,
        read: Callable[[str], str] | None = None,
    ) -> None:
        """`read` returns the beginning of a file's text, or an empty one."""
        self.environ = os.environ if environ is None else environ
        self.platform = sys.platform if platform is None else platform
        self._exists, self._read = exists, read or _beginning

    @property
    def ci(self) -> bool:
        """A job of continuous integration: no person, although some runners have a terminal."""
        return is_on(self.environ.get("CI", ""))

    @property
    def display(self) -> bool:
        return self._has("DISPLAY", "WAYLAND_DISPLAY")

    @property
    def ssh(self) -> bool:
        return self._has(*_SSH)

    @property
    def container(self) -> bool:
        if self._exists(_HOST_NETWORK):
            return False
        if self._has("KUBERNETES_SERVICE_HOST", "container"):
            return True
        group = self._read("/proc/1/cgroup")
        return any(map(self._exists, _CONTAINER_FILES)) or any(name in group for name in _GROUPS)

    @property
    def wsl(self) -> bool:
        named = self._has("WSL_DISTRO_NAME")
        return named or "microsoft" in self._read("/proc/version").lower()

    @property
    def place(self) -> Place:
        """The kind of place; `here` is where the person's browser is.

        A container in a codespace counts as a codespace, and one in WSL as a container.
        """
        for cloud, names in _CLOUD.items():
            if any(is_on(self.environ.get(name, "")) for name in names):
                return cloud
        if self.ssh:
            return "ssh"
        if self.container:
            return "container"
        if self.wsl:
            return "wsl"
        return "here" if self.display or self.platform in _WITH_DISPLAY else "headless"

    @property
    def callback_arrives(self) -> bool:
        """Whether the response of the person's browser reaches a port of this machine."""
        return self.place in ("here", "wsl")

    @property
    def browser_is_here(self) -> bool:
        """Whether a browser that is started from here is certain to run on this machine.

        An editor's helper, or a command of the user's own, may open it on another one.
        """
        return self.place == "here" and not self._has("BROWSER", "VSCODE_IPC_HOOK_CLI")

    def _has(self, *names: str) -> bool:
        return any(self.environ.get(name) for name in names)


def is_on(value: str) -> bool:
    """Whether the value of a yes-or-no environment variable means yes."""
    return value.lower() not in ("", "0", "false")


def is_attended(machine: Machine | None = None, *, log: bool = False) -> bool:
    """Whether a person reads what is written to stderr: at a terminal, or in a running notebook.

    A kernel that may not ask (papermill, nbconvert) runs unattended, and so does CI. `log`: a file
    or a pipe will do, too, since someone may read it.
    """
    if (machine or Machine()).ci:
        return False
    running = kernel()
    if running is not None:
        return bool(getattr(running, "_allow_stdin", True))
    return log or is_terminal(sys.stderr)


def kernel() -> Any:
    """The Jupyter kernel that this program runs in; None in a script or in IPython's shell."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal; it may be missing, or closed."""
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):
        return False


def has_colours(stream: TextIO | None) -> bool:
    """`NO_COLOR` (no-color.org) has the last word, then `FORCE_COLOR`, then the terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if forced := os.environ.get("FORCE_COLOR"):
        return is_on(forced)
    return is_terminal(stream) and os.environ.get("TERM", "") != "dumb"


def has_hyperlinks(stream: TextIO | None) -> bool:
    """Whether the terminal is known to show OSC 8 as a link.

    `FORCE_HYPERLINK` overrides this. Inside tmux and screen the outer terminal is unknown.
    """
    if forced := os.environ.get("FORCE_HYPERLINK"):
        return is_on(forced)
    if not has_colours(stream) or not is_terminal(stream):
        return False
    environ, name = os.environ, os.environ.get("TERM", "")
    if environ.get("TMUX") or name.startswith(("screen", "tmux")):
        return False
    version = environ.get("VTE_VERSION", "")
    return (
        environ.get("TERM_PROGRAM", "") in _LINKING
        or any(environ.get(each) for each in ("KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION"))
        or name.startswith(("alacritty", "foot", "xterm-ghostty", "xterm-kitty"))
        or (version.isdecimal() and int(version) >= 5000)
    )


def terminal_width(stream: TextIO) -> int:
    """The width in columns; 0 if it is not a terminal or the width is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (AttributeError, OSError, ValueError):
        return 0


def page_width() -> int:
    """The width for a page on stdout, even if that is not a terminal; COLUMNS has the last word."""
    named = os.environ.get("COLUMNS", "")
    if named.isascii() and named.isdecimal() and int(named):
        return int(named)
    return terminal_width(sys.stdout) or _USUAL_WIDTH


def _beginning(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""
