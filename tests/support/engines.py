"""Other people's engines for the tests: servers on free loopback ports, stopped at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

import pytest

from tests.support.ports import free_port

PATIENCE: Final = 60.0


def program(name: str, package: str, *more: Path) -> str:
    """Return its path, or skip the test with the command that installs it."""
    places = os.pathsep.join([os.environ.get("PATH", ""), *map(str, more)])
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {package}")
    return found


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still not so after {seconds:.0f} s"
        time.sleep(0.02)


class Child:
    """A server process that can be killed at any time; listens on loopback and at `addresses`."""

    process: subprocess.Popen[bytes] | None = None
    addresses: Sequence[str] = ()
    started = 0.0

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def age(self) -> float:
        return time.monotonic() - self.started

    def start(self) -> None:
        raise NotImplementedError

    def run(self, *command: str, user: str | None = None) -> None:
        nowhere, self.started = subprocess.DEVNULL, time.monotonic()
        self.process = subprocess.Popen(
            command, stdout=nowhere, stderr=nowhere, user=user, cwd="/", start_new_session=True
        )

    def kill(self) -> None:
        """Kill it with all of its children, as a power cut does."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *why: object) -> None:
        if self.process and self.process.poll() is None:
            self.kill()


class RedisServer(Child):
    """A Redis with a password; the tests check that the password is shown nowhere."""

    password: Final = "planted-redis-Hd4"

    def __init__(self, directory: Path, *options: str) -> None:
        self._program = program("redis-server", "redis-server")
        self._directory, self._options, self.port = directory, options, free_port()

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it with its earlier data, unless `--appendonly no` was given."""
        self.run(
            self._program,
            *("--port", str(self.port), "--dir", str(self._directory)),
            *("--bind", "127.0.0.1", *self.addresses),
            *("--requirepass", self.password, "--save", "", "--appendonly", "yes"),
            *self._options,
        )
        until(self._answers)

    def stop_for_now(self) -> None:
        """Stop answering, but keep all connections open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def own_all_slots(self) -> None:
        """A cluster of one."""
        import redis

        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            until(lambda: client.cluster("info")["cluster_state"] == "ok")

    def flush(self) -> None:
        import redis

        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        import redis

        assert self.process is None or self.process.poll() is None, "it has ended by itself"

        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False


class PostgresServer(Child):
    """A PostgreSQL of its own; under root, the package's user runs it."""

    password: Final = "planted-postgres-Kt9"

    def __init__(self) -> None:
        places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self._initdb = program("initdb", "postgresql", *places)
        self._postgres = program("postgres", "postgresql", *places)
        self.port = free_port()
        self._user = "postgres" if os.geteuid() == 0 else None
        self.directory = Path(tempfile.mkdtemp(prefix="mcp-client-auth-postgres-"))
        if self._user:
            shutil.chown(self.directory, self._user)

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        return f"postgresql://app:{self.password}@127.0.0.1:{port}/postgres"

    def start(self) -> None:
        data, word = self.directory / "data", self.directory / "password"
        if not data.exists():
            word.write_text(self.password)
            word.chmod(0o644)
            subprocess.run(
                [
                    self._initdb,
                    *("-D", str(data), "-U", "app", "-A", "scram-sha-256", "--no-sync"),
                    *(f"--pwfile={word}", "-E", "UTF8", "--locale=C"),
                ],
                check=True,
                capture_output=True,
                user=self._user,
                cwd="/",
            )
            if self.addresses:
                with (data / "pg_hba.conf").open("a") as rules:
                    rules.write("host all all 10.0.0.0/8 scram-sha-256\n")
        (data / "postmaster.pid").unlink(missing_ok=True)
        self.run(
            *(self._postgres, "-D", str(data), "-p", str(self.port)),
            *("-c", f"listen_addresses={','.join(['127.0.0.1', *self.addresses])}"),
            *("-c", "unix_socket_directories=", "-c", "max_connections=300"),
            *("-c", "fsync=off", "-c", "shared_buffers=16MB"),
            user=self._user,
        )
        until(lambda: answers(self.url))

    def crash(self) -> None:
        """Kill one of its processes, after which it restarts all of them."""
        import psycopg

        with psycopg.connect(self.url) as one, psycopg.connect(self.url, autocommit=True) as other:
            os.kill(one.info.backend_pid, signal.SIGKILL)
            with pytest.raises(psycopg.OperationalError):
                until(lambda: other.execute("SELECT 1") is None)  # it ends them all
        until(lambda: answers(self.url))

    def __exit__(self, *why: object) -> None:
        super().__exit__(*why)
        shutil.rmtree(self.directory, ignore_errors=True)


class Bouncer(Child):
    """A PgBouncer in transaction mode in front of a PostgreSQL."""

    def __init__(self, server: PostgresServer) -> None:
        self._program = program("pgbouncer", "pgbouncer", Path("/usr/sbin"))
        self._server, self.port = server, free_port()

    @property
    def url(self) -> str:
        return self._server.url_at(self.port)

    def start(self) -> None:
        directory, server = self._server.directory, self._server
        users, settings = directory / "users.txt", directory / "pgbouncer.ini"
        users.write_text(f'"app" "{server.password}"\n')
        settings.write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={server.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = {','.join(['127.0.0.1', *self._server.addresses])}\n"
            f"listen_port = {self.port}\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\nunix_socket_dir =\n"
            "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 200\n"
        )
        user = "postgres" if os.geteuid() == 0 else None
        self.run(self._program, "-q", str(settings), user=user)
        until(lambda: answers(self.url))


def answers(url: str) -> bool:
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=5, prepare_threshold=None) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False
