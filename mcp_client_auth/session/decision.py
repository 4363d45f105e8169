"""Decides what a session does next and how its knowledge changes; nothing else changes that.

Two pure tables over the values of `knowledge`: no clock, no storage, no network. `renewal`
and `session` carry out the steps.
"""

from __future__ import annotations

from typing import Final, Literal

from ..credential import Credential
from ..errors import AuthError, Unavailable
from ..protocol.frozen import replace
from ..protocol.token_set import DEFINITE
from ..secret import Secret
from . import knowledge as k
from .knowledge import Happened, Knowledge, Need, Now, Step, Stored, same_token

_YOUNG: Final = 10.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_STORE_PAUSE: Final = 2.0  # shorter than the time for which others leave an answer to us
_SPREAD: Final = 10.0
_NEVER: Final = float("inf")

# May a token be sent, is it alive, can it be renewed
Use = Literal["good", "young", "spent", "final", "marked", "unbound"]
Life = Literal["fresh", "due", "dead"]
Renewal = Literal["ready", "soon", "outage", "refused", "none"]


def next_step(known: Knowledge, stored: Stored, need: Need, now: Now) -> Step:
    """The next step, by the first row that fits. A loop that learns from each step always ends."""
    missing, token = known.missing(stored, now), known.latest(stored)
    if missing and stored.credential:
        return k.Save(missing, stored.credential)
    if token is None:
        return k.Ask("no login is stored", drop=True)
    renewal, resume, error = _renewal(known, token, now)
    mark = known.marked(token)
    use = _use(known, need, token, mark, renewal, now)
    moment = known.due_of(token, now.draw)
    life: Life = "fresh" if now.wall < moment else "due"
    life = life if token.alive(now.wall) else "dead"
    later = min(now.wall + max(resume - now.steady, 0.0), k.end(token))

    match use, life, renewal, need:
        case "good", "fresh", _, _:
            return k.Send(token, moment, "fresh")
        case "good", "due", "ready", k.For.AHEAD:
            return k.Refresh(token, usable=True, why="due")
        case "good", "due", "ready", _:
            return k.Send(token, moment, "due, but not expired", renew=True)
        case "good", "due", _, _:
            return k.Send(token, later, "not expired, and cannot be renewed now")
        case "unbound", _, _, _:
            return k.Ask("only a login binds a token to a key (RFC 9449 §5)")
        case "marked", _, _, k.Refused(replaced=True) if mark and not mark.again:
            return k.HandBack("a new token was refused; the next request may ask")
        case "marked", _, _, k.Refused() if mark and mark.unproven and mark.reason:
            return k.Fail(mark.reason, "a token of a new login was refused; another would be too")
        case "marked", _, _, _:
            return k.Ask("the server refused this login", drop=life == "dead")
        case "final", _, _, k.Refused(home=True):
            return _marking(known, token, now)
        case "final", _, _, _:
            return k.HandBack("another URL of the server refused a new token")
        case "young", _, _, _:
            return k.Repeat(token)
        case _, _, "ready", _:
            why = "expired" if life == "dead" else "refused or too old"
            explicit = isinstance(need, k.Newer) and need.explicit
            return k.Refresh(token, usable=False, why=why, explicit=explicit)
        case _, _, "soon", _:
            return k.Wait(resume, None, "a client may be known again in a moment")
        case _, _, "outage", _ if isinstance(error, Unavailable):
            return k.Wait(resume, error, "the token endpoint has a passing fault")
        case _, _, "outage", _ if error:
            return k.Fail(error, "the last answer is not saved yet")
        case _, _, "refused", _ if known.unattended and error:
            return k.Fail(error, "the grant was refused, and there is no person to ask")
        case "spent", _, _, k.Refused(home=True):
            return _marking(known, token, now)
        case _:
            return k.Ask("it cannot be renewed", drop=life == "dead")


def without_store(known: Knowledge, need: Need, error: Unavailable, now: Now) -> Step:
    """The next step while the store cannot be read: a live token is sent, and none is renewed.

    Whether another process has a better token, or has ended this login, is not known.
    """
    token = known.current
    if token and token.alive(now.wall) and isinstance(need, k.For):
        later = min(now.wall + _STORE_PAUSE, k.end(token))
        return k.Send(token, later, "not expired, and the store cannot be read now")
    until = now.steady + _FIRST_PAUSE * (1 + now.draw)
    return k.Wait(until, error, "the store cannot be read now")


def _use(
    known: Knowledge, need: Need, token: Credential, mark: k.Mark | None, renewal: Renewal, now: Now
) -> Use:
    # a refresh token that was never refused is tried once per cooling time
    marked = mark is not None and (mark.cooling(now.wall) or renewal in ("refused", "none"))
    match need:
        case k.For.HANDING_OUT:
            return "marked" if marked else "spent" if mark else "good"
        case k.Newer(than) if same_token(token, than):
            return "spent"
        case k.Refused(sent) if same_token(token, sent):
            if need.only_bound and not sent.tokens.bound:
                return "unbound"
            if marked:
                return "marked"
            # this request tries it twice, whatever other requests were told about it
            if need.replaced and not k.ended_on_the_way(sent, now.wall):
                return "final" if need.repeated else "young"
            lifetime = sent.tokens.lifetime
            twice = need.repeated or known.second_try(sent) is not None
            youth = _YOUNG if lifetime is None else min(_YOUNG, lifetime / 2)
            young = 0 <= now.wall - sent.tokens.issued_at < youth
            return "young" if young and not twice else "spent"
        case _:
            return "good"


def _renewal(
    known: Knowledge, token: Credential, now: Now
) -> tuple[Renewal, float, AuthError | None]:
    """Whether it can be renewed now; if not, when (steady), and what prevents it."""
    unsaved, refusal, outage = known.unsaved, known.refusal, known.outage
    if unsaved and same_token(token, unsaved.fresh):
        return "outage", unsaved.until, unsaved.error  # not renewed again before it is saved
    refresh_token = token.tokens.refresh_token
    if not known.grant.can_renew(token):
        return "none", _NEVER, None
    same = refusal and (known.unattended or refusal.token == refresh_token)
    if refusal and same and refusal.until > now.steady:
        soon = refusal.error.code == "invalid_client" and refusal.tries == 1
        how: Renewal = "soon" if soon and not known.unattended else "refused"
        return how, refusal.until, refusal.error
    if outage and outage.until > now.steady:
        return "outage", outage.until, outage.error
    return "ready", now.steady, None


def _marking(known: Knowledge, token: Credential, now: Now) -> k.Mark:
    """The mark for a refused token; its reason is that of the first mark."""
    before, refusal = known.mark, known.refusal
    reason = before.reason if before else refusal.error if refusal else None
    return k.Mark(
        k.fingerprint(token),
        now.wall,
        token.generation,
        reason,
        unproven=same_token(token, known.unproven),
        again=before is not None,
    )


def after_refusal(known: Knowledge) -> Literal["kept", "noted", "ended"]:
    """What becomes of the stored refresh token that was just refused: it is kept, or kept with a
    note so that no process hurries to send it, or deleted and never sent again."""
    refusal = known.refusal
    if known.unattended or refusal is None:
        return "kept"
    if refusal.error.code == "invalid_client":  # servers forget clients, and find them again
        return "kept" if refusal.tries == 1 else "noted"
    return "ended" if refusal.error.code in DEFINITE else "noted"


def in_use(known: Knowledge, stored: Stored, refused: Credential | None, now: Now) -> bool:
    """Whether a new login must wait beside the stored one until the server has accepted it,
    since the stored one is not known to be dead. `refused`: the token that just was refused.

    A grant without a person can always be used again, so nothing waits there.
    """
    token, mark, refusal = stored.credential, stored.mark, known.refusal
    if token is None or known.unattended or same_token(token, refused):
        return False
    if mark and mark.names(token):
        return False
    dead = refusal is not None and refusal.token == token.tokens.refresh_token
    return token.alive(now.wall) or (token.renewable and not dead)


def after(known: Knowledge, event: Happened) -> Knowledge:
    """What is known once this has happened."""
    match event:
        case k.Read(stored, now):
            return _read(known, stored, now)
        case k.Send(credential, moment):
            return replace(known, current=credential, due=min(moment, k.end(credential)), read=True)
        case k.Ask(drop=True):
            return replace(known, current=None, read=True)
        case k.TriedAgain():
            return replace(known, repeated=event)
        case k.Mark():
            return replace(known, mark=event)
        case k.Accepted(sent):
            unproven = None if same_token(sent, known.unproven) else known.unproven
            ended = same_token(sent, known.current) or known.marked(sent)
            return replace(known, unproven=unproven, mark=None if ended else known.mark)
        case k.LoggedIn(fresh, now):
            moment = k.due(fresh, now.draw)
            return Knowledge(known.grant, fresh, moment, read=True, unproven=fresh)
        case k.Refreshed(old, fresh, now, explicit):
            return _refreshed(known, old, fresh, now, explicit=explicit)
        case k.RefreshRefused(old, error, now):
            return replace(known, refusal=_refusal(known, old.tokens.refresh_token, error, now))
        case k.Faulted(error, now):
            pause = _longer(known.outage)
            least = error.retry_after or 0.0
            least += min(0.1 * least, _SPREAD) * now.draw  # a crowd was told the same
            wait = max(least, pause * (0.5 + 0.5 * now.draw))
            return replace(known, outage=k.Outage(error, pause, now.steady + wait))
        case k.Saved(fresh, now):
            rest = replace(known, unsaved=None)
            return after(rest, k.Send(fresh, k.due(fresh, now.draw), "saved"))
        case k.SaveFailed(over, fresh, error, now):
            pause = _longer(known.unsaved)
            if isinstance(error, Unavailable):  # others take over soon after the store is back
                pause = _FIRST_PAUSE
            unsaved = k.Unsaved(over, fresh, pause, now.steady + pause, error)
            moment = min(k.due(fresh, now.draw), now.wall + pause)  # then it is saved again
            return after(replace(known, unsaved=unsaved), k.Send(fresh, moment, "unsaved"))
        case k.Insisted() if known.refusal and known.refusal.until < _NEVER:
            return replace(known, refusal=None)
        case k.Forgotten():
            return Knowledge(known.grant, read=True)
        case k.Adopted(grant):
            return replace(known, grant=grant)
        case _:  # a step after which nothing more is known
            return known


def _read(known: Knowledge, stored: Stored, now: Now) -> Knowledge:
    """Another process may have marked the login or had a request accepted, or replaced it."""
    ours, theirs, unsaved = known.mark, stored.mark, known.unsaved
    mark = ours if ours and not ours.noted else theirs
    rest = known if mark is ours else replace(known, mark=mark)
    token = stored.credential.tokens.refresh_token if stored.credential else None
    if stored.refusal and token and not (known.refusal or known.unattended):
        error, since = stored.refusal  # what another process has heard of the refresh token
        left = k.COOLING - (now.wall - since)
        if 0 < left <= k.COOLING:
            refusal = k.RefreshRefusal(token, error, 2, now.steady + left)
            rest = replace(rest, refusal=refusal)
    if stored.outage:
        error, pause, left = stored.outage
        if rest.outage is None or rest.outage.until < now.steady + left:
            rest = replace(rest, outage=k.Outage(error, pause, now.steady + left))
    if unsaved and stored.holds(unsaved.fresh):
        return after(rest, k.Saved(unsaved.fresh, now))  # it was saved, though an error was raised
    if unsaved and not stored.holds(unsaved.over):
        return replace(rest, unsaved=None)  # a later login or a logout counts more
    return rest


def _refreshed(
    known: Knowledge, old: Credential, fresh: Credential, now: Now, *, explicit: bool
) -> Knowledge:
    # what is known about a token is true of its successor, until the server accepts that
    heir = fresh if same_token(old, known.unproven) else known.unproven
    rest = replace(known, unproven=heir, refusal=None, outage=None)
    mark = known.marked(old)
    if mark and mark.cooling(now.wall) and not explicit:
        # otherwise short-lived tokens would outrun the mark
        handed_on = replace(
            mark, token=k.fingerprint(fresh), generation=fresh.generation, noted=False
        )
        rest = replace(rest, mark=handed_on)
    return after(rest, k.Send(fresh, k.due(fresh, now.draw), "new"))


def _longer(last: k.Outage | k.Unsaved | None) -> float:
    return min(last.pause * 2, _LONGEST_PAUSE) if last else _FIRST_PAUSE


def _refusal(
    known: Knowledge, token: Secret | None, error: AuthError, now: Now
) -> k.RefreshRefusal:
    before = known.refusal
    tries = before.tries + 1 if before and before.token == token else 1
    if known.unattended:
        until = now.steady + k.COOLING
    elif error.code == "invalid_client":
        until = now.steady + (k.SECOND_CHANCE if tries == 1 else k.COOLING)
    else:
        until = _NEVER if error.code in DEFINITE else now.steady + k.COOLING
    return k.RefreshRefusal(token, error, tries, until)
