"""The names of keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import ConfigError
from memrouter.models.memory import owner_key
from memrouter.stores.state import MAX_NAME_CHARS
from memrouter.stores.valkey.keys import STATE_SLOTS, Keys
from memrouter.testing.records import HOSTILE_IDENTITIES

PREFIXES = st.text(max_size=12).filter(lambda text: text.strip("~") and not set(text) & {"{", "}"})

NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=MAX_NAME_CHARS)


def slot_tag(key: str) -> str:
    """Return the part of a key that decides its slot, as the cluster specification says."""
    start = key.find("{")
    end = key.find("}", start + 1)
    return key[start + 1 : end] if start >= 0 and end > start + 1 else key


@given(PREFIXES, st.text(min_size=1), st.text(min_size=1, max_size=64))
def test_all_keys_of_an_owner_share_a_slot_and_only_memories_stand_under_the_prefix(
    prefix: str, user: str, memory_id: str
) -> None:
    try:
        owner = owner_key(user)
    except UnicodeEncodeError:
        return
    keys = Keys(prefix).of(owner)
    sides = (keys.ids, keys.generation, keys.access, keys.content)
    assert {slot_tag(key) for key in (*sides, keys.memory(memory_id))} == {owner}
    assert keys.memory(memory_id).startswith(prefix)
    assert not any(side.startswith(prefix) for side in (*sides, Keys(prefix).meta))


@given(PREFIXES, NAMES, NAMES, NAMES)
def test_all_keys_of_a_space_share_a_slot_and_are_nobody_elses(prefix: str, space: str, name: str, other: str) -> None:
    try:
        prefix.encode()
    except UnicodeEncodeError:
        return
    keys = Keys(prefix)
    state = keys.state(space)
    names = (state.clock, state.entries, state.entry(name))
    assert len({slot_tag(key) for key in names}) == len({*names}) - 2 == 1
    assert not any(key.startswith(prefix) or keys.parse(key.encode()) for key in names)
    assert keys.owner_of(state.entries.encode()) is None
    assert keys.space_of(state.entries.encode()) == space
    assert [keys.space_of(key.encode()) for key in (state.clock, state.entry(name), keys.meta)] == [None] * 3
    assert (state.entry(name) == keys.state(other).entry(name)) is (space == other)
    assert (state.entry(name) == state.entry(other)) is (name == other)
    assert not any(key.startswith(f"~{prefix}{{") for key in names), "no pattern of owners' keys finds them"


def test_spaces_are_spread_over_all_slots() -> None:
    assert len({Keys("mem:").state(f"space{number}").clock for number in range(1000)}) == STATE_SLOTS


@pytest.mark.parametrize("prefix", ["", "~", "~~", "{x}:", "mem:}", "a{}"])
def test_a_prefix_that_would_mix_keys_or_slots_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Keys(prefix)
    assert caught.value.problems[0].key == "global.stores.memory.valkey.collection_prefix"


def test_a_tagged_key_is_told_from_an_untagged_one() -> None:
    keys = Keys("mem:")
    owner = keys.of_user("alice")
    assert keys.parse(owner.memory("m:1{}").encode()) == (owner_key("alice"), "m:1{}")
    for other in ("m1", "{alice}:m1", "{" + "A" * 32 + "}:m1", "{" + "a" * 32 + "}:"):
        assert keys.parse(keys.untagged(other).encode()) is None


def test_no_two_hostile_names_share_keys() -> None:
    keys = Keys("mem:")
    assert len({keys.of_user(user).base for user in HOSTILE_IDENTITIES}) == len(HOSTILE_IDENTITIES)
