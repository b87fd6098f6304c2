"""The ways of retrieval that are compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memrouter.config.retrieval import SignalWeights
from memrouter.errors import InvalidRequest
from memrouter.memory.policy import RecallPolicy

DEFAULT = "default"
"""Name of the arm that all others are compared with: retrieval as it is configured."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of retrieval.

    Attributes:
        name: What to call it.
        policy: How memories are found; None where memory is off.
        about: What it is, in a few words.
        reranked: Whether the configured cross-encoder, if any, orders them anew.
    """

    name: str
    policy: RecallPolicy | None
    about: str
    reranked: bool = True


def all_arms(policy: RecallPolicy, *, reranker: bool = False) -> tuple[Arm, ...]:
    """Return every arm, the default one first, the ablations last: each without one of the default arm's signals.

    Args:
        policy: The default arm's.
        reranker: Whether a cross-encoder is configured.
    """
    words = policy.ranking.model_copy(update={"vector_share": 0.0})
    return (
        Arm(DEFAULT, policy, "as configured"),
        Arm("off", None, "no memory"),
        Arm("vector", replace(policy, hybrid=False), "similarity of vectors only", reranked=False),
        Arm(
            "words", replace(policy, hybrid=True, mode="weighted", ranking=words), "lexical score only", reranked=False
        ),
        Arm("weighted", replace(policy, hybrid=True, mode="weighted"), "mode weighted"),
        Arm("rrf", replace(policy, hybrid=True, mode="rrf"), "mode rrf"),
        Arm("rerank", replace(policy, hybrid=True, mode="rerank"), "mode rerank"),
        *([Arm("no-reranker", policy, "without the cross-encoder", reranked=False)] if reranker else []),
        *_ablations(policy),
    )


def _ablations(policy: RecallPolicy) -> list[Arm]:
    """Return an arm for each signal that counts, without it; signals count in mode ``rerank`` only."""
    if policy.mode != "rerank" or not policy.hybrid:
        return []
    weights = policy.ranking.weights
    arms = []
    for name in SignalWeights.model_fields:
        if getattr(weights, name):
            without = policy.ranking.model_copy(update={"weights": weights.model_copy(update={name: 0.0})})
            arms.append(Arm(f"no-{name}", replace(policy, ranking=without), f"without the signal {name}"))
    return arms


def chosen_arms(arms: Sequence[Arm], names: Sequence[str]) -> tuple[Arm, ...]:
    """Return the arms with these names, in their own order, the default one always among them; all for no names.

    An arm that does just what the default one does is left out.

    Raises:
        InvalidRequest: There is no such arm.
    """
    known = [arm.name for arm in arms]
    strange = [name for name in names if name not in known]
    if strange:
        raise InvalidRequest(f"no arm is called {strange[0]!r}; there are: {', '.join(known)}", param="arms")
    default = next(arm for arm in arms if arm.name == DEFAULT)
    apart = (arm for arm in arms if (arm.policy, arm.reranked) != (default.policy, default.reranked))
    others = (arm for arm in apart if not names or arm.name in names)
    return (default, *others)
