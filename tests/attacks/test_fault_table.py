"""Twelve requests of the flow, and forty-one ways in which a server fails to answer each.

Every cell ends in success or in an `AuthError`, soon; what was stored is as it was or better,
and no thread, socket or lock is left. A few cells of every row and column run by default.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from filelock import FileLock, Timeout

from mcp_client_auth import (
    AuthError,
    BrowserPrompt,
    Credential,
    DeviceCode,
    DevicePrompt,
    FileStorage,
    Key,
    Options,
    Secret,
    login,
)
from tests.support.broken_answers import FAULTS, IN_TIME, WAITED_FOR
from tests.support.fault_stage import NEW, OLD, REFRESH, Stage
from tests.support.inside import credential
from tests.support.ports import free_port

HTTP: Final = 3.0  # seconds for one request
PERSON: Final = 6.0
LIMIT: Final = 40.0  # for a whole cell: hung ones take a minute and more
AT_ONCE: Final = 8
SETTLING: Final = 20.0
# How often one request may be sent: five redirects, and all of them again for a new login.
MOST: Final = 12
CLOCK: Final = "no complete answer within"
SECRETS: Final = (OLD, NEW, REFRESH, "planted-code", "planted-device")


@dataclass
class Cell:
    """One request that meets one fault, sent by a user with a home of their own."""

    spot: str
    fault: str
    stage: Stage
    home: Path
    thorough: bool
    ended: str = ""
    error: BaseException | None = None
    took: float = 0.0
    before: Credential | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def storage(self) -> FileStorage:
        return FileStorage(self.home)

    @property
    def stored(self) -> Credential | None:
        return self.storage.load(Key(self.stage.url))

    def keep(self, **changes: Any) -> None:
        given = {"refresh_token": Secret(REFRESH), "issuer": self.stage.issuer, **changes}
        end = self.stage.issuer + "/revoke"
        self.storage.save(credential(self.stage.url, OLD, revocation_endpoint=end, **given))

    def log_in(self, **more: Any) -> Any:
        """Log in again, although there is a login."""
        options = more.pop("options", {})
        arguments = {"prompt": BrowserPrompt(self.stage.person), "force": True, **more}
        return login(
            self.stage.url,
            storage=self.storage,
            options=Options(http_timeout=HTTP, login_timeout=PERSON, patience=0, **options),
            **arguments,
        )

    def without_a_person(self) -> Any:
        return self.log_in(prompt=None, force=False)


def by_browser(cell: Cell) -> None:
    cell.log_in().close()


def by_reference(cell: Cell) -> None:
    cell.log_in(options={"push_authorization_request": True}).close()


def by_device(cell: Cell) -> None:
    prompt = DevicePrompt(lambda invitation: None)
    cell.log_in(grant=DeviceCode(), prompt=prompt).close()


def refreshed(cell: Cell) -> None:
    cell.without_a_person().close()


def logged_out(cell: Cell) -> None:
    there = cell.without_a_person()
    there.logout()
    there.close()


Doing: TypeAlias = Callable[[Cell], None]
ROWS: Final[dict[str, Doing]] = {
    "probe": by_browser,
    "resource-metadata": by_browser,
    "server-metadata": by_browser,
    "oidc-metadata": by_browser,
    "registration": by_browser,
    "pushed-authorization": by_reference,
    "device-authorization": by_device,
    "code-exchange": by_browser,
    "device-token": by_device,
    "refresh": refreshed,
    "authorized-request": by_browser,
    "revocation": logged_out,
}


def prepare(cell: Cell) -> None:
    """Store an earlier login: one that is valid, or one that has to be renewed."""
    if cell.spot == "refresh":
        cell.keep(issued_at=1000.0, expires_at=2000.0)
    else:
        cell.keep()
    cell.before = cell.stored


def run(cell: Cell) -> None:
    prepare(cell)
    cell.stage.break_at(cell.spot, cell.fault, FAULTS[cell.fault])
    began = time.monotonic()
    try:
        ROWS[cell.spot](cell)
        cell.ended = "success"
    except AuthError as error:
        cell.ended, cell.error = type(error).__name__, error
    except BaseException as error:
        cell.ended, cell.error = "not an AuthError", error
        cell.faults.append(f"{type(error).__name__}: {error}")
    cell.took = time.monotonic() - began
    judge(cell)


def judge(cell: Cell) -> None:
    """Check what must hold, whatever the fault is."""
    told, faults = f"{cell.error} {cell.error!r} {vars(cell.error or object)}", cell.faults
    if cell.took > LIMIT:
        faults.append(f"it took {cell.took:.0f} s")
    if any(secret in told for secret in SECRETS):
        faults.append("its error holds a secret")
    if cell.stage.strays:
        faults.append(f"another origin was asked for {cell.stage.strays}")
    if locked := [path.name for path in cell.home.glob("*.lock") if not is_free(path)]:
        faults.append(f"locks are held: {locked}")
    if halves := [path.name for path in cell.home.iterdir() if path.name.startswith(".")]:
        faults.append(f"half-written files are left: {halves}")
    if cell.stage.reached > MOST:
        faults.append(f"it was sent {cell.stage.reached} times")
    if cell.fault == IN_TIME and cell.ended != "success":
        faults.append(f"an answer in time was not taken: {cell.error}")
    if cell.fault in WAITED_FOR and cell.ended == "Unavailable" and CLOCK not in told:
        faults.append(f"not its clock has ended it: {cell.error}")
    faults.extend(judged_store(cell))


def judged_store(cell: Cell) -> Iterator[str]:
    stored = cell.stored
    if cell.spot == "revocation":
        if stored is not None:
            yield "the login is still stored after the logout"
        return
    if stored is None:
        yield "the login of before is lost"
        return
    token, refresh = stored.tokens.access_token.reveal(), stored.tokens.refresh_token
    if refresh is None or REFRESH not in refresh.reveal():
        yield "the refresh token is lost"
    if cell.ended == "success" and not token.startswith(NEW):
        yield f"a success that has stored {token}"
    unsure = cell.spot == "authorized-request"  # the tokens were issued, the answer is missing
    if cell.ended != "success" and stored != cell.before and not (unsure and token.startswith(NEW)):
        yield "the login of before was changed"
    yield from mended(cell, as_before=stored == cell.before and not unsure)


def mended(cell: Cell, *, as_before: bool) -> Iterator[str]:
    """Once the server works again, the earlier login still works, and so does a new one."""
    cell.stage.mend()
    try:
        if as_before:
            cell.without_a_person().close()
        if cell.thorough and cell.spot != "refresh":
            cell.log_in().close()
    except AuthError as error:
        yield f"it is not over when the server is good again: {error}"


def is_free(path: Path) -> bool:
    try:
        with FileLock(path, timeout=SETTLING / 2):
            return True
    except Timeout:
        return False


def played(spot: str, fault: str, home: Path, *, thorough: bool = False) -> Cell:
    """Return a cell that has met its fault; try again if the machine was too slow for that."""
    for attempt in range(3):
        with Stage(oidc=spot == "oidc-metadata") as stage:
            cell = Cell(spot, fault, stage, home / f"{attempt}", thorough)
            run(cell)
        outrun = fault not in WAITED_FOR and CLOCK in str(cell.error)
        if stage.reached and not outrun:
            return cell
    cell.faults.append(f"another fault was met: {cell.error}")
    return cell


@contextmanager
def nothing_left() -> Iterator[None]:
    """Check that no thread or socket is left, once all has settled."""
    threads, sockets = set(threading.enumerate()), open_sockets()
    yield
    end = time.monotonic() + SETTLING
    while (left := set(threading.enumerate()) - threads) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left, f"threads are left: {sorted(thread.name for thread in left)}"
    gc.collect()  # this closes a connection that nothing refers to
    while (more := open_sockets() - sockets) > 0 and time.monotonic() < end:
        time.sleep(0.05)
    assert more <= 0, f"{more} sockets are left"


def open_sockets() -> int:
    """The number of this process's sockets, if the system tells; otherwise 0."""
    place = Path("/proc/self/fd")
    if not place.exists():
        return 0
    found = 0
    for entry in place.iterdir():
        try:
            found += os.readlink(entry).startswith("socket:")
        except OSError:  # it was the handle of the listing itself
            continue
    return found


def play(cells: Sequence[tuple[str, str]], home: Path, *, thorough: bool = False) -> None:
    """Play several cells at once, and name each one that fails."""
    free_port()  # its first call opens a socket that stays
    with nothing_left(), ThreadPoolExecutor(AT_ONCE) as pool:
        running = [
            pool.submit(played, spot, fault, home / f"{number}", thorough=thorough)
            for number, (spot, fault) in enumerate(cells)
        ]
        ended = [each.result() for each in running]
    bad = [f"{cell.spot} × {cell.fault}: {', '.join(cell.faults)}" for cell in ended if cell.faults]
    assert not bad, "\n".join(bad)


A_FEW: Final = [
    (spot, fault)
    for row, spot in enumerate(ROWS)
    for column, fault in enumerate(FAULTS)
    if column % len(ROWS) == row
]


def test_the_table_is_whole() -> None:
    assert (len(ROWS), len(FAULTS)) == (12, 41)
    assert {fault for _, fault in A_FEW} == set(FAULTS)


def test_a_few_cells_of_every_row_and_column(tmp_path: Path) -> None:
    play(A_FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("spot", ROWS)
def test_every_fault_of_a_request(tmp_path: Path, spot: str) -> None:
    play([(spot, fault) for fault in FAULTS], tmp_path, thorough=True)
