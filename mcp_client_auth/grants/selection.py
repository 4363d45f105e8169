"""Which grant a login uses, and the one that is used if the caller names none.

Every session holds a grant, so what only a login needs is imported by the login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .person import PersonGrant

if TYPE_CHECKING:
    from ..prompt.base import Prompt
    from ..protocol.metadata import ServerMetadata
    from ..protocol.registration import Kind
    from .base import Exchange, Grant, Login, LoginConfig


class BrowserSignIn(PersonGrant):
    """The authorization code grant with PKCE."""

    __slots__ = ()

    def check(self, config: LoginConfig, server: ServerMetadata) -> Kind:
        from ..protocol.authorization import require_code_grant
        from ..protocol.client_choice import client_kind

        require_code_grant(server, config.options)
        return client_kind(config.identity, server, config.options)

    def authorize(self, login: Login) -> Exchange:
        from .authorization_code import authorize

        return authorize(login)


BY_BROWSER: Final = BrowserSignIn()


def grant_of(config: LoginConfig) -> Grant:
    """The caller's grant; otherwise a person signs in, in the way that the server offers."""
    return config.grant or BY_BROWSER


def grant_for(config: LoginConfig, prompt: Prompt | None, server: ServerMetadata) -> Grant:
    """The same for a known server: a device code if that is all it offers a person, and the prompt
    can show one."""
    from ..prompt.base import code_display
    from ..protocol.authorization import does_code_grant
    from .device_code import DeviceCode

    by_code = config.grant is None and server.device_authorization_endpoint
    if by_code and prompt and code_display(prompt) and not does_code_grant(server, config.options):
        return DeviceCode()
    return grant_of(config)
