"""What the authorization server remembers: clients, requests, codes and tokens.

Every method takes the lock, does one thing and returns values, so that a test may turn a
control on its own thread while requests are served on another.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from .settings import RegisteredClient

CODE_SECONDS = 60.0
PUSHED_SECONDS = 90.0
REQUEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A checked authorization request; a code is bound to all of it.

    `jkt`: the thumbprint of the key that its code is for (RFC 9449 §10). `nonce`: what the ID
    token that is asked for must repeat.
    """

    client_id: str
    redirect_uri: str
    state: str = field(repr=False)
    challenge: str = field(repr=False)
    resource: str
    scope: tuple[str, ...]
    jkt: str = ""
    nonce: str = field(default="", repr=False)


@dataclass(slots=True)
class Family:
    """One consent and every token issued for it; `jkt` binds its refresh tokens."""

    client_id: str
    resource: str
    scope: tuple[str, ...]
    revoked: bool = False
    jkt: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token allows; `jkt`: the only key that may present it."""

    family: Family
    scope: tuple[str, ...]
    expires_at: float
    jkt: str = ""


@dataclass(slots=True)
class Code:
    request: AuthorizationRequest
    expires_at: float
    used: bool = False
    family: Family | None = None


@dataclass(slots=True)
class _Refresh:
    family: Family
    rotated: bool = False


@dataclass(slots=True)
class Device:
    """A device code that waits for its person; `interval` grows with each poll that comes early."""

    device_code: str
    user_code: str
    family: Family
    interval: float
    expires_at: float
    asked_at: float
    decision: str = "pending"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The content of a token response; `refresh_token` is empty if none is issued."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    scope: tuple[str, ...]
    kind: str = "Bearer"


class Ledger:
    """The only mutable state of the authorization server."""

    def __init__(
        self,
        clients: Iterable[RegisteredClient],
        access_token_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lifetime = access_token_seconds
        self._lock = threading.Lock()
        self._clients = {client.client_id: client for client in clients}
        self._managed: dict[str, str] = {}
        self._requests: dict[str, tuple[AuthorizationRequest, float]] = {}
        self._codes: dict[str, Code] = {}
        self._access: dict[str, Access] = {}
        self._refresh: dict[str, _Refresh] = {}
        self._devices: dict[str, Device] = {}
        self._hurry = 0
        self._pushed: dict[str, tuple[dict[str, str], float]] = {}
        self._jtis: set[str] = set()
        self._reuses = 0
        self.issued: set[str] = set()

    @property
    def reuses(self) -> int:
        """How many families were revoked because a code or refresh token was used again."""
        with self._lock:
            return self._reuses

    def client(self, client_id: str) -> RegisteredClient | None:
        with self._lock:
            return self._clients.get(client_id)

    def register(self, client: RegisteredClient) -> None:
        with self._lock:
            self._clients[client.client_id] = client
            self.issued.add(client.client_secret or "")

    def manage(self, client_id: str) -> str:
        """A registration access token (RFC 7592 §3)."""
        token = self._secret(24)
        with self._lock:
            self._managed[token] = client_id
        return token

    def unregister(self, token: str, client_id: str) -> bool:
        """Delete a client and its grants; return whether the token was its own."""
        with self._lock:
            if self._managed.get(token) != client_id or client_id not in self._clients:
                return False
            del self._clients[client_id], self._managed[token]
            for refresh in self._refresh.values():
                refresh.family.revoked |= refresh.family.client_id == client_id
            return True

    def spend_jti(self, jti: str) -> bool:
        """Return whether this `jti` is used for the first time (RFC 7523 §3)."""
        with self._lock:
            new = jti not in self._jtis
            self._jtis.add(jti)
            return new

    def push(self, parameters: dict[str, str]) -> str:
        """Keep a pushed request; return its reference (RFC 9126 §2.2)."""
        reference = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(24)}"
        with self._lock:
            self._pushed[reference] = (parameters, self._clock() + PUSHED_SECONDS)
        return reference

    def take_pushed(self, reference: str) -> dict[str, str] | None:
        """Return what was pushed, once; None if the reference is unknown, used or too old."""
        with self._lock:
            parameters, expires_at = self._pushed.pop(reference, (None, 0.0))
            return parameters if self._clock() < expires_at else None

    def open_request(self, request: AuthorizationRequest) -> str:
        """Keep a request until the person decides; return its single-use transaction id."""
        transaction = secrets.token_urlsafe(24)
        with self._lock:
            self._requests[transaction] = (request, self._clock() + REQUEST_SECONDS)
        return transaction

    def take_request(self, transaction: str) -> AuthorizationRequest | None:
        with self._lock:
            request, expires_at = self._requests.pop(transaction, (None, 0.0))
            return request if self._clock() < expires_at else None

    def issue_code(self, request: AuthorizationRequest) -> str:
        code = self._secret(24)
        with self._lock:
            self._codes[code] = Code(request, self._clock() + CODE_SECONDS)
        return code

    def spend_code(self, code: str, client_id: str) -> Code | None:
        """Use up and return the code; None if it is unknown, expired, another client's or used."""
        with self._lock:
            found = self._codes.get(code)
            if found is None or found.request.client_id != client_id:
                return None
            if found.used:  # RFC 6749 §4.1.2: the tokens issued for it are revoked
                self._revoke_reused(found.family)
                return None
            found.used = True
            return found if self._clock() < found.expires_at else None

    def begin_family(
        self, code: Code, *, refreshable: bool, jkt: str = "", public: bool = True
    ) -> Tokens:
        """`jkt` binds the access tokens and, for a `public` client, the refresh tokens too (§5)."""
        with self._lock:
            request = code.request
            code.family = Family(request.client_id, request.resource, request.scope)
            code.family.jkt = jkt if public else ""
            return self._issue(code.family, request.scope, refreshable=refreshable, jkt=jkt)

    def find_refresh(self, token: str, client_id: str) -> Family | None:
        """The family of a live refresh token; a rotated one revokes it (RFC 9700 §4.14.2)."""
        with self._lock:
            found = self._refresh.get(token)
            if found is None or found.family.client_id != client_id:
                return None
            if found.rotated:
                self._revoke_reused(found.family)
            return None if found.family.revoked else found.family

    def renew(
        self, token: str, scope: tuple[str, ...], jkt: str = "", *, rotates: bool = True
    ) -> Tokens:
        """New tokens; if it `rotates`, with a new refresh token, and this one is used up."""
        with self._lock:
            found = self._refresh[token]
            found.rotated = rotates
            made = self._issue(found.family, scope, refreshable=rotates, jkt=jkt)
            return made if rotates else replace(made, refresh_token=token)

    def revoke(self, token: str, client_id: str) -> None:
        """RFC 7009 §2.1: a refresh token is revoked with its family, an access token alone."""
        with self._lock:
            refresh = self._refresh.get(token)
            if refresh is not None and refresh.family.client_id == client_id:
                refresh.family.revoked = True
            access = self._access.get(token)
            if access is not None and access.family.client_id == client_id:
                del self._access[token]

    def access(self, token: str, resource: str) -> Access | None:
        """What the token allows at this resource now, if anything."""
        with self._lock:
            found = self._access.get(token)
            if found is None or found.family.revoked or found.family.resource != resource:
                return None
            return found if self._clock() < found.expires_at else None

    def mint(self, client_id: str, resource: str, scope: tuple[str, ...]) -> str:
        """An access token that nobody consented to, of a family of its own."""
        return self.grant(client_id, resource, scope).access_token

    def grant(self, client_id: str, resource: str, scope: tuple[str, ...], jkt: str = "") -> Tokens:
        """The same as a token response: the client asks again for the next one."""
        with self._lock:
            family = Family(client_id, resource, scope)
            return self._issue(family, scope, refreshable=False, jkt=jkt)

    def open_device(
        self,
        client_id: str,
        resource: str,
        scope: tuple[str, ...],
        interval: float,
        seconds: float,
    ) -> Device:
        code, now = self._secret(24), self._clock()
        user_code = "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(8))
        family = Family(client_id, resource, scope)
        device = Device(code, user_code, family, interval, now + seconds, now)
        with self._lock:
            self._devices[code] = device
        return device

    def device(self, user_code: str) -> Device | None:
        """The device that waits for this code; the dash and the case do not count."""
        typed = user_code.replace("-", "").upper()
        with self._lock:
            waiting = (d for d in self._devices.values() if d.decision == "pending")
            return next((d for d in waiting if d.user_code == typed), None)

    def decide_device(self, decision: str, user_code: str = "") -> int:
        """Decide for one code, or for all; return how many were waiting."""
        with self._lock:
            waiting = [d for d in self._devices.values() if d.decision == "pending"]
            for device in waiting:
                if user_code in ("", device.user_code):
                    device.decision = decision
            return len(waiting)

    def hurry_devices(self, times: int) -> None:
        self._hurry = times

    def ask_device(
        self, device_code: str, client_id: str, jkt: str = "", refresh_jkt: str = ""
    ) -> Tokens | str:
        """Tokens, once, bound to these keys, or the error code of RFC 8628 §3.5."""
        with self._lock:
            device, now = self._devices.get(device_code), self._clock()
            if device is None or device.family.client_id != client_id:
                return "invalid_grant"
            hasty = now - device.asked_at < device.interval * 0.9  # the network's own jitter
            device.asked_at = now
            if now >= device.expires_at:
                return "expired_token"
            if hasty or self._hurry > 0:
                self._hurry -= not hasty
                device.interval += 5
                return "slow_down"
            if device.decision == "allow":
                del self._devices[device_code]
                family = device.family
                family.jkt = refresh_jkt
                return self._issue(family, family.scope, refreshable=True, jkt=jkt)
            return "authorization_pending" if device.decision == "pending" else "access_denied"

    def expire_access_tokens(self) -> None:
        with self._lock:
            self._access.clear()

    def revoke_everything(self) -> None:
        with self._lock:
            for refresh in self._refresh.values():
                refresh.family.revoked = True
            self._access.clear()
            self._codes.clear()

    def forget_clients(self) -> None:
        with self._lock:
            self._clients.clear()

    def _issue(
        self, family: Family, scope: tuple[str, ...], *, refreshable: bool, jkt: str = ""
    ) -> Tokens:
        access, refresh = self._secret(32), ""
        self._access[access] = Access(family, scope, self._clock() + self._lifetime, jkt)
        if refreshable:
            refresh = self._secret(32)
            self._refresh[refresh] = _Refresh(family)
        return Tokens(access, refresh, scope, "DPoP" if jkt else "Bearer")

    def _secret(self, size: int) -> str:
        made = secrets.token_urlsafe(size)
        self.issued.add(made)
        return made

    def _revoke_reused(self, family: Family | None) -> None:
        if family is not None and not family.revoked:
            family.revoked = True
            self._reuses += 1
