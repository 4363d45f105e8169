"""`PendingLogin`: a login between its authorization request and the response to it.

Its text form holds the verifier, so it is sealed: here, or by the storage that keeps it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from ..credential import (
    KEY,
    VERSION,
    Key,
    Readers,
    damaged,
    dumps_client,
    flag,
    loads_client,
    moment,
    one_of,
    optional,
    record,
    string,
    strings,
)
from ..credential import fields as read_fields
from ..errors import AuthError, StorageError, Untrusted, UsageError
from ..keys.dpop_key import UNBOUND, DpopChoice
from ..protocol.authorization import AuthorizationRequest
from ..protocol.dpop import read_key
from ..protocol.endpoints import Endpoints
from ..protocol.metadata import ServerMetadata
from ..protocol.options import Options
from ..protocol.registration import SUPPORTED_METHODS, Client
from ..protocol.urls import Endpoint, Issuer, ServerUrl
from ..secret import Secret
from ..storage.sealed import FILE_VARIABLE, VARIABLE, given_keys, seal, unseal
from .base import LoginConfig
from .clients import identity_of

if TYPE_CHECKING:
    from ..storage import Storage

_WHERE: Final = "a login that is under way"
_PROMPT: Final = "prompt"  # the one parameter that an error's remedy may name
_USUAL: Final = Options()


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that waits for its authorization response: all that is needed to finish it.

    `url` is where to send the browser, `state` what the response to it will carry, and
    `expires_at` (seconds since the epoch) when it is too late. `binding` is a random text for a
    `__Host-` cookie of that browser: only its holder can finish the login. It is not part of
    the sealed text.

    Example:
        ```python
        import time

        from mcp_client_auth import PendingLogin


        def is_late(pending: PendingLogin) -> bool:
            return pending.expires_at < time.time()
        ```
    """

    config: LoginConfig
    request: AuthorizationRequest
    dpop_choice: DpopChoice = UNBOUND
    final_url: str = ""
    expires_at: float = 0.0
    mark: str = ""
    public_only: bool = True
    once: bool = False
    bound_to: str = field(default="", repr=False)
    secret_binding: Secret | None = None
    storage: Storage | str | None = field(default=None, repr=False, compare=False)

    @property
    def url(self) -> str:
        return self.request.url

    @property
    def state(self) -> str:
        return self.request.state.reveal()

    @property
    def account(self) -> str:
        return self.config.key.account

    @property
    def binding(self) -> str:
        """Empty after `unseal`: then only the browser has it."""
        return self.secret_binding.reveal() if self.secret_binding else ""

    def placed(self, *, beside: bool) -> PendingLogin:
        """This login, to be stored beside the login that is in use or in its place."""
        return replace(self, config=replace(self.config, beside=beside))

    def is_bound_to(self, binding: object) -> bool:
        """Whether `binding` is the one given to the browser in which the login began."""
        given = binding if isinstance(binding, str) else ""
        ours, theirs = digest(given).encode(), self.bound_to.encode(errors="surrogatepass")
        return bool(given) and hmac.compare_digest(ours, theirs)

    def seal(self, keys: Secret | str | Sequence[Secret | str] | None = None) -> str:
        """A text to keep until the response arrives, sealed for its account and state.

        `keys`: 32 bytes in base64, or several, of which the first one seals; by default those
        of the environment. Raises `UsageError` if there is none.
        """
        return seal(self.dumps(), _given(keys)[0], _about(self.account, self.state))

    @classmethod
    def unseal(
        cls,
        text: str | bytes | None,
        keys: Secret | str | Sequence[Secret | str] | None = None,
        *,
        state: str,
        account: str = "default",
    ) -> PendingLogin:
        """Restore a login from the text that was kept for this account and this state.

        Raises `Untrusted` (code "not_this_login") for the text of another login, a changed one,
        and None, which a cache returns if it has nothing; `StorageError` (code "wrong_key") if
        none of the keys has sealed it.
        """
        wrong: StorageError | None = None
        if isinstance(text, bytes):  # many caches return bytes
            text = text.decode(errors="replace")
        if not isinstance(text, str):
            raise not_this_login("nothing is kept for this state, or not any longer")
        for key in _given(keys):
            try:
                return cls.loads(unseal(text, key, _about(account, state), _WHERE))
            except StorageError as error:
                if error.code == "damaged_record":
                    raise not_this_login("what was kept of it is not of this account") from None
                wrong = error
                if error.code != "wrong_key":
                    break
        raise wrong or no_key()

    def dumps(self) -> str:
        """Everything but the binding, in clear text; the caller seals it."""
        config, request, server = self.config, self.request, self.request.server
        prompt = dict(request.parameters).get(_PROMPT, "")
        methods = server.token_auth_methods
        return json.dumps(
            {
                "version": VERSION,
                "server_url": config.server_url,
                "key": asdict(config.key),
                "scope": config.scope,
                "options": _plain(config.options),
                "server": {
                    "issuer": server.issuer,
                    "source": server.source,
                    "token_endpoint": server.token_endpoint,
                    "authorization_endpoint": server.authorization_endpoint,
                    "revocation_endpoint": server.revocation_endpoint,
                    "iss_promised": server.iss_promised,
                    # a server's long list must not make this text long
                    "token_auth_methods": None
                    if methods is None
                    else [method for method in SUPPORTED_METHODS if method in methods],
                },
                "client": dumps_client(request.client),
                "url": request.url,
                "redirect_uri": request.redirect_uri,
                "requested": request.scope,
                "resource": request.resource,
                "state": request.state.reveal(),
                "verifier": request.verifier.reveal(),
                "iss_required": request.iss_required,
                "prompt": prompt,
                "pushed_for": request.pushed_for,
                "bound_key": self.dpop_choice.kept.reveal() if self.dpop_choice.kept else None,
                "bound_only": self.dpop_choice.only,
                "led_to": self.final_url,
                "expires_at": self.expires_at,
                "mark": self.mark,
                "public_only": self.public_only,
                "once": self.once,
                "bound_to": self.bound_to,
            },
            separators=(",", ":"),
        )

    @classmethod
    def loads(cls, text: str) -> PendingLogin:
        """Raises `StorageError` for a text that is damaged or of a newer version."""
        raw = record(text, _WHERE)
        del raw["version"]
        try:
            return cls._of(**read_fields(raw, _PENDING))
        except (AuthError, ValueError, TypeError):
            raise damaged(_WHERE) from None

    @classmethod
    def _of(
        cls, options: Options, server: dict[str, Any], client: Client, **read: Any
    ) -> PendingLogin:
        checked = ServerMetadata(
            issuer=Issuer.checked(server["issuer"], "the issuer", options),
            token_endpoint=Endpoint.checked(server["token_endpoint"], "an endpoint", options),
            source=server["source"],
            authorization_endpoint=Endpoint.checked(
                server["authorization_endpoint"], "an endpoint", options
            ),
            revocation_endpoint=Endpoint.checked(
                server["revocation_endpoint"], "an endpoint", options
            )
            if server["revocation_endpoint"]
            else Endpoint(),
            token_auth_methods=server["token_auth_methods"],
            iss_promised=server["iss_promised"],
        )
        request = AuthorizationRequest(
            url=read["url"],
            server=checked,
            client=client,
            redirect_uri=read["redirect_uri"],
            scope=read["requested"],
            resource=read["resource"],
            state=read["state"],
            verifier=read["verifier"],
            iss_required=read["iss_required"],
            parameters=((_PROMPT, read["prompt"]),) if read["prompt"] else (),
            pushed_for=read["pushed_for"],
        )
        config = LoginConfig(
            ServerUrl.checked(read["server_url"], options),
            read["key"],
            identity_of(client),
            read["scope"],
            options,
        )
        key = read["bound_key"]
        return cls(
            config,
            request,
            DpopChoice(read_key(key) if key else None, read["bound_only"]),
            read["led_to"],
            read["expires_at"],
            read["mark"],
            read["public_only"],
            read["once"],
            read["bound_to"],
        )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def not_this_login(why: str) -> Untrusted:
    """The error for a response, a browser or an account that does not belong to this login."""
    return Untrusted(
        f"this is not the login that was begun: {why}",
        code="not_this_login",
        hint="Nothing was sent; start the login again, in the browser that it is to be for",
    )


def no_key() -> UsageError:
    return UsageError(
        "there is no key to seal a login that is under way with",
        hint=f"Pass 32 bytes in base64 (openssl rand -base64 32), or set {VARIABLE} or"
        f" {FILE_VARIABLE}",
    )


def _given(keys: Secret | str | Sequence[Secret | str] | None) -> list[Secret]:
    if keys is None:
        named: Sequence[Secret | str] = given_keys()
    elif isinstance(keys, Secret | str):
        named = [keys]
    else:
        named = list(keys) if isinstance(keys, Iterable) else ()
    if not named or not all(isinstance(key, Secret | str) and key for key in named):
        raise no_key()
    return [key if isinstance(key, Secret) else Secret(key) for key in named]


def _about(account: str, state: str) -> tuple[str, ...]:
    return "pending", account, state


def _plain(options: Options) -> dict[str, Any]:
    """The options that the caller has set."""
    named = ((each.name, getattr(options, each.name)) for each in fields(options))
    return {name: _revealed(value) for name, value in named if value != getattr(_USUAL, name)}


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Endpoints):
        return asdict(value)
    if isinstance(value, Mapping):
        return {name: _revealed(item) for name, item in value.items()}
    return value


def _options(value: Any) -> Options:
    if not isinstance(value, dict):
        raise ValueError
    endpoints = value.pop("endpoints", None)
    return Options(**value, endpoints=Endpoints(**endpoints) if endpoints else None)


def _secret(value: Any) -> Secret:
    return Secret(string(value))


_SERVER: Final[Readers] = {
    **dict.fromkeys(
        ("issuer", "token_endpoint", "authorization_endpoint", "revocation_endpoint"), string
    ),
    "source": one_of("metadata", "defaults", "caller"),
    "iss_promised": flag,
    "token_auth_methods": optional(strings),
}
_PENDING: Final[Readers] = {
    **dict.fromkeys(
        ("server_url", "url", "redirect_uri", "prompt", "led_to", "mark", "bound_to"), string
    ),
    **dict.fromkeys(("iss_required", "bound_only", "public_only", "once"), flag),
    **dict.fromkeys(("scope", "requested"), optional(strings)),
    **dict.fromkeys(("state", "verifier"), _secret),
    "key": lambda value: Key(**read_fields(value, KEY)),
    "options": _options,
    "server": lambda value: read_fields(value, _SERVER),
    "client": lambda value: loads_client(string(value), _WHERE),
    "resource": optional(string),
    "pushed_for": optional(moment),
    "bound_key": optional(_secret),
    "expires_at": moment,
}
