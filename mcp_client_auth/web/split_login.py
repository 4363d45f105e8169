"""`begin_login()` and `finish_login()`: a login whose person returns to the caller's own page.

Nothing waits in between, and another process may finish what this one has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, TypeAlias

from ..adapters.httpx import MCPAuth
from ..api import Login
from ..errors import AuthError, AuthorizationDenied, InsecureUrl, LoginFailed, UsageError
from ..grants.pending import PendingLogin, not_this_login
from ..origin import is_loopback, split
from ..paths import record_id
from ..protocol.redirects import AppRedirect
from ..secret import quoted
from ..session.audit import audit, refused
from ..session.open import Arguments, open_session, require_usable
from ..session.single_flight import cancellable
from ..session.split_login import accept
from ..transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..adapters.authorizer import OnFailure
    from ..events import Listener
    from ..protocol.flow import Transport
    from ..protocol.options import Options
    from ..protocol.registration import Identity
    from ..storage import Storage

# Hosts, or a function that is given the server's URL.
PrivateServers: TypeAlias = Callable[[str], bool] | Collection[str]
Hold: TypeAlias = Callable[[PendingLogin, float], object]  # the seconds that it is to be kept


class AppAuth(MCPAuth):
    """A login for which an application sends its user to sign in."""

    opening = staticmethod(partial(open_session, by_application=True))


def begin_login(
    url: str,
    *,
    redirect_uri: str,
    account: str = "default",
    client: Identity = None,
    scope: str | Sequence[str] | None = None,
    storage: Storage | str | None = None,
    options: Options | None = None,
    allow_private_servers: PrivateServers = (),
    on_event: Listener | None = None,
    transport: Transport | None = None,
) -> PendingLogin:
    """Begin to log `account` in to the MCP server at `url`: send the browser to the `url` of what
    is returned, and pass the response to `finish_login`.

    `redirect_uri`: the page of your application that gets the response, https (or http on
    loopback); `{issuer}` in its path makes it a page for each authorization server. `storage`:
    where the login will be kept; if given here, the login can be finished only once.
    The server must be https at a public address, unless its host is among
    `allow_private_servers` or that function allows its URL. Raises any `AuthError`.

    Example:
        ```python
        from mcp_client_auth import begin_login


        def start(user: str) -> str:
            pending = begin_login(
                "https://mcp.example.com/mcp",
                redirect_uri="https://app.example.com/callback",
                account=user,
            )
            # keep `pending` where the page of the callback finds it, by pending.state
            return pending.url  # send the browser there
        ```
    """
    arguments = Arguments(
        account=account,
        client=client,
        scope=scope,
        storage=storage,
        options=options,
        on_event=on_event,
        transport=transport,
    )
    return begun(url, AppRedirect(redirect_uri), allow_private_servers, arguments)


def finish_login(
    pending: PendingLogin,
    callback_url: str,
    *,
    binding: str | None,
    client: Identity = None,
    storage: Storage | str | None = None,
    on_failure: OnFailure = "raise",
    on_event: Listener | None = None,
    transport: Transport | None = None,
) -> Login:
    """Finish a login with the response that has arrived at `callback_url`, and store it.

    `binding`: what the cookie holds that was set when the login began. `storage`: the one of
    `begin_login`, if this is another process; `client` too, if it signs with a key. Raises
    `Untrusted` (code "not_this_login") for another browser, login or response, `LoginFailed`
    (code "expired" or "spent"), and any `AuthError`.

    Example:
        ```python
        from mcp_client_auth import Login, PendingLogin, finish_login


        def callback(pending: PendingLogin, url: str, cookie: str | None) -> Login:
            # checks the cookie, state and iss, and keeps the login
            return finish_login(pending, url, binding=cookie)
        ```
    """
    if not isinstance(pending, PendingLogin):
        raise UsageError(
            f"pending is of the type {type(pending).__name__}",
            hint="Expected what begin_login() has returned, or PendingLogin.unseal(…)",
        )
    arguments = Arguments(
        client=client, storage=storage, on_event=on_event, transport=transport, prompt=None
    )
    auth, pending = opened(pending, arguments, on_failure)
    ports, name, key = auth.session.ports, name_of(pending.account, pending.state), auth.session.key
    with refusals_told(ports.storage, on_event, pending.account, key.server):
        require_browser(pending, binding)
        try:
            code = accept(pending, callback_url, ports.clock())
        except AuthorizationDenied:
            if pending.once:
                ports.storage.pop(name)
            raise
        if pending.once and ports.storage.pop(name) is None:
            raise spent(key.server)
        return Login(auth, auth.session.finish_login(pending, code))


async def abegin_login(
    url: str,
    *,
    redirect_uri: str,
    account: str = "default",
    client: Identity = None,
    scope: str | Sequence[str] | None = None,
    storage: Storage | str | None = None,
    options: Options | None = None,
    allow_private_servers: PrivateServers = (),
    on_event: Listener | None = None,
    transport: Transport | None = None,
) -> PendingLogin:
    """`begin_login` for a running event loop, which it does not block.

    Example:
        ```python
        from mcp_client_auth import abegin_login


        async def start(user: str) -> str:
            pending = await abegin_login(
                "https://mcp.example.com/mcp",
                redirect_uri="https://app.example.com/callback",
                account=user,
            )
            # keep `pending` where the page of the callback finds it, by pending.state
            return pending.url  # send the browser there
        ```
    """
    return await cancellable(
        "begin",
        lambda caller: begin_login(
            url,
            redirect_uri=redirect_uri,
            account=account,
            client=client,
            scope=scope,
            storage=storage,
            options=options,
            allow_private_servers=allow_private_servers,
            on_event=on_event,
            transport=transport,
        ),
    )


async def afinish_login(
    pending: PendingLogin,
    callback_url: str,
    *,
    binding: str | None,
    client: Identity = None,
    storage: Storage | str | None = None,
    on_failure: OnFailure = "raise",
    on_event: Listener | None = None,
    transport: Transport | None = None,
) -> Login:
    """`finish_login` for a running event loop. Cancellation does not undo what was sent.

    Example:
        ```python
        from mcp_client_auth import Login, PendingLogin, afinish_login


        async def callback(pending: PendingLogin, url: str, cookie: str | None) -> Login:
            # checks the cookie, state and iss, and keeps the login
            return await afinish_login(pending, url, binding=cookie)
        ```
    """
    return await cancellable(
        "finish",
        lambda caller: finish_login(
            pending,
            callback_url,
            binding=binding,
            client=client,
            storage=storage,
            on_failure=on_failure,
            on_event=on_event,
            transport=transport,
        ),
    )


def begun(
    url: str,
    redirect: AppRedirect,
    private: PrivateServers,
    arguments: Arguments,
    hold: Hold | None = None,
) -> PendingLogin:
    """Begin a login: steps 1 to 9. `hold` keeps it; otherwise a storage that was named notes that
    it may be finished."""
    require_usable("begin_login", url, arguments)
    public_only = not is_private(url, private)
    if public_only:
        require_public(url)
    session = guarded(url, arguments, public_only=public_only).session
    storage = arguments.get("storage")
    pending = replace(
        session.begin_login(redirect),
        public_only=public_only,
        once=hold is not None or storage is not None,
        storage=storage,
    )
    if pending.once:
        keep = hold or (lambda pending, seconds: _note(session.ports.storage, pending, seconds))
        keep(pending, pending.expires_at - session.ports.clock())
    audit(session.config, session.ports, "begin")
    return pending


def opened(
    pending: PendingLogin, arguments: Arguments, on_failure: OnFailure = "raise"
) -> tuple[MCPAuth, PendingLogin]:
    """The login that is about to be finished, and `pending` with the client that was passed."""
    config, kept_in, own = pending.config, arguments.get("storage"), arguments.get("client")
    if own is not None:
        used = pending.request.client
        instead = used.kind == "dynamic" and not own.registered_id  # instead of a document
        if own.client_id != used.client_id and not instead:
            raise UsageError(
                f"the login was begun with the client {quoted(used.client_id)}",
                hint="Pass the same one, or none",
            )
        config = replace(config, identity=own)
    kept_in = pending.storage if kept_in is None else kept_in
    if pending.once and kept_in is None:
        raise UsageError(
            "the login was begun with a storage of its own", hint="Pass the same one: storage=…"
        )
    key, identity = config.key, config.identity
    # a client that was taken from an earlier login has no login of its own
    mine = identity is not None and identity.registered_id == key.client
    given: Arguments = {
        **arguments,
        "account": key.account,
        "client": identity if mine else None,
        "scope": config.scope,
        "storage": kept_in,
        "options": config.options,
    }
    auth = guarded(config.server_url, given, on_failure, public_only=pending.public_only)
    return auth, replace(pending, config=config)


def guarded(
    url: str, arguments: Arguments, on_failure: OnFailure = "raise", *, public_only: bool
) -> MCPAuth:
    """A login that asks no one; if `public_only`, its own requests go to public addresses only."""
    given: Arguments = {**arguments, "prompt": None}
    transport = given.get("transport")
    if transport is None:
        transport = HttpTransport(url, given.get("options"))
    if public_only and isinstance(transport, HttpTransport):  # made for a proxy or authorities
        transport = transport.to_public_only()
    given["transport"] = transport
    return AppAuth(url, on_failure=on_failure, **given)


def require_browser(pending: PendingLogin, binding: object) -> None:
    if not pending.is_bound_to(binding):
        raise not_this_login("the browser is not the one that it began in")


@contextmanager
def refusals_told(
    storage: Storage, listener: Listener | None, account: str, server: str = ""
) -> Iterator[None]:
    """Tell of each response that finishes no login as an event; `server`: whose it is, if known."""
    try:
        yield
    except AuthError as error:
        refused(storage, listener, server or error.server, account, error)
        raise


def is_private(url: str, allowed: PrivateServers) -> bool:
    """Whether the application has said that this server may be at a private address."""
    if callable(allowed):
        answer = allowed(url)
        if not isinstance(answer, bool):  # a coroutine is true: it would allow all of them
            raise UsageError(
                f"allow_private_servers has answered with a {type(answer).__name__}",
                hint="Expected a function, not a coroutine function, that returns True or False",
            )
        return answer
    listed = isinstance(allowed, Collection) and not isinstance(allowed, str)
    if not (listed and all(isinstance(host, str) for host in allowed)):
        raise UsageError(
            "allow_private_servers is not a list of hosts",
            hint='Expected hosts, such as ["mcp.corp.example"], or a function that is given the'
            " server's URL",
        )
    for host in allowed:
        if not _is_host(host):
            raise UsageError(
                f"allow_private_servers has {quoted(host, 60)} in it, which is not a host",
                hint="Expected a name or an address alone, without scheme, port or pattern",
            )
    try:
        return split(url.strip()).hostname in {host.lower() for host in allowed}
    except ValueError:
        return False  # what is wrong with the URL is reported where it is used


def _is_host(name: str) -> bool:
    """Whether the host of a URL may equal this."""
    try:
        if ":" in name:
            return bool(IPv6Address(name))
        return "*" not in name and split(f"https://{name}/").hostname == name.lower()
    except ValueError:
        return False


def require_public(url: str) -> None:
    """Raise `InsecureUrl` for a server that cannot be a public one; the addresses of a name are
    checked when they are connected to."""
    try:
        parts = split(url.strip())
        local = is_loopback(url.strip())
    except ValueError:
        return
    if parts.scheme == "https" and not local:
        return
    raise InsecureUrl(
        "the server is not https at a public address, which is all that is taken from a user",
        url=url,
        code="private_server",
        hint="If your users may name it, pass its host: allow_private_servers=[…]",
    )


def name_of(account: str, state: str) -> str:
    """The name under which an unfinished login is held: no other account finds it."""
    return record_id("pending", account, state)


def spent(server: str = "", why: str = "has been finished already") -> LoginFailed:
    return LoginFailed(
        f"this sign-in {why}",
        code="spent",
        server=server,
        hint="If you are not logged in, start the login again",
    )


def _note(storage: Storage, pending: PendingLogin, seconds: float) -> None:
    storage.hold(name_of(pending.account, pending.state), "begun", seconds)
