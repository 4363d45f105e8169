"""`RedisStorage`: Redis or Valkey. Each step is one script, which runs there as a whole.

The braces around an id keep all that belongs to one login in one slot of a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError
from ..secret import Secret, quoted
from .engine import Address, Engine, Row, Taken, Written, require_client
from .keys import Keys
from .shared import LEASE, Shared

if TYPE_CHECKING:
    import redis

_SCHEMES: Final = ("redis://", "rediss://", "unix://")
_CONNECTIONS: Final = 40
_ANSWERS: Final = 3.0  # s; a call may take twice that, as it is tried once more
_REPLICATED: Final = 1000  # ms
_BATCH: Final = 1000
_NOT_ALLOWED: Final = "The user executing the script can't"

_TIME: Final = """
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', t[2])
local function digits(n) return string.format('%.0f', n) end
"""
_GET: Final = f"""{_TIME}
local r = redis.call('HMGET', KEYS[1], 'v', 't')
return {{r[1] or '0', r[2] or '', now}}
"""
# the keys are tags; then the beginning and end of a record's key, and how many ids at most
_TAGGED: Final = f"""{_TIME}
local found, seen, most = {{}}, {{}}, tonumber(ARGV[3])
for _, tag in ipairs(KEYS) do
  if redis.call('SCARD', tag) > most then return {{}} end
  for _, id in ipairs(redis.call('SMEMBERS', tag)) do
    if not seen[id] then
      seen[id] = true
      local r = redis.call('HMGET', ARGV[1] .. id .. ARGV[2], 'v', 't')
      found[#found + 1] = {{id, r[1] or '0', r[2] or '', now}}
    end
  end
end
return {{found}}
"""
# text, expect, same, owner, tags or '-'
_PUT: Final = f"""{_TIME}
local had = redis.call('HMGET', KEYS[1], 'v', 'g')
local version, expect = tonumber(had[1] or '0'), tonumber(ARGV[2])
if version > expect then return {{0, digits(version), now, ''}} end
if ARGV[4] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[4] then
  return {{0, digits(version), now, ''}}
end
if ARGV[3] ~= '1' or expect == 0 then
  expect = math.max(expect + 1, tonumber(t[1]) * 1000000 + tonumber(t[2]))
end
redis.call('HSET', KEYS[1], 'v', digits(expect), 't', ARGV[1])
if ARGV[5] ~= '-' then redis.call('HSET', KEYS[1], 'g', ARGV[5]) end
redis.call('PERSIST', KEYS[1])
return {{1, digits(expect), now, had[2] or ''}}
"""
# a time in ms; the keys after the first are those of the notes
_DROP: Final = f"""{_TIME}
local had = redis.call('HMGET', KEYS[1], 'v', 'g')
local version = math.max(
  tonumber(had[1] or '0') + 1, tonumber(t[1]) * 1000000 + tonumber(t[2]))
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'v', digits(version), 't', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return had[2] or ''
"""
# owner, ms, least uptime
_TAKE: Final = """
local version = redis.call('HGET', KEYS[1], 'v') or '0'
local holder = redis.call('GET', KEYS[2])
if holder == ARGV[1] then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return {1, version}
end
if holder or ARGV[3] == 'inf' then return {0, version} end
local up = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
if up and tonumber(up) < tonumber(ARGV[3]) then return {0, version} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {1, version}
"""
_EXTEND: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisStorage(Shared):
    """Logins in Redis 6.2 or later, or Valkey, for any number of hosts.

    url        `redis://`, `rediss://` (TLS) or `unix://`; its password is never shown
    client     instead of a URL, a client of yours: for Sentinel, a cluster, or a pool of your own
    key        what seals all of it: 32 bytes in base64, several with the newest first, or `Keys`;
               by default the keys of `MCP_CLIENT_AUTH_KEY` or `MCP_CLIENT_AUTH_KEY_FILE`
    namespace  the beginning of every name there
    lease      seconds after which the work of a host that is gone is taken over: shorter than
               the time in which the authorization server forgives a repeated refresh token
    replicas   how many replicas must have a write before it counts

    The server needs `maxmemory-policy noeviction`, and should write to disk (`appendonly yes`).
    Safe from any thread. Needs the extra `redis`. Raises `UsageError` before anything is connected
    if there is no key.

    Example:
        ```python
        from mcp_client_auth import MCPAuth, RedisStorage


        def auth(key):  # the same key on every host
            storage = RedisStorage("rediss://cache.example.com:6379", key=key)
            return MCPAuth("https://mcp.example.com/mcp", account="robot", storage=storage)
        ```
    """

    def __init__(
        self,
        url: str = "",
        *,
        client: redis.Redis | redis.RedisCluster | None = None,
        key: Keys | Secret | str | Sequence[Secret | str] | None = None,
        namespace: str = "mcp-client-auth",
        lease: float = LEASE,
        replicas: int = 0,
    ) -> None:
        keys = Keys(key)
        word = isinstance(namespace, str) and namespace.isprintable()
        if not (namespace and word) or set(namespace) & set("{}*?[]\\ "):
            shown = quoted(f"{namespace}", 60)
            raise UsageError(f"namespace is a word without {{}}*?[]\\, not {shown}")
        if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
            raise UsageError(f"replicas is a number of them, not {quoted(f'{replicas}', 60)}")
        super().__init__(RedisEngine(url, client, namespace, replicas), keys, lease)


class RedisEngine(Engine):
    """The steps of a `Shared` as scripts."""

    name = "redis"

    def __init__(
        self,
        url: str,
        client: redis.Redis | redis.RedisCluster | None,
        namespace: str,
        replicas: int,
    ) -> None:
        try:
            import redis
            import redis.backoff
            import redis.retry
        except ImportError:
            raise UsageError(
                "RedisStorage needs redis-py",
                hint="Install it with: pip install 'mcp-client-auth[redis]'",
            ) from None
        if bool(url) == (client is not None):
            raise UsageError("RedisStorage takes a URL or a client=")
        if client is not None:
            require_client("client", client, redis.Redis, redis.RedisCluster)
        self._redis, self._url, self._given = redis, Address(url), client is not None
        self._namespace, self._replicas = namespace, replicas
        if client is None:
            self._connect()
        else:
            self._reach: Callable[[], Any] = lambda: client
            self.where = f"Redis ({namespace})"

    @property
    def _client(self) -> Any:
        """Behind a function: it knows its password, which neither `vars` nor pickle may find."""
        return self._reach()

    def _connect(self) -> None:
        url = self._url.whole()
        if not url.startswith(_SCHEMES):
            raise UsageError(
                "this is not the URL of a Redis server",
                hint=f"Expected one that begins with {_SCHEMES[1]}",
            )
        try:
            pool = self._redis.BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=_ANSWERS,
                socket_timeout=_ANSWERS,
                socket_connect_timeout=_ANSWERS,
                health_check_interval=30,
                retry=self._redis.retry.Retry(
                    self._redis.backoff.NoBackoff(), 1
                ),  # it may have ended while it was idle
                decode_responses=True,
            )
        except Exception:  # its text may repeat the URL
            raise UsageError("this URL of a Redis cannot be read") from None
        self.private = self._url.near or not url.startswith(_SCHEMES[0])
        client = self._redis.Redis(connection_pool=pool)
        self._reach = lambda: client
        at = pool.connection_kwargs
        place = at.get("path") or f"{at.get('host', 'localhost')}:{at.get('port', 6379)}"
        self.where = f"Redis at {place} ({self._namespace})"

    def reset(self) -> None:
        if not self._given:  # a client of the caller's handles that itself
            self._connect()

    def close(self) -> None:
        if not self._given:
            self._client.connection_pool.disconnect()

    @property
    def _in_slots(self) -> bool:
        """Whether it is a cluster, where no script sees more than one login."""
        return not isinstance(self._client, self._redis.Redis)

    def get(self, id: str) -> Row:  # noqa: A002
        return _row(self._run(_GET, [self._record(id)]))

    def get_many(self, ids: Sequence[str]) -> Sequence[Row]:
        if self._in_slots:  # each by itself
            return [self.get(id) for id in ids]  # noqa: A001
        with self._client.pipeline(transaction=False) as pipe:
            for id in ids:  # noqa: A001
                pipe.eval(_GET, 1, self._record(id))
            return [_row(answer) for answer in pipe.execute()]

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
        if tags:  # before the record: a crash leaves an id without a record, never the reverse
            for tag in tags:
                self._client.sadd(self._tag(tag), id)
        keys = [self._record(id), self._lease(id, "refresh")]
        marks = "-" if tags is None else " ".join(tags)
        answer = self._run(
            _PUT, keys, text, expect, int(same), owner, marks, replicas=self._replicas
        )
        done, version, now, before = _texts(answer)
        if done == "1" and tags is not None:
            self._untag(id, set(before.split()) - set(tags))
        return Written(done == "1", int(version), float(now))

    def drop(self, id: str, notes: Sequence[str], seconds: float) -> None:  # noqa: A002
        keys = [self._record(id), *(self._note(id, name) for name in notes)]
        before = _text(self._run(_DROP, keys, int(seconds * 1000), replicas=self._replicas))
        self._untag(id, before.split())

    def take(
        self,
        id: str,  # noqa: A002
        purpose: str,
        owner: str,
        seconds: float,
        least: float,
    ) -> Taken:
        keys = [self._record(id), self._lease(id, purpose)]
        ours, version = _texts(self._run(_TAKE, keys, owner, int(seconds * 1000), least))
        return Taken(ours == "1", int(version))

    def extend(self, id: str, purpose: str, owner: str, seconds: float) -> bool:  # noqa: A002
        return bool(self._run(_EXTEND, [self._lease(id, purpose)], owner, int(seconds * 1000)))

    def release(self, id: str, purpose: str, owner: str) -> None:  # noqa: A002
        self._run(_RELEASE, [self._lease(id, purpose)], owner)

    def ids(self, tag: str) -> Iterable[str]:
        if tag:
            return map(_text, self._client.sscan_iter(self._tag(tag), count=_BATCH))
        start, end = self._around
        found = self._client.scan_iter(match=f"{start}*{end}", count=_BATCH)
        return (_text(name).removeprefix(start).removesuffix(end) for name in found)

    def tagged(self, tags: Sequence[str], most: int) -> Sequence[tuple[str, Row]] | None:
        if self._in_slots:
            return None
        keys, around = [self._tag(tag) for tag in tags], self._around
        found = self._run(_TAGGED, keys, *around, most)
        return [(_text(id), _row(row)) for id, *row in found[0]] if found else None  # noqa: A001

    def note(self, id: str, name: str) -> str | None:  # noqa: A002
        kept = self._client.get(self._note(id, name))
        return None if kept is None else _text(kept)

    def set_note(self, id: str, name: str, text: str, seconds: float | None) -> None:  # noqa: A002
        if text:
            ms = None if seconds is None else max(int(seconds * 1000), 1)
            self._client.set(self._note(id, name), text, px=ms)
        else:
            self._client.delete(self._note(id, name))

    def hold(self, name: str, text: str, seconds: float) -> None:
        self._client.set(f"{self._namespace}:p:{name}", text, px=max(int(seconds * 1000), 1))

    def pop(self, name: str) -> str | None:
        kept = self._client.getdel(f"{self._namespace}:p:{name}")
        return None if kept is None else _text(kept)

    def fault(self, error: Exception) -> tuple[bool, str] | None:
        errors = self._redis.exceptions
        whole = errors.RedisClusterException  # no node of it answers; not a RedisError
        if not isinstance(error, (errors.RedisError, whole, OSError)):
            return None
        if isinstance(error, errors.NoPermissionError) or _NOT_ALLOWED in f"{error}":
            rights = f"~{self._namespace}:* +@all -@dangerous +info"
            return False, f"{self._url.words(error)}; its user needs the rights {rights}"
        refused = (errors.AuthenticationError, errors.AuthorizationError)
        passing = (
            *(errors.ConnectionError, errors.TimeoutError, errors.ReadOnlyError, OSError),
            *(whole, errors.ClusterError, errors.MasterDownError, errors.TryAgainError),
        )
        return isinstance(error, passing) and not isinstance(error, refused), self._url.words(error)

    def warnings(self) -> Iterable[str]:
        client, errors = self._client, self._redis.exceptions
        if self._in_slots:
            return  # a cluster, each node of which has settings of its own
        info = client.info()
        if info.get("maxmemory_policy", "noeviction") != "noeviction":
            yield f"maxmemory-policy is {info['maxmemory_policy']}: logins may vanish (noeviction)"
        try:
            saves = client.config_get("save").get("save", "")
        except errors.RedisError:  # a hosting provider may not tell
            saves = "?"
        if not int(info.get("aof_enabled", 0)) and not saves:
            yield "nothing is written to disk: a restart loses every login (appendonly yes)"
        if int(info.get("connected_slaves", 0)) and not self._replicas:
            yield "it has replicas that no write waits for: a failover may lose the last ones"

    def _run(self, script: str, keys: Sequence[str], *values: Any, replicas: int = 0) -> Any:
        if not replicas:
            return self._client.eval(script, len(keys), *keys, *values)
        with self._client.pipeline(transaction=False) as pipe:  # WAIT counts per connection
            pipe.eval(script, len(keys), *keys, *values)
            pipe.wait(replicas, _REPLICATED)
            answer, have = pipe.execute()
        if have < replicas:
            raise self._redis.exceptions.ConnectionError(
                f"{have} of {replicas} replicas have confirmed a write"
            )
        return answer

    def _untag(self, id: str, tags: Iterable[str]) -> None:  # noqa: A002
        for tag in tags:
            self._client.srem(self._tag(tag), id)

    @property
    def _around(self) -> tuple[str, str]:
        return f"{self._namespace}:{{", "}:r"

    def _record(self, id: str) -> str:  # noqa: A002
        return id.join(self._around)

    def _lease(self, id: str, purpose: str) -> str:  # noqa: A002
        return f"{self._namespace}:{{{id}}}:l:{purpose}"

    def _note(self, id: str, name: str) -> str:  # noqa: A002
        return f"{self._namespace}:{{{id}}}:n:{name}"

    def _tag(self, tag: str) -> str:
        return f"{self._namespace}:u:{tag}"


def _row(answer: Any) -> Row:
    version, text, now = _texts(answer)
    return Row(int(version), text, float(now))


def _texts(answer: Any) -> Sequence[str]:
    return [_text(each) for each in answer]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
