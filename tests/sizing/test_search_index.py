"""What the Search modules keep."""

import pytest

from memrouter.sizing.search_index import SearchModule
from memrouter.sizing.valkey import ServerKind, ValkeySize, valkey_size
from memrouter.sizing.workload import Workload

MODULES = pytest.mark.parametrize("module", SearchModule)


def size(module: SearchModule, dimension: int = 384, *, m: int = 0, words: bool = False) -> ValkeySize:
    return valkey_size(Workload(100_000, dimension, graph_links=m, text_index=words), ServerKind(module))


@MODULES
def test_the_index_has_its_own_copy_of_each_vector(module: SearchModule) -> None:
    assert 1.0 <= size(module).index_vectors / (100_000 * 4 * 384) < 1.06


@MODULES
def test_links_cost_eight_bytes_each_and_some_in_the_upper_layers(module: SearchModule) -> None:
    grown = size(module, m=64).vector_index - size(module, m=8).vector_index
    assert 8 <= grown / 100_000 / 56 < 9


@MODULES
def test_only_what_is_indexed_is_counted(module: SearchModule) -> None:
    assert size(module).word_index == 0
    assert size(module, words=True).word_index > 100_000 * 600
    assert size(module, m=16).vector_index > size(module).vector_index


def test_what_was_measured_on_valkey_search_is_met() -> None:
    """Resident memory on 1.2.1, 80 random words each; the fields were those of the time, with 15 % leeway."""
    flat = valkey_size(Workload(100_000, 384, content_bytes=520))
    words = valkey_size(Workload(100_000, 384, content_bytes=520, graph_links=16, text_index=True))
    assert flat.data / 100_000 == pytest.approx(5_200, rel=0.16)
    assert words.data / 100_000 == pytest.approx(15_000, rel=0.15)
