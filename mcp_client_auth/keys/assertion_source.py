"""Where the caller's assertion comes from. It is read at each use: it may have been rotated."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import AuthError, Unavailable, UsageError
from ..paths import read_named
from ..protocol.jose import claims_of
from ..secret import Secret, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class WithAssertion:
    """Where the caller's assertion comes from: exactly one of the three.

    `assertion`: its text, or a function that is called with the audience at each use and
    returns the text. `assertion_file`: read again at each use. `assertion_env`: the name of an
    environment variable. The audience is the authorization server's issuer;
    for an identity assertion it is the client at the identity provider.
    """

    assertion: Secret | str | Callable[[str], str] | None = field(default=None, repr=False)
    assertion_file: str | os.PathLike[str] = ""
    assertion_env: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.assertion, str):
            object.__setattr__(self, "assertion", Secret(self.assertion.strip()))
        given = [s for s in (self.assertion, self.assertion_file, self.assertion_env) if s]
        if len(given) != 1:
            raise UsageError(
                f"{type(self).__name__} takes one assertion, got {len(given) or 'none'}",
                hint="Pass one of assertion, assertion_file and assertion_env that is not empty",
            )

    @property
    def owner(self) -> str:
        """A digest of whom the assertion is about; empty if it still has to be fetched.

        A token of one owner never passes for another's, whatever the account is called.
        """
        return owner_of(self.assertion) if isinstance(self.assertion, Secret) else ""

    def read(self, audience: str) -> Secret:
        """Return the assertion as it is now. `UsageError` names the place that has none, never its
        content; `Unavailable` if the caller's function fails: it may ask a server of its own.
        """
        if isinstance(self.assertion, Secret):
            return self.assertion
        if callable(self.assertion):
            where, text = "the function for the assertion", _called(self.assertion, audience)
        elif self.assertion_file:
            path = os.fspath(self.assertion_file)
            where, text = f"the assertion file {quoted(path)}", _file(path)
        else:
            where = f"the environment variable {self.assertion_env}"
            text = os.environ.get(self.assertion_env, "")
        if assertion := Secret(text.strip()):
            return assertion
        raise UsageError(f"{where} has no assertion", code="no_assertion", hint="Nothing was sent")


def owner_of(assertion: Secret) -> str:
    """Whom an assertion is about, as a digest."""
    claims = claims_of(assertion) or {}
    named = [claims.get("iss"), claims.get("sub")] if claims.get("sub") else None
    text = json.dumps(named) if named else assertion.reveal()
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _file(path: str) -> str:
    try:
        return read_named(path, pipe=True)
    except OSError as error:
        raise UsageError(
            f"the assertion file {quoted(path)} cannot be read: {error.strerror}",
            code="no_assertion",
            hint="Nothing was sent; check that it is there and that this program may read it",
        ) from None


def _called(function: Callable[[str], str], audience: str) -> str:
    try:
        given: object = function(audience)
    except AuthError:
        raise
    except Exception as error:  # its text may hold the assertion
        raise Unavailable(
            f"the function for the assertion failed with {type(error).__name__}",
            code="no_assertion",
            hint="Nothing was sent; try again later",
        ) from None
    if isinstance(given, Secret):
        return given.reveal()
    return given if isinstance(given, str) else ""
