"""The `Grant` interface, and what a grant is given: `LoginConfig`, `Ports` and `Login`.

No concrete grant is named here.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from ..credential import NOTHING, PROVIDER
from ..errors import LoginRequired, UsageError
from ..events import Event, Listener, tell
from ..protocol.client import CERTIFIED
from ..protocol.frozen import dataclass, replace
from ..protocol.options import Options
from ..threads import NEVER, Cancel
from .gathering import Gathering

if TYPE_CHECKING:
    from ..credential import Credential, Key
    from ..keys.dpop_key import DpopChoice, DpopSigner, TokenSigner
    from ..prompt.base import Ending, Prompt, Visit
    from ..protocol.client_auth import RequestSigner
    from ..protocol.discovery import Discovery
    from ..protocol.flow import Flow, HttpRequest, HttpResponse, T, Transport
    from ..protocol.gateway import Headers
    from ..protocol.metadata import ServerMetadata
    from ..protocol.registration import Client, Identity, Kind, PreRegistered
    from ..protocol.scopes import Scopes
    from ..protocol.tokens import TokenSet
    from ..protocol.urls import ServerUrl
    from ..secret import Secret
    from ..storage import Storage
    from .retry import Attempt


class Grant(ABC):
    """One way to get tokens. A new grant is a file beside this one; a public one also needs a line
    in the package's `__init__`.

    `name` is part of the key: grants of one name lead to the same stored login. `interactive`:
    a person signs in. `by_code`: they are shown a code instead of a browser. `for_server`: its
    tokens are for the MCP server, which can be asked whether it accepts them.
    """

    __slots__ = ()
    name: ClassVar[str]
    interactive: ClassVar[bool]
    by_code: ClassVar[bool] = False
    for_server: ClassVar[bool] = True

    @property
    def owner(self) -> str:
        """Whose tokens these are, if the caller's own secret says so; empty otherwise."""
        return ""

    @property
    def kept(self) -> Mapping[str, Any]:
        """What a login keeps of this grant, among the options of its credential."""
        return {"owner": self.owner} if self.owner else {}

    @property
    def provider(self) -> Provider | None:
        """The identity provider that this grant depends on, where a person may have to sign in."""
        return None

    def presenting(self, login: Credential) -> Grant:
        """This grant with the current login at that provider."""
        return self

    def command_options(self, identity: Identity) -> Mapping[str, str | bool]:
        """The options of the command that logs in with this grant."""
        return {"device": True} if self.by_code else {}

    def discover(self, config: LoginConfig, ports: Ports) -> Discovery | None:
        """Where to log in, if the grant does not learn that from an MCP server."""
        return None

    def require_client(self, identity: Identity) -> None:  # noqa: B027 - most use any client
        """Raise `UsageError` for a client that this grant cannot use. Nothing was sent yet."""

    @abstractmethod
    def check(self, config: LoginConfig, server: ServerMetadata) -> Kind:
        """The kind of client to use there; raises if the grant cannot be used there.

        Called for each authorization server that the resource names, before a person sees anything.
        """

    @abstractmethod
    def scopes(
        self, config: LoginConfig, discovery: Discovery, stored: Credential | None
    ) -> Scopes | None:
        """The scopes to request, unless a step-up names them. `stored`: the login to replace."""

    @abstractmethod
    def authorize(self, login: Login) -> Exchange:
        """Steps 7 to 11, which can be cancelled. The returned function does steps 12 and
        13, which nothing interrupts: a code is spent once it is sent."""

    def serves(self, config: LoginConfig, stored: Credential) -> bool:
        """Whether a stored credential may be used instead of a new one."""
        return True

    @abstractmethod
    def can_renew(self, credential: Credential) -> bool:
        """Whether `renew` can work. On the path of every request: no I/O."""

    @abstractmethod
    def renew(self, config: LoginConfig, ports: Ports, credential: Credential) -> TokenSet:
        """The next tokens, from the endpoint of the last ones and for the same scope."""


class Provider(NamedTuple):
    """An identity provider as the caller named it, and the client that is registered there.

    An empty `scope` means the usual one. `client` may lack its secret if a stored login has it.
    `proves`: the client needs a secret or a key.
    """

    issuer: str
    client: PreRegistered
    scope: Scopes
    proves: bool


@dataclass(frozen=True, slots=True)
class LoginConfig:
    """What a login is for. `server_url` is as it was typed; `key` holds its canonical form.

    `grant`: None if a person signs in and the server decides how (see `selection`).
    `beside`: another login is in use, so the new one waits until the server has accepted it.
    `by_application`: an application sends its user to sign in, so that no command helps.
    """

    server_url: ServerUrl
    key: Key
    identity: Identity = None
    scope: Scopes | None = None
    options: Options = field(default_factory=Options)
    grant: Grant | None = None
    beside: bool = False
    by_application: bool = False

    @property
    def interactive(self) -> bool:
        """Whether a person signs in."""
        return self.grant is None or self.grant.interactive

    @property
    def asks(self) -> bool:
        """Whether a person may have to sign in, there or at their identity provider."""
        return self.grant is None or self.grant.interactive or self.grant.provider is not None

    @property
    def for_server(self) -> bool:
        """Whether its tokens are for the MCP server."""
        return self.grant is None or self.grant.for_server


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world, each part replaceable. `random` returns a fresh URL-safe string.
    `headers` are those of gateways, by origin; `lasting` is set in each request."""

    storage: Storage
    transport: Transport
    on_event: Listener | None = None
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], str] = lambda: secrets.token_urlsafe(48)
    dpop_signers: dict[Secret, DpopSigner] = field(default_factory=dict, compare=False)
    cancel: Cancel = field(default=NEVER, compare=False)
    headers: Headers = field(default_factory=lambda: NOTHING)
    lasting: float = 0.0

    def run(self, flow: Flow[T]) -> T:
        """Run a flow; once `cancel` is set, raise `LoginFailed` rather than send anything more."""
        from ..protocol.flow import run

        return run(flow, self.sender, self.on_event, before=self.cancel.check)

    @property
    def sender(self) -> Transport:
        """The transport, with `headers` and `lasting` in each request."""
        return self._send if self.headers or self.lasting else self.transport

    def _send(self, request: HttpRequest) -> HttpResponse:
        from ..protocol.gateway import headers_at

        gateway = headers_at(self.headers, request.url)
        return self.transport(replace(request, gateway=gateway, lasting=self.lasting))

    def carrying(self, headers: Headers) -> Ports:
        """These ports with the gateway headers of a stored login, unless they have others."""
        return replace(self, headers=headers) if headers and not self.headers else self

    @contextmanager
    def flow(self) -> Iterator[Ports]:
        """These ports, whose requests share connections and what is learned about addresses, if
        the transport offers that. Inside another flow, they share those of that flow."""
        opened = getattr(self.transport, "flow", None)
        if opened is None:
            yield self
            return
        with opened() as transport:
            yield replace(self, transport=transport)

    def check_page(self, config: LoginConfig, url: str) -> None:
        """Raise `InsecureUrl` for a page that the server may not send a person to: one address
        policy holds for requests and for what a browser opens."""
        from ..transport.addresses import Addresses

        own = getattr(self.transport, "check", None)
        (own or Addresses(config.server_url, config.options).check_page)(url)

    def signer(self, identity: Identity, key: Secret | None = None) -> RequestSigner:
        """The signer for the client of `identity`, or for one that a credential holds. It adds
        proofs by `key`, if a credential is bound to one (RFC 9449)."""
        from ..keys.client_key import ClientSigner

        client_signer = ClientSigner(identity, self.clock, self.random)
        return client_signer if key is None else self.dpop_signer(key).for_client(client_signer)

    def dpop_signer(self, key: Secret) -> DpopSigner:
        """The signer for a credential's key; raises `StorageError` if it is not a key."""
        from ..keys.dpop_key import dpop_signer

        where = self.storage.where
        return dpop_signer(self.dpop_signers, key, self.clock, self.random, where)

    def token_signer(self, credential: Credential) -> TokenSigner:
        """The signer for requests to the resource; a login at an identity provider has none."""
        from ..keys.dpop_key import TokenSigner

        if credential.key.grant == PROVIDER:
            raise UsageError(
                f"the login at the identity provider {credential.issuer} is for no MCP server",
                url=credential.issuer,
                hint="Nothing was sent",
            )
        key, tokens = credential.dpop_key, credential.tokens
        bound = key is not None and tokens.bound
        return TokenSigner(tokens.access_token, self.dpop_signer(key) if key and bound else None)

    def tell(self, name: str, *, url: str = "", detail: str = "", rule: str = "") -> None:
        tell(self.on_event, Event(name, url, detail=detail, rule=rule))


class Granted(NamedTuple):
    """Tokens, and everything that they were granted for."""

    tokens: TokenSet
    client: Client
    server: ServerMetadata
    resource: str | None
    scope: Scopes | None
    dpop_choice: DpopChoice
    final_url: str = ""


Exchange: TypeAlias = Callable[[Ports], Granted]


class ChosenClient(NamedTuple):
    """The client of one try, and what its tokens are bound to.

    `server`: with the endpoints that this client uses. `reused`: registered by an earlier login.
    """

    client: Client
    server: ServerMetadata
    dpop_choice: DpopChoice
    redirect_uri: str = ""
    reused: bool = False


class Login:
    """One try to get tokens: what it may use, and what it has used so far.

    The latter decides whether another try can help. Leaving the block closes the visit.
    `left`: the seconds that a person has.
    """

    def __init__(
        self,
        config: LoginConfig,
        ports: Ports,
        prompt: Prompt | None,
        attempt: Attempt,
        left: float = 0.0,
        gathering: Gathering | None = None,
    ) -> None:
        self.config, self.ports, self.prompt, self.attempt = config, ports, prompt, attempt
        self.left, self.gathering = left, gathering or Gathering()
        self.chosen: ChosenClient | None = None
        self.visited = False
        self._visit: Visit | None = None
        self._open = ExitStack()

    @property
    def person(self) -> Prompt:
        """The prompt that asks the person; a session without a prompt does not begin a login."""
        if self.prompt is None:
            raise LoginRequired("a person must log in", server=self.config.key.server)
        return self.prompt

    def take_more(self) -> None:
        """Also request the scopes that have joined this login meanwhile."""
        self.attempt = self.attempt.asking_too(self.gathering.take())

    def take_all(self) -> None:
        """The same until nothing is left to take; after that no one can join."""
        while not self.gathering.closes():
            self.take_more()

    def choose(
        self,
        client: Client,
        server: ServerMetadata,
        redirect_uri: str = "",
        *,
        reused: bool = False,
    ) -> ChosenClient:
        """The client of this try, and the key of its tokens."""
        from ..keys.dpop_key import dpop_choice_for

        dpop_choice = dpop_choice_for(self.attempt.discovery, client, self.config.options)
        if client.method in CERTIFIED:
            server = server.for_certificates()  # RFC 8705 §5
        self.chosen = ChosenClient(client, server, dpop_choice, redirect_uri, reused)
        return self.chosen

    def granted(self, tokens: TokenSet, chosen: ChosenClient) -> Granted:
        discovery = self.attempt.discovery
        return Granted(
            tokens,
            chosen.client,
            chosen.server,
            discovery.resource,
            self.attempt.scope,
            chosen.dpop_choice,
            discovery.final_url,
        )

    def enter(self, visit: Visit) -> None:
        """From here on a person signs in, and closing the session cancels that."""
        self._open.enter_context(visit)
        self._visit = visit
        self.ports.cancel.then(visit.cancel)
        self.ports.cancel.check()

    def shows_page(self) -> None:
        """From here on the person is at a sign-in page."""
        self.visited = True

    def end(self, ending: Ending) -> None:
        """Show the person how it ended. "signed-in" comes after the tokens are stored."""
        if self._visit is not None:
            self._visit.end(ending)
            self._visit = None

    def __enter__(self) -> Login:
        return self

    def __exit__(self, *_: object) -> None:
        with self._open:
            self.end("failed")  # does nothing if it has ended already
