"""Ids that were seen."""

from msgspec.structs import replace

from memrouter.transfer.seen import SeenMemories

from .samples import factory


def test_an_id_is_seen_once_for_each_owner() -> None:
    record = factory().make()
    with SeenMemories() as seen:
        assert seen.add(record)
        assert not seen.add(record)
        assert seen.add(replace(record, user_id="bob"))
        assert seen.add(replace(record, id="other"))
        assert not seen.add(replace(record, content="other"))


def test_owner_and_id_do_not_run_into_each_other() -> None:
    record = factory().make()
    with SeenMemories() as seen:
        assert seen.add(replace(record, user_id="ab", id="c"))
        assert seen.add(replace(record, user_id="a", id="bc"))
