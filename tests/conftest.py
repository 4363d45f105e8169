"""Every test has a home of its own and no browser but the one that it names."""

import gc
import os
import random
import re
import signal
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import certifi
import hypothesis
import pytest

# otherwise each of the many processes that these tests start compiles the package again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# what passed passes again: `--hypothesis-profile default` looks for inputs that nobody has tried
# and no example is judged by a clock
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")

pytest_plugins = ["tests.support.fixtures", "mcp_client_auth.testing.plugin"]

HERE = Path(__file__).parent
SLOW = HERE / "slow"
SLOW_FIXTURES = {"elsewhere", "make_elsewhere", "secret_service", "terminal"}
NUMBERS = count()  # of the directories of tests
DIRECTORY = pytest.StashKey[Path]()
SURROUNDINGS = pytest.StashKey[ExitStack]()
KEYRINGS = ("DBUS_SESSION_BUS_ADDRESS", "PYTHON_KEYRING_BACKEND")  # of the machine, not ours
OURS = "MCP_CLIENT_AUTH_"  # how the names of our settings begin
TERMINAL = ("COLUMNS", "FORCE_COLOR", "FORCE_HYPERLINK", "NO_COLOR", "TERM")
HOSTS = ("CLAUDE_CODE_MCP_SERVER_URL", "MCP_REMOTE_CONFIG_DIR")  # what we read of other programs
NAMES = ("BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY", *KEYRINGS, *TERMINAL, *HOSTS)


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


def load_share(number: int, workers: int) -> None:
    """Each worker loads every third file first, so that it finds the others compiled: to rewrite
    the assertions of all takes half of a collection, and all workers would do that at once."""
    files = sorted(file for file in HERE.rglob("test_*.py") if not file.is_relative_to(SLOW))
    for file in files[number::workers]:
        with suppress(Exception, pytest.skip.Exception):  # the collection says why
            import_module(".".join(file.relative_to(HERE.parent).with_suffix("").parts))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """The collector need not walk ten thousand tests again and again: they live to the end."""
    gc.disable()
    try:
        worker: dict[str, Any] | None = getattr(session.config, "workerinput", None)
        if worker and is_default(session.config):
            load_share(int(worker["workerid"].removeprefix("gw")), worker["workercount"])
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


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """What all tests of a process share."""
    with signals_of_a_terminal(), pytest.MonkeyPatch.context() as patch:
        use_one_authority(patch, base(session.config) / "one-authority.pem")
        # power does not fail here; a test of what is synced when puts its own in its place
        patch.setattr(os, "fsync", lambda handle: None)
        load_keyrings_of_the_machine()
        return (yield)


def base(config: pytest.Config) -> Path:
    """Where the directories of the tests lie: what `tmp_path_factory` has."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    return factory.getbasetemp()


def directory(test: pytest.Item) -> Path:
    if DIRECTORY not in test.stash:
        name = re.sub(r"\W", "_", test.name)[:30]
        test.stash[DIRECTORY] = base(test.config) / f"{name}{next(NUMBERS)}"
    return test.stash[DIRECTORY]


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest) -> Path:
    """In the place of pytest's own, which reads the directories of all tests to number the next,
    and leaves a link beside each."""
    path = directory(request.node)
    path.mkdir(mode=0o700, exist_ok=True)  # by a login that a fixture has stored
    return path


@pytest.fixture
def isolated_home(request: pytest.FixtureRequest) -> Path:
    """In the test's own directory, which few tests need: it is made by the first that does."""
    return directory(request.node) / "mcp-client-auth"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Not by fixtures, each of which costs more than most of ten thousand tests do themselves."""
    surroundings = item.stash[SURROUNDINGS] = ExitStack()
    network = item.get_closest_marker("slow") is not None
    surroundings.enter_context(own_environment(directory(item), network))
    surroundings.enter_context(fresh_process())
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    with item.stash[SURROUNDINGS]:
        return (yield)


@contextmanager
def own_environment(directory: Path, network: bool) -> Iterator[None]:
    """A home of its own, and nothing that a person or the machine has set; the way to the network
    stays for who needs one."""
    before = {name: os.environ.pop(name) for name in set_by_others(network)}
    os.environ["MCP_CLIENT_AUTH_HOME"] = str(directory / "mcp-client-auth")
    yield
    for name in set_by_others(network):
        del os.environ[name]
    os.environ.update(before)


def set_by_others(network: bool) -> list[str]:
    proxies = () if network else ("_proxy", "_PROXY")
    return [
        name
        for name in os.environ
        if name in NAMES or name.startswith(OURS) or name.endswith(proxies)
    ]


@contextmanager
def fresh_process() -> Iterator[None]:
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
    from mcp_client_auth.transport.ahead import _live

    # the keyring library finds every backend class that a test has made, and remembers some
    classes.intersection_update(before)
    core._keyring_backend = None
    vars(backend.get_all_keyring).pop("saved_result", None)
    _wire.ending = False  # a command that took the process's place would have ended it
    SHARED.reset()
    SHARED.waiting = None
    process_memory.cache_clear()
    _warn_once.cache_clear()
    _live.clear()  # no more than some are begun, and those of another test last a moment
    KNOWN._older, KNOWN._newer = Parts(), Parts()
    KNOWN.number += 1
