"""Checks of the sections that say how memories are found: reflection, re-ranking, query rewriting."""

from collections.abc import Collection, Iterator

from memrouter.config.addresses import bad_base_url
from memrouter.config.extensions import REFLECTION_ALGORITHMS, REFLECTION_GROUP, installed_names
from memrouter.config.findings import Finding, did_you_mean
from memrouter.config.paths import KeyPath
from memrouter.config.routing import MemoryPlugin
from memrouter.config.settings import Settings

_MEMORY: KeyPath = ("global", "stores", "memory")
_MODELS: KeyPath = ("providers", "models")


def check_recall(settings: Settings, *, algorithms: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong.

    Args:
        settings: Each value of the right type.
        algorithms: Names of reflection algorithms besides memrouter's own and those of installed packages.
    """
    for path, name in _algorithms(settings):
        if name not in REFLECTION_ALGORITHMS and name not in algorithms:
            yield from _unknown_algorithm(path, name, {*algorithms, *installed_names(REFLECTION_GROUP)})
    yield from _check_reranker(settings)
    yield from _check_rewriting(settings)


def _algorithms(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    yield (*_MEMORY, "reflection", "algorithm"), settings.memory.reflection.algorithm
    for index, decision in enumerate(settings.routing.decisions):
        for position, plugin in enumerate(decision.plugins):
            own = plugin.configuration.reflection if isinstance(plugin, MemoryPlugin) else None
            if own is not None and own.algorithm is not None:
                path = ("routing", "decisions", index, "plugins", position, "configuration", "reflection", "algorithm")
                yield path, own.algorithm


def _unknown_algorithm(path: KeyPath, name: str, others: Collection[str]) -> Iterator[Finding]:
    if name not in others:
        names = (*REFLECTION_ALGORITHMS, *sorted(set(others) - set(REFLECTION_ALGORITHMS)))
        yield Finding(path, " | ".join(names), hint=did_you_mean(name, names))


def _check_reranker(settings: Settings) -> Iterator[Finding]:
    reranker, path = settings.memory.reranker, (*_MEMORY, "reranker")
    if reranker.kind == "endpoint":
        fault = bad_base_url(reranker.base_url)
        if fault:
            yield Finding((*path, "base_url"), fault, hint="kind: endpoint needs base_url and model.")
        if not reranker.model:
            yield Finding((*path, "model"), "the model's name at the endpoint")
    if reranker.kind == "onnx" and not reranker.path:
        yield Finding((*path, "path"), "a folder with model.onnx and tokenizer.json")


def _check_rewriting(settings: Settings) -> Iterator[Finding]:
    name, models = settings.memory.query_rewrite.model, [model.name for model in settings.providers.models]
    if name and models and name not in models:
        hint = did_you_mean(name, models)
        path = (*_MEMORY, "query_rewrite", "model")
        yield Finding(path, "a name from providers.models", hint=hint, refers_to=_MODELS)
