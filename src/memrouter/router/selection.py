"""Which model answers: the one that the client named, or the router's own choice."""

import difflib
import random

from memrouter.config.routing import DecisionSettings, ModelRef
from memrouter.config.settings import Settings
from memrouter.errors import UnknownModel
from memrouter.models.turn import ModelChoice

_ECHOED_CHARACTERS = 128
_NO_MODELS = "No models are configured. Add one under providers.models, or start the router with --upstream URL"


class ModelCatalog:
    """The configured models, and the names with which a client leaves the choice to the router.

    Args:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        router = settings.global_.router
        self._auto_names = tuple(name for name in (router.auto_model_name, *router.auto_model_names) if name)
        self._auto = frozenset(name.casefold() for name in self._auto_names)
        self._models = {model.name: ModelChoice(model.name, model.upstream_name) for model in settings.providers.models}
        self._answering = tuple(model.name for model in settings.providers.models if not model.role)
        self._default = settings.providers.defaults.default_model or next(iter(self._answering or self._models), "")

    def names(self) -> tuple[str, ...]:
        """Return the names to offer to clients, the router's own first; empty where no model is configured.

        A model with a role of its own is left out; who names it is answered all the same.
        """
        return tuple(dict.fromkeys((*self._auto_names, *self._answering))) if self._models else ()

    def is_automatic(self, requested: str) -> bool:
        """Return whether a name leaves the choice to the router."""
        return requested.casefold() in self._auto

    def choose(self, requested: str, decision: DecisionSettings | None, rng: random.Random) -> ModelChoice:
        """Return the model that answers.

        Args:
            requested: The name that the client sent. A model's own name is honoured; a name that stands for the
                router's choice, compared without regard to case, gives one of the decision's models by weight, else
                the default model.
            decision: The matching decision.
            rng: Chooses among several models.

        Raises:
            UnknownModel: The configuration has no such model.
        """
        if not self._models:
            raise UnknownModel(_NO_MODELS, param="model")
        if not self.is_automatic(requested):
            return self._model(requested)
        refs = decision.modelRefs if decision else ()
        if not refs:
            return self._model(self._default)
        ref = _weighted(refs, rng)
        model = self._model(ref.model)
        return ModelChoice(model.name, ref.lora_name) if ref.lora_name else model

    def _model(self, name: str) -> ModelChoice:
        model = self._models.get(name)
        if model is None:
            raise UnknownModel(self._unknown(name), param="model")
        return model

    def _unknown(self, name: str) -> str:
        if len(name) > _ECHOED_CHARACTERS:
            return f"The model `{name[:_ECHOED_CHARACTERS]}...` does not exist"
        known = {candidate.casefold(): candidate for candidate in self.names()}
        near = difflib.get_close_matches(name.casefold(), known, n=1)
        hint = f"did you mean `{known[near[0]]}`?" if near else "GET /v1/models lists the models"
        return f"The model `{name}` does not exist; {hint}"


def _weighted(refs: tuple[ModelRef, ...], rng: random.Random) -> ModelRef:
    """Return one of the refs by weight; weights that are all 0 count as equal."""
    if len(refs) == 1:
        return refs[0]
    weights = [ref.weight for ref in refs]
    return rng.choices(refs, weights if any(weights) else None)[0]
