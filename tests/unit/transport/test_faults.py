"""What a fault of the network is called, and whom it is put down to."""

from __future__ import annotations

import socket
import ssl

import httpcore
import pytest

from mcp_client_auth.errors import Unavailable, Untrusted
from mcp_client_auth.transport.faults import Place, fault

URL = "https://mcp.example.com/mcp"
PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("proxy", "connecting", "the_proxys"),
    [("", True, False), ("", False, False), (PROXY, False, False), (PROXY, True, True)],
)
def test_a_certificate_is_the_proxys_only_while_that_is_connected_to(
    proxy: str, connecting: bool, the_proxys: bool
) -> None:
    error = ssl.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")
    told = fault(error, Place(URL, 5, proxy, connecting))
    assert isinstance(told, Untrusted)
    assert told.code == "certificate"
    assert (f"certificate of the proxy {PROXY}" in told.summary) == the_proxys
    assert ("proxy" in told.summary) == the_proxys


NO_NAME = [name for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)]


@pytest.mark.parametrize("name", NO_NAME)
def test_a_name_that_stands_for_nothing_is_said_to_be_unknown(name: str) -> None:
    cause = socket.gaierror(getattr(socket, name), "no such name")
    error = httpcore.ConnectError(str(cause))
    error.__cause__ = cause
    told = fault(error, Place(URL, 5))
    assert isinstance(told, Unavailable)
    assert told.code == "unknown_host"
    assert "“mcp.example.com” does not exist" in told.summary
