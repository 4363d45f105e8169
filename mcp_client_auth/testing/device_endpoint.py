"""Device authorization (RFC 8628): a code for the person, and tokens once they have decided."""

from __future__ import annotations

from typing import Any

from .faults import Fault
from .ledger import Ledger, Tokens
from .settings import Addresses, RegisteredClient, Settings

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEVICE_PATH = "/oauth2/device_authorization"
VERIFICATION_PATH = "/oauth2/device"


def device_document(
    settings: Settings,
    ledger: Ledger,
    addresses: Addresses,
    client: RegisteredClient,
    scope: tuple[str, ...],
) -> dict[str, Any]:
    """The answer to a device authorization request (§3.2)."""
    interval, seconds = settings.device_interval, settings.device_code_seconds
    device = ledger.open_device(client.client_id, addresses.resource, scope, interval, seconds)
    place = addresses.as_origin + VERIFICATION_PATH
    return {
        "device_code": device.device_code,
        "user_code": device.user_code,
        "verification_uri": place,
        "verification_uri_complete": f"{place}?user_code={device.user_code}",
        "expires_in": seconds,
        "interval": interval,
    }


def device_tokens(
    ledger: Ledger, client: RegisteredClient, parameters: dict[str, str], jkt: str = ""
) -> Tokens:
    """Tokens once the person has allowed it; until then the error that says what to do (§3.5)."""
    code = parameters.get("device_code")
    if code is None:
        raise Fault("invalid_request", "device_code is missing")
    bound = (jkt, jkt if client.method == "none" else "")
    answer = ledger.ask_device(code, client.client_id, *bound)
    if isinstance(answer, str):
        raise Fault(answer)
    return answer
