"""`PostgresStorage`: PostgreSQL. Each step is one statement, in a transaction of its own.

Nothing but the tables outlasts a statement, so a pool of connections may be in between (PgBouncer
in transaction mode). Leases may be lost in a crash, so they are not written to disk. A row among
them, without an id, is lost with them, which shows that this has happened.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError, shell_command
from ..secret import Secret, quoted
from .engine import Address, Engine, Row, Taken, Written, is_near, require_client
from .keys import Keys
from .shared import LEASE, Shared

if TYPE_CHECKING:
    import psycopg_pool

_SCHEMES: Final = ("postgresql://", "postgres://")
_CONNECTIONS: Final = 10
_MAKERS: Final = 50  # tries, in each of which another host was faster
_NAME: Final = 63  # of a longer one the server keeps only the beginning
_ANSWERS: Final = 5.0
# for what the URL does not say; nothing is prepared, as the next connection may be another one
_CONNECTION: Final[dict[str, Any]] = {
    "autocommit": True,
    "prepare_threshold": None,
    "connect_timeout": 3,
    "tcp_user_timeout": 5000,  # ms, after which a host that is cut off notices it
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
_UNSEEN: Final = logging.NullHandler()
_NOW: Final = "extract(epoch FROM clock_timestamp())::float8"
_MICROSECONDS: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_SECONDS: Final = "clock_timestamp() + %(seconds)s::float8 * interval '1 second'"

# {s} stands for the schema's name
_DDL: Final = """
CREATE SCHEMA IF NOT EXISTS {s};
CREATE TABLE IF NOT EXISTS {s}.records (
  id text PRIMARY KEY, version bigint NOT NULL, text text NOT NULL,
  tags text[] NOT NULL DEFAULT ARRAY[]::text[], until timestamptz);
CREATE INDEX IF NOT EXISTS records_tags ON {s}.records USING gin (tags);
CREATE INDEX IF NOT EXISTS records_until ON {s}.records (until) WHERE until IS NOT NULL;
CREATE UNLOGGED TABLE IF NOT EXISTS {s}.leases (
  id text, purpose text, owner text NOT NULL, until timestamptz NOT NULL,
  PRIMARY KEY (id, purpose));
CREATE TABLE IF NOT EXISTS {s}.notes (
  id text, name text, text text NOT NULL, until timestamptz, PRIMARY KEY (id, name));
CREATE TABLE IF NOT EXISTS {s}.pending (
  name text PRIMARY KEY, text text NOT NULL, until timestamptz NOT NULL);
"""
_LIVE: Final = "(r.until IS NULL OR r.until > clock_timestamp())"
_MORE: Final = {"now": _NOW, "micros": _MICROSECONDS, "end": _SECONDS, "live": _LIVE}
_STATEMENTS: Final = {
    "get": """
SELECT r.version, r.text, {now} FROM (SELECT 1) AS one
LEFT JOIN {s}.records r ON r.id = %(id)s AND {live}""",
    "many": """
SELECT r.version, r.text, {now} FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS given(id, at)
LEFT JOIN {s}.records r ON r.id = given.id AND {live}
ORDER BY given.at""",
    "put": """
WITH leased AS (
  SELECT %(owner)s::text = '' OR EXISTS (
    SELECT 1 FROM {s}.leases WHERE id = %(id)s AND purpose = 'refresh'
    AND owner = %(owner)s AND until > clock_timestamp()) AS ok),
new AS (
  SELECT CASE WHEN %(same)s AND %(expect)s::bigint > 0 THEN %(expect)s::bigint
  ELSE greatest(%(expect)s::bigint + 1, {micros}) END AS version),
done AS (
  INSERT INTO {s}.records AS r (id, version, text, tags)
  SELECT %(id)s, new.version, %(text)s, coalesce(%(tags)s::text[], ARRAY[]::text[])
  FROM new, leased WHERE leased.ok
  ON CONFLICT (id) DO UPDATE SET
    version = excluded.version, text = excluded.text, until = NULL,
    tags = coalesce(%(tags)s::text[], r.tags)
  WHERE r.version <= %(expect)s OR NOT {live}
  RETURNING version)
SELECT 1, version, {now} FROM done UNION ALL
SELECT 0, coalesce((SELECT version FROM {s}.records WHERE id = %(id)s), 0), {now}
WHERE NOT EXISTS (SELECT 1 FROM done)""",
    # it also clears away a few records whose time is over
    "drop": """
WITH gone AS (DELETE FROM {s}.notes WHERE id = %(id)s AND name = ANY(%(notes)s::text[])),
ended AS (DELETE FROM {s}.records WHERE id IN (
  SELECT id FROM {s}.records WHERE until < clock_timestamp() AND id <> %(id)s
  LIMIT 10 FOR UPDATE SKIP LOCKED))
INSERT INTO {s}.records AS r (id, version, text, until)
VALUES (%(id)s, {micros}, '', {end})
ON CONFLICT (id) DO UPDATE SET
  version = greatest(r.version + 1, excluded.version), text = '', tags = ARRAY[]::text[],
  until = excluded.until""",
    # a crash of a process empties the table without a new start time, and so does a failover
    "take": """
WITH began AS (
  INSERT INTO {s}.leases (id, purpose, owner, until) VALUES ('', '', '', {end})
  ON CONFLICT DO NOTHING),
done AS (
  INSERT INTO {s}.leases AS l (id, purpose, owner, until)
  SELECT %(id)s, %(purpose)s, %(owner)s, {end} WHERE %(least)s::float8 <= 0
  OR (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) >= %(least)s::float8
    AND EXISTS (SELECT 1 FROM {s}.leases WHERE id = '' AND until <= clock_timestamp()))
  OR EXISTS (SELECT 1 FROM {s}.leases WHERE id = %(id)s AND purpose = %(purpose)s
    AND owner = %(owner)s AND until > clock_timestamp())
  ON CONFLICT (id, purpose) DO UPDATE SET owner = excluded.owner, until = excluded.until
  WHERE l.until <= clock_timestamp() OR l.owner = excluded.owner
  RETURNING 1)
SELECT (SELECT count(*) FROM done),
  coalesce((SELECT version FROM {s}.records r WHERE id = %(id)s AND {live}), 0)""",
    "none_yet": """
INSERT INTO {s}.leases (id, purpose, owner, until) VALUES ('', '', '', clock_timestamp())
ON CONFLICT DO NOTHING""",
    "extend": """
INSERT INTO {s}.leases AS l (id, purpose, owner, until)
VALUES (%(id)s, %(purpose)s, %(owner)s, {end})
ON CONFLICT (id, purpose) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE l.until <= clock_timestamp() OR l.owner = excluded.owner
RETURNING 1""",
    "release": """
DELETE FROM {s}.leases WHERE id = %(id)s AND purpose = %(purpose)s AND owner = %(owner)s""",
    "ids": """
SELECT id FROM {s}.records WHERE tags @> ARRAY[%(tag)s::text] AND text <> '' ORDER BY id""",
    "tagged": """
SELECT id, version, text, {now} FROM {s}.records
WHERE tags && %(tags)s::text[] AND text <> '' LIMIT %(most)s""",
    "all": """
SELECT id FROM {s}.records WHERE id > %(after)s AND text <> '' ORDER BY id LIMIT 1000""",
    "note": "SELECT text FROM {s}.notes r WHERE id = %(id)s AND name = %(name)s AND {live}",
    "set_note": """
INSERT INTO {s}.notes (id, name, text, until) VALUES (%(id)s, %(name)s, %(text)s, {end})
ON CONFLICT (id, name) DO UPDATE SET text = excluded.text, until = excluded.until""",
    "unset_note": "DELETE FROM {s}.notes WHERE id = %(id)s AND name = %(name)s",
    # each login that begins clears away a few that were never finished
    "hold": """
WITH gone AS (DELETE FROM {s}.pending WHERE name IN (
  SELECT name FROM {s}.pending WHERE until < clock_timestamp() LIMIT 10 FOR UPDATE SKIP LOCKED)
  AND name <> %(name)s)
INSERT INTO {s}.pending (name, text, until) VALUES (%(name)s, %(text)s, {end})
ON CONFLICT (name) DO UPDATE SET text = excluded.text, until = excluded.until""",
    "pop": """
DELETE FROM {s}.pending WHERE name = %(name)s
RETURNING CASE WHEN until > clock_timestamp() THEN text END""",
}


class PostgresStorage(Shared):
    """Logins in PostgreSQL 12 or later, for any number of hosts; PgBouncer may be in between.

    url     `postgresql://`; its password is never shown
    pool    instead of a URL, a `psycopg_pool.ConnectionPool` of yours, with `autocommit`; behind
            PgBouncer with `prepare_threshold=None`
    key     what seals all of it: 32 bytes in base64, several with the newest first, or `Keys`;
            by default the keys of `MCP_CLIENT_AUTH_KEY` or `MCP_CLIENT_AUTH_KEY_FILE`
    schema  the schema of its tables: `create()` makes them, or a migration of yours with `ddl()`
    lease   seconds after which the work of a host that is gone is taken over: shorter than
            the time in which the authorization server forgives a repeated refresh token

    Safe from any thread. Needs the extra `postgres`. Raises `UsageError` before anything is
    connected if there is no key.

    Example:
        ```python
        from mcp_client_auth import MCPAuth, PostgresStorage


        def auth(key):  # the same key on every host
            storage = PostgresStorage("postgresql://app@db.example.com/app", key=key)
            return MCPAuth("https://mcp.example.com/mcp", account="robot", storage=storage)
        ```
    """

    engine: PostgresEngine

    def __init__(
        self,
        url: str = "",
        *,
        pool: psycopg_pool.ConnectionPool[Any] | None = None,
        key: Keys | Secret | str | Sequence[Secret | str] | None = None,
        schema: str = "mcp_client_auth",
        lease: float = LEASE,
    ) -> None:
        keys = Keys(key)
        plain = isinstance(schema, str) and schema.isascii() and schema.isidentifier()
        if not plain or schema != schema.lower() or len(schema) > _NAME:
            shown = quoted(f"{schema}", 80)
            raise UsageError(
                f"schema is a plain name in lower case, {_NAME} characters at most, not {shown}"
            )
        super().__init__(PostgresEngine(url, pool, schema), keys, lease)

    def create(self) -> None:
        """Make the schema and its tables if they are missing."""
        with self.leases.engine():
            self.engine.create()

    def ddl(self) -> str:
        """What `create()` runs, for a migration of yours."""
        return self.engine.ddl()


class PostgresEngine(Engine):
    """The steps of a `Shared` as statements."""

    name = "postgres"

    def __init__(
        self, url: str, pool: psycopg_pool.ConnectionPool[Any] | None, schema: str
    ) -> None:
        try:
            import psycopg
            import psycopg_pool
        except ImportError:
            raise UsageError(
                "PostgresStorage needs psycopg and its pool",
                hint="Install them with: pip install 'mcp-client-auth[postgres]' (and"
                " psycopg[binary] where there is no libpq)",
            ) from None
        if bool(url) == (pool is not None):
            raise UsageError("PostgresStorage takes a URL or a pool=")
        if pool is not None:
            require_client("pool", pool, psycopg_pool.ConnectionPool)
        self._psycopg, self._pools, self._schema = psycopg, psycopg_pool, schema
        self._url, self._given = Address(url), pool is not None
        self._statements = {
            name: text.format(s=schema, **_MORE) for name, text in _STATEMENTS.items()
        }
        self._opened = False
        self._unreached: Exception | None = None
        # the pool logs each attempt, and the error says it once; a program's own log still has it
        logging.getLogger("psycopg.pool").addHandler(_UNSEEN)
        if pool is None:
            self._connect()
        else:
            self._reach: Callable[[], psycopg_pool.ConnectionPool[Any]] = lambda: pool
            self.where = f"PostgreSQL ({schema})"

    @property
    def _pool(self) -> psycopg_pool.ConnectionPool[Any]:
        """Behind a function: it knows its password, which neither `vars` nor pickle may find."""
        return self._reach()

    def _connect(self) -> None:
        self._opened = False
        url = self._url.whole()
        if not url.startswith(_SCHEMES):
            raise UsageError(
                "this is not the URL of a PostgreSQL server",
                hint=f"Expected one that begins with {_SCHEMES[0]}",
            )
        try:
            parts = self._psycopg.conninfo.conninfo_to_dict(url)
        except self._psycopg.Error:  # its text may repeat the URL
            raise UsageError("this URL of a PostgreSQL cannot be read") from None
        tls = str(parts.get("sslmode")) in ("require", "verify-ca", "verify-full")
        hosts = f"{parts.get('hostaddr') or parts.get('host') or ''}".split(",")
        self.private = tls or all(map(is_near, hosts))
        host, port = parts.get("host") or "localhost", parts.get("port") or 5432
        self.where = f"PostgreSQL at {host}:{port} ({self._schema})"
        pool = self._pools.ConnectionPool(
            url,
            kwargs={name: value for name, value in _CONNECTION.items() if name not in parts},
            min_size=0,
            max_size=_CONNECTIONS,
            timeout=_ANSWERS,
            reconnect_timeout=_ANSWERS,  # otherwise its pauses grow far beyond an outage
            open=False,
            connection_class=self._told(),
        )
        self._reach = lambda: pool

    def _told(self) -> Any:
        """A class of connections that keeps why the last one could not be made: the pool only
        knows that it has waited."""
        engine: Any = self
        kind: Any = self._psycopg.Connection

        class Connection(kind):  # type: ignore[misc]
            @classmethod
            def connect(cls, *given: Any, **named: Any) -> Any:
                try:
                    made = super().connect(*given, **named)
                except engine._psycopg.Error as error:
                    engine._unreached = error
                    raise
                engine._unreached = None
                return made

        return Connection

    def reset(self) -> None:
        if not self._given:  # the caller's pool is theirs to replace
            self._connect()

    def close(self) -> None:
        if not self._given:
            self._pool.close()
            self._connect()

    def ddl(self) -> str:
        return _DDL.format(s=self._schema).strip()

    def create(self) -> None:
        with self._connection() as connection:
            leases = f"{self._schema}.leases"
            [before] = connection.execute("SELECT to_regclass(%s)", [leases]).fetchone()
            self._make(connection)
            if before is None:
                connection.execute(self._statements["none_yet"])

    def _make(self, connection: Any) -> None:
        """Retry if another host has just made the same: IF NOT EXISTS does not see that."""
        errors = self._psycopg.errors
        made = errors.UniqueViolation, errors.DuplicateSchema, errors.DuplicateTable
        for left in range(_MAKERS, -1, -1):
            try:
                connection.execute(self.ddl())
            except made:
                if not left:
                    raise
            else:
                return

    def get(self, id: str) -> Row:  # noqa: A002
        return _row(self._one("get", id=id))

    def get_many(self, ids: Sequence[str]) -> Sequence[Row]:
        return [_row(each) for each in self._all("many", ids=list(ids))]

    def put(
        self,
        id: str,  # noqa: A002
        text: str,
        expect: int,
        *,
        same: bool = False,
        owner: str = "",
        tags: Sequence[str] | None = None,
    ) -> Written:
        done, version, now = self._one(
            "put",
            id=id,
            text=text,
            expect=expect,
            same=same,
            owner=owner,
            tags=None if tags is None else list(tags),
        )
        return Written(bool(done), version, now)

    def drop(self, id: str, notes: Sequence[str], seconds: float) -> None:  # noqa: A002
        self._run("drop", id=id, notes=list(notes), seconds=seconds)

    def take(
        self,
        id: str,  # noqa: A002
        purpose: str,
        owner: str,
        seconds: float,
        least: float,
    ) -> Taken:
        ours, version = self._one(
            "take", id=id, purpose=purpose, owner=owner, seconds=seconds, least=least
        )
        return Taken(bool(ours), version)

    def extend(self, id: str, purpose: str, owner: str, seconds: float) -> bool:  # noqa: A002
        return bool(self._all("extend", id=id, purpose=purpose, owner=owner, seconds=seconds))

    def release(self, id: str, purpose: str, owner: str) -> None:  # noqa: A002
        self._run("release", id=id, purpose=purpose, owner=owner)

    def ids(self, tag: str) -> Iterable[str]:
        if tag:
            yield from (each[0] for each in self._all("ids", tag=tag))
            return
        after = ""
        while found := self._all("all", after=after):
            yield from (each[0] for each in found)
            after = found[-1][0]

    def tagged(self, tags: Sequence[str], most: int) -> Sequence[tuple[str, Row]] | None:
        found = self._all("tagged", tags=list(tags), most=most + 1)
        return None if len(found) > most else [(id, _row(row)) for id, *row in found]  # noqa: A001

    def note(self, id: str, name: str) -> str | None:  # noqa: A002
        return _text(self._all("note", id=id, name=name))

    def set_note(self, id: str, name: str, text: str, seconds: float | None) -> None:  # noqa: A002
        if text:
            self._run("set_note", id=id, name=name, text=text, seconds=seconds)
        else:
            self._run("unset_note", id=id, name=name)

    def hold(self, name: str, text: str, seconds: float) -> None:
        self._run("hold", name=name, text=text, seconds=seconds)

    def pop(self, name: str) -> str | None:
        return _text(self._all("pop", name=name))

    def fault(self, error: Exception) -> tuple[bool, str] | None:
        errors = self._psycopg.errors
        if not isinstance(error, self._psycopg.Error | OSError):
            return None
        if isinstance(error, self._pools.PoolTimeout):
            error = self._unreached or error
        missing = (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn)
        if isinstance(error, missing):
            made = f"{shell_command('store', 'create')} makes them, or create()"
            return False, f"the schema {self._schema} has no tables of ours; {made}"
        refused = (
            errors.InvalidPassword,
            errors.InvalidAuthorizationSpecification,
            errors.DiskFull,
        )
        passing = (
            self._psycopg.OperationalError,
            self._psycopg.InterfaceError,
            errors.ReadOnlySqlTransaction,
            errors.FeatureNotSupported,  # of a standby, which has no leases until it is promoted
            OSError,
        )
        return isinstance(error, passing) and not isinstance(error, refused), self._url.words(error)

    def warnings(self) -> Iterable[str]:
        with self._connection() as connection:
            found = connection.execute("SHOW fsync").fetchone()
            if found and found[0] == "off":
                yield "fsync is off: a crash may lose logins"

    def _connection(self) -> Any:
        if not (self._opened or self._given):
            self._pool.open()
            self._opened = True
        return self._pool.connection()

    def _all(self, statement: str, **values: Any) -> Sequence[Any]:
        found = self._executed(statement, values)
        return list(found.fetchall())

    def _one(self, statement: str, **values: Any) -> Any:
        return self._all(statement, **values)[0]

    def _run(self, statement: str, **values: Any) -> None:
        self._executed(statement, values)

    def _executed(self, statement: str, values: dict[str, Any]) -> Any:
        """Retry if connections of the pool turn out to have ended while they were idle, or if the
        database isolates more than it has to and has undone one of two steps."""
        undone = self._psycopg.errors.SerializationFailure, self._psycopg.errors.DeadlockDetected
        for left in range(self._pool.max_size, -1, -1):
            with self._connection() as connection:
                try:
                    with self._answering(connection):
                        return connection.execute(self._statements[statement], values)
                except self._psycopg.OperationalError as error:
                    if not left or not (connection.broken or isinstance(error, undone)):
                        raise
        raise TypeError("it is tried at least once")

    @contextmanager
    def _answering(self, connection: Any) -> Iterator[None]:
        """Give up a server that has accepted the connection and hangs, whoever made the pool: no
        time limit of the server's own ends that."""
        wait = connection.wait

        def limited(steps: Generator[Any, Any, Any], *more: Any, **named: Any) -> Any:
            return wait(_limited(steps, time.monotonic() + _ANSWERS), *more, **named)

        vars(connection)["wait"] = limited
        try:
            yield
        except TimeoutError:
            connection.close()
            raise self._psycopg.OperationalError(f"no answer within {_ANSWERS:g} s") from None
        finally:
            vars(connection).pop("wait", None)


def _limited(steps: Generator[Any, Any, Any], end: float) -> Generator[Any, Any, Any]:
    """The steps of a query until `end`; psycopg resumes with nothing at each interval."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                raise TimeoutError
            wanted = steps.send(ready)
    except StopIteration as done:
        return done.value


def _row(found: Sequence[Any]) -> Row:
    version, text, now = found
    return Row(version or 0, text or "", now)


def _text(found: Sequence[Any]) -> str | None:
    return found[0][0] if found else None
