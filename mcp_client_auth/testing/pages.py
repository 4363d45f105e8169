"""The two pages a person sees; self-contained, without script, everything escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape

from starlette.responses import HTMLResponse

from .redirects import origin

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5c6474; --paper: #fff;
  --ground: #eef1f6; --line: #d9dee8; --accent: #2457d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf2; --soft: #9aa3b5;
  --paper: #1b202b; --ground: #11151d; --line: #313949; --accent: #7ea2ff; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: min(27rem, 100%); padding: 2rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 14px; }
h1 { margin: 0 0 .25rem; font-size: 1.3rem; line-height: 1.3; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; color: var(--soft); overflow-wrap: anywhere; }
ul { margin: 0 0 1rem; padding: .5rem 1rem; list-style: none; border: 1px solid var(--line);
  border-radius: 10px; }
li { padding: .25rem 0; font-family: ui-monospace, monospace; font-size: .95rem; }
form { display: flex; gap: .75rem; margin-top: 1.5rem; }
button { flex: 1; padding: .7rem; font: inherit; font-weight: 600; cursor: pointer;
  border: 1px solid var(--line); border-radius: 9px; background: none; color: inherit; }
button[value=allow] { background: var(--accent); border-color: var(--accent);
  color: var(--paper); }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()


def consent_page(
    *,
    action: str,
    transaction: str,
    client_name: str,
    redirect_uri: str,
    scopes: Iterable[str],
    login_name: str,
) -> HTMLResponse:
    items = "".join(f"<li>{escape(scope)}</li>" for scope in scopes)
    listed = f"<ul>{items}</ul>" if items else "<p>No particular scope.</p>"
    body = f"""<h1>Allow {escape(client_name)} to use your notes?</h1>
<p>Signed in as <strong>{escape(login_name)}</strong>. It asks for:</p>
{listed}
<p>The answer goes to <strong>{escape(origin(redirect_uri))}</strong>.</p>
<form method="post" action="{escape(action)}">
<input type="hidden" name="transaction" value="{escape(transaction)}">
<button type="submit" name="decision" value="deny">Deny</button>
<button type="submit" name="decision" value="allow">Allow</button>
</form>"""
    return _page("Allow access?", body, 200, f"'self' {_form_source(redirect_uri)}")


def device_entry_page(action: str) -> HTMLResponse:
    """Where a person types the code that the other device shows."""
    body = f"""<h1>Connect a device</h1>
<form method="get" action="{escape(action)}">
<input name="user_code" aria-label="Code" autocomplete="off" autofocus>
<button type="submit">Go on</button>
</form>"""
    return _page("Connect a device", body, 200, "'self'")


def device_page(
    *, action: str, user_code: str, client_name: str, scopes: Iterable[str], login_name: str
) -> HTMLResponse:
    items = "".join(f"<li>{escape(scope)}</li>" for scope in scopes)
    body = f"""<h1>Allow {escape(client_name)} on another device to use your notes?</h1>
<p>Signed in as <strong>{escape(login_name)}</strong>. Does that device show
<strong>{escape(user_code)}</strong>? It asks for:</p>
<ul>{items}</ul>
<form method="post" action="{escape(action)}">
<input type="hidden" name="user_code" value="{escape(user_code)}">
<button type="submit" name="decision" value="deny">Deny</button>
<button type="submit" name="decision" value="allow">Allow</button>
</form>"""
    return _page("Allow access?", body, 200, "'self'")


def told_page(message: str) -> HTMLResponse:
    return _page("Done", f"<h1>Done</h1>\n<p>{escape(message)}</p>", 200, "'none'")


def error_page(message: str) -> HTMLResponse:
    body = f"<h1>This cannot go on</h1>\n<p>{escape(message)}</p>"
    return _page("Error", body, 400, "'none'")


def _form_source(redirect_uri: str) -> str:
    # Browsers apply form-action to the redirect that answers the form, too. A CSP source
    # has no notation for an IPv6 literal (CSP3 §2.3.1), so only its scheme can be named.
    place = origin(redirect_uri)
    return "http:" if "[" in place else place


def _page(title: str, body: str, status: int, form_action: str) -> HTMLResponse:
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {form_action}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    html = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body>\n</html>\n"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(html, status, headers=headers)
