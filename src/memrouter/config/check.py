"""Checks across sections and of values that a type cannot tell: names, references, patterns, addresses."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence

import regex

from memrouter.config.addresses import (
    bad_base_url,
    bad_endpoint,
    bad_header_value,
    bad_network,
    is_header_name,
)
from memrouter.config.check_auth import check_auth
from memrouter.config.check_extraction import check_extraction
from memrouter.config.check_inspector import check_inspector
from memrouter.config.check_keeping import check_keeping
from memrouter.config.check_migration import check_migration
from memrouter.config.check_recall import check_recall
from memrouter.config.check_tracing import check_tracing
from memrouter.config.check_upkeep import check_upkeep
from memrouter.config.findings import Finding, did_you_mean
from memrouter.config.paths import KeyPath, dotted
from memrouter.config.providers import BackendRef
from memrouter.config.routing import SIGNAL_TYPES, DecisionSettings, HeaderMutationPlugin, MemoryPlugin, RuleNode
from memrouter.config.settings import Settings

EMBEDDING_MODELS = ("wordllama", "openai", "hash", "bert", "sentence-transformers")
"""Embedders of memrouter."""
FOREIGN_EMBEDDING_MODELS = ("mmbert", "qwen3", "gemma", "multimodal")
"""The Go router's names, which resolve to an endpoint or a local model."""
FOREIGN_SIGNAL_TYPES = frozenset(
    {
        "fact_check",
        "user_feedback",
        "reask",
        "preference",
        "language",
        "structure",
        "complexity",
        "modality",
        "jailbreak",
        "pii",
        "kb",
        "event",
        "metadata",
        "classifier",
        "projection",
    }
)
"""Conditions that only the Go router evaluates."""

_MODELS: KeyPath = ("providers", "models")
_SIGNALS: KeyPath = ("routing", "signals")
_DECISIONS: KeyPath = ("routing", "decisions")
_MEMORY: KeyPath = ("global", "stores", "memory")
_HEADER_NAME = "a header name: letters, digits and !#$%&'*+-.^_`|~"


def check_settings(settings: Settings, *, algorithms: Collection[str] = ()) -> list[Finding]:
    """Return what is wrong with settings that are each of the right type.

    Reads nothing but the settings, and for reflection algorithms that are not memrouter's own the names that installed
    packages offer.

    Args:
        settings: What to check.
        algorithms: Names of further reflection algorithms.
    """
    return [
        *_check_uniqueness(settings),
        *_check_references(settings),
        *_check_signals(settings),
        *_check_patterns(settings),
        *_check_backends(settings),
        *_check_headers(settings),
        *_check_memory(settings),
        *check_recall(settings, algorithms=algorithms),
        *check_extraction(settings),
        *check_keeping(settings),
        *check_migration(settings),
        *check_upkeep(settings),
        *check_auth(settings),
        *check_tracing(settings),
        *check_inspector(settings),
    ]


def _check_uniqueness(settings: Settings) -> Iterator[Finding]:
    signals = settings.routing.signals
    yield from _repeated(_MODELS, "name", [model.name for model in settings.providers.models])
    yield from _repeated(_DECISIONS, "name", [decision.name for decision in settings.routing.decisions])
    for kind in ("keywords", "embeddings", "context", "conversation", "role_bindings", "domains"):
        yield from _repeated((*_SIGNALS, kind), "name", [rule.name for rule in getattr(signals, kind)])
    yield from _check_listeners(settings)
    yield from _check_auto_names(settings)


def _check_listeners(settings: Settings) -> Iterator[Finding]:
    names: list[Hashable] = []
    addresses: list[Hashable] = []
    for index, listener in enumerate(settings.listeners):
        names.append(listener.name if "name" in listener.model_fields_set else index)
        addresses.append((listener.address, listener.port) if listener.port else index)
    yield from _repeated(("listeners",), "name", names)
    yield from _repeated(("listeners",), "port", addresses)


def _repeated(path: KeyPath, key: str, values: Sequence[Hashable]) -> Iterator[Finding]:
    first: dict[Hashable, int] = {}
    for index, value in enumerate(values):
        if first.setdefault(value, index) != index:
            allowed = f"one that {dotted((*path, first[value]))} does not have already"
            yield Finding((*path, index, key), allowed, refers_to=path)


def _check_auto_names(settings: Settings) -> Iterator[Finding]:
    router = settings.global_.router
    models = {model.name.casefold() for model in settings.providers.models}
    names = [(("auto_model_names", index), name) for index, name in enumerate(router.auto_model_names)]
    for path, name in [(("auto_model_name",), router.auto_model_name), *names]:
        if name.casefold() in models:
            yield Finding(("global", "router", *path), "a name that is no model's", hint="Rename one of them.")


def _check_references(settings: Settings) -> Iterator[Finding]:
    models = [model.name for model in settings.providers.models]
    default = settings.providers.defaults.default_model
    if models and default and default not in models:
        yield _unknown(("providers", "defaults", "default_model"), default, models, _MODELS)
    for index, decision in enumerate(settings.routing.decisions):
        path = (*_DECISIONS, index)
        for position, ref in enumerate(decision.modelRefs):
            if models and ref.model not in models:
                yield _unknown((*path, "modelRefs", position, "model"), ref.model, models, _MODELS)
        yield from _check_rule(decision.rules, (*path, "rules"), settings)


def _unknown(path: KeyPath, name: str, known: Sequence[str], where: KeyPath) -> Finding:
    return Finding(path, f"a name from {dotted(where)}", hint=did_you_mean(name, known), refers_to=where)


def _check_rule(rule: RuleNode, path: KeyPath, settings: Settings) -> Iterator[Finding]:
    for index, condition in enumerate(rule.conditions):
        yield from _check_rule(condition, (*path, "conditions", index), settings)
    if not rule.type:
        return
    if rule.type not in SIGNAL_TYPES:
        yield _unknown_type(rule.type, (*path, "type"))
        return
    names = settings.routing.signals.names(rule.type)
    if rule.name not in names:
        yield _unknown((*path, "name"), rule.name, names, (*_SIGNALS, _section_of(rule.type)))


def _unknown_type(kind: str, path: KeyPath) -> Finding:
    hint = did_you_mean(kind, SIGNAL_TYPES)
    if kind in FOREIGN_SIGNAL_TYPES:
        hint = "The Go router's signals of this type are not evaluated here: remove the condition."
    return Finding(path, " | ".join(SIGNAL_TYPES), hint=hint)


def _section_of(kind: str) -> str:
    plural = {"keyword": "keywords", "embedding": "embeddings", "authz": "role_bindings", "domain": "domains"}
    return plural.get(kind, kind)


def _check_signals(settings: Settings) -> Iterator[Finding]:
    for index, band in enumerate(settings.routing.signals.context):
        if band.max_tokens is not None and band.min_tokens > band.max_tokens:
            path = (*_SIGNALS, "context", index, "max_tokens")
            yield Finding(path, f"at least min_tokens, which is {band.min_tokens}")


def _check_patterns(settings: Settings) -> Iterator[Finding]:
    for index, rule in enumerate(settings.routing.signals.keywords):
        if rule.method == "regex":
            yield from _bad_patterns((*_SIGNALS, "keywords", index, "keywords"), rule.keywords)
    yield from _bad_patterns((*_MEMORY, "reflection", "block_patterns"), settings.memory.reflection.block_patterns)
    for path, plugin in _plugins(settings.routing.decisions):
        if isinstance(plugin, MemoryPlugin) and plugin.configuration.reflection is not None:
            patterns = plugin.configuration.reflection.block_patterns or ()
            yield from _bad_patterns((*path, "reflection", "block_patterns"), patterns)


def _bad_patterns(path: KeyPath, patterns: Iterable[str]) -> Iterator[Finding]:
    for index, pattern in enumerate(patterns):
        try:
            regex.compile(pattern)
        except regex.error as error:
            yield Finding((*path, index), "a regular expression", hint=f"Not understood: {error.msg}.")
        except (RecursionError, OverflowError, MemoryError):
            yield Finding((*path, index), "a smaller regular expression")


def _plugins(
    decisions: Sequence[DecisionSettings],
) -> Iterator[tuple[KeyPath, object]]:
    for index, decision in enumerate(decisions):
        for position, plugin in enumerate(decision.plugins):
            yield (*_DECISIONS, index, "plugins", position, "configuration"), plugin


def _backends(settings: Settings) -> Iterator[tuple[KeyPath, BackendRef]]:
    for index, model in enumerate(settings.providers.models):
        for position, backend in enumerate(model.backend_refs):
            yield (*_MODELS, index, "backend_refs", position), backend


def _check_backends(settings: Settings) -> Iterator[Finding]:
    for path, backend in _backends(settings):
        if backend.endpoint:
            yield from _refused((*path, "endpoint"), backend.endpoint, bad_endpoint)
        if backend.base_url:
            yield from _refused((*path, "base_url"), backend.base_url, bad_base_url)
        if not backend.chat_path.startswith("/"):
            yield Finding((*path, "chat_path"), "a path that starts with /")


def _refused(path: KeyPath, value: str, fault: Callable[[str], str]) -> Iterator[Finding]:
    allowed = fault(value)
    if allowed:
        yield Finding(path, allowed)


def _check_headers(settings: Settings) -> Iterator[Finding]:
    for path, name in _header_names(settings):
        if not is_header_name(name):
            yield Finding(path, _HEADER_NAME)
    for path, backend in _backends(settings):
        yield from _refused((*path, "auth_prefix"), backend.auth_prefix, bad_header_value)
        for name, value in backend.extra_headers.items():
            yield from _refused((*path, "extra_headers", name), value, bad_header_value)


def _header_names(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    auth = settings.global_.auth
    for key in ("user_header", "groups_header", "project_header"):
        yield ("global", "auth", key), getattr(auth, key)
    for path, backend in _backends(settings):
        yield (*path, "auth_header"), backend.auth_header
        yield from (((*path, "extra_headers", name), name) for name in backend.extra_headers)
    for path, plugin in _plugins(settings.routing.decisions):
        if isinstance(plugin, HeaderMutationPlugin):
            for key in ("remove", "delete"):
                names = getattr(plugin.configuration, key)
                yield from (((*path, key, index), name) for index, name in enumerate(names))


def _check_memory(settings: Settings) -> Iterator[Finding]:
    for index, network in enumerate(settings.global_.auth.trusted_proxies):
        yield from _refused(("global", "auth", "trusted_proxies", index), network, bad_network)
    known = (*EMBEDDING_MODELS, *FOREIGN_EMBEDDING_MODELS)
    model = settings.memory.embedding_model
    if model not in known:
        yield Finding((*_MEMORY, "embedding_model"), " | ".join(EMBEDDING_MODELS), hint=did_you_mean(model, known))
    url = settings.memory.embedding_endpoint.base_url
    yield from _refused((*_MEMORY, "embedding_endpoint", "base_url"), url, bad_base_url)
    cache = settings.memory.redis_cache
    if cache.enabled:
        yield from _refused((*_MEMORY, "redis_cache", "address"), cache.address, bad_endpoint)
