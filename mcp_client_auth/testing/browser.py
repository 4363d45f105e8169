"""A scripted person at a browser: opens the page, signs in, decides, and follows it to the end.

Also a command: `python -m mcp_client_auth.testing.browser URL [--decision deny]`.
"""

from __future__ import annotations

import argparse
import logging
import re
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import parse_qs, urlsplit

import httpx

from mcp_client_auth import BrowserPrompt

from .html_forms import Control, Document, Form, read_page
from .settings import require_one_of

Decision: TypeAlias = Literal["allow", "deny", "ignore", "late", "twice"]
"""What a scripted person does.

Example:
    ```python
    from mcp_client_auth.testing import Decision, ScriptedBrowser

    decision: Decision = "deny"
    person = ScriptedBrowser(decision)
    ```
"""

_NO = re.compile(r"\b(deny|cancel|reject|decline|abort|refuse|disallow)")
_STEPS = 10
_TIMEOUT = 20.0
_TYPED = "ada"
_here = threading.local()


class _Unlogged(logging.Filter):
    """Keeps what a browser sends out of the logs of the program that opened it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_here, "plays", False)


for _name in ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "proxy"))):
    logging.getLogger(_name).addFilter(_Unlogged())


class Page(NamedTuple):
    """A page that was seen. Its URL has no query, because that may hold codes and states.

    Example:
        ```python
        from mcp_client_auth.testing import Page, ScriptedBrowser


        def titles(person: ScriptedBrowser) -> list[int]:
            pages: list[Page] = person.pages
            return [page.status for page in pages]
        ```
    """

    status: int
    url: str
    text: str


class ScriptedBrowser:
    """Call it like `webbrowser.open`; it returns at once and runs on a daemon thread.

    `decision`: `ignore` never opens the page, `late` opens it when another decision is set,
    `twice` allows it and loads the last page again. `delay`: seconds before it is opened.
    `cafile`: the certificate authorities that it trusts instead of the public ones.

    Example:
        ```python
        from mcp_client_auth import BrowserPrompt, MemoryStorage, login
        from mcp_client_auth.testing import ScriptedBrowser

        person = ScriptedBrowser()  # ScriptedBrowser("deny") says no
        prompt = BrowserPrompt(person)
        me = login("https://mcp.example.com/mcp", prompt=prompt, storage=MemoryStorage())
        print(person.visits)
        ```
    """

    def __init__(
        self, decision: Decision = "allow", delay: float = 0.0, cafile: str | None = None
    ) -> None:
        self._decided = threading.Condition()
        self.decision = decision
        self.delay = delay
        self.cafile = cafile
        self.visits = 0
        self.error: Exception | None = None
        self._pages: list[Page] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    @property
    def decision(self) -> Decision:
        return self._decision

    @decision.setter
    def decision(self, decision: Decision) -> None:
        require_one_of("decision", decision, get_args(Decision))
        with self._decided:
            self._decision: Decision = decision
            self._decided.notify_all()

    @property
    def prompt(self) -> BrowserPrompt:
        """For `MCPAuth(…, prompt=…)` and `login`: it opens this browser and prints nothing."""
        return BrowserPrompt(open_url=self, show_url=lambda url: None)

    def __call__(self, url: str) -> bool:
        thread = threading.Thread(target=self.visit, args=(url,), daemon=True, name="browser")
        with self._lock:
            self._threads.append(thread)
        thread.start()
        return True

    def visit(self, url: str) -> None:
        """The same on the caller's thread; if it fails, the exception is kept in `error`."""
        with self._lock:
            self.visits += 1
        with self._decided:
            self._decided.wait_for(lambda: self._decision != "late")
        if self.decision == "ignore":
            return
        time.sleep(self.delay)
        _here.plays = True
        try:
            with self._opened() as http:
                self._play(http, url)
        except Exception as error:
            self.error = error
        finally:
            _here.plays = False

    @property
    def pages(self) -> list[Page]:
        """Every page seen, in order, without the redirects."""
        with self._lock:
            return list(self._pages)

    @property
    def last_page(self) -> Page | None:
        return self.pages[-1] if self.pages else None

    def join(self, timeout: float | None = None) -> bool:
        """Wait until every visit has ended; False if one is still running."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _opened(self) -> httpx.Client:
        return httpx.Client(
            trust_env=False,
            follow_redirects=True,
            timeout=_TIMEOUT,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            mounts={"https://": _Trusting(self.cafile)},
        )

    def _play(self, http: httpx.Client, url: str) -> None:
        callback = parse_qs(urlsplit(url).query).get("redirect_uri", [""])[0]
        answer = http.get(url)
        for _ in range(_STEPS):
            self._keep(answer)
            if answer.is_error or _bare(str(answer.url)) == _bare(callback):
                break
            step = self._next(http, answer)
            if step is None:
                break
            answer = http.send(step, follow_redirects=True)
        else:
            raise RuntimeError(f"still no end after {_STEPS} pages")
        if self.decision == "twice":
            with suppress(httpx.TransportError):  # nobody listens there any more
                self._keep(http.get(answer.url))

    def _next(self, http: httpx.Client, answer: httpx.Response) -> httpx.Request | None:
        """What the person does on this page; None if there is nothing to do."""
        page = read_page(answer.text, filler=_TYPED)
        if not page.forms:
            return None
        if self.decision == "deny":
            return _denial(http, answer.url, page)
        form = page.forms[0]
        return _submission(http, answer.url, form, _yes(form))

    def _keep(self, answer: httpx.Response) -> None:
        page = Page(answer.status_code, _bare(str(answer.url)), answer.text)
        with self._lock:
            self._pages.append(page)


class _Trusting(httpx.BaseTransport):
    """Loads the CA certificates only when it first needs them, because that is slow."""

    def __init__(self, cafile: str | None) -> None:
        self._cafile = cafile
        self._real: httpx.HTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._real is None:
            trusted = ssl.create_default_context(cafile=self._cafile) if self._cafile else True
            self._real = httpx.HTTPTransport(verify=trusted, trust_env=False)
        return self._real.handle_request(request)

    def close(self) -> None:
        if self._real is not None:
            self._real.close()


def _yes(form: Form) -> Control:
    return next((button for button in form.buttons if not _NO.search(button.words)), Control())


def _denial(http: httpx.Client, where: httpx.URL, page: Document) -> httpx.Request:
    for form in page.forms:
        for button in form.buttons:
            if _NO.search(button.words):
                return _submission(http, where, form, button)
    for link in page.links:
        if _NO.search(link.words):
            return http.build_request("GET", where.join(link.target))
    raise RuntimeError("the page has no way to say no")


def _submission(http: httpx.Client, where: httpx.URL, form: Form, button: Control) -> httpx.Request:
    pressed = [(button.name, button.value)] if button.name else []
    fields: dict[str, list[str]] = {}
    for name, value in [*form.fields, *pressed]:
        fields.setdefault(name, []).append(value)
    target = where.join(button.target or form.action)
    if form.method == "post":
        return http.build_request("POST", target, data=fields)
    return http.build_request("GET", target, params=fields)


def _bare(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if the visit ended on a 2xx page, otherwise 1."""
    parser = argparse.ArgumentParser(prog="python -m mcp_client_auth.testing.browser")
    parser.add_argument("url")
    decisions = [decision for decision in get_args(Decision) if decision != "late"]
    parser.add_argument("--decision", choices=decisions, default="allow")
    parser.add_argument("--delay", type=float, default=0.0, help="in seconds")
    parser.add_argument("--cafile", help="the certificate authorities that it trusts")
    options = parser.parse_args(arguments)
    browser = ScriptedBrowser(options.decision, options.delay, options.cafile)
    browser.visit(options.url)
    if browser.error is not None:
        print(f"{type(browser.error).__name__}: the visit failed", file=sys.stderr)
    ended = browser.last_page
    fine = browser.error is None and ended is not None and 200 <= ended.status < 300
    return 0 if fine or options.decision == "ignore" else 1


if __name__ == "__main__":
    sys.exit(main())
