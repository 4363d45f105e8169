"""A report as one page: no script, nothing fetched, light and dark, fit to be printed and sent.

Everything that came from a server is escaped, and the page runs no script.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import Any, Final, TypeAlias

from ...events import STEPS

Json: TypeAlias = Mapping[str, Any]
_STYLE: Final = """
:root{color-scheme:light dark;--ground:#f4f5f7;--card:#fff;--line:#e2e5ea;--ink:#16191f;
--soft:#565e6b;--code:#f0f2f5;--good:#0f7a4d;--good-t:#e2f5ec;--warn:#93590a;--warn-t:#fdf0d9;
--bad:#b42330;--bad-t:#fde8e9;--info:#3d5a80;--info-t:#e6eef7;--shade:0 1px 2px #1018280a,
0 8px 24px #10182810}
@media(prefers-color-scheme:dark){:root{--ground:#0e1013;--card:#171a1f;--line:#2a2f37;
--ink:#eceef2;--soft:#a3abb8;--code:#0f1215;--good:#5fd6a0;--good-t:#12301f;--warn:#f1b857;
--warn-t:#33260d;--bad:#ff8d93;--bad-t:#3a191c;--info:#9dc1e8;--info-t:#1a2735;
--shade:0 12px 32px #0005}}
*{box-sizing:border-box;margin:0}
body{padding:40px 20px 64px;background:var(--ground);color:var(--ink);
-webkit-text-size-adjust:100%;font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",sans-serif}
main,header,footer{max-width:900px;margin:0 auto}
header{display:flex;justify-content:space-between;gap:16px;color:var(--soft);font-size:14px;
margin-bottom:16px}
code,pre,.url{font:13.5px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",
monospace;overflow-wrap:anywhere}
.verdict,section{background:var(--card);border:1px solid var(--line);border-radius:16px;
box-shadow:var(--shade)}
.verdict{padding:28px 32px;border-left:6px solid var(--tone);margin-top:40px}
main>.verdict:first-child,nav+.verdict{margin-top:0}
.works,.ok{--tone:var(--good);--tint:var(--good-t)}.fails,.error{--tone:var(--bad);
--tint:var(--bad-t)}.warning,.unknown,.setup{--tone:var(--warn);--tint:var(--warn-t)}
.note,.not-required,.not-examined{--tone:var(--info);--tint:var(--info-t)}
.pill{display:inline-block;padding:2px 11px;border-radius:99px;background:var(--tint);
color:var(--tone);font-size:13px;font-weight:650;white-space:nowrap}
h1{font-size:24px;line-height:1.3;font-weight:650;letter-spacing:-.012em;margin:14px 0 4px;
text-wrap:pretty}
.url{color:var(--soft)}
h2{font-size:17px;font-weight:650;padding:22px 32px 0}
section{margin-top:20px;padding-bottom:10px}
.fix{margin-top:16px}
.fix b{color:var(--tone)}
pre{margin:10px 0 0;padding:12px 16px;background:var(--code);border:1px solid var(--line);
border-radius:10px;white-space:pre-wrap}
.counts{display:flex;flex-wrap:wrap;gap:8px;margin-top:20px}
article{padding:16px 32px;border-top:1px solid var(--line)}
h2+article{border:0}
article>.pill{margin-right:8px}
article p{margin-top:8px;overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--soft);font-size:14px;margin-top:8px;width:fit-content}
summary:focus-visible,a:focus-visible{outline:2px solid var(--info);outline-offset:3px;
border-radius:4px}
section>details>summary{padding:22px 32px 12px;margin:0;font-size:17px;font-weight:650;
color:var(--ink);width:auto}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin-top:8px;font-size:14px}
dt{color:var(--soft)}
dd{overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse;font-size:15px}
.wide{overflow-x:auto;padding:8px 32px 12px}
th{text-align:left;font-size:13px;font-weight:600;color:var(--soft)}
th,td{padding:10px 12px 10px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td:first-child{min-width:150px}
td p+p{margin-top:6px}
td details:first-child summary{margin-top:0}
a{color:var(--info)}
nav{margin-bottom:24px}
footer{margin-top:32px;color:var(--soft);font-size:13px}
@media(max-width:640px){body{padding:20px 12px 40px}.verdict{padding:20px}
h2,article,.wide,section>details>summary{padding-left:20px;padding-right:20px}
dl{grid-template-columns:1fr}dd{margin-bottom:6px}
tr{display:block;padding:10px 0;border-bottom:1px solid var(--line)}tr:last-child{border:0}
td{display:block;padding:2px 0;border:0}thead{display:none}}
@media print{body{background:none;padding:0}.verdict,section{box-shadow:none;break-inside:avoid}}
@media(forced-colors:active){.pill{border:1px solid}.verdict{border-left-color:CanvasText}}
"""
_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
)
_LOGIN: Final = {
    "works": "works",
    "fails": "fails",
    "not-required": "open",
    "not-examined": "not examined",
}
_CLIENT: Final = {
    "works": "works",
    "fails": "fails",
    "setup": "needs setup",
    "unknown": "not known",
}
_FIELDS: Final = {
    "requested": "Sent",
    "standard": "Standard",
    "stumbles": "Affects",
    "where": "URL",
    "error": "Error",
}
_LEVELS: Final = ("error", "warning", "note", "ok")


def html(reports: Sequence[Json], when: str = "") -> str:
    """`when`: the time of the examination, as it is to be shown."""
    version = reports[0]["mcp_client_auth"] if reports else ""
    title = f"{len(reports)} MCP servers examined"
    if len(reports) == 1:
        title = str(reports[0]["verdict"]["sentence"])
    body = "\n".join(part for each in enumerate(reports) for part in _report(*each))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title><style>{_STYLE}</style></head>
<body><header><span>mcp-login doctor</span><span>{escape(when)}</span></header>
<main>{_contents(reports)}{body}</main>
<footer>mcp-client-auth {escape(version)}. This page holds no secrets, fetches nothing and runs no
script.</footer></body></html>
"""


def _contents(reports: Sequence[Json]) -> str:
    """A table of the verdicts where there are several."""
    if len(reports) < 2:
        return ""
    rows = [
        f"<tr><td>{_pill(r['verdict']['login'], _LOGIN)}</td>"
        f'<td><a class="url" href="#report-{n}">{escape(_name(r))}</a></td>'
        f"<td>{_counts(r)}</td></tr>"
        for n, r in enumerate(reports)
    ]
    return f'<nav><section><div class="wide"><table>{"".join(rows)}</table></div></section></nav>'


def _report(number: int, report: Json) -> Iterator[str]:
    verdict, findings = report["verdict"], _findings(report)
    ends = [f for f in findings if f["level"] == "error" and f["check"] == verdict["check"]]
    cause = ends[0] if ends else {}
    fix = f'<p class="fix"><b>Fix:</b> {escape(verdict["change"])}</p>' if verdict["change"] else ""
    yield (
        f'<div class="verdict {escape(verdict["login"])}" id="report-{number}">'
        f"{_pill(verdict['login'], _LOGIN)}<h1>{escape(verdict['sentence'])}</h1>"
        f'<p class="url">{escape(_name(report))}</p>{fix}{_pasted(cause)}'
        f"{_details(cause, came='Got', check='Check') if cause else ''}"
        f'<div class="counts">{_counts(report)}</div></div>'
    )
    for level, title in (("error", "Other errors" if cause else "Errors"), ("warning", "Warnings")):
        if these := [each for each in findings if each["level"] == level and each is not cause]:
            yield f"<section><h2>{title}</h2>{''.join(map(_finding, these))}</section>"
    if report.get("clients"):
        yield (
            '<section><h2>Other clients</h2><div class="wide"><table><thead><tr><th>Client</th>'
            "<th>Here</th><th>Why</th></tr></thead>"
            f"{''.join(map(_client, report['clients']))}</table></div></section>"
        )
    for level, title in (("note", "Good to know"), ("ok", "What is well")):
        if these := [each for each in findings if each["level"] == level]:
            rows = "".join(map(_finding if level == "note" else _line, these))
            rows = rows if level == "note" else f'<div class="wide"><table>{rows}</table></div>'
            yield (
                f"<section><details><summary>{title} ({len(these)})</summary>{rows}"
                "</details></section>"
            )


def _findings(report: Json) -> list[Json]:
    """Those of the server; other clients have a table of their own."""
    return [each for each in report["findings"] if not each["check"].startswith("client.")]


def _finding(finding: Json) -> str:
    remedy = f"<p><b>Fix:</b> {escape(finding['remedy'])}</p>" if finding["remedy"] else ""
    return (
        f'<article class="{escape(finding["level"])}"><span class="pill">'
        f"{escape(finding['level'])}</span><code>{escape(finding['check'])}</code>"
        f"<p>{escape(finding['came'])}</p>{remedy}{_pasted(finding)}{_details(finding)}</article>"
    )


def _details(finding: Json, **more: str) -> str:
    """What else a finding says; `more` are fields with their labels, before the others."""
    rows = "".join(
        f"<dt>{label}</dt><dd>{escape(finding[name])}</dd>"
        for name, label in {**more, **_FIELDS}.items()
        if finding.get(name)
    )
    if finding.get("unproven"):
        rows += "<dt>Unproven</dt><dd>Read from a host whose certificate is not trusted.</dd>"
    return f"<details><summary>Details</summary><dl>{rows}</dl></details>"


def _line(finding: Json) -> str:
    check, came = escape(finding["check"]), escape(finding["came"])
    return f"<tr><td><code>{check}</code></td><td>{came}</td></tr>"


def _pasted(finding: Json) -> str:
    paste = finding.get("paste")
    return f"<pre>{escape(paste)}</pre>" if paste else ""


def _client(client: Json) -> str:
    at = f"step {client['step']}, {client['step_name']}: " if client["verdict"] == "fails" else ""
    why = f"<p>{escape(at + client['because'])}</p>" if client["because"] else ""
    for remedy in client["remedies"]:
        why += f"<p><b>Fix:</b> {escape(remedy)}</p>"
    points = "".join(
        f"<dt>{each['step']} {STEPS[each['step'] - 1]}</dt><dd>{escape(each['because'])}</dd>"
        for each in client["points"]
    )
    facts = "".join(
        f"<dt>{escape(each['fact'])}</dt><dd>{escape(_source(each))}</dd>"
        for each in client["facts"]
    )
    if points or facts:
        why += f"<details><summary>What this rests on</summary><dl>{points}{facts}</dl></details>"
    return (
        f"<tr><td>{escape(client['name'])}</td><td>{_pill(client['verdict'], _CLIENT)}</td>"
        f"<td>{why}</td></tr>"
    )


def _source(fact: Json) -> str:
    detail = f" ({fact['detail']})" if fact["detail"] else ""
    return f"{fact['sure']}, {fact['date']}: {fact['source']}{detail}"


def _name(report: Json) -> str:
    return str(report["server"] or "This machine")


def _counts(report: Json) -> str:
    levels = [each["level"] for each in _findings(report)]
    found = [(level, levels.count(level)) for level in _LEVELS]
    return " ".join(
        f'<span class="pill {level}">{count} {level}</span>' for level, count in found if count
    )


def _pill(kind: str, words: Mapping[str, str]) -> str:
    return f'<span class="pill {escape(kind)}">{escape(words.get(kind, kind))}</span>'
