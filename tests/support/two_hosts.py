"""Two hosts on one machine: a desk with a browser and nothing else, and a far host with sshd.

Each is a network namespace with a loopback of its own, so that a callback to 127.0.0.1 at the
desk does not reach a listener at the far host. Nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

DESK_ADDRESS = "10.77.31.1"
FAR_ADDRESS = "10.77.31.2"
PORT = 2222
_PATIENCE = 30.0


def missing() -> str:
    """What this machine lacks for it; empty if nothing is missing."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs Linux, and root to make network namespaces"
    if not all(shutil.which(name, path=_PATH) for name in ("ip", "sshd", "ssh")):
        return "needs apt-get install iproute2 openssh-server openssh-client"
    return ""


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Hosts:
    """The two of them; `url` is an MCP server on the far host's own loopback."""

    desk: str
    far: str
    scratch: Path
    url: str

    def at_desk(self, *command: str) -> list[str]:
        return _in(self.desk, command)

    def at_far(self, *command: str) -> list[str]:
        return _in(self.far, command)

    def ssh(self, *more: str) -> list[str]:
        """ssh from the desk, without known hosts and without questions."""
        quiet = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
        who = ("-o", "LogLevel=ERROR", "-i", str(self.scratch / "person"), "-F", "none")
        return self.at_desk("ssh", *quiet, *who, *more)


def _in(namespace: str, command: Sequence[str]) -> list[str]:
    return ["ip", "netns", "exec", namespace, *command]


@contextmanager
def two_hosts(scratch: Path) -> Iterator[Hosts]:
    desk, far = f"desk-{os.getpid()}", f"far-{os.getpid()}"
    with ExitStack() as open_now:
        for name in (desk, far):
            _run("ip", "netns", "add", name)
            open_now.callback(_run, "ip", "netns", "del", name)
        _wire(desk, far)
        open_now.enter_context(_sshd(far, scratch))
        url = open_now.enter_context(_demo_server(far))
        yield Hosts(desk, far, scratch, url)


def _wire(desk: str, far: str) -> None:
    one, other = f"d{os.getpid()}", f"f{os.getpid()}"
    _run("ip", "link", "add", one, "netns", desk, "type", "veth", "peer", other, "netns", far)
    for namespace, link, address in ((desk, one, DESK_ADDRESS), (far, other, FAR_ADDRESS)):
        _run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", link)
        for name in (link, "lo"):
            _run("ip", "-n", namespace, "link", "set", name, "up")


@contextmanager
def _sshd(far: str, scratch: Path) -> Iterator[None]:
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    for name in ("host", "person"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(scratch / name))
    shutil.copy(scratch / "person.pub", scratch / "authorized")
    settings = {
        "ListenAddress": f"{FAR_ADDRESS}:{PORT}",
        "HostKey": scratch / "host",
        "AuthorizedKeysFile": scratch / "authorized",
        "PermitRootLogin": "yes",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
    }
    (scratch / "sshd_config").write_text("\n".join(f"{k} {v}" for k, v in settings.items()))
    sshd = shutil.which("sshd", path=_PATH) or "sshd"
    command = _in(far, (sshd, "-D", "-e", "-f", str(scratch / "sshd_config")))
    with _process(command) as process:
        _until_listening(far, process)
        yield


def _until_listening(far: str, process: subprocess.Popen[str]) -> None:
    look = f"import socket; socket.create_connection({(FAR_ADDRESS, PORT)}, 1).close()"
    end = time.monotonic() + _PATIENCE
    while subprocess.run(_in(far, (sys.executable, "-c", look)), capture_output=True).returncode:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def _demo_server(far: str) -> Iterator[str]:
    with _process(_in(far, (sys.executable, "-m", "mcp_client_auth.testing"))) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield str(json.loads(line)["url"])


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.communicate()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
