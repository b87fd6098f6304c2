"""Shared by all tests: how hypothesis runs, and which warnings are none of ours."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from memrouter.config.memory import MilvusSettings
from memrouter.testing.milvus import some_milvus

# No deadline: speed is measured in benchmarks, and a busy machine must not fail a test.
settings.register_profile(
    "memrouter", deadline=None, max_examples=80, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("memrouter")


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis look at every imported module: some of the Valkey client's warn when they are looked at."""
    config.addinivalue_line("filterwarnings", "ignore:Importing from 'glide:DeprecationWarning")


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[MilvusSettings]:
    """Settings for the one Milvus of a test run: it takes seconds to start, and memory."""
    with some_milvus(os.environ) as server:
        yield server
