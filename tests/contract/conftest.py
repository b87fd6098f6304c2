"""Makes failures inside the contract suite readable."""

import pytest

pytest.register_assert_rewrite("memrouter.testing.store_contract")
