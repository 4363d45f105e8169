"""What the person's browser shows in the end: one static page, no script, nothing fetched.

It has only the program's own words, and the two names that it was given, escaped.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["signed-in", "denied", "failed", "again"]

_STYLE: Final = """
:root{color-scheme:light dark;--ground:#f4f5f7;--card:#fff;--line:#e2e5ea;--ink:#16191f;
--soft:#565e6b;--tone:#4b5563;--tint:#eceef1;--shade:0 1px 2px #1018280a,0 12px 32px #10182814}
.signed-in{--tone:#0f7a4d;--tint:#e2f5ec}.denied,.again{--tone:#93590a;--tint:#fdf0d9}
.failed{--tone:#b42330;--tint:#fde8e9}
@media(prefers-color-scheme:dark){:root{--ground:#0e1013;--card:#171a1f;--line:#2a2f37;
--ink:#eceef2;--soft:#a3abb8;--tone:#b3bac6;--tint:#262b33;--shade:0 16px 48px #0006}
.signed-in{--tone:#5fd6a0;--tint:#12301f}.denied,.again{--tone:#f1b857;--tint:#33260d}
.failed{--tone:#ff8d93;--tint:#3a191c}}
*{box-sizing:border-box;margin:0}
body{min-height:100vh;min-height:100svh;display:grid;place-items:center;padding:24px;
background:var(--ground);color:var(--ink);-webkit-text-size-adjust:100%;
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{width:100%;max-width:464px;padding:40px;background:var(--card);text-align:center;
border:1px solid var(--line);border-radius:20px;box-shadow:var(--shade)}
svg{display:block;width:72px;height:72px;margin:0 auto 22px}
.disc{fill:var(--tint)}
.mark{fill:none;stroke:var(--tone);stroke-width:4;stroke-linecap:round;stroke-linejoin:round}
h1{font-size:25px;line-height:1.25;font-weight:650;letter-spacing:-.014em;text-wrap:balance}
p{margin-top:10px;color:var(--soft);text-wrap:balance}
dl{margin-top:26px;border:1px solid var(--line);border-radius:12px;text-align:left}
dl div{padding:11px 16px}
dl div+div{border-top:1px solid var(--line)}
dt{font-size:13px;color:var(--soft)}
dd{overflow-wrap:anywhere;unicode-bidi:isolate}
.url{font:14px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
.end{margin-top:26px;font-size:14px}
@media(max-width:480px){main{padding:32px 22px}}
@media(forced-colors:active){.mark{stroke:CanvasText}.disc{fill:Canvas;stroke:CanvasText}}
"""
_SIGN: Final = {
    "signed-in": "M23 37l9 9 18-19",
    "denied": "M25 36h22",
    "failed": "M27 27l18 18m0-18-18 18",
    "again": "M46 30a12 12 0 1 0 2 9m-1-17v9h-9",
    "neutral": "M36 25v14m0 9v.01",
}
_WORDS: Final[dict[Kind, tuple[str, str, str]]] = {
    "signed-in": (
        "Signed in",
        "The program that started this login can now use the server.",
        "You can close this window.",
    ),
    "denied": (
        "Access not granted",
        "The sign-in page granted no access, so nothing has changed.",
        "You can close this window. To try again, start another login.",
    ),
    "failed": (
        "The login did not finish",
        "Go back to the program that started the login; it says what went wrong.",
        "You can close this window.",
    ),
    "again": (
        "Once more, please",
        "The server did not accept this first answer, for a reason that has nothing to do with you."
        " The program tries another way, and you may have to sign in once more.",
        "You can close this window. A new one opens if you have to.",
    ),
}
_NOTHING: Final = ("Nothing here", "A login ends at another address of this program.")
_ASIDE: Final = {
    200: (
        "Not finished yet",
        "Your answer has arrived, but the login is not finished yet."
        " Go back to the program that started it; it says how it ends.",
    ),
    400: (
        "Not the expected answer",
        "This page does not belong to the login in progress, so nothing was done with it."
        " The program is still waiting for the right one.",
    ),
    405: (
        "Not the expected answer",
        "It came in a form that is not accepted, so nothing was done with it."
        " The program is still waiting for the right one.",
    ),
    410: (
        "Already answered",
        "The login that this page belongs to has had its answer."
        " The program that started it says how it ended.",
    ),
    503: ("Open this page yourself", "It was fetched ahead of time, which does not count."),
}
# Named by its hash: under `unsafe-inline` a hole in the escaping could still draw a page.
_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class Page:
    """How a login ended, and the names that the program knows it by."""

    kind: Kind
    server: str
    account: str


def render(page: Page) -> bytes:
    """The page of a login that has ended. An empty `server` or `account` is left out."""
    title, text, end = _WORDS[page.kind]
    rows = _row("Server", _shown(page.server, 280), "url")
    if page.account.strip():
        rows += _row("Account label", f"“{_shown(page.account, 64)}”", "label")
    return _document(page.kind, title, text, f"<dl>{rows}</dl>" if rows else "", end)


def neutral(title: str, text: str) -> bytes:
    """A page that says nothing about any login: for requests that are not an answer."""
    return _document("neutral", title, text, "", "You can close this window.")


def aside(status: int) -> bytes:
    """The neutral page for a request that is answered with `status` and ends no login."""
    return neutral(*_ASIDE.get(status, _NOTHING))


def _shown(text: str, limit: int) -> str:
    """One printable line, cut at the end; a whole host name (253 at most) fits.

    Direction overrides and zero-width characters are not printable either.
    """
    clean = "".join(c if c.isprintable() else "\ufffd" for c in text[: limit + 1])
    return clean if len(text) <= limit else clean[: limit - 1] + "…"


def _row(name: str, value: str, kind: str) -> str:
    if not value.strip():
        return ""
    return f'<div><dt>{name}</dt><dd class="{kind}" dir="auto">{escape(value)}</dd></div>'


def _document(kind: str, title: str, text: str, rows: str, end: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f'<body class="{kind}"><main>'
        '<svg viewBox="0 0 72 72" aria-hidden="true"><circle class="disc" cx="36" cy="36" r="34"/>'
        f'<path class="mark" d="{_SIGN[kind]}"/></svg>'
        f"<h1>{escape(title)}</h1><p>{escape(text)}</p>{rows}"
        f'<p class="end">{escape(end)}</p></main></body></html>\n'
    ).encode()
