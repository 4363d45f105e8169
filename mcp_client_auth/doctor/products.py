"""Which product answers in front of a server, as far as its headers tell."""

from __future__ import annotations

from typing import Final

from ..protocol.flow import HttpResponse

# By the beginning of a header's name and a part of its value, in lower case. The first match
# counts, so products that sit in front of all others come first.
_MARKS: Final = (
    ("ngrok-error-code", "", "ngrok"),
    ("cf-mitigated", "", "Cloudflare"),
    ("x-amzn-remapped-", "", "AWS API Gateway"),
    ("x-amz-apigw-id", "", "AWS API Gateway"),
    ("apigw-requestid", "", "AWS API Gateway"),
    ("x-amz-cf-id", "", "CloudFront"),
    ("x-vercel-", "", "Vercel"),
    ("server", "vercel", "Vercel"),
    ("set-cookie", "_vercel_sso_nonce", "Vercel"),
    ("x-nf-request-id", "", "Netlify"),
    ("server", "netlify", "Netlify"),
    ("x-azure-ref", "", "Azure Front Door"),
    ("x-ms-middleware-request-id", "", "Azure App Service"),
    ("ocp-apim-", "", "Azure API Management"),
    ("x-goog-iap-", "", "Google IAP"),
    ("x-apigee", "", "Apigee"),
    ("x-kong-", "", "Kong"),
    ("server", "kong", "Kong"),
    ("via", "kong", "Kong"),
    ("cf-ray", "", "Cloudflare"),
    ("server", "cloudflare", "Cloudflare"),
    ("server", "awselb", "AWS load balancer"),
    ("x-envoy-", "", "Envoy"),
    ("server", "envoy", "Envoy"),
    ("server", "traefik", "Traefik"),
    ("server", "caddy", "Caddy"),
    ("via", "caddy", "Caddy"),
    ("server", "openresty", "nginx"),
    ("server", "nginx", "nginx"),
    ("server", "haproxy", "HAProxy"),
    ("server", "apache", "Apache"),
)


def product_of(response: HttpResponse) -> str:
    """Return the product's name; empty if no header tells it."""
    headers = [(name.lower(), value.lower()) for name, value in response.headers]
    for start, part, product in _MARKS:
        if any(name.startswith(start) and part in value for name, value in headers):
            return product
    return ""
