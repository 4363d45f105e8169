"""A row of the remedies, and the lines to paste that rows of several rooms share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Fix:
    """`why`: the clause after “a login fails here: ”. `products`: the lines to paste if the
    product in front of the server is known; `paste` is for all others."""

    why: str
    change: str
    paste: str = ""
    products: Mapping[str, str] = field(default_factory=dict)


BASE_URL: Final = 'auth = AuthKitProvider(authkit_domain="…", base_url="{base}")\n'
TRUST_PROXY: Final = (
    "# environment of uvicorn, which FastMCP's run() starts too\nFORWARDED_ALLOW_IPS=YOUR_PROXY_IP"
)
PUBLIC: Final = {
    "nginx": BASE_URL + "proxy_set_header Host $host;\n"
    "proxy_set_header X-Forwarded-Proto $scheme;  # https if TLS ends in front of nginx\n"
    + TRUST_PROXY,
    "Apache": BASE_URL
    + 'ProxyPreserveHost On\nRequestHeader set X-Forwarded-Proto "https"\n'
    + TRUST_PROXY,
    "Caddy": BASE_URL + TRUST_PROXY,
    "Traefik": BASE_URL
    + TRUST_PROXY
    + "\n# only if another proxy stands in front of Traefik:\n"
    + "--entryPoints.websecure.forwardedHeaders.trustedIPs=THAT_PROXY_IP",
}
_SKIP: Final = (
    "Security > WAF > Custom rules, action Skip (managed rules, Super Bot Fight Mode rules,"
    " Browser Integrity Check), when:\n"
)
# https://developers.cloudflare.com/waf/custom-rules/skip/
_NO_SKIP: Final = "\nBot Fight Mode (Free plan) cannot be skipped: turn it off in Security > Bots"
LET_THROUGH: Final = {
    "Cloudflare": _SKIP + '  http.request.uri.path eq "{path}" or starts_with('
    'http.request.uri.path, "/.well-known/")'
    + _NO_SKIP
    + "\nCloudflare Access: an application for these paths with the policy action Bypass",
    "Vercel": "Settings > Deployment Protection: off for this deployment, or use the production"
    " domain",
    "Netlify": "Site configuration > Visitor access: no password for this site",
    "Google IAP": "IAP: allUsers as IAP-secured Web App User, on the back end of the MCP server",
    "Azure App Service": "Authentication > Restrict access: Allow unauthenticated requests",
    "nginx": "location ^~ /.well-known/oauth- {{\n  auth_basic off; auth_request off; allow all;\n"
    "  proxy_pass http://YOUR_APP;\n}}",
    "Traefik": "a router of its own, without the authentication middleware:\n"
    "  rule: Host(`{host}`) && PathPrefix(`/.well-known/`)",
    "Caddy": "# before the handle block that authenticates\n"
    "handle /.well-known/* {{\n  reverse_proxy YOUR_APP\n}}",
    "Apache": '<Location "/.well-known">\n  AuthType None\n  Require all granted\n</Location>',
}
# narrow where the product's own ACME challenges are next to the documents
ROUTES: Final = {
    "nginx": "location ^~ /.well-known/oauth- {{ proxy_pass http://YOUR_APP; }}",
    "Traefik": "rule: Host(`{host}`) && (PathPrefix(`{path}`) || PathPrefix(`/.well-known/`))",
    "Caddy": "handle /.well-known/* {{\n  reverse_proxy YOUR_APP\n}}",
    "Apache": "ProxyPass /.well-known/oauth-protected-resource"
    " http://YOUR_APP/.well-known/oauth-protected-resource",
    "AWS API Gateway": "a resource /.well-known/{{proxy+}}, method ANY, authorization NONE\n"
    "a custom domain with an empty base path: a stage would stand before /.well-known/",
    "CloudFront": "a cache behaviour for /.well-known/*, before the default one, whose origin is"
    " the application",
    "Vercel": '{{ "rewrites": [{{ "source": "/.well-known/(.*)", "destination":'
    ' "/api/well-known/$1" }}] }}',
}
EXEMPT: Final = {
    "Cloudflare": _SKIP
    + '  http.request.uri.path in {{"YOUR_TOKEN_PATH" "YOUR_REGISTRATION_PATH"}}'
    + _NO_SKIP,
    "Vercel": LET_THROUGH["Vercel"],
    "Netlify": LET_THROUGH["Netlify"],
}
