"""Signing in with a device code (RFC 8628): alone, or beside a browser in a race for one login.

Beside a browser the code is only an offer: a denial ends the login, but no other failure does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from ..credential import Credential
from ..errors import AuthError, AuthorizationDenied, LoginFailed, Unavailable, names
from ..keys.dpop_key import DpopChoice
from ..prompt.base import CodeDisplay, Invitation, code_display
from ..prompt.device import DeviceVisit
from ..prompt.race import FirstAnswer
from ..protocol.authorization import AuthorizationRequest
from ..protocol.client_choice import client_kind
from ..protocol.device import (
    authorize_device,
    poll,
    require_device,
    too_late,
    wait_after,
)
from ..protocol.discovery import Discovery
from ..protocol.metadata import ServerMetadata
from ..protocol.registration import Client, Kind
from ..protocol.scopes import Scopes
from ..protocol.tokens import TokenSet
from .base import Exchange, Login, LoginConfig, Ports
from .clients import callback, choose_client
from .person import PersonGrant
from .revocation import sign_out

_MOMENT: Final = 0.2


@dataclass(frozen=True, slots=True)
class DeviceCode(PersonGrant):
    """A person signs in on another device, with a code that this one shows (RFC 8628).

    The login is the person's own, and is kept and refreshed like one made in a browser.

    Example:
        ```python
        from mcp_client_auth import DeviceCode, DevicePrompt, MCPAuth

        prompt = DevicePrompt(lambda shown: print(shown.link, shown.code))
        auth = MCPAuth("https://mcp.example.com/mcp", grant=DeviceCode(), prompt=prompt)
        ```
    """

    by_code: ClassVar[bool] = True

    def check(self, config: LoginConfig, server: ServerMetadata) -> Kind:
        require_device(server)
        # no authorization response comes, so none can be mixed up
        return client_kind(config.identity, server.without_browser(), config.options)

    def authorize(self, login: Login) -> Exchange:
        """Up to step 13: once the person has agreed, the next poll already returns the tokens."""
        config, ports, key = login.config, login.ports, login.config.key
        display = code_display(login.person)
        if display is None:
            raise TypeError("DeviceCode() needs a prompt that shows a code")
        visit = DeviceVisit(Invitation(key.server, key.account, "", ""), display.show_code)
        ports.cancel.then(visit.cancel)
        ports.cancel.check()
        login.take_all()
        discovery, scope = login.attempt.discovery, login.attempt.scope
        # a registration also names the browser's redirect URI, which may be used next
        redirect_uri = callback(login).uri if login.attempt.kind == "dynamic" else ""
        chosen = choose_client(login, discovery.server.without_browser(), redirect_uri)
        here, choice = replace(discovery, server=chosen.server), chosen.dpop_choice
        tokens = _tokens_by_code(config, ports, visit, here, chosen.client, scope, choice)
        granted = login.granted(tokens, chosen)
        return lambda _: granted


@dataclass(frozen=True, slots=True)
class CodeBeside:
    """A source of the race: a device code beside the browser's address, on a thread of its own.

    Client, scope, resource and `dpop_choice` are those of the authorization request.
    """

    config: LoginConfig
    ports: Ports
    display: CodeDisplay
    discovery: Discovery
    dpop_choice: DpopChoice

    @contextmanager
    def __call__(self, request: AuthorizationRequest, race: FirstAnswer) -> Iterator[None]:
        key = self.config.key
        visit = DeviceVisit(Invitation(key.server, key.account, "", ""), self.display.show_code)
        thread = threading.Thread(
            target=self._run, args=(request, race, visit), name="device code", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            visit.cancel()
            thread.join(_MOMENT)  # a request on the wire is not waited for

    def _run(self, request: AuthorizationRequest, race: FirstAnswer, visit: DeviceVisit) -> None:
        try:
            require_device(request.server)
            here = replace(self.discovery, server=request.server)
            client, scope, choice = request.client, request.scope, self.dpop_choice
            # no events: the race's caller reports the tokens, and late ones are not reported
            quiet = replace(self.ports, on_event=None, sleep=visit.nap)
            tokens = _tokens_by_code(
                self.config, self.ports, visit, here, client, scope, choice, quiet
            )
            if not race.take(tokens):
                self._drop(request, tokens)
        except AuthorizationDenied as error:
            race.fail(error)
        except LoginFailed as error:  # the code has expired, so there is no URL to name
            self._ended(race, error.summary)
        except AuthError as error:
            self._ended(race, error.summary, error.url)
        except Exception as error:  # from a display or a transport
            self._ended(race, type(error).__name__)

    def _ended(self, race: FirstAnswer, why: str, url: str = "") -> None:
        """Say why there is no code. A refused client is kept: it may lack only this grant."""
        if race.decided:
            return
        rule = "the browser's answer is still awaited"
        self.ports.tell("notice", url=url, detail=f"no device code: {why}", rule=rule)
        self.display.no_code(f"{why} ({url})" if url and not names(why, url) else why)

    def _drop(self, request: AuthorizationRequest, tokens: TokenSet) -> None:
        """Revoke tokens that came after another answer, since no one needs them."""
        late = Credential(
            key=self.config.key,
            issuer=request.server.issuer,
            token_endpoint=request.server.token_endpoint,
            client=request.client,
            tokens=tokens,
            resource=request.resource,
            revocation_endpoint=request.server.revocation_endpoint,
            dpop_key=self.dpop_choice.kept,
        )
        sign_out(self.ports, late, self.config.identity, [])


def _tokens_by_code(
    config: LoginConfig,
    ports: Ports,
    visit: DeviceVisit,
    discovery: Discovery,
    client: Client,
    scope: Scopes | None,
    dpop_choice: DpopChoice,
    quiet: Ports | None = None,
) -> TokenSet:
    """Show a code and poll (by `quiet`, if given) until the person has decided (RFC 8628 §3.3)."""
    signer = ports.signer(config.identity, dpop_choice.kept)
    audience = config.options.audience
    code = ports.run(authorize_device(discovery, client, scope, signer, audience=audience))
    for page in (code.verification_uri, code.verification_uri_complete):
        ports.check_page(config, page)
    # beside a browser the race ends the wait
    limit = config.options.login_timeout
    short = not quiet and limit < code.expires_in
    left = limit if short else code.expires_in
    ports, interval = quiet or ports, code.interval
    began, where = ports.monotonic(), code.server.token_endpoint
    unanswered = too_late(where, limit if short else None)
    late: AuthError = unanswered
    visit.show(code)
    ports.tell("sign-in", detail="waiting for the person on another device")
    ports.tell("token-request", url=where, rule="polled until the person has decided (RFC 8628)")
    while ports.monotonic() + interval < began + left:
        visit.pause(interval, ports.sleep)
        try:
            return ports.run(poll(code, ports.clock(), signer))
        except AuthError as error:
            interval = wait_after(error, interval)
            late = error if isinstance(error, Unavailable) else unanswered
    raise late  # the person may have signed in, but no answer has arrived
