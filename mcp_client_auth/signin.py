"""`login()` for a script or a notebook: one call, and an object that makes requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from .auth import MCPAuth
from .credential import Credential
from .errors import UsageError
from .flight import Flights, await_
from .opening import automatic_prompt, open_session
from .prompt import Prompt
from .protocol.urls import covers

if TYPE_CHECKING:
    import httpx

    from .events import Listener
    from .leaving import LoggedOut
    from .prompt.device import DevicePrompt
    from .protocol.flow import Transport
    from .protocol.grants import Grant
    from .protocol.options import Options
    from .protocol.registration import Identity
    from .storage import Storage


class Login:
    """A login that is there. Its repr names server, account, scopes and expiry, no secret."""

    def __init__(self, auth: MCPAuth, credential: Credential) -> None:
        self.auth = auth
        self._credential = credential

    @property
    def url(self) -> str:
        return self.auth.session.wanted.server_url

    @property
    def credential(self) -> Credential:
        """The credential as it was at the last look."""
        return self.auth.session.current() or self._credential

    def client(self, **arguments: Any) -> httpx.Client:
        """An `httpx.Client` that is logged in; `arguments` are httpx's."""
        import httpx

        return httpx.Client(auth=self.auth, **arguments)

    def async_client(self, **arguments: Any) -> httpx.AsyncClient:
        import httpx

        return httpx.AsyncClient(auth=self.auth, **arguments)

    def token(self, *, min_valid: float = 30.0) -> str:
        """An access token that lives at least `min_valid` seconds, refreshed when needed."""
        return self.auth.session.fresh(min_valid).tokens.access_token.reveal()

    def headers(self, method: str = "", url: str = "") -> dict[str, str]:
        """The `Authorization` header for any other HTTP client.

        A token that is bound to a key (DPoP) goes with a proof for one request, which must be
        named; each request needs headers of its own. Raises `UsageError` where it is not.
        """
        session = self.auth.session
        held = session.fresh(30.0)
        binding = session.binding(held)
        if binding is None:
            return {"Authorization": f"Bearer {held.tokens.access_token.reveal()}"}
        if not method or not covers(self.url, url):
            raise UsageError(
                "this login is bound to a key (DPoP), so there are no headers for just any request",
                url=self.url,
                hint="Use client() or async_client(), or name each request to this server:"
                " headers(method, url)",
            )
        return binding.headers(held.tokens.access_token, method.upper(), url)

    def logout(self, *, local: bool = False) -> LoggedOut:
        """Delete what is stored here, then end it at the authorization server unless `local`."""
        return self.auth.session.log_out(local=local)

    def close(self) -> None:
        self.auth.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        key, tokens = self._credential.key, self.credential.tokens
        return (
            f"Login(server={key.server!r}, account={key.account!r}, scope={tokens.scope!r},"
            f" expires_at={tokens.expires_at!r})"
        )


def login(
    url: str,
    *,
    account: str = "default",
    client: Identity = None,
    scope: str | Sequence[str] | None = None,
    storage: Storage | str | None = None,
    prompt: Prompt | DevicePrompt | Literal["auto"] | None = "auto",
    grant: Grant | None = None,
    options: Options | None = None,
    on_event: Listener | None = None,
    transport: Transport | None = None,
    force: bool = False,
) -> Login:
    """Log in to the MCP server at `url`, at once where a stored login does (`force`: never).

    The arguments are those of `MCPAuth`. The sign-in URL is printed to stderr as well as
    opened, and on the main thread of a program at a terminal the address that the browser
    ends on may be pasted instead. Blocks until the person has signed in; raises any `AuthError`.
    """
    if prompt == "auto":
        prompt = _talking_prompt(grant)
    auth = MCPAuth(
        url,
        account=account,
        client=client,
        scope=scope,
        storage=storage,
        prompt=prompt,
        grant=grant,
        options=options,
        on_event=on_event,
        transport=transport,
    )
    return Login(auth, auth.session.log_in(force=force))


async def alogin(url: str, **arguments: Any) -> Login:
    """`login` for a running event loop, which it does not block."""
    return await await_(Flights().start("login", lambda: login(url, **arguments)))


def logout(
    url: str,
    *,
    account: str = "default",
    storage: Storage | str | None = None,
    local: bool = False,
) -> LoggedOut:
    """Delete the login to `url` here, then end it at the server unless `local`.

    True when there was one. What the server did not confirm is no error, but said in the value.
    """
    session = open_session(url, account=account, storage=storage, prompt=None)
    return session.log_out(local=local)


def _talking_prompt(grant: Grant | None) -> Prompt | DevicePrompt | None:
    from .cli.waiting import Waiting, talking_prompt
    from .prompt.device import DevicePrompt
    from .protocol.grants import DeviceCode

    if isinstance(grant, DeviceCode):
        return DevicePrompt(Waiting(opens=False, pastes=False).show_code)
    if grant is not None:
        return None
    return talking_prompt(opens=automatic_prompt() is not None)
