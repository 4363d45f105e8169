"""What a client would meet, as values: a `Point` for each rule, a `ClientVerdict` for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ...events import STEPS
from ...secret import Secret, clean, masked, quoted
from .facts import ClientFacts, Fact

_MOST_SHOWN: Final = 5
_LONGEST: Final = 1000
Outcome = Literal["works", "note", "setup", "unknown", "fails"]


@dataclass(frozen=True, slots=True)
class Point:
    """What one rule found. `step`: one of the fifteen. `facts`: the names of those it rests on."""

    step: int
    outcome: Outcome
    because: str
    remedy: str = ""
    facts: tuple[str, ...] = ()

    @property
    def step_name(self) -> str:
        return STEPS[self.step - 1]


@dataclass(frozen=True, slots=True)
class ClientVerdict:
    """What becomes of a client here. `points`: everything that was found, in order of the steps.

    `fails`: it ends at the step of the first point that says so. `setup`: a person has to enter a
    client id. `unknown`: nothing speaks against it, but something decisive was not seen.
    """

    client: ClientFacts
    outcome: Outcome
    points: tuple[Point, ...] = ()

    @property
    def deciding(self) -> Point | None:
        """The first point that the outcome rests on; None where it works."""
        return next((p for p in self.points if p.outcome == self.outcome != "works"), None)

    @property
    def way(self) -> Literal["own", "document", "registration", ""]:
        """How it gets a client here, as far as the server can be asked about it."""
        for point in self.points:
            if point.step == 7 and point.outcome == "works":
                return "own" if "own_client" in point.facts else "document"
        return "registration" if any(point.step == 8 for point in self.points) else ""

    def fit(self, secrets: Iterable[Secret]) -> ClientVerdict:
        """Return the verdict as it may be shown: it quotes a server's words as they came."""
        secrets = tuple(secrets)

        def fit(text: str) -> str:
            return clean(masked(text, secrets), _LONGEST)

        points = (replace(p, because=fit(p.because), remedy=fit(p.remedy)) for p in self.points)
        return replace(self, points=tuple(points))

    @property
    def because(self) -> str:
        """Why, with the step where it fails; empty where it works."""
        point = self.deciding
        if point is None:
            return ""
        at = f"step {point.step}, {point.step_name}: " if self.outcome == "fails" else ""
        return at + point.because

    @property
    def remedies(self) -> tuple[str, ...]:
        """Everything that the operator can do about it."""
        found = (p.remedy for p in self.points if p.outcome == self.outcome and p.remedy)
        return tuple(dict.fromkeys(found))

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        if self.outcome == "fails":
            return f"fails at {self.because}"
        words = {"works": "works", "setup": "needs a client id", "unknown": "not known"}
        return ": ".join(filter(None, (words[self.outcome], self.because)))

    def as_json(self) -> dict[str, Any]:
        point = self.deciding
        return {
            "client": self.client.id,
            "name": self.client.name,
            "verdict": self.outcome,
            "step": point.step if point else None,
            "step_name": point.step_name if point else "",
            "because": point.because if point else "",
            "remedies": list(self.remedies),
            "points": [
                {
                    "step": each.step,
                    "outcome": each.outcome,
                    "because": each.because,
                    "remedy": each.remedy,
                    "facts": list(each.facts),
                }
                for each in self.points
            ],
            "facts": [fact.as_json() for fact in self.sources],
        }

    @property
    def sources(self) -> tuple[Fact, ...]:
        """The facts that the points rest on, each once."""
        names = dict.fromkeys(name for point in self.points for name in point.facts)
        return tuple(self.client.facts[name] for name in names if name in self.client.facts)


def enumerated(texts: Iterable[str]) -> str:
    texts = list(texts)
    more = f" and {len(texts) - _MOST_SHOWN} more" if len(texts) > _MOST_SHOWN else ""
    texts = [text.replace("{port}", "PORT").replace("{id}", "ID") for text in texts[:_MOST_SHOWN]]
    return ", ".join(quoted(text, 120)[1:-1] for text in texts) + more
