"""`Engine`: what a server must do so that many hosts can keep logins in it.

Each member is one atomic step there. What is kept, and when, is decided in `shared`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from ..errors import UsageError
from ..origin import is_loopback_host
from ..secret import Secret, masked, quoted

if TYPE_CHECKING:
    from ..credential import Credential
    from ..errors import StorageError
    from ..protocol.registration import Client


class Row(NamedTuple):
    """`version` is 0 if nothing is there, `text` empty if deleted; `now` is the engine's clock."""

    version: int
    text: str
    now: float


class Written(NamedTuple):
    """If not `done`, the engine has `version`, or the lease has another holder."""

    done: bool
    version: int
    now: float


class Taken(NamedTuple):
    """`version` is that of the record under the lease's id."""

    ours: bool
    version: int


class Seen(NamedTuple):
    """One reading of a record."""

    version: int
    text: str = ""
    value: Credential | Client | None = None
    broken: StorageError | None = None


class Address:
    """The URL of an engine, behind a function, so that neither `vars` nor a debugger shows its
    password."""

    def __init__(self, url: str) -> None:
        if not isinstance(url, str):
            raise UsageError(f"url is {_kind_of(url)}", hint="Expected a text")
        self.whole: Callable[[], str] = lambda: url
        self._passwords = passwords_in(url)

    @property
    def near(self) -> bool:
        """Whether it is on this machine."""
        return is_near(urlsplit(self.whole()).hostname or "")

    def words(self, error: Exception) -> str:
        """Return what an engine's library says, with passwords masked."""
        return quoted(masked(f"{type(error).__name__}: {error}", self._passwords), 200)


def passwords_in(url: str) -> Sequence[Secret]:
    """Return the passwords in the user information and the query, as the libraries read them: not
    all of these end a password at `?` or `#`."""
    authority = url.partition("://")[2].partition("/")[0]
    pairs = [part.partition("=") for part in url.partition("?")[2].split("&")]
    found = [value for name, _, value in pairs if "password" in unquote(name).lower()]
    found.append(authority.rpartition("@")[0].partition(":")[2])
    return [Secret(unquote(each)) for each in found if each]


def require_client(name: str, client: object, *kinds: type) -> None:
    """Raise `UsageError` for a caller's client that would fail only when it is used, as one for an
    event loop does."""
    if not isinstance(client, kinds):
        expected = " or ".join(
            f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in kinds
        )
        raise UsageError(
            f"{name} is {_kind_of(client)}",
            hint=f"Expected a {expected}, which no event loop ever waits for",
        )


def _kind_of(value: object) -> str:
    kind = type(value)
    return f"of the type {kind.__module__}.{kind.__name__}".replace("builtins.", "")


def is_near(host: str) -> bool:
    """Whether a host, or a socket's directory, is this machine."""
    return not host or host[0] in "/@" or is_loopback_host(host)


class Engine(ABC):
    """What an engine must do; each member is one atomic step, and safe from any thread.

    A new version is `version + 1`, but at least the engine's time in microseconds, so that
    versions keep growing after a loss of data.
    """

    name: str
    where: str
    private = True  # whether no one beyond this machine reads what goes to and from it

    @abstractmethod
    def get(self, id: str) -> Row: ...  # noqa: A002

    @abstractmethod
    def get_many(self, ids: Sequence[str]) -> Sequence[Row]: ...

    @abstractmethod
    def put(
        self,
        id: str,  # noqa: A002
        text: str,
        expect: int,
        *,
        same: bool = False,
        owner: str = "",
        tags: Sequence[str] | None = None,
    ) -> Written:
        """Write, unless there is a higher version than `expect`.

        `same`: under `expect` itself. `owner`: only while the "refresh" lease has this holder.
        `tags`: what `ids` finds it by; None if they have not changed.
        """

    @abstractmethod
    def drop(self, id: str, notes: Sequence[str], seconds: float) -> None:  # noqa: A002
        """Delete a record and its notes; a higher version stays known for `seconds`."""

    @abstractmethod
    def take(
        self,
        id: str,  # noqa: A002
        purpose: str,
        owner: str,
        seconds: float,
        least: float,
    ) -> Taken:
        """Take a lease that no one has, if the engine has kept leases for `least` seconds."""

    @abstractmethod
    def extend(self, id: str, purpose: str, owner: str, seconds: float) -> bool:  # noqa: A002
        """Extend a lease; return whether it is still ours, or ours again."""

    @abstractmethod
    def release(self, id: str, purpose: str, owner: str) -> None: ...  # noqa: A002

    @abstractmethod
    def ids(self, tag: str) -> Iterable[str]:
        """The ids with a tag, also of what was deleted; all ids if the tag is empty."""

    @abstractmethod
    def tagged(self, tags: Sequence[str], most: int) -> Sequence[tuple[str, Row]] | None:
        """Each id with one of these tags, and what is there; None if there are more than `most`."""

    @abstractmethod
    def note(self, id: str, name: str) -> str | None: ...  # noqa: A002

    @abstractmethod
    def set_note(self, id: str, name: str, text: str, seconds: float | None) -> None:  # noqa: A002
        """Write a note; an empty text deletes it."""

    @abstractmethod
    def hold(self, name: str, text: str, seconds: float) -> None: ...

    @abstractmethod
    def pop(self, name: str) -> str | None: ...

    @abstractmethod
    def fault(self, error: Exception) -> tuple[bool, str] | None:
        """Whether an error will pass, and its words; None for what the engine did not raise."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all connections: they belong to the process that this one was forked from."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections; new ones are made when they are needed."""

    @abstractmethod
    def warnings(self) -> Iterable[str]:
        """What an operator should know about how the engine is set up."""
