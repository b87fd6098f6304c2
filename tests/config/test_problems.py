import pytest
from pydantic import ValidationError

from memrouter.config.document import Document
from memrouter.config.findings import Finding
from memrouter.config.paths import dotted
from memrouter.config.problems import Describer, is_secret, shorten, validation_findings
from memrouter.config.pruning import prune
from memrouter.config.settings import Settings
from memrouter.config.shape import Shape
from memrouter.config.source import Source


def findings(data: dict[str, object], *removed: tuple[str | int, ...]) -> list[Finding]:
    pruned = prune(data, set(removed))
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(pruned.data)
    return validation_findings(caught.value, pruned, Shape.of_settings())


def plugins(*items: dict[str, object]) -> dict[str, object]:
    return {"routing": {"decisions": [{"name": "d", "plugins": list(items)}]}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        (5, "5"),
        ({}, "an empty mapping"),
        ({"a": 1}, "a mapping"),
        ([], "an empty list"),
        ([1], "a list"),
        ("x\x1b\n", "'x\\x1b\\n'"),
        ("y" * 100, "'" + "y" * 60 + "...'"),
        ("http://user:pw@host/", "'http://**********@host/'"),
        (10**90, "1" + "0" * 59 + "..."),
    ],
)
def test_values_are_shown_short_and_without_control_characters(value: object, text: str) -> None:
    assert shorten(value) == text


@pytest.mark.parametrize(
    "path",
    [
        ("global", "stores", "memory", "valkey", "password"),
        ("unknown", "api_key"),
        ("unknown", "API-Token", 0),
        ("providers", "models", 0, "backend_refs", 0, "extra_headers", "x-any"),
        ("routing", "decisions", 0, "plugins", 0, "configuration", "set", 0, "value"),
    ],
)
def test_values_under_secret_keys_are_secret(path: tuple[str | int, ...]) -> None:
    assert is_secret(path, None)


def test_a_value_that_the_schema_calls_secret_is_so_whatever_its_key() -> None:
    password = Shape({"type": "string", "format": "password"}, {})
    assert is_secret(("renamed",), password)


@pytest.mark.parametrize(
    "key", ["max_inject_tokens", "min_tokens", "api_key_env", "password_file", "collection_prefix"]
)
def test_values_under_similar_keys_are_not(key: str) -> None:
    assert not is_secret(("a", key), None)


def test_faults_in_plugins_are_at_their_own_path() -> None:
    unknown, inside, key = findings(
        plugins(
            {"type": "memmory"}, {"type": "memory", "configuration": {"enabled": "x"}}, {"type": "memory", "memory": 1}
        )
    )
    assert dotted(unknown.path) == "routing.decisions[0].plugins[0].type"
    assert unknown.hint == "Did you mean 'memory'?"
    assert unknown.allowed == "header_mutation | memory | system_prompt"
    assert (dotted(inside.path), inside.allowed) == (
        "routing.decisions[0].plugins[1].configuration.enabled",
        "true or false or nothing",
    )
    assert (dotted(key.path), key.allowed) == ("routing.decisions[0].plugins[2].memory", "type, configuration")


def test_a_plugin_without_a_type_lists_the_types() -> None:
    (finding,) = findings(plugins({}))
    assert dotted(finding.path) == "routing.decisions[0].plugins[0].type"


def test_paths_are_those_before_pruning() -> None:
    data = plugins({"type": "tools"}, {"type": "memory", "configuration": {"enabled": 5}})
    (finding,) = findings(data, ("routing", "decisions", 0, "plugins", 0))
    assert dotted(finding.path) == "routing.decisions[0].plugins[1].configuration.enabled"


def test_a_rule_between_keys_names_those_that_are_there() -> None:
    data: dict[str, object] = {
        "routing": {"decisions": [{"name": "d", "rules": {"type": "keyword", "name": "k", "operator": "OR"}}]}
    }
    (finding,) = findings(data)
    assert finding.found == "a mapping with type, name, operator"
    assert finding.allowed == "either type and name, or operator and conditions"


def test_problems_are_in_the_order_of_the_file_and_one_a_place() -> None:
    source = Source("c.yaml", Document(data={"a": 1, "b": 2}, lines={("a",): 2, ("b",): 1}))
    source.outside["c",] = "<command line>"
    described = Describer(source, Shape.of_settings()).problems(
        [Finding(("c",), "x"), Finding(("a",), "x"), Finding(("b",), "x"), Finding(("a",), "later")]
    )
    assert [(problem.file, problem.line, problem.key, problem.allowed) for problem in described] == [
        ("c.yaml", 1, "b", "x"),
        ("c.yaml", 2, "a", "x"),
        ("<command line>", None, "c", "x"),
    ]
