"""The values that bring a person to the authorization server and back.

Whether a person may be involved is a value: a prompt, or none. A prompt makes a `Visit`, whose
callback is bound before the URL exists and which learns how the login ended.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias

from ..protocol.authorization import AuthorizationRequest
from ..protocol.redirects import Callback
from .race import Answer, FirstAnswer

Ending = Literal["signed-in", "denied", "failed", "again"]
# Another way for the answer to come, beside the listener: it starts on entering, on threads of
# its own, and has stopped on leaving. It offers to the race whatever comes.
AnswerSource: TypeAlias = Callable[
    [AuthorizationRequest, FirstAnswer], AbstractContextManager[object]
]


class Prompt(Protocol):
    """What brings a person to sign in.

    One that has a `CodeDisplay` as its attribute `device` offers a device code beside the
    browser.
    """

    def visit(self, callback: Callback, server: str, account: str) -> Visit:
        """Bind the callback; `LoginFailed` when a pinned port is busy."""
        ...


class Visit(Protocol):
    """One sign-in. A context manager; leaving it frees the port."""

    @property
    def redirect_uri(self) -> str: ...

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: AnswerSource) -> Answer:
        """Bring the person there and wait for the first valid answer, from whatever source.

        Raises `LoginFailed` after `timeout` seconds or `cancel()`, or what the answer says.
        Nothing is `beside` where the prompt has no `device`.
        """
        ...

    def end(self, ending: Ending) -> None:
        """Show the person how the login ended; "again": another visit follows at once."""
        ...

    def cancel(self) -> None:
        """End the wait from another thread."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Display(Protocol):
    """What a person is shown during the wait. `say` and `typed` are called from any thread.

    Nothing that happens here may fail: a closed terminal must not cost a login.
    """

    def invite(self, url: str, redirect_uri: str) -> None:
        """The address to open, and what to do where no callback can arrive."""
        ...

    def waiting(self, left: float) -> None:
        """Each second: so many seconds are left."""
        ...

    def typed(self, count: int) -> None:
        """So many characters are typed and wait for Enter."""
        ...

    def say(self, text: str) -> None:
        """One line."""
        ...

    def over(self) -> None:
        """The wait has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Invitation:
    """What to show: open `link` and type `code`; `direct` has the code in it, and may be empty.

    Both links have been checked as every address that a person opens. `seconds`: its life.
    """

    server: str
    account: str
    link: str
    code: str = field(repr=False)
    direct: str = field(default="", repr=False)
    seconds: float = 600.0


class CodeDisplay(Protocol):
    """Where a device code is shown beside the browser's address. Called from any thread, and
    nothing that happens here may fail."""

    def show_code(self, invitation: Invitation) -> None:
        """Link and code; the only way in where no address was shown before."""
        ...

    def no_code(self, why: str) -> None:
        """None can be offered, or it has expired: only the browser's answer is awaited."""
        ...


def code_display(prompt: Prompt) -> CodeDisplay | None:
    """Where the prompt shows a device code; None where it offers none."""
    display: CodeDisplay | None = getattr(prompt, "device", None)
    return display
