"""A login's life at one server, step by step; each step raises where it is not as it should be."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
from joserfc import jwk, jwt

from mcp_client_auth import Credential
from mcp_client_auth.protocol.registration import Client
from tests.slow.interop.forms import Form, Place
from tests.slow.interop.person import Person

PATIENCE: Final = 20.0
_PAUSE: Final = 0.1
_REFUSED: Final = (400, 401)
_OF_ANY_FORM: Final = ("local.", "cors.", "tls.")  # of the machine, and of a test's own setting
_NARROW: Final = ("--account", "narrow")


class Wrong(AssertionError):
    """A server or the client did what it should not."""


@dataclass(frozen=True, slots=True)
class Life:
    form: Form
    place: Place
    person: Person

    @classmethod
    def at(cls, form: Form, place: Place, person: Person) -> Life:
        person.extra.update(place.environment)
        return cls(form, place, person)

    @property
    def credential(self) -> Credential:
        return self.person.credential(self.place.url)


def doctor(life: Life) -> None:
    """Before anybody has logged in: no error, and the warnings that this form deserves."""
    answer = life.person.mcp_login("doctor", life.place.url, "--store", "file", "--json")
    # as a login ends there for which no client was named
    expected = 4 if "issuer.clients" in life.form.warned else 0
    require(answer.code == expected, f"the doctor ends with {answer.code}: {answer.err}")
    findings = json.loads(answer.out)["findings"]
    found = {each["check"] for each in findings if each["level"] in ("warning", "error")}
    warned = {check for check in found if not check.startswith(_OF_ANY_FORM)}
    require(warned == set(life.form.warned), f"the doctor warns of {sorted(warned)}")


def login(life: Life) -> None:
    sign_in(life)
    if life.form.late:
        require(not life.credential.tokens.refresh_token, "one came without consent")
        sign_in(life, "--force")
    require(life.credential.tokens.refresh_token, "no refresh token came")


def call(life: Life) -> None:
    seen = life.person.visits(life.place.url, "--with", "mcp")
    require(seen == life.form.seen, f"a program of the SDK saw {seen}")


def restart(life: Life) -> None:
    """Another program and the command again, where a browser would only say no."""
    life.person.decision = "deny"
    seen = life.person.visits(life.place.url, "--with", "fastmcp")
    require(seen == life.form.seen, f"a program of FastMCP saw {seen}")
    again = life.person.log_in(life.place.url, *life.place.login)
    require("already logged in" in again.err, "a second login asked again")


def refresh(life: Life) -> None:
    for _ in range(life.form.renewals):
        before = life.credential.tokens
        wait_until_expired(life.credential)
        if life.form.shows_expiry:
            wait_until_refused(life.place, life.credential)
        seen = life.person.visits(life.place.url)
        require(seen == life.form.seen, f"after the expiry a program saw {seen}")
        after = life.credential.tokens
        require(after.access_token != before.access_token, "the old access token is kept")
        require(after.refresh_token != before.refresh_token, "the old refresh token is kept")


def step_up(life: Life) -> None:
    """A login with too little scope: told where nobody can be asked, mended where one can."""
    person, url = life.person, life.place.url
    person.decision = "allow"
    person.log_in(url, *_NARROW, "--scope", life.form.less, *life.place.login)
    alone = person.tries(url, *_NARROW)
    require(alone.code != 0 and "LoginRequired" in alone.err, f"it was not told: {alone.err}")
    seen = person.visits(url, *_NARROW, "--may-ask")
    require(seen == life.form.seen, f"after the step-up a program saw {seen}")
    granted = person.credential(url, "narrow").tokens.scope or ()
    require(set(granted) > {life.form.less}, f"the step-up gave {granted}")


def logout(life: Life) -> None:
    """The server, asked without the library, takes nothing that it gave before."""
    token, kept = life.person.token(life.place.url), life.credential
    if "access" in life.form.revoked:
        require(not life.place.refuses(token), "the token was dead before the logout")
    answer = life.person.mcp_login("logout", life.place.url)
    require(answer.code == 0, answer.err)
    told = "did not confirm" not in answer.err
    require(told == bool(life.form.revoked), f"the person is told: {answer.err}")
    if "refresh" in life.form.revoked:
        refused = refreshed(life.place, kept)
        require(refused.status_code in _REFUSED, f"the refresh token lives: {refused.status_code}")
        require(refused.json()["error"] == "invalid_grant", f"refused as {refused.json()}")
    if "access" in life.form.revoked:
        require(life.place.refuses(token), "the access token lives")


STEPS: Final[dict[str, Callable[[Life], None]]] = {
    "doctor": doctor,
    "login": login,
    "call": call,
    "restart": restart,
    "refresh": refresh,
    "step-up": step_up,
    "logout": logout,
}


def offered(form: Form) -> Iterator[str]:
    """The names of the steps that this form has, in their order."""
    return (name for name in STEPS if name != "step-up" or form.less)


def sign_in(life: Life, *arguments: str) -> None:
    person, url = life.person, life.place.url
    way = person.log_in_by_code if life.form.by_code else person.log_in
    way(url, *life.place.login, *arguments)


def wait_until_expired(credential: Credential) -> None:
    """By the clock, as its `expires_in` said."""
    while credential.alive(time.time()):
        time.sleep(_PAUSE)


def wait_until_refused(place: Place, credential: Credential) -> None:
    """By the server itself; some count whole seconds."""
    deadline = time.monotonic() + PATIENCE
    while not place.refuses(credential.tokens.access_token.reveal()):
        require(time.monotonic() < deadline, "the token lives on")
        time.sleep(_PAUSE)


def refreshed(place: Place, credential: Credential) -> httpx.Response:
    """The raw answer to a refresh."""
    client, token = credential.client, credential.tokens.refresh_token
    form = {"grant_type": "refresh_token", "refresh_token": token.reveal() if token else ""}
    secret = client.secret.reveal() if client.secret else ""
    basic = httpx.BasicAuth(quote(client.client_id, safe=""), quote(secret, safe=""))
    ours = {"client_id": client.client_id, **({"client_secret": secret} if secret else {})}
    with place.http() as http:
        if client.method == "client_secret_basic":
            return http.post(credential.token_endpoint, data=form, auth=basic)
        proof = _assertion(client) if client.method == "private_key_jwt" else {}
        return http.post(credential.token_endpoint, data={**form, **ours, **proof})


def _assertion(client: Client) -> dict[str, str]:
    """RFC 7523 §2.2, signed by hand."""
    key, now = jwk.ECKey.import_key(Path(client.key_file).read_text()), int(time.time())
    who = {"iss": client.client_id, "sub": client.client_id, "aud": client.issuer}
    claims = {**who, "jti": uuid.uuid4().hex, "iat": now, "exp": now + 60}
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    made = jwt.encode({"alg": "ES256"}, claims, key)
    return {"client_assertion_type": kind, "client_assertion": made}


def require(truth: object, message: str) -> None:
    if not truth:
        raise Wrong(message)
