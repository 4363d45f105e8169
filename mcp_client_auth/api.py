"""`login()` for a script or a notebook: one call, and an object that makes requests."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar, Unpack

from .adapters.authorizer import NOT_PICKLED
from .adapters.httpx import MCPAuth
from .credential import Credential
from .errors import AuthError, UsageError
from .origin import is_loopback
from .prompt.base import Prompt
from .secret import MaskedText
from .session.open import (
    Arguments,
    automatic_prompt,
    open_session,
    require_usable,
    shows_arguments,
)
from .session.single_flight import cancellable
from .threads import Cancel, fresh_in_children, interruptible

if TYPE_CHECKING:
    from datetime import datetime

    import httpx

    from .adapters.authorizer import OnFailure
    from .adapters.rpc import Reply
    from .events import Event, Listener
    from .grants.base import Grant
    from .mcp import Connection, Tool, ToolResult, Tools
    from .prompt.notebook import Output
    from .protocol.registration import Identity
    from .protocol.scopes import Scopes
    from .session.logout import LoggedOut
    from .storage import Storage

T = TypeVar("T")
# Arguments that imply an authorization server; a token issued by hand has none.
_OF_A_SIGN_IN: Final = ("client", "grant", "scope", "prompt")
_OF_ITS_OPTIONS: Final = ("issuer", "dpop", "resource", "endpoints", "metadata_url")


class Login:
    """A login in use. Its repr names server, account, scopes and expiry, no secret.

    Example:
        ```python
        from mcp_client_auth import login

        with login("https://mcp.example.com/mcp") as me:
            print(me.server, me.scope, me.expires_at)
            print([tool.name for tool in me.tools()])
            with me.client() as http:  # an httpx.Client that is logged in
                print(http.get(me.url).status_code)
        ```
    """

    def __init__(self, auth: MCPAuth, credential: Credential) -> None:
        self.auth = auth
        self._credential = credential
        self._mcp = _Mcp(self)

    @classmethod
    def of(
        cls,
        auth: MCPAuth,
        *,
        force: bool = False,
        caller: Cancel | None = None,
        output: Output | None = None,
    ) -> Self:
        """The result of `auth.login()`; the login ends when `caller` is cancelled."""
        session = auth.session
        if auth.automatic:
            output = _notebook_output()
            prompt = _talking_prompt(session.config.grant, output)
            listener = _with_a_line_for_waiting(session.ports.on_event, output)
            session = session.asking(prompt, listener)
        with interruptible():
            login = cls(auth, session.log_in(force=force, caller=caller))
        if output:
            output.show_login(login.credential)
        return login

    @property
    def url(self) -> str:
        """Where requests to the server go: to its URL, or to where its redirects have led."""
        return self.credential.endpoint(self.auth.session.config.server_url)

    @property
    def credential(self) -> Credential:
        """The credential as it was when it was last read."""
        return self.auth.session.current() or self._credential

    @property
    def server(self) -> str:
        """The MCP server that this login is for."""
        return self._credential.key.server

    @property
    def scope(self) -> Scopes | None:
        """The scopes that were granted; None if the server does not say."""
        return self.credential.tokens.scope

    @property
    def expires_at(self) -> datetime | None:
        """When the access token expires, in UTC; None if the server does not say."""
        from datetime import UTC, datetime

        end = self.credential.tokens.expires_at
        return None if end is None else datetime.fromtimestamp(end, UTC)

    def client(self, **arguments: Any) -> httpx.Client:
        """An `httpx.Client` that is logged in; `arguments` are httpx's.

        For a server on this machine it ignores the environment's proxies.
        """
        import httpx

        return httpx.Client(auth=self.auth, **self._guarded(self._direct(arguments)))

    def async_client(self, **arguments: Any) -> httpx.AsyncClient:
        import httpx

        given = self._guarded(self._direct(arguments), asynchronous=True)
        return httpx.AsyncClient(auth=self.auth, **given)

    def _direct(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not is_loopback(self.url) or "trust_env" in arguments:
            return arguments
        from .transport.tls import tls_context

        verify = arguments.get("verify", True)
        if verify is True and self.url.startswith("https"):
            verify = tls_context(verify, None)
        return {**arguments, "trust_env": False, "verify": verify}

    def _guarded(self, arguments: dict[str, Any], *, asynchronous: bool = False) -> dict[str, Any]:
        """Restrict it to public addresses if a user of an application has named the server; not
        through a proxy, because only the proxy knows the addresses."""
        session = self.auth.session
        if "transport" in arguments or not getattr(session.ports.transport, "public_only", False):
            return arguments
        from .transport.addresses import Addresses
        from .transport.pools import environment_proxy
        from .transport.tls import tls_context

        proxies = arguments.get("trust_env", True) and environment_proxy(self.url)
        if proxies or {"proxy", "mounts"} & arguments.keys():
            return arguments
        verify = arguments.get("verify", True)
        if verify is False:
            import httpx

            verify = httpx.create_ssl_context(verify=False)
        context = tls_context(verify, None)
        policy = Addresses(self.server, session.config.options, public_only=True)
        if asynchronous:
            from .transport.guarded import GuardedTransport

            return {**arguments, "transport": GuardedTransport(context, policy)}
        from .transport.racing import RacingTransport

        return {**arguments, "transport": RacingTransport(context, policy)}

    def token(self, *, min_valid: float = 30.0) -> str:
        """An access token that is valid for at least `min_valid` seconds, refreshed if needed.

        Its repr is masked, because a notebook stores what a cell ends with.
        """
        return MaskedText(self.auth.session.fresh(min_valid).tokens.access_token.reveal())

    def headers(self, method: str = "", url: str = "") -> dict[str, str]:
        """The `Authorization` header for any other HTTP client, and those of `Options.headers`.

        A token that is bound to a key (DPoP) is sent with a proof for one request, so name the
        request, and get new headers for each one. Raises `UsageError` if it is not named. The
        repr of a value is masked.
        """
        session = self.auth.session
        signer = session.ports.token_signer(session.fresh(30.0))
        if signer.dpop and not (method and session.config.server_url.covers(url)):
            raise UsageError(
                "this login is bound to a key (DPoP), so there are no headers for just any request",
                url=self.url,
                hint="Use client() or async_client(), or name each request to this server:"
                " headers(method, url)",
            )
        headers = signer.headers(method.upper(), url) | dict(self.auth.gateway(url or self.url))
        return {name: MaskedText(value) for name, value in headers.items()}

    def tools(self) -> list[Tool]:
        """The server's tools, listed on each call; name, description and schema are its words."""
        return self._mcp.use(lambda tools: tools.list())

    def call(self, tool: str, /, **arguments: Any) -> ToolResult:
        """Call a tool and wait for its result, five minutes at most.

        A result has `text`, `structured` and `is_error`. Raises `UsageError` for an unknown tool,
        `mcp_client_auth.mcp.ServerError` if the server refuses the call, or any `AuthError`.
        """
        return self._mcp.use(lambda tools: tools.call(tool, arguments))

    async def atools(self) -> list[Tool]:
        """`tools` for a running event loop."""
        return await cancellable("tools", lambda caller: self.tools())

    async def acall(self, tool: str, /, **arguments: Any) -> ToolResult:
        """`call` for a running event loop. Cancellation does not stop the server's work."""
        return await cancellable("call", lambda caller: self.call(tool, **arguments))

    def logout(self, *, local: bool = False) -> LoggedOut:
        """Delete the login stored here, then end it at the authorization server unless `local`."""
        return self.auth.session.log_out(local=local)

    def close(self) -> None:
        self._mcp.close()
        self.auth.close()

    async def aclose(self) -> None:
        """`close` for a running event loop: ending a session would block it."""
        await cancellable("close", lambda caller: self.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(NOT_PICKLED.format(type(self).__name__))

    def __repr__(self) -> str:
        key, tokens = self._credential.key, self.credential.tokens
        end = self.expires_at
        until = end and f"{end:%Y-%m-%d %H:%M:%S} UTC"
        return (
            f"Login(server={key.server!r}, account={key.account!r}, scope={tokens.scope!r},"
            f" expires_at={until!r})"
        )

    def _repr_html_(self) -> str:
        from .prompt.notebook import table

        return table(self.credential)


class _Mcp:
    """The tools of a login, over one connection that is kept until the login is closed."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self._turn = threading.Lock()
        self._open: tuple[httpx.Client, Connection, Tools] | None = None

    def use(self, work: Callable[[Tools], T]) -> T:
        from .mcp import Connection, Tools

        with self._turn:
            if self._open is None:
                client = self._login.client(timeout=None)
                client.auth = _Raising(self._login.auth)
                connection = Connection(client, self._login.url)
                self._open = client, connection, Tools(connection)
            _, _, tools = self._open
        try:
            return work(tools)
        except KeyboardInterrupt:  # the person will not sign in for this call
            self._login.auth.close()
            raise

    def close(self) -> None:
        with self._turn:
            was_open, self._open = self._open, None
        if was_open:
            client, connection, _ = was_open
            connection.close()
            client.close()


class _Raising(MCPAuth):
    """A copy of an `MCPAuth` that raises the error behind a refusal, in the request's thread."""

    def __init__(self, other: MCPAuth) -> None:
        vars(self).update(vars(other), _on_failure="raise")

    def instead(
        self, failure: AuthError | None, status: int, method: str, body: bytes
    ) -> Reply | None:
        if failure is not None:
            raise failure.fresh()
        return None


@shows_arguments
def login(
    url: str,
    *,
    force: bool = False,
    token: str | None = None,
    on_failure: OnFailure = "raise",
    **arguments: Unpack[Arguments],
) -> Login:
    """Log in to the MCP server at `url`, at once if a stored login will do (`force`: never).

    `token`: one that an operator issued by hand, for a server without OAuth; it is stored if
    the server accepts it. The other arguments are those of `MCPAuth`; `on_failure` applies to
    requests made with the login, not to logging in. The sign-in URL is printed to stderr as well
    as opened. On the main thread of a program at a terminal, the person may instead paste the
    address that the browser ends on. Blocks until they have signed in; raises any `AuthError`.

    Example:
        ```python
        from mcp_client_auth import login

        me = login("https://mcp.example.com/mcp")  # at once if you are logged in
        print(me.call("whoami").text)
        ```
    """
    require_usable("login", url, arguments)
    return _logged_in(Cancel(), url, force, token, on_failure, **arguments)


@shows_arguments
async def alogin(
    url: str,
    *,
    force: bool = False,
    token: str | None = None,
    on_failure: OnFailure = "raise",
    **arguments: Unpack[Arguments],
) -> Login:
    """`login` for a running event loop, which it does not block.

    Cancellation ends the login, unless another caller has joined it. If its code is already being
    exchanged, the exchange is completed and the login is kept.

    Example:
        ```python
        import asyncio
        from mcp_client_auth import alogin


        async def main():
            async with await alogin("https://mcp.example.com/mcp") as me:
                print((await me.acall("whoami")).text)


        asyncio.run(main())
        ```
    """
    require_usable("alogin", url, arguments)
    return await cancellable(
        "login", lambda caller: _logged_in(caller, url, force, token, on_failure, **arguments)
    )


def _logged_in(
    caller: Cancel,
    url: str,
    force: bool,
    token: str | None,
    on_failure: OnFailure,
    **arguments: Unpack[Arguments],
) -> Login:
    if token is not None:
        _require_alone(token, arguments)
    output = None
    if token is None and arguments.get("prompt", "auto") == "auto":
        output = _notebook_output()
        arguments["prompt"] = _talking_prompt(arguments.get("grant"), output)
        arguments["on_event"] = _with_a_line_for_waiting(arguments.get("on_event"), output)
    auth = MCPAuth(url, on_failure=on_failure, **arguments)
    if token is not None:
        return Login(auth, auth.session.keep_token(token, force=force))
    return Login.of(auth, force=force, caller=caller, output=output)


def _require_alone(token: object, arguments: Arguments) -> None:
    """Reject what a token issued by hand makes no use of, so that nothing is silently ignored."""
    if not isinstance(token, str):
        raise UsageError(
            f"token is of the type {type(token).__name__}",
            hint="Expected the text of one access token",
        )
    options = arguments.get("options")
    given = [name for name in _OF_A_SIGN_IN if arguments.get(name) not in (None, "auto")]
    if options is not None:
        usual = type(options)()
        given += [
            f"the option {name}"
            for name in _OF_ITS_OPTIONS
            if getattr(options, name) != getattr(usual, name)
        ]
    if given:
        raise UsageError(
            f"token cannot be combined with {', '.join(given)}",
            hint="The token is stored as it is, without an authorization server",
        )


def logout(
    url: str,
    *,
    account: str = "default",
    client: Identity = None,
    grant: Grant | None = None,
    storage: Storage | str | None = None,
    local: bool = False,
) -> LoggedOut:
    """Delete the login to `url` here, then end it at the server unless `local`.

    `client` and `grant`: those that the login was made with, if they are a program's own, because
    such a login is stored separately. The result is true if there was a login. What the server
    did not confirm is not an error; the result reports it. For the login at a company's identity
    provider, pass its issuer as `url`; that login outlives those to the company's servers.

    Example:
        ```python
        from mcp_client_auth import logout

        done = logout("https://mcp.example.com/mcp")
        print("you were not logged in" if not done else "revoked" if done.revoked else done.trouble)
        ```
    """
    session = open_session(
        url, account=account, client=client, grant=grant, storage=storage, prompt=None
    )
    done = session.log_out(local=local)
    if done.found:
        return done
    from .session.provider import provider_keys

    for key in provider_keys(session.ports.storage, url, account):
        done = session.of(key).log_out(local=local)
    return done


def _notebook_output() -> Output | None:
    """The output of the notebook cell that logs in; None outside a notebook."""
    from .environment import kernel

    if kernel() is None and "marimo" not in sys.modules:
        return None
    from .prompt.notebook import notebook_output

    return notebook_output()


def _with_a_line_for_waiting(listener: Listener | None, output: Output | None) -> Listener:
    """The caller's listener, which also tells the person about waiting for another program."""
    from .prompt.console import tell_of_waiting

    tell = output.tell_of_waiting if output else tell_of_waiting

    def listen(event: Event) -> None:
        tell(event)
        if listener:
            listener(event)

    return listen


def _talking_prompt(grant: Grant | None, output: Output | None) -> Prompt | None:
    """A prompt that writes to the notebook or to stderr; None if no browser opens and no one
    reads what is written."""
    from .environment import is_attended
    from .prompt.console import Waiting, talking_prompt
    from .prompt.device import DevicePrompt

    if grant is not None and grant.by_code:
        shown = output.show_code if output else Waiting(opens=False, pastes=False).show_code
        return DevicePrompt(shown) if is_attended(log=True) else None
    opens = automatic_prompt() is not None
    if (grant and not grant.provider) or not (opens or is_attended()):
        return None
    if output:
        from .prompt.notebook import notebook_prompt

        return notebook_prompt(output, opens=opens)
    return talking_prompt(opens=opens)
