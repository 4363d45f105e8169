"""A real Secret Service for tests: gnome-keyring on a D-Bus session of its own, without a display.

Nothing of the machine's own session is read or changed, and nothing is left behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

INSTALL: Final = "apt-get install gnome-keyring dbus"
_PROGRAMS: Final = ("dbus-daemon", "dbus-send", "gnome-keyring-daemon")
_PATIENCE: Final = 10.0
_BUS: Final = "org.freedesktop.DBus"
_SECRETS: Final = "org.freedesktop.secrets"
_PROMPTER: Final = "org.gnome.keyring.SystemPrompter"
_LOGIN: Final = "/org/freedesktop/secrets/collection/login"


class SecretService:
    """Runs from the start of a `with` block to its end.

    `environment` is what a process needs to find it; `home` is the directory of its files. Without
    a `password` it is never unlocked, so it has no collection.
    """

    def __init__(self, password: str | None = "password") -> None:
        self.environment: dict[str, str] = {}
        self.home = Path()
        self._password = password
        self._running = ExitStack()

    @staticmethod
    def installed() -> bool:
        return os.name == "posix" and all(map(shutil.which, _PROGRAMS))

    def __enter__(self) -> Self:
        if not self.installed():
            raise RuntimeError(f"there is no Secret Service to run here: {INSTALL}")
        with ExitStack() as starting:
            self.home = Path(starting.enter_context(TemporaryDirectory(prefix="secrets-")))
            bus = starting.enter_context(_process(self._bus_command(), self._headless()))
            assert bus.stdout is not None
            self.environment = {"DBUS_SESSION_BUS_ADDRESS": bus.stdout.readline().strip()}
            self._daemon = starting.enter_context(_process(self._daemon_command(), self._inside()))
            assert self._daemon.stdin is not None
            with self._daemon.stdin as stdin:
                stdin.write(self._password or "")
            self._wait()
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def lock(self) -> None:
        """Lock the collection: no prompt can be shown here, so nobody can unlock it again."""
        self._send(_SECRETS, "org.freedesktop.Secret.Service.Lock", f"array:objpath:{_LOGIN}")

    def lock_with_a_prompt(self) -> None:
        """Lock the collection; a program that needs it is asked in a window that nobody answers.

        A call that unlocks it then blocks forever, as on a desktop where nobody is present.
        """
        from jeepney import message_bus
        from jeepney.io.blocking import open_dbus_connection

        window = open_dbus_connection(bus=self.environment["DBUS_SESSION_BUS_ADDRESS"])
        self._running.callback(window.close)
        taken = window.send_and_get_reply(message_bus.RequestName(_PROMPTER))
        if taken.body != (1,):
            raise RuntimeError("another program shows the prompts already")
        self.lock()

    def freeze(self) -> None:
        """Let it accept every call from now on and never answer."""
        self._daemon.send_signal(signal.SIGSTOP)

    def _bus_command(self) -> list[str]:
        address = f"--address=unix:dir={self.home}"
        return [_PROGRAMS[0], "--session", "--nofork", "--nopidfile", "--print-address=1", address]

    def _daemon_command(self) -> list[str]:
        control = f"--control-directory={self.home / 'control'}"
        command = [_PROGRAMS[2], "--foreground", "--components=secrets", control]
        return command if self._password is None else [*command, "--unlock"]

    def _headless(self) -> dict[str, str]:
        places = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"), str(self.home))
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **places}

    def _inside(self) -> dict[str, str]:
        return {**self._headless(), **self.environment}

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while "true" not in self._send(_BUS, f"{_BUS}.NameHasOwner", f"string:{_SECRETS}"):
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("gnome-keyring-daemon did not start")
            time.sleep(0.01)

    def _send(self, to: str, method: str, argument: str) -> str:
        command = [_PROGRAMS[1], "--session", "--print-reply", f"--dest={to}"]
        place = "/org/freedesktop/secrets" if to == _SECRETS else "/org/freedesktop/DBus"
        return subprocess.run(
            [*command, place, method, argument],
            env=self._inside(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        ).stdout


@contextmanager
def _process(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[Any]]:
    """A process that is killed at the end with all its children; its data is discarded anyway."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
