import pytest

from memrouter.config.paths import KeyPath
from memrouter.config.problems import shape_at
from memrouter.config.shape import Shape, walk

MEMORY_PLUGIN = {"routing": {"decisions": [{"plugins": [{"type": "memory", "configuration": {}}]}]}}
PLUGIN: KeyPath = ("routing", "decisions", 0, "plugins", 0)


def at(*path: str | int, data: object = None) -> Shape:
    shape = shape_at(Shape.of_settings(), data, path)
    assert shape is not None
    return shape


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("listeners", 0, "port"), "an integer from 0 to 65535"),
        (("listeners", 0, "timeout"), "a number greater than 0 or a duration such as 300s, 5m, 1h or 250ms"),
        (("listeners", 0), "a mapping"),
        (("listeners",), "a non-empty list, each item a mapping"),
        (("providers", "models", 0, "name"), "a non-empty string"),
        (("global", "stores", "memory", "backend"), "sqlite | valkey | milvus or nothing"),
        (("global", "stores", "memory", "enabled"), "true or false"),
        (("global", "stores", "memory", "sqlite", "path"), "a string"),
        (("version",), "v0.3"),
        (("global", "stores", "memory", "default_similarity_threshold"), "a number from 0 to 1 or nothing"),
        (
            ("routing", "signals", "context", 0, "min_tokens"),
            "an integer of at least 0 or a number of tokens such as 32K or 1M",
        ),
    ],
)
def test_what_is_allowed_is_said_in_words(path: KeyPath, words: str) -> None:
    assert at(*path).describe() == words


def test_a_plugins_type_chooses_its_configuration() -> None:
    assert at(*PLUGIN).tags == ("header_mutation", "memory", "system_prompt")
    assert "retrieval_limit" in at(*PLUGIN, "configuration", data=MEMORY_PLUGIN).keys
    assert shape_at(Shape.of_settings(), {}, (*PLUGIN, "configuration")) is None


def test_secrets_foreign_keys_and_free_mappings_are_told_apart() -> None:
    valkey = at("global", "stores", "memory", "valkey")
    assert at("global", "stores", "memory", "valkey", "password").is_secret
    assert "password_file" in valkey.keys
    assert at("global", "services", "api").is_foreign
    assert "api" not in at("global", "services").keys
    assert at("providers", "models", 0, "backend_refs", 0, "extra_headers", "x-any").is_text
    assert shape_at(Shape.of_settings(), {}, ("nonsense", "below")) is None


def test_kinds_of_values_are_known() -> None:
    assert at("listeners").is_section
    assert not at("global", "stores", "memory", "valkey").is_section
    assert at("global", "stores", "memory", "sqlite", "path").is_text
    assert not at("listeners", 0, "timeout").is_text
    assert at("listeners", 0, "timeout").is_number
    assert not at("global", "stores", "memory", "enabled").is_number


def test_a_walk_yields_parents_first_and_nothing_below_foreign_keys() -> None:
    data = {"global": {"services": {"api": {"x": 1}}, "server": {"nonsense": [2]}}}
    paths = [path for path, _, _ in walk(data, Shape.of_settings())]
    assert paths == [
        (),
        ("global",),
        ("global", "services"),
        ("global", "services", "api"),
        ("global", "server"),
        ("global", "server", "nonsense"),
        ("global", "server", "nonsense", 0),
    ]
