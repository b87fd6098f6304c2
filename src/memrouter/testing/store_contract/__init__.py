"""The contract of ``MemoryStore`` as a pytest suite, for every backend and every wrapper of one.

A backend proves itself with a fixture ``store`` that gives an open, empty store, and a class::

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self, tmp_path: Path) -> AsyncIterator[MemoryStore]:
            store = await MyStore.open(...)
            yield store
            await store.aclose()

A second fixture ``neighbour`` may give another instance over the same data, as another router has it.

The tests are coroutines: pytest-asyncio in ``auto`` mode runs them. Call
``pytest.register_assert_rewrite("memrouter.testing.store_contract")`` in a conftest for readable failures.
"""

from memrouter.testing.store_contract.changing import ChangingContract
from memrouter.testing.store_contract.committing import CommittingContract
from memrouter.testing.store_contract.creating import CreatingContract
from memrouter.testing.store_contract.isolation import IsolationContract
from memrouter.testing.store_contract.merging import MergingContract
from memrouter.testing.store_contract.quarantining import QuarantineContract
from memrouter.testing.store_contract.races import RaceContract
from memrouter.testing.store_contract.reading import ReadingContract
from memrouter.testing.store_contract.scanning import ScanningContract
from memrouter.testing.store_contract.searching import SearchingContract
from memrouter.testing.store_contract.stating import StateContract


class StoreContract(
    CreatingContract,
    ReadingContract,
    ChangingContract,
    SearchingContract,
    ScanningContract,
    MergingContract,
    CommittingContract,
    QuarantineContract,
    StateContract,
    IsolationContract,
    RaceContract,
):
    """Every sentence of ``stores/base.py``, ``stores/query.py`` and ``stores/state.py`` as a test."""


__all__ = ["StoreContract"]
