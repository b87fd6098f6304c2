"""Checks of models with a role of their own, and of the one that draws facts from turns."""

from collections.abc import Iterator

from memrouter.config.findings import Finding, did_you_mean
from memrouter.config.paths import KeyPath
from memrouter.config.settings import Settings

_EXTRACTION: KeyPath = ("global", "stores", "memory", "extraction")
_MODELS: KeyPath = ("providers", "models")


def check_extraction(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong.

    Args:
        settings: Each value of the right type.
    """
    name, models = settings.memory.extraction.model, [model.name for model in settings.providers.models]
    if name and models and name not in models:
        hint = did_you_mean(name, models)
        yield Finding((*_EXTRACTION, "model"), "a name from providers.models", hint=hint, refers_to=_MODELS)
    yield from _check_roles(settings)


def _check_roles(settings: Settings) -> Iterator[Finding]:
    taken: set[str] = set()
    for index, model in enumerate(settings.providers.models):
        if model.role and model.role in taken:
            yield Finding((*_MODELS, index, "role"), "a role that no other model has", refers_to=_MODELS)
        taken.add(model.role)
