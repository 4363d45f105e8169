"""The 56 runs: every client authorization scenario, and how each must end. Data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Group: TypeAlias = Literal["core", "backcompat", "draft", "extension", "transport"]
GROUPS: tuple[Group, ...] = get_args(Group)

MARCH_25, JUNE_25, NOVEMBER_25, JULY_26 = "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"
VERSIONS = (MARCH_25, JUNE_25, NOVEMBER_25, JULY_26)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`ends_in`: the class of the error that the client must end in, empty for a success."""

    name: str
    group: Group
    versions: tuple[str, ...]
    ends_in: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    scenario: Scenario
    version: str

    @property
    def label(self) -> str:
        return f"{self.scenario.name} {self.version}"


def _core(name: str, *earlier: str, ends_in: str = "") -> Scenario:
    return Scenario(f"auth/{name}", "core", (*earlier, NOVEMBER_25, JULY_26), ends_in)


def _backcompat(name: str) -> Scenario:
    return Scenario(f"auth/{name}", "backcompat", (MARCH_25,))


def _draft(name: str, ends_in: str = "") -> Scenario:
    return Scenario(f"auth/{name}", "draft", (JULY_26,), ends_in)


def _extension(name: str) -> Scenario:
    # Extensions stand on no timeline: the suite's requirement sets run them at these two.
    return Scenario(f"auth/{name}", "extension", (NOVEMBER_25, JULY_26))


SCENARIOS: tuple[Scenario, ...] = (
    _core("metadata-default"),
    _core("metadata-var1"),
    _core("metadata-var2"),
    _core("metadata-var3"),
    _core("basic-cimd"),
    _core("scope-from-www-authenticate"),
    _core("scope-from-scopes-supported"),
    _core("scope-omitted-when-undefined"),
    _core("scope-step-up"),
    _core("scope-retry-limit", ends_in="InsufficientScope"),
    _core("token-endpoint-auth-basic", JUNE_25),
    _core("token-endpoint-auth-post", JUNE_25),
    _core("token-endpoint-auth-none", JUNE_25),
    _core("pre-registration"),
    _backcompat("2025-03-26-oauth-metadata-backcompat"),
    _backcompat("2025-03-26-oauth-endpoint-fallback"),
    _draft("resource-mismatch", "ResourceMismatch"),
    _draft("offline-access-scope"),
    _draft("offline-access-not-supported"),
    _draft("authorization-server-migration"),
    _draft("iss-supported"),
    _draft("iss-not-advertised"),
    _draft("iss-supported-missing", "IssuerMismatch"),
    _draft("iss-wrong-issuer", "IssuerMismatch"),
    _draft("iss-unexpected", "IssuerMismatch"),
    _draft("iss-normalized", "IssuerMismatch"),
    _draft("metadata-issuer-mismatch", "IssuerMismatch"),
    _extension("client-credentials-jwt"),
    _extension("client-credentials-basic"),
    _extension("enterprise-managed-authorization"),
    _extension("dpop"),
    _extension("dpop-nonce"),
    _extension("wif-jwt-bearer"),
)

RUNS: tuple[Run, ...] = tuple(Run(each, version) for each in SCENARIOS for version in each.versions)

# grants that a program uses for itself, which the command has no option for
WITHOUT_A_PERSON = (
    "auth/client-credentials-jwt",
    "auth/client-credentials-basic",
    "auth/enterprise-managed-authorization",
    "auth/wif-jwt-bearer",
)


def _transport(name: str, *versions: str) -> Scenario:
    return Scenario(name, "transport", versions)


# what of the transport is the bridge's own; in the others the host answers for itself
OVER_STDIO: tuple[Scenario, ...] = (
    _transport("initialize", JUNE_25, NOVEMBER_25),
    _transport("tools_call", JUNE_25, NOVEMBER_25, JULY_26),
    _transport("sse-retry", NOVEMBER_25),
    _transport("request-metadata", JULY_26),
    _transport("http-standard-headers", JULY_26),
    _transport("http-custom-headers", JULY_26),
    _transport("http-invalid-tool-headers", JULY_26),
    _transport("json-schema-ref-no-deref", JULY_26),
    _transport("sep-2322-client-request-state", JULY_26),
)

BRIDGED_RUNS: tuple[Run, ...] = (
    *(Run(each, version) for each in OVER_STDIO for version in each.versions),
    *(run for run in RUNS if run.scenario.name not in WITHOUT_A_PERSON),
)
