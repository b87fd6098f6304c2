"""The builders of the contract suite keep their word."""

import numpy as np

from memrouter.models.memory import Scope, owner_key
from memrouter.stores.base import Capabilities
from memrouter.testing.records import HOSTILE_IDENTITIES, RecordFactory, plain, text_vector


def test_hostile_identities_are_legal_and_all_different() -> None:
    assert len({owner_key(Scope(identity, identity).user_id) for identity in HOSTILE_IDENTITIES}) == len(
        HOSTILE_IDENTITIES
    )


def test_vectors_depend_on_the_text_alone_and_are_of_unit_length() -> None:
    first = text_vector("tea", 24)
    assert first.tobytes() == text_vector("tea", 24).tobytes()
    assert abs(float(np.linalg.norm(first)) - 1) < 1e-6
    assert abs(float(first @ text_vector("milk", 24))) < 0.9


def test_two_factories_make_the_same_records() -> None:
    capabilities = Capabilities("any", 8, "model", exact=True)
    makes = [RecordFactory(capabilities), RecordFactory(capabilities)]
    assert len({str([plain(record) for record in make.many(3)]) for make in makes}) == 1
