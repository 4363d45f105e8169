"""Every test has a home of its own and no browser but the one that it names."""

import gc
import os
import random
import re
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import certifi
import hypothesis
import pytest

# otherwise each of the many processes that these tests start compiles the package again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# what passed passes again: `--hypothesis-profile default` looks for inputs that nobody has tried
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")

pytest_plugins = ["tests.support.fixtures", "mcp_client_auth.testing.plugin"]

SLOW = Path(__file__).with_name("slow")
SLOW_FIXTURES = {"elsewhere", "make_elsewhere", "secret_service", "terminal"}
NUMBERS = count()  # of the directories of tests
DIRECTORY = pytest.StashKey[Path]()
KEYRINGS = ("DBUS_SESSION_BUS_ADDRESS", "PYTHON_KEYRING_BACKEND")  # of the machine, not ours
SETTINGS = ("MCP_CLIENT_AUTH_STORAGE", "MCP_CLIENT_AUTH_KEY", "MCP_CLIENT_AUTH_KEY_FILE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", metavar="SEED", help="run the files, and the tests of each, in another order"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The default run fills two processors; what is named on the command line takes one."""
    if hasattr(config, "workerinput"):
        return  # this is one of them
    unsaid = getattr(config.option, "numprocesses", 0) is None  # 0: pytest-xdist is not installed
    if unsaid and is_default(config) and not config.option.usepdb and not config.option.collectonly:
        config.option.numprocesses = 3  # most tests wait for something, and two would leave time
        config.option.dist = "worksteal"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist gets arguments also where the run has none."""
    node.workerinput["default run"] = is_default(node.config)


def is_default(config: pytest.Config) -> bool:
    """A path or a mark that is named on the command line runs everything that it selects."""
    if hasattr(config, "workerinput"):
        return bool(config.workerinput["default run"])
    return config.args_source is not config.ArgsSource.ARGS and not config.option.markexpr


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The default run does not load what other people's servers and browsers are driven with."""
    return True if is_default(config) and collection_path == SLOW else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The collector need not walk ten thousand tests again and again: they live to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what starts processes or browsers, or waits for real, and leave it out by default."""
    for item in items:
        if starts_something(item):
            item.add_marker("slow")
    if is_default(config):
        slow = {item for item in items if item.get_closest_marker("slow")}
        config.hook.pytest_deselected(items=list(slow))
        items[:] = [item for item in items if item not in slow]
    if seed := config.option.shuffle:
        order = random.Random(seed)
        files = {path: order.random() for path in dict.fromkeys(item.path for item in items)}
        order.shuffle(items)
        items.sort(key=lambda item: files[item.path])


def starts_something(item: pytest.Item) -> bool:
    if item.path.is_relative_to(SLOW):
        return True
    if SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
        return True
    callspec = getattr(item, "callspec", None)
    return callspec is not None and "keyring" in callspec.params.values()


@contextmanager
def signals_of_a_terminal() -> Iterator[None]:
    """What a script starts in the background inherits Ctrl-C as ignored, and hands that on."""
    names = ("SIGINT", "SIGQUIT", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def use_one_authority(patch: pytest.MonkeyPatch, place: Path) -> None:
    """Clients read all authorities of the web as they are made, and take long; none is met here."""
    every, end = Path(certifi.where()).read_text(), "-----END CERTIFICATE-----\n"
    place.write_text(every.partition(end)[0] + end)
    patch.setattr(certifi, "where", lambda: str(place))


def load_keyrings_of_the_machine() -> None:
    from keyring.backend import get_all_keyring

    with pytest.MonkeyPatch.context() as patch:
        for name in KEYRINGS:
            patch.delenv(name, raising=False)
        get_all_keyring()  # loads their classes


@pytest.fixture(scope="session", autouse=True)
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What all tests of a process share, and the directory that theirs lie in. One fixture, for
    each is paid for again by every test."""
    base = tmp_path_factory.getbasetemp()
    with signals_of_a_terminal(), pytest.MonkeyPatch.context() as patch:
        use_one_authority(patch, base / "one-authority.pem")
        # power does not fail here; a test of what is synced when puts its own in its place
        patch.setattr(os, "fsync", lambda handle: None)
        load_keyrings_of_the_machine()
        yield base


def directory(test: pytest.Item, base: Path) -> Path:
    if DIRECTORY not in test.stash:
        name = re.sub(r"\W", "_", test.name)[:30]
        test.stash[DIRECTORY] = base / f"{name}{next(NUMBERS)}"
    return test.stash[DIRECTORY]


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, base: Path) -> Path:
    """In the place of pytest's own, which reads the directories of all tests to number the next,
    and leaves a link beside each."""
    path = directory(request.node, base)
    path.mkdir(mode=0o700, exist_ok=True)  # by a login that a fixture has stored
    return path


@pytest.fixture(autouse=True)
def isolated_home(
    request: pytest.FixtureRequest, base: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """In the test's own directory, which few tests need: it is made by the first that does."""
    home = directory(request.node, base) / "mcp-client-auth"
    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", str(home))
    for name in ("BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY", *KEYRINGS, *SETTINGS):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(autouse=True)
def fresh_process(base: Path) -> Iterator[None]:
    """What lasts as long as a process lasts as long as a test."""
    from keyring import backend, core

    classes = backend.KeyringBackend._classes
    before = set(classes)
    yield
    from mcp_client_auth.secret import KNOWN, Parts
    from mcp_client_auth.session.single_flight import _wire
    from mcp_client_auth.storage.keyring_thread import SHARED
    from mcp_client_auth.storage.memory import process_memory
    from mcp_client_auth.storage.placement import _warn_once

    # the keyring library finds every backend class that a test has made, and remembers some
    classes.intersection_update(before)
    core._keyring_backend = None
    vars(backend.get_all_keyring).pop("saved_result", None)
    _wire.ending = False  # a command that took the process's place would have ended it
    SHARED.reset()
    SHARED.waiting = None
    process_memory.cache_clear()
    _warn_once.cache_clear()
    KNOWN._older, KNOWN._newer = Parts(), Parts()
    KNOWN.number += 1
