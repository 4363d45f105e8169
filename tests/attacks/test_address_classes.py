"""An address is written so that a filter reads it as a harmless one."""

from __future__ import annotations

import pytest

from mcp_client_auth.transport.addresses import FORBIDDEN, LOOPBACK, PRIVATE, PUBLIC, address_class

CLASSES = {
    PUBLIC: [
        "1.1.1.1",
        "93.184.216.34",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "2002:101:101::",
        "64:ff9b:1::8.8.8.8",
    ],
    PRIVATE: [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "192.0.2.1",
        "240.0.0.1",
        "255.255.255.255",
        "fd00::1",
        "fec0::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "64:ff9b:1:fffe::10.0.0.1",
        "64:ff9b:1:a00:0:100::",
        "64:ff9b:1:ab0a:9:909::",
        "::10.0.0.1",
        "::ffff:0:10.0.0.1",
        "2001:0:1:1::f5ff:fffe",
    ],
    LOOPBACK: [
        "127.0.0.1",
        "127.255.255.255",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "2002:7f00:1::",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::127.0.0.1",
        "64:ff9b:1:7f00:0:100::",
        "64:ff9b:1:0:7f:0:100::",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
    ],
    FORBIDDEN: [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd00:0ec2:0::0254",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "::ffff:169.254.169.254",
        "::ffff:100.100.100.200",
        "2002:a9fe:a9fe::",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
    ],
}
PAIRS = [(address, kind) for kind, addresses in CLASSES.items() for address in addresses]


@pytest.mark.parametrize(("address", "kind"), PAIRS)
def test_an_address_is_seen_through_its_wrappings(address: str, kind: int) -> None:
    assert address_class(address) == kind
