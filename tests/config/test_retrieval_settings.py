import pytest
from pydantic import ValidationError

from memrouter.config.memory import MemorySettings
from memrouter.config.retrieval import RetrievalSettings, SignalWeights
from memrouter.memory.policy import resolve_policy


def test_weights_reach_the_policy() -> None:
    settings = MemorySettings(retrieval=RetrievalSettings(weights=SignalWeights(date=0)))
    assert resolve_policy(settings, None, default_threshold=0.5).recall.ranking.weights.date == 0


@pytest.mark.parametrize(
    "values",
    [
        {"language": "klingon"},
        {"weights": {"passage": -1}},
        {"weights": {"spelling": 1.5}},
        {"weights": {"vector": float("nan")}},
        {"weights": {"charm": 1}},
        {"vector_share": 2},
        {"rrf_k": 0},
    ],
)
def test_bad_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetrievalSettings.model_validate(values)
