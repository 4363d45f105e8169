"""The values that bring a person to the authorization server and back.

Whether a person may be involved is a value: a prompt, or None. A prompt makes a `Visit`. Its
callback is bound before the URL exists, and it is told how the login ended.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from ..protocol.authorization import AuthorizationRequest
    from ..protocol.redirects import Callback
    from .race import Answer, FirstAnswer

Ending = Literal["signed-in", "denied", "failed", "again"]
"""How a sign-in ended; "again": another visit follows at once.

Example:
    ```python
    from mcp_client_auth.extending import Ending


    def shown(ending: Ending) -> str:
        return "You may close this page." if ending == "signed-in" else "Please try again."
    ```
"""
AnswerSource: TypeAlias = Callable[
    ["AuthorizationRequest", "FirstAnswer"], AbstractContextManager[object]
]
"""Another way for the answer to come, beside the listener: it starts on entering, on threads of
its own, and has stopped on leaving. It offers to the race whatever comes.

Example:
    ```python
    import threading
    from contextlib import contextmanager

    from mcp_client_auth import BrowserPrompt


    @contextmanager
    def typed(request, race):
        '''The address may also be typed; the first valid answer wins.'''

        def read():
            race.offer(input().partition("?")[2])

        threading.Thread(target=read, daemon=True).start()
        yield


    prompt = BrowserPrompt(sources=[typed])
    ```
"""


class Prompt(Protocol):
    """What brings a person to sign in.

    A prompt whose attribute `device` is a `CodeDisplay` offers a device code beside the browser.

    Example:
        ```python
        from mcp_client_auth import BrowserPrompt, MCPAuth
        from mcp_client_auth.extending import Callback, Visit


        class Announced:
            '''A prompt of your own over the usual one.'''

            def visit(self, callback: Callback, server: str, account: str) -> Visit:
                print(f"{server} asks you to sign in as {account}")
                return BrowserPrompt().visit(callback, server, account)


        auth = MCPAuth("https://mcp.example.com/mcp", prompt=Announced())
        ```
    """

    def visit(self, callback: Callback, server: str, account: str) -> Visit:
        """Bind the callback; raises `LoginFailed` if a pinned port is busy."""
        ...


class Visit(Protocol):
    """One sign-in. A context manager; leaving it frees the port.

    Example:
        ```python
        from mcp_client_auth import BrowserPrompt
        from mcp_client_auth.extending import Callback

        callback = Callback("127.0.0.1", 0, "/callback")
        with BrowserPrompt().visit(callback, "server", "default") as visit:
            print(visit.redirect_uri)  # the port is bound before any address is shown
        ```
    """

    @property
    def redirect_uri(self) -> str: ...

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: AnswerSource) -> Answer:
        """Bring the person there and wait for the first valid answer, from any source.

        Raises `LoginFailed` after `timeout` seconds or `cancel()`, or the error that the answer
        reports. `beside` is empty if the prompt has no `device`.
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

    No method may raise an error: a closed terminal must not end a login.

    Example:
        ```python
        from mcp_client_auth import BrowserPrompt


        class Window:
            def invite(self, url, redirect_uri):
                print("Sign in:", url)

            def waiting(self, left):
                print(f"{left:.0f} s left")

            def typed(self, count): ...

            def say(self, text):
                print(text)

            def over(self): ...


        prompt = BrowserPrompt(display=Window())
        ```
    """

    def invite(self, url: str, redirect_uri: str) -> None:
        """Show the address to open, and what to do if no callback can arrive."""
        ...

    def waiting(self, left: float) -> None:
        """Called each second: `left` seconds are left."""
        ...

    def typed(self, count: int) -> None:
        """`count` characters have been typed and wait for Enter."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...

    def over(self) -> None:
        """The wait has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Invitation:
    """What to show: open `link` and type `code`; `direct` is a link with the code in it, or empty.

    Both links have been checked like every address that a person opens. `seconds`: how long the
    code is valid.

    Example:
        ```python
        from mcp_client_auth.extending import Invitation


        def show(invitation: Invitation) -> None:
            print(f"Open {invitation.link} and type {invitation.code} ({invitation.seconds:.0f} s)")
        ```
    """

    server: str
    account: str
    link: str
    code: str = field(repr=False)
    direct: str = field(default="", repr=False)
    seconds: float = 600.0


class CodeDisplay(Protocol):
    """Where a device code is shown beside the browser's address. Its methods are called from any
    thread, and may not raise an error.

    Example:
        ```python
        from mcp_client_auth import BrowserPrompt


        class Code:
            def show_code(self, invitation):
                print("On any device:", invitation.link, invitation.code)

            def no_code(self, why):
                print("No code:", why)


        prompt = BrowserPrompt(device=Code())
        ```
    """

    def show_code(self, invitation: Invitation) -> None:
        """Show link and code: the only way to sign in if no address was shown before."""
        ...

    def no_code(self, why: str) -> None:
        """No code can be offered, or it has expired: only the browser's answer is awaited."""
        ...


def code_display(prompt: Prompt) -> CodeDisplay | None:
    """Where the prompt shows a device code; None if it offers none."""
    display: CodeDisplay | None = getattr(prompt, "device", None)
    return display
