"""Which router may use a store whose vectors are, or were, or are being made anew, and what it is told."""

import pytest

from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.stores.embedding_space import (
    EmbeddingSpace,
    Phase,
    UnderWay,
    check_begun,
    check_space,
    check_still_kept,
    check_target,
    check_writable,
    kept_space,
    refusal,
    under_way,
)

A, B, C = EmbeddingSpace("a", 8), EmbeddingSpace("b", 8), EmbeddingSpace("b", 16)


def notes(kept: EmbeddingSpace, target: EmbeddingSpace | None = None, phase: Phase = Phase.FILLING) -> dict[str, str]:
    found = {"embedding_model": kept.model, "dimension": str(kept.dimension), "format": "1"}
    if target is not None:
        found |= {"reindex_model": target.model, "reindex_dimension": str(target.dimension), "reindex_phase": phase}
    return found


def test_what_was_written_down_is_read() -> None:
    found = notes(A, B, Phase.SEALED)
    assert (kept_space(found), under_way(found)) == (A, UnderWay(B, Phase.SEALED))
    assert (kept_space({}), under_way({})) == (None, None)
    assert kept_space({"embedding_model": "a"}) is None
    assert kept_space({"embedding_model": "a", "dimension": "many"}) is None


def test_the_command_names_model_and_dimension_and_quotes_what_a_shell_would_read() -> None:
    assert B.command == "memrouter reindex --embedding-model b --dimension 8 --config FILE"
    assert EmbeddingSpace("a b; rm -r", 8).command.startswith("memrouter reindex --embedding-model 'a b; rm -r' ")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [({}, A), (notes(A), A), (notes(A, B), A), (notes(A, B, Phase.SEALED), A)],
    ids=["new", "fitting", "being filled", "sealed"],
)
def test_a_router_of_the_kept_model_may_start(found: dict[str, str], wanted: EmbeddingSpace) -> None:
    assert refusal(found, wanted=wanted, place="the store") is None
    check_space(found, wanted=wanted, place="the store")


@pytest.mark.parametrize(
    ("found", "wanted", "fix"),
    [
        (notes(A), B, f"set global.stores.memory.embedding_model back to a, or run: {B.command}"),
        (notes(B), C, f"set global.stores.memory.embedding_model back to b, or run: {C.command}"),
        (notes(A, B), B, f"finish it with: {B.command}"),
        (notes(A, B), C, f"finish it with: {B.command}"),
        (notes(A, B, Phase.SEALED), B, f"finish it with: {B.command}"),
        (notes(B, B, Phase.SWITCHING), A, f"finish it with: {B.command}"),
        (notes(B, B, Phase.SWITCHING), B, f"finish it with: {B.command}"),
    ],
)
def test_any_other_router_is_refused_with_the_command(found: dict[str, str], wanted: EmbeddingSpace, fix: str) -> None:
    refused = refusal(found, wanted=wanted, place="the store")
    assert refused is not None
    assert refused.fix == fix
    with pytest.raises(SchemaMismatch) as caught:
        check_space(found, wanted=wanted, place="the store")
    assert str(caught.value) == f"{refused.seen}; {fix}"


@pytest.mark.parametrize("found", [{}, notes(A), notes(A, B)])
def test_a_running_router_goes_on_while_its_vectors_are_kept(found: dict[str, str]) -> None:
    check_still_kept(found, own=A, place="the store")
    check_writable(found, own=A, place="the store")


def test_a_sealed_store_is_read_and_not_written() -> None:
    found = notes(A, B, Phase.SEALED)
    check_still_kept(found, own=A, place="the store")
    with pytest.raises(StoreUnavailable, match=f"about to switch to vectors of b .*{B.command}"):
        check_writable(found, own=A, place="the store")


@pytest.mark.parametrize("found", [notes(B), notes(C), notes(B, B, Phase.SWITCHING)])
def test_a_running_router_is_stopped_by_a_switch(found: dict[str, str]) -> None:
    for check in (check_still_kept, check_writable):
        with pytest.raises(SchemaMismatch, match=r"the store was reindexed: .* restart memrouter"):
            check(found, own=A, place="the store")


def test_one_reindex_at_a_time() -> None:
    for found in (notes(A), notes(A, B), notes(A, B, Phase.SEALED)):
        check_target(found, target=B, place="the store")
    with pytest.raises(SchemaMismatch, match=f"is under way. Finish it with: {B.command}; or .*--abandon"):
        check_target(notes(A, B), target=C, place="the store")
    with pytest.raises(SchemaMismatch, match=f"can only be finished: {B.command}$"):
        check_target(notes(B, B, Phase.SWITCHING), target=C, place="the store")


def test_a_reindex_that_somebody_else_ended_goes_no_further() -> None:
    check_begun(notes(A, B), target=B, place="the store")
    for found in (notes(A), notes(B), notes(A, C)):
        with pytest.raises(StoreUnavailable, match="ended by another process"):
            check_begun(found, target=B, place="the store")


def test_where_a_store_cannot_be_reindexed_the_other_way_is_named() -> None:
    refused = refusal(notes(A), wanted=B, place="the store", instead="fill another one")
    assert refused is not None
    assert refused.fix == "set global.stores.memory.embedding_model back to a, or fill another one"
