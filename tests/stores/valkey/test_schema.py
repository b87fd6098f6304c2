"""The index as configured, held against what servers say of theirs."""

from dataclasses import replace
from typing import Any

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.stores.valkey.index_info import FoundIndex, IndexField, VectorField
from memrouter.stores.valkey.schema import IndexSchema


def a_schema(**changes: Any) -> IndexSchema:
    return IndexSchema.from_settings(ValkeySettings.model_validate(changes), dimension=8)


def matching(schema: IndexSchema) -> FoundIndex:
    return FoundIndex(
        key_type="HASH",
        prefixes=(schema.prefix,),
        fields=dict(schema.fields),
        vector=VectorField(schema.algorithm, schema.dimension, schema.metric, "FLOAT32"),
        documents=0,
        failures=0,
        backfilling=False,
        progress=1.0,
        paused=False,
    )


def names(schema: IndexSchema, found: FoundIndex) -> list[str]:
    return [difference.what for difference in schema.differences(found)]


def test_the_command_names_owner_and_scope_so_that_letters_and_commas_count() -> None:
    command = a_schema().create_command()
    for name in ("owner", "scope"):
        start = command.index(name)
        assert command[start + 1 : start + 5] == ["TAG", "SEPARATOR", "|", "CASESENSITIVE"]
    assert command[:8] == ["FT.CREATE", "mem_idx", "ON", "HASH", "PREFIX", "1", "mem:", "SCHEMA"]
    assert "content" not in command


@pytest.mark.parametrize(("algorithm", "count"), [("auto", "6"), ("flat", "6"), ("hnsw", "10")])
def test_the_vectors_arguments_are_counted(algorithm: str, count: str) -> None:
    command = a_schema(index_algorithm=algorithm, index_m=24, text_index=True).create_command()
    start = command.index("VECTOR")
    assert command[start + 2] == count
    assert command[start + 3 + int(count) :] == ["content", "TEXT"]
    assert ("24" in command) == (algorithm == "hnsw")


def test_no_identity_is_indexed() -> None:
    assert not {"user_id", "project_id", "id"} & set(a_schema(text_index=True).fields)


def test_a_matching_index_has_no_difference() -> None:
    schema = a_schema(text_index=True, index_algorithm="hnsw")
    assert schema.differences(matching(schema)) == []
    assert schema.notes(matching(schema)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"key_type": "JSON"}, "key type"),
        ({"prefixes": ("mem:", "more:")}, "prefix"),
        ({"prefixes": ()}, "prefix"),
        ({"vector": None}, "field embedding"),
        ({"vector": VectorField("FLAT", 9, "COSINE", "FLOAT32")}, "dimension"),
        ({"vector": VectorField("FLAT", 8, "IP", "FLOAT32")}, "metric_type"),
        ({"vector": VectorField("FLAT", 8, "COSINE", "FLOAT64")}, "vector type"),
        ({"vector": VectorField("HNSW", 8, "COSINE", "FLOAT32")}, "index_algorithm"),
    ],
)
def test_each_difference_is_named_with_both_sides_and_a_fix(change: dict[str, Any], expected: str) -> None:
    schema = a_schema(index_algorithm="flat")
    (difference,) = schema.differences(replace(matching(schema), **change))
    assert difference.what == expected
    assert difference.wanted in str(difference)
    assert difference.found in str(difference)
    assert difference.fix


@pytest.mark.parametrize("has", [None, IndexField("TEXT"), IndexField("TAG"), IndexField("TAG", "|"),
                                 IndexField("TAG", ",", case_sensitive=True)])  # fmt: skip
def test_an_owner_that_is_not_matched_exactly_is_a_difference(has: IndexField | None) -> None:
    schema = a_schema()
    fields = {name: field for name, field in schema.fields.items() if name != "owner"} | ({"owner": has} if has else {})
    assert names(schema, replace(matching(schema), fields=fields)) == ["field owner"]


def test_what_a_server_does_not_tell_is_no_difference() -> None:
    schema = a_schema(index_algorithm="hnsw")
    assert names(schema, replace(matching(schema), vector=VectorField(None, None, None, None))) == []


def test_the_go_routers_index_is_held_only_against_what_reading_it_needs() -> None:
    schema = a_schema(index_algorithm="flat")
    legacy = replace(
        matching(schema), fields={"user_id": IndexField("TAG")}, vector=VectorField("HNSW", 8, "COSINE", "FLOAT32")
    )
    assert legacy.legacy
    assert names(schema, legacy) == []
    assert names(schema, replace(legacy, vector=VectorField("HNSW", 9, "L2", "FLOAT32"))) == [
        "dimension",
        "metric_type",
    ]


def test_an_index_without_owner_and_user_is_not_the_go_routers() -> None:
    schema = a_schema()
    stranger = replace(matching(schema), fields={})
    assert not stranger.legacy
    assert "field owner" in names(schema, stranger)


def test_words_that_nobody_asked_for_are_noted() -> None:
    schema = a_schema()
    fields = {**schema.fields, "content": IndexField("TEXT")}
    assert "text_index: false" in schema.notes(replace(matching(schema), fields=fields))[0]
