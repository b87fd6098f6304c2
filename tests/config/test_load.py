import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.load import Loaded, load_settings
from memrouter.config.settings import Settings
from memrouter.errors import ConfigError, ConfigProblem

DATA = Path(__file__).parent / "data"
SAMPLE = (DATA / "memrouter.yaml").read_text()
VALKEY = "global:\n  stores:\n    memory:\n      valkey:\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def load(
    folder: Path, text: str | bytes, env: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> Loaded:
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(path, env=env or {}, overrides=overrides or {})


def problems(
    folder: Path, text: str | bytes, env: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> list[ConfigProblem]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, env, overrides)
    return list(caught.value.problems)


def places(found: list[ConfigProblem]) -> list[tuple[int | None, str]]:
    return [(problem.line, problem.key) for problem in found]


def test_without_a_file_the_defaults_hold() -> None:
    assert load_settings(None, env={}) == Loaded(Settings(), ())


def test_an_empty_file_means_the_defaults(folder: Path) -> None:
    assert load(folder, "").settings == Settings()


def test_the_documented_sample_loads_without_a_warning() -> None:
    loaded = load_settings(DATA / "memrouter.yaml", env={})
    assert loaded.warnings == ()
    memory = loaded.settings.memory
    assert memory.effective_backend == "valkey"
    assert memory.valkey is not None
    assert (memory.valkey.host, memory.valkey.dimension) == ("valkey-memory", 384)
    assert memory.consolidation.interval == 3600
    assert loaded.settings.listeners[0].timeout == 300
    assert loaded.settings.routing.signals.context[0].max_tokens == 32_000


def test_a_go_router_configuration_loads_with_one_warning_that_lists_each_setting_once() -> None:
    loaded = load_settings(DATA / "go_router.yaml", env={})
    assert loaded.settings.memory.effective_backend == "milvus"
    (warning,) = loaded.warnings
    assert warning == (
        "Settings of the Go router that mean nothing here are ignored: "
        "providers.defaults.default_reasoning_effort, providers.defaults.reasoning_families, "
        "providers.models[].reasoning_family, providers.models[].pricing, routing.modelCards, "
        "routing.decisions[].tier, routing.decisions[].modelRefs[].use_reasoning, "
        "routing.decisions[].plugins[] of type response_cache, global.services.response_api.store_backend, "
        "global.services.observability.metrics, global.stores.response_cache, global.model_catalog."
    )


def test_a_missing_file_is_a_config_error(folder: Path) -> None:
    for path in (folder / "absent.yaml", folder, folder / "a\0b", folder / ("x" * 5000)):
        with pytest.raises(ConfigError) as caught:
            load_settings(path, env={})
        assert caught.value.problems[0].file == str(path)


def test_a_file_that_is_no_mapping_is_refused(folder: Path) -> None:
    assert places(problems(folder, "\n- a\n")) == [(2, "")]


def test_all_problems_are_listed_in_one_go_in_the_order_of_the_file(folder: Path) -> None:
    text = """\
version: v0.4
listeners:
  - {port: 70000}
  - port: 1
    timeout: soon
providers:
  models:
    - name: qwen3
      backend_refs:
        - endpoint: http://127.0.0.1:8000
        - weight: 1
    - backend_refs: []
routing:
  signals:
    keywords:
      - name: private
        operator: XOR
        keywords: [off the record, 911]
      - {name: secrets, method: regex, keywords: ["(open"]}
  decisions:
    - name: one
      rules:
        operator: OR
        conditions:
          - {type: keyword, name: privat}
          - {type: pii, name: law}
      plugins:
        - {type: response_cache}
        - type: memmory
        - type: memory
          configuration:
            retrieval_limits: 3
global:
  stores:
    memory: {backend: valky, backend: sqlite}
"""
    assert places(problems(folder, text)) == [
        (1, "version"),
        (3, "listeners[0].port"),
        (5, "listeners[1].timeout"),
        (10, "providers.models[0].backend_refs[0].endpoint"),
        (11, "providers.models[0].backend_refs[1]"),
        (12, "providers.models[1].backend_refs"),
        (12, "providers.models[1].name"),
        (17, "routing.signals.keywords[0].operator"),
        (18, "routing.signals.keywords[0].keywords[1]"),
        (19, "routing.signals.keywords[1].keywords[0]"),
        (25, "routing.decisions[0].rules.conditions[0].name"),
        (26, "routing.decisions[0].rules.conditions[1].type"),
        (29, "routing.decisions[0].plugins[1].type"),
        (32, "routing.decisions[0].plugins[2].configuration.retrieval_limits"),
        (35, "global.stores.memory.backend"),
    ]


def test_a_fault_is_reported_once_and_not_what_follows_from_it(folder: Path) -> None:
    text = """\
routing:
  signals:
    keywords:
      - name: [private]
        keywords: [x]
  decisions:
    - name: one
      rules: {type: keyword, name: private}
"""
    assert places(problems(folder, text)) == [(4, "routing.signals.keywords[0].name")]
    backend = "providers:\n  models:\n    - name: a\n      backend_refs:\n        -\n          endpoint: 5\n"
    assert places(problems(folder, backend)) == [(6, "providers.models[0].backend_refs[0].endpoint")]
    keywords = "routing:\n  signals:\n    keywords:\n      - name: a\n        keywords:\n          - 5\n"
    assert places(problems(folder, keywords)) == [(6, "routing.signals.keywords[0].keywords[0]")]


def test_problems_are_cut_at_a_hundred_and_the_rest_counted(folder: Path) -> None:
    found = problems(folder, "".join(f"key{number}: 1\n" for number in range(5000)))
    assert len(found) == 101
    assert found[-1].found == "4900 more problems"


def test_sections_without_content_mean_their_defaults(folder: Path) -> None:
    settings = load(folder, "listeners:\nglobal:\n  stores:\n    memory:\n      sqlite:\n      valkey:\n").settings
    assert settings == Settings()


def test_null_where_a_value_is_wanted_is_a_problem(folder: Path) -> None:
    (problem,) = problems(folder, "listeners:\n  - port:\n  - name: b\n")
    assert (problem.line, problem.found) == (2, "nothing")
    assert places(problems(folder, "listeners:\n  -\n  - name: b\n")) == [(2, "listeners[0]")]


def test_a_truth_value_is_no_number_and_infinity_no_bound(folder: Path) -> None:
    text = "listeners:\n  - {name: a, port: true}\n  - {name: b, timeout: .inf}\n"
    assert places(problems(folder, text)) == [(2, "listeners[0].port"), (3, "listeners[1].timeout")]


def test_yes_and_no_are_truth_values_where_one_is_wanted_and_words_elsewhere(folder: Path) -> None:
    text = (
        "global: {stores: {memory: {enabled: no, disabled_models: [yes, no]}}}\n"
        "routing: {signals: {keywords: [{name: on, keywords: [yes]}]}}\n"
    )
    settings = load(folder, text).settings
    assert settings.memory.enabled is False
    assert settings.memory.disabled_models == ("yes", "no")


def test_a_lone_reference_takes_the_type_that_is_wanted(folder: Path) -> None:
    text = (
        VALKEY + "        port: ${PORT}\n        tls_enabled: ${TLS}\n        dimension: ${DIMENSION:-null}\n"
        "        username: ${USER_NAME:-}\n        password: ${PASSWORD}\n        index_name: ${INDEX:-5}\n"
    )
    env = {"PORT": "7000", "TLS": "true", "PASSWORD": "0123"}
    valkey = load(folder, text, env).settings.memory.valkey
    assert valkey is not None
    assert (valkey.port, valkey.tls_enabled, valkey.dimension) == (7000, True, None)
    assert (valkey.username, valkey.password.get_secret_value(), valkey.index_name) == ("", "0123", "5")


def test_a_quoted_reference_stays_a_string(folder: Path) -> None:
    text = VALKEY + '        dimension: "${DIMENSION:-null}"\n'
    (problem,) = problems(folder, text)
    assert (problem.line, problem.found) == (5, "'${DIMENSION:-null}', filled in")


def test_an_unset_variable_is_a_problem_at_its_line_among_the_others(folder: Path) -> None:
    text = VALKEY + "        host: ${HOST_NAME}\n        port: 0\n        index_name: a$b$$c\n"
    found = problems(folder, text)
    assert places(found) == [(5, "global.stores.memory.valkey.host"), (6, "global.stores.memory.valkey.port")]
    assert "HOST_NAME" in found[0].found


def test_variables_in_ignored_settings_need_not_be_set(folder: Path) -> None:
    assert len(load(folder, "global: {services: {api: {x: '${UNSET}'}}}").warnings) == 1


def test_secrets_come_from_files_relative_to_the_configuration(folder: Path) -> None:
    (folder / "pw").write_text("s3cret\n")
    text = VALKEY + "        password_file: pw\n      milvus:\n        token: ${file:" + str(folder / "pw") + "}\n"
    memory = load(folder, text).settings.memory
    assert memory.valkey is not None
    assert memory.milvus is not None
    assert memory.valkey.password.get_secret_value() == "s3cret"
    assert memory.milvus.token.get_secret_value() == "s3cret"


def test_a_secret_and_its_file_exclude_each_other_and_the_file_must_be_there(folder: Path) -> None:
    text = (
        VALKEY + "        password: a\n        password_file: pw\n"
        "      milvus: {token_file: absent}\n      redis_cache: {password_file: [x]}\n"
    )
    assert places(problems(folder, text)) == [
        (6, "global.stores.memory.valkey.password_file"),
        (7, "global.stores.memory.milvus.token_file"),
        (8, "global.stores.memory.redis_cache.password_file"),
    ]


def test_an_empty_secret_gives_way_to_its_file_and_an_empty_file_name_is_none(folder: Path) -> None:
    (folder / "pw").write_text("s3cret")
    text = VALKEY + '        password: ""\n        password_file: ${FILE:-}\n'
    for env, expected in (({"FILE": "pw"}, "s3cret"), ({}, "")):
        valkey = load(folder, text, env).settings.memory.valkey
        assert valkey is not None
        assert valkey.password.get_secret_value() == expected


@pytest.mark.parametrize(
    "line",
    [
        "password: [hunter2]",
        "pasword: hunter2",
        "password: 'pa${hunter2'",
        "password: 'a${hunter2}'",
        "password: {a: {b: hunter2}}",
        "host: [redis://u:hunter2@h]",
        "password_file: 'b'\n        password: hunter2",
    ],
)
def test_no_secret_is_ever_shown(folder: Path, line: str) -> None:
    found = problems(folder, VALKEY + f"        {line}\n")
    assert "hunter2" not in "\n".join(str(problem) for problem in found)


def test_values_from_the_environment_are_not_shown(folder: Path) -> None:
    found = problems(folder, VALKEY + "        port: ${P}\n", {"P": "hunter2"})
    assert "hunter2" not in str(found[0])


def test_credentials_in_addresses_and_headers_are_not_shown(folder: Path) -> None:
    text = (
        "providers:\n  models:\n    - name: a\n      backend_refs:\n"
        "        - {base_url: 'http://u:hunter2@h?x', extra_headers: {x-any: \"hunter2\\n\"}}\n"
        "        - {endpoint: 'h:1', extra_headers: {Authorization: [hunter2]}}\n"
    )
    found = problems(folder, text)
    assert len(found) == 3
    assert "hunter2" not in "\n".join(str(problem) for problem in found)


def test_the_environment_overrides_the_embedding_model_and_is_named_in_problems(folder: Path) -> None:
    text = "global: {stores: {memory: {embedding_model: bert}}}"
    env = {"MEMROUTER_EMBEDDING_MODEL": "openai"}
    assert load(folder, text, env).settings.memory.embedding_model == "openai"
    assert load_settings(None, env=env).settings.memory.embedding_model == "openai"
    (problem,) = problems(folder, text, {"MEMROUTER_EMBEDDING_MODEL": "word-lama"})
    assert (problem.file, problem.line, problem.hint) == ("<environment>", None, "Did you mean 'wordllama'?")


def test_overrides_win_are_taken_as_they_are_and_are_named_in_problems(folder: Path) -> None:
    text = "listeners: [{port: 1}]\nglobal: {auth: {user_header: x-a, groups_header: x-b}}\n"
    overrides = {"listeners": [{"port": 9}], "global": {"auth": {"user_header": "x-c"}}}
    settings = load(folder, text, overrides=overrides).settings
    assert settings.listeners[0].port == 9
    assert (settings.global_.auth.user_header, settings.global_.auth.groups_header) == ("x-c", "x-b")
    (problem,) = problems(folder, text, overrides={"global": {"auth": {"user_header": "${A}"}}})
    assert (problem.file, problem.line, problem.found) == ("<command line>", None, "'${A}'")


def test_problems_name_what_is_allowed_and_the_nearest_word(folder: Path) -> None:
    text = "global:\n  stores:\n    memory:\n      backend: valky\n      enbled: true\n      timeout_ms: 0\n"
    backend, key, timeout = problems(folder, text)
    assert str(backend) == (
        f"{folder / 'c.yaml'}:4: global.stores.memory.backend: found 'valky'; "
        "allowed: sqlite | valkey | milvus or nothing. Did you mean 'valkey'?"
    )
    assert key.found == "an unknown key"
    assert key.hint == "Did you mean 'enabled'?"
    assert (timeout.found, timeout.allowed) == ("0", "an integer of at least 1")


def test_one_problem_is_one_line_whatever_the_key(folder: Path) -> None:
    (problem,) = problems(folder, '"a\\nb\\e[31m": 1\n')
    assert "\n" not in str(problem)
    assert "\x1b" not in str(problem)


KEYS = st.sampled_from(
    [
        "version",
        "listeners",
        "providers",
        "routing",
        "global",
        "stores",
        "memory",
        "valkey",
        "password",
        "password_file",
        "type",
        "name",
        "rules",
        "conditions",
        "plugins",
        "decisions",
        "signals",
        "keywords",
        "configuration",
        "models",
        "backend_refs",
        "enabled",
        "services",
        "<<",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
WORDS = st.sampled_from(
    ["memory", "keyword", "${X}", "${file:/x}", "$$", "AND", "response_cache", "8", "1h", "http://h"]
)
TREES = st.recursive(
    SCALARS | WORDS, lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), below)
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(raw=st.binary(max_size=300))
def test_any_bytes_load_or_are_a_config_error(scratch: Path, raw: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(scratch, raw), Loaded)


@given(tree=st.dictionaries(KEYS, TREES, max_size=4))
def test_any_tree_loads_or_is_a_config_error(scratch: Path, tree: dict[str, object]) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(scratch, yaml.safe_dump(tree)), Loaded)


def places_of(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items: list[tuple[str | int, object]] = list(enumerate(value)) if isinstance(value, list) else []
    if isinstance(value, dict):
        items = list(value.items())
    return [place for key, below in items for place in ((*path, key), *places_of(below, (*path, key)))]


SAMPLE_PLACES = places_of(yaml.safe_load(SAMPLE))


@given(place=st.sampled_from(SAMPLE_PLACES), value=TREES)
def test_a_sample_with_any_part_replaced_loads_or_is_a_config_error(
    scratch: Path, place: tuple[str | int, ...], value: object
) -> None:
    tree = yaml.safe_load(SAMPLE)
    parent = tree
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    with contextlib.suppress(ConfigError):
        assert isinstance(load(scratch, yaml.safe_dump(tree)), Loaded)


@given(start=st.integers(0, len(SAMPLE)), length=st.integers(0, 40), inserted=st.text(max_size=10))
def test_a_sample_with_any_text_replaced_loads_or_is_a_config_error(
    scratch: Path, start: int, length: int, inserted: str
) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(scratch, SAMPLE[:start] + inserted + SAMPLE[start + length :]), Loaded)
