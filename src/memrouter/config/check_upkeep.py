"""Checks of what upkeep needs elsewhere in the configuration."""

from collections.abc import Iterator

from memrouter.config.findings import Finding, did_you_mean
from memrouter.config.settings import Settings


def check_upkeep(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong; each value is of the right type."""
    name, models = settings.memory.consolidation.model, [model.name for model in settings.providers.models]
    if name and models and name not in models:
        path = ("global", "stores", "memory", "consolidation", "model")
        hint = did_you_mean(name, models)
        yield Finding(path, "a name from providers.models", hint=hint, refers_to=("providers", "models"))
