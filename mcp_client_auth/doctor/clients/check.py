"""What other clients would meet at a server: each judged by what is known of it (`--as-client`).

The client is never run, and nothing is registered unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ...protocol.metadata import ServerMetadata
from ...protocol.probe import ServerAnswer
from ..exam import Check, Exam
from ..report import Level, Question
from .facts import ClientFacts
from .look import Look, look
from .rules import judge, server_of
from .seen import Seen
from .trial import try_document, try_own, try_registration
from .verdict import ClientVerdict, Outcome

REQUESTS: Final = 30  # the most that are sent one after the other, without trials
_LEVELS: Final[dict[Outcome, Level]] = {
    "works": "ok",
    "setup": "note",
    "unknown": "note",
    "fails": "warning",
}
_TRIALS: Final = {"own": try_own, "document": try_document, "registration": try_registration}


def check(
    exam: Exam,
    answer: ServerAnswer,
    clients: Sequence[ClientFacts],
    known: Sequence[ServerMetadata],
    *,
    register: bool,
    client_id: str = "",
) -> Check[tuple[ClientVerdict, ...]]:
    """Yield one finding for each client. `known`: the authorization servers that our own login
    would use; with `register`, clients are registered at these only. `client_id`: the one that the
    operator has registered for clients that cannot get one themselves."""
    looking = Look(exam)
    seen = replace(look(looking, answer, clients), client_id=client_id)
    verdicts = []
    for client in clients:
        verdict = judge(client, seen)
        if verdict.way == "own" or (register and verdict.way):
            verdict = judge(client, _with_trial(looking, verdict, seen, known))
        verdicts.append(verdict)
        requested = f"what is known of {client.name}, against what was seen"
        yield Question(f"client.{client.id}", requested).finding(
            _LEVELS[verdict.outcome], verdict.summary, client.name, "; ".join(verdict.remedies)
        )
    return tuple(verdicts)


def _with_trial(
    looking: Look, verdict: ClientVerdict, seen: Seen, known: Sequence[ServerMetadata]
) -> Seen:
    client = verdict.client
    issuer = (server_of(client, seen) or {}).get("issuer")
    server = next((each for each in known if each.issuer == issuer), None)
    if server is None:
        return seen
    trial = _TRIALS[verdict.way](looking, client, server, seen)
    return replace(seen, trials={client.id: trial}) if trial else seen
