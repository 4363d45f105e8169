"""The race for the answer to one authorization request: the first valid one wins."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from ..errors import AuthError, LoginFailed, Remedy
from ..secret import quoted
from ..threads import aborted, done_within

if TYPE_CHECKING:
    from ..protocol.authorization import AuthorizationCode, AuthorizationRequest, Malformed
    from ..protocol.tokens import TokenSet

Answer: TypeAlias = "AuthorizationCode | TokenSet"
"""What a login is answered with: a code to exchange, or the tokens that a device code gave.

Example:
    ```python
    from mcp_client_auth.extending import Answer, AuthorizationCode


    def by_browser(answer: Answer) -> bool:
        return isinstance(answer, AuthorizationCode)
    ```
"""
_TICK: Final = 1.0  # how often the time that is left is shown
_MOST_MALFORMED: Final = 3  # anyone can send more


class FirstAnswer:
    """The race for one authorization request: the first valid answer wins, once.

    Example:
        ```python
        from mcp_client_auth.extending import Answer, AuthorizationRequest, FirstAnswer


        def ask(request: AuthorizationRequest, query: str, seconds: float) -> Answer:
            race = FirstAnswer(request)
            race.offer(query)  # from any thread; a wrong state is ignored
            return race.wait(seconds)
        ```
    """

    def __init__(self, request: AuthorizationRequest) -> None:
        self._request = request
        self._answer: Future[Answer] = Future()
        self._turn = threading.Lock()
        self.malformed: list[Malformed] = []  # the first of each kind

    @property
    def decided(self) -> bool:
        return self._answer.done()

    def offer(self, query: str) -> bool:
        """Whether this query is the answer, good or bad; everything else is ignored."""
        from ..protocol.authorization import Malformed, Unrelated

        with self._turn:
            if self._answer.done():
                return False
            try:
                self._answer.set_result(self._request.accept(query))
            except Unrelated as other:
                if isinstance(other, Malformed):
                    self._note(other)
                return False
            except AuthError as error:
                self._answer.set_exception(error)
            return True

    def posted(self) -> None:
        """Note that a form came in place of a query; nothing of it is read."""
        from ..protocol.authorization import IN_QUERY, Malformed

        with self._turn:
            if not self._answer.done():
                fix = f"{IN_QUERY}, not in a form (response_mode “form_post”)"
                self._note(Malformed("a POST request", fix))

    def _note(self, other: Malformed) -> None:
        known = [str(each) for each in self.malformed]
        if len(known) < _MOST_MALFORMED and str(other) not in known:
            self.malformed.append(other)

    def take(self, tokens: TokenSet) -> bool:
        """Whether these tokens of a device code are the answer; otherwise no one needs them."""
        with self._turn:
            if self._answer.done():
                return False
            self._answer.set_result(tokens)
            return True

    def fail(self, error: AuthError) -> None:
        with self._turn:
            if not self._answer.done():
                self._answer.set_exception(error)

    def close(self) -> None:
        """End the wait: any later answer is too late."""
        self.fail(LoginFailed("the login is over", code="aborted"))

    def wait(self, timeout: float, tick: Callable[[float], None] = lambda left: None) -> Answer:
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            tick(left)
            if done_within(self._answer, min(left, _TICK)):
                return self._answer.result()
        seconds = f"{timeout:.0f}" if timeout >= 10 else f"{timeout:.2g}"
        late = LoginFailed(
            f"no one signed in within {seconds} s",
            url=self._request.server.authorization_endpoint,
            code="timeout",
            hint=Remedy.joined(*_where_to_look(self._request, self.malformed)),
        )
        self.fail(late)  # unless an answer came at the last moment
        return self._answer.result()


def _where_to_look(
    request: AuthorizationRequest, malformed: Sequence[Malformed]
) -> Iterator[str | Remedy]:
    """Advice about a page from which no answer came back."""
    for each in malformed:
        yield (
            f"The callback got {each}, and ignored it, since anyone can send one. If the sign-in"
            f" page led there, the server's operator has to {each.fix}"
        )
    yield "Look at the browser window: an error shown there never reaches this program"
    yield Remedy(
        "If it complains of the redirect URI, pass the registered one: {Options.redirect_uri}"
    )
    if request.client.kind == "pre-registered":
        yield Remedy(
            "If it does not know the client, check the client id ({PreRegistered.client_id}), which"
            " was {}",
            quoted(request.client.client_id, 120),
        )
    if prompt := dict(request.parameters).get("prompt"):
        yield Remedy(
            "If it demands an approval that you cannot give: the login sent prompt {}, and another"
            " value may do without: {Options.prompt=login}",
            quoted(prompt, 60),
        )
    if request.server.source == "defaults":
        from ..protocol.metadata import IF_ELSEWHERE

        yield Remedy("This server publishes no metadata: {}", IF_ELSEWHERE)
    if request.pushed_for is not None:
        yield f"The address was good for {request.pushed_for:.0f} s only"
    yield "Then start the login again"


class Racing:
    """A visit that waits for the first answer, and can be cancelled at any time before."""

    def __init__(self) -> None:
        self.cancelled = False
        self._race: FirstAnswer | None = None

    def begin(self, request: AuthorizationRequest) -> FirstAnswer:
        """Start the race for its answer; raises if the visit was already cancelled, so that no one
        is sent to a page that leads nowhere."""
        race = self._race = FirstAnswer(request)
        if self.cancelled:
            raise aborted()
        return race

    def cancel(self) -> None:
        self.cancelled = True
        if self._race:
            self._race.fail(aborted())

    def close(self) -> None:
        """Release what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
