"""What to change in how the servers are reached: names, certificates, answers, clocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .row import BASE_URL, PUBLIC, Fix

_CHAIN: Final = {
    "nginx": "ssl_certificate /etc/letsencrypt/live/{host}/fullchain.pem;",
    "Apache": "SSLCertificateFile /etc/letsencrypt/live/{host}/fullchain.pem",
    "HAProxy": "cat fullchain.pem privkey.pem > {host}.pem\nbind :443 ssl crt {host}.pem",
    "Traefik": "tls:\n  certificates:\n    - certFile: fullchain.pem\n      keyFile: privkey.pem",
}

ROWS: Final[Mapping[str, Fix]] = {
    "certificate-expired": Fix(
        "the certificate of {host} has expired",
        "Renew the certificate of {host}, and find out why it was not renewed automatically",
        "",
        {
            "nginx": "certbot renew && nginx -s reload",
            "Apache": "certbot renew && apachectl graceful",
        },
    ),
    "certificate-future": Fix(
        "the certificate of {host} is not valid yet",
        "Set the clock of the machine that issued it, or install the certificate that is valid now",
    ),
    "certificate-chain": Fix(
        "the chain of certificates that {host} sends leads to no authority that clients trust",
        "Send the whole chain (fullchain.pem), not the server's certificate alone: clients do not"
        " fetch the intermediate. If the authority is a private one, use a certificate of a public"
        " one, or have each client's machine trust it",
        "",
        _CHAIN,
    ),
    "certificate-self-signed": Fix(
        "the certificate of {host} is self-signed",
        "Use a certificate of an authority that clients trust (Let's Encrypt is free)",
        "",
        {"nginx": "certbot --nginx -d {host}", "Apache": "certbot --apache -d {host}"},
    ),
    "certificate-name": Fix(
        "the certificate that {host} sends is for another name",
        "Use a certificate that has {host} among its names; an ingress without one for the name"
        " sends its default certificate",
        "# Kubernetes Ingress\nspec:\n  tls:\n    - hosts: [{host}]\n      secretName: …",
    ),
    "certificate": Fix(
        "the certificate of {host} is not trusted",
        "Use a certificate that clients trust, with its whole chain, for the name {host}",
    ),
    "certificate-soon": Fix(
        "the certificate of {host} expires soon",
        "Renew the certificate of {host}, and find out why it was not renewed automatically",
    ),
    "unknown-host": Fix(
        "the name {host} does not exist in the DNS",
        "Check the configured name for typing errors, and publish it in the DNS",
    ),
    "internal-address": Fix(
        "the server names an address of its own network, {url}",
        "Set the server's public base URL: behind a proxy it names the address that it listens on"
        " or its service name",
        BASE_URL.rstrip(),
        PUBLIC,
    ),
    "no-connection": Fix(
        "{host} does not answer",
        "Start the server, open its port in the firewall, and check the upstream address in the"
        " proxy's configuration",
    ),
    "server-error": Fix(
        "{host} answers with HTTP {status}",
        "Look at the server's log, and at what stands in front of it, for this request",
    ),
    "no-tls": Fix(
        "{host} answers without TLS at the port of an https URL, {url}",
        "End TLS at this port, or name the port that has TLS (443 needs no name)",
    ),
    "tls-refused": Fix(
        "{host} refuses the TLS connection",
        "Give what ends TLS there a certificate for the name {host} (a wildcard, and Cloudflare's"
        " Universal SSL, cover one level of names only), let it accept TLS 1.2 and 1.3, and do not"
        " require client certificates",
        "openssl s_client -connect {shell_host}:443 -servername {shell_host}",
    ),
    "rate-limited": Fix(
        "{host} limits the number of requests (HTTP 429)",
        "Wait a minute and examine again. If it stays, raise the limit for the MCP endpoint,"
        " /.well-known/ and registration: a login sends some ten requests at once, and many people"
        " share one address",
    ),
    "slow": Fix(
        "{host} answers slowly",
        "Keep an instance warm (minimum instances 1), and answer the 401 before anything is"
        " loaded: MCP hosts wait 5 to 30 s for a connection",
    ),
    "address-dead": Fix(
        "an address of {host} does not answer",
        "Take the dead address out of the DNS (an AAAA record where it is IPv6), or let"
        " connections to it through",
    ),
    "clock": Fix(
        "the clocks of this machine and of {host} differ",
        "Set the wrong one of the clocks, and keep it set by NTP",
        "timedatectl set-ntp true",
    ),
}
