"""The login at a company's identity provider, derived from a login to one of its MCP servers.

It is a separate login with its own record, lease and refresh lock, so that the logins to all
servers of the company share it. Only its account and what concerns the sign-in itself come
from the server's login: no resource, no scope, no header of a gateway, no weakened rule.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..credential import PROVIDER, Key, key_for
from ..errors import LoginRequired, Remedy
from ..grants.base import LoginConfig, Ports, Provider
from ..grants.clients import identity_of
from ..grants.identity_provider import SIGN_IN
from ..origin import origin_url, shown
from ..protocol.options import Options
from ..protocol.registration import CERTIFIED
from ..protocol.urls import ServerUrl, canonical
from ..secret import quoted
from .store_tokens import readable

if TYPE_CHECKING:
    from ..protocol.registration import PreRegistered
    from ..storage import Storage


def provider_key(provider: Provider, account: str) -> Key:
    """The key of that login, one for all servers: by issuer, client and account."""
    return key_for(provider.issuer, account, provider.client.client_id, PROVIDER)


def provider_keys(storage: Storage, url: str, account: str) -> list[Key]:
    """The keys of an account's logins at the identity provider whose issuer is `url`."""
    entries = storage.list(server=canonical(url), account=account)
    return [entry.key for entry in entries if entry.key.grant == PROVIDER]


def provider_config(provider: Provider, config: LoginConfig, storage: Storage) -> LoginConfig:
    """The config of the login at the provider, which the login of `config` depends on."""
    key, options = provider_key(provider, config.key.account), config.options
    return LoginConfig(
        ServerUrl.checked(provider.issuer),
        key,
        _identity(provider, key, storage, config.key.server),
        provider.scope or None,
        Options(
            issuer=provider.issuer,
            redirect_uri=options.redirect_uri,
            prompt=options.prompt,
            login_hint=options.login_hint,
            switch_account=options.switch_account,
            authorize_params=options.authorize_params,
            push_authorization_request=options.push_authorization_request,
            login_timeout=options.login_timeout,
            http_timeout=options.http_timeout,
            patience=options.patience,
            require_iss=options.require_iss,
            assume_pkce_s256=True,  # see `ProviderSignIn`
        ),
        SIGN_IN,
    )


def provider_ports(provider: Provider, config: LoginConfig, ports: Ports) -> Ports:
    """The ports of that login: addresses are judged by where the provider is, a client certificate
    is sent there only if needed, and of the gateway headers only its own go there."""
    toward = getattr(ports.transport, "toward", None)
    certified = provider.client.method in CERTIFIED
    here = origin_url(provider.issuer)
    return replace(
        ports,
        transport=toward(config.server_url, config.options, certified=certified)
        if toward
        else ports.transport,
        headers={url: named for url, named in ports.headers.items() if url == here},
    )


def _identity(provider: Provider, key: Key, storage: Storage, server: str) -> PreRegistered:
    """The caller's client; if they passed only its id, that of the stored login, which has its
    secret."""
    client = provider.client
    bare = not (client.secret or client.key or client.key_file)
    if not bare or client.method in CERTIFIED:
        return client
    stored = readable(storage, key)
    if stored and identity_of(stored.client):
        known = stored.client
        return replace(client, secret=known.secret, method=known.method, key_file=known.key_file)
    if provider.proves:
        raise LoginRequired(
            f"the client {quoted(client.client_id, 60)} has to prove itself at"
            f" {shown(provider.issuer)}, and the login there that had its secret is gone",
            server=server,
            hint=Remedy(
                "Log in with all of it again: {EnterpriseManaged.idp_issuer},"
                " {EnterpriseManaged.idp_client}, and the client at the server:"
                " {PreRegistered.client_id}"
            ),
        )
    return client
