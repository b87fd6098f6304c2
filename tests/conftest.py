"""Shared by all tests: how hypothesis runs, and which warnings are none of ours."""

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from memrouter.config.memory import MilvusSettings
from memrouter.testing.milvus import some_milvus

SHARING = ("flow", "inspector")
"""Folders whose tests share servers."""

# No deadline: speed is measured in benchmarks, and a busy machine must not fail a test.
settings.register_profile(
    "memrouter", deadline=None, max_examples=80, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("memrouter")


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis look at every imported module: some of the Valkey client's warn when they are looked at.

    Programs that tests start hear of Ctrl-C, also where a script runs the tests in its background, which ignores it.
    """
    config.addinivalue_line("filterwarnings", "ignore:Importing from 'glide:DeprecationWarning")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several workers (``-n``), run together in one what shares a server, and each other file as a whole."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

    config.option.loadscopereorder = False
    return Together(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Make fit for the way to the first process what a test has logged or compared: lone surrogates are not."""
    return sendable((yield))


def sendable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {sendable(name): sendable(inner) for name, inner in value.items()}
        case list() | tuple():
            return type(value)(map(sendable, value))
        case _:
            return value


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that ``together`` would put into the wrong group."""
    for item in items:
        if "milvus_server" in getattr(item, "fixturenames", ()) and together(item.nodeid) != "milvus":
            raise pytest.UsageError(f"{item.nodeid} needs Milvus and does not have it in its name")


def together(nodeid: str) -> str:
    """Return the name of the group of tests that this one belongs to.

    There is one Milvus for a test run, which every test has in its name that needs it, one set of routers for the
    tests of the flow, and one browser for those of the inspector.
    """
    file = nodeid.partition("::")[0]
    if "milvus" in nodeid.lower():
        return "milvus"
    folder = PurePath(file).parts[1:2]
    return folder[0] if folder and folder[0] in SHARING else file


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[MilvusSettings]:
    """Settings for the one Milvus of a test run: it takes seconds to start, and memory."""
    with some_milvus(os.environ) as server:
        yield server
