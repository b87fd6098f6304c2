"""The client's word is honoured where it names a model; else the decision, then the default, chooses."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.routing import DecisionSettings
from memrouter.config.settings import Settings
from memrouter.errors import UnknownModel
from memrouter.models.turn import ModelChoice
from memrouter.router.selection import ModelCatalog

MODELS = ("qwen3", "Llama", "small")


def catalog(*, models: tuple[str, ...] = MODELS, default: str = "", **router: object) -> ModelCatalog:
    return ModelCatalog(
        Settings.model_validate(
            {
                "providers": {
                    "defaults": {"default_model": default},
                    "models": [
                        {"name": name, "provider_model_id": f"org/{name}", "backend_refs": [{"endpoint": "h:1"}]}
                        for name in models
                    ],
                },
                "global": {"router": router},
            }
        )
    )


def decision(*refs: dict[str, Any]) -> DecisionSettings:
    return DecisionSettings.model_validate({"name": "route", "modelRefs": refs})


def choose(requested: str, chosen: DecisionSettings | None = None, *, seed: int = 1, **options: Any) -> ModelChoice:
    return catalog(**options).choose(requested, chosen, random.Random(seed))


@pytest.mark.parametrize("requested", ["auto", "AUTO", "MoM", "mom"])
async def test_auto_names_leave_the_choice_to_the_decision(requested: str) -> None:
    assert choose(requested, decision({"model": "small"})) == ModelChoice("small", "org/small")


async def test_known_name_is_honoured_whatever_the_decision_says() -> None:
    assert choose("Llama", decision({"model": "small"})) == ModelChoice("Llama", "org/Llama")


@pytest.mark.parametrize("chosen", [None, decision()])
async def test_default_model_serves_where_no_decision_names_one(chosen: DecisionSettings | None) -> None:
    assert choose("auto", chosen, default="small").name == "small"
    assert choose("auto", chosen).name == "qwen3"


async def test_adapter_is_sent_in_the_models_place() -> None:
    assert choose("auto", decision({"model": "qwen3", "lora_name": "law"})) == ModelChoice("qwen3", "law")


async def test_several_models_share_by_weight() -> None:
    refs = decision({"model": "qwen3", "weight": 3}, {"model": "small", "weight": 1}, {"model": "Llama", "weight": 0})
    models, rng = catalog(), random.Random(7)
    shares = Counter(models.choose("auto", refs, rng).name for _ in range(4000))
    assert set(shares) == {"qwen3", "small"}
    assert 0.70 < shares["qwen3"] / 4000 < 0.80


@pytest.mark.parametrize("weight", [0, 1])
async def test_equal_weights_give_equal_shares(weight: float) -> None:
    refs = decision(*({"model": name, "weight": weight} for name in MODELS))
    models, rng = catalog(), random.Random(7)
    shares = Counter(models.choose("auto", refs, rng).name for _ in range(3000))
    assert min(shares[name] for name in MODELS) > 900


async def test_single_model_is_taken_whatever_its_weight() -> None:
    assert choose("auto", decision({"model": "small", "weight": 0})).name == "small"


async def test_configured_auto_names_come_beside_the_list() -> None:
    models = catalog(auto_model_name="router", auto_model_names=["best"])
    assert models.names() == ("router", "best", *MODELS)
    assert models.choose("Router", None, random.Random(1)).name == "qwen3"
    with pytest.raises(UnknownModel):
        models.choose("auto", None, random.Random(1))


async def test_names_list_each_name_once() -> None:
    assert catalog(auto_model_name="auto").names() == ("auto", "MoM", *MODELS)


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ("qwen", "The model `qwen` does not exist; did you mean `qwen3`?"),
        ("LLAMA", "The model `LLAMA` does not exist; did you mean `Llama`?"),
        ("zzzzzz", "The model `zzzzzz` does not exist; GET /v1/models lists the models"),
    ],
)
async def test_unknown_model_names_the_nearest_known_one(requested: str, message: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        choose(requested)
    assert str(caught.value) == message
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@given(st.text(min_size=1) | st.text(min_size=1).map(lambda text: text * 5000))
async def test_any_unknown_name_gets_a_short_message(requested: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        choose(f"?{requested}")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("requested", ["auto", "qwen3"])
async def test_router_without_models_says_how_to_add_one(requested: str) -> None:
    with pytest.raises(UnknownModel, match=r"providers\.models"):
        choose(requested, models=())
    assert catalog(models=()).names() == ()


def test_a_model_with_a_role_is_neither_the_default_nor_offered_but_can_be_named() -> None:
    backend = [{"endpoint": "h:1"}]
    models = [
        {"name": "small", "role": "memory_rewrite", "backend_refs": backend},
        {"name": "large", "backend_refs": backend},
    ]
    chooser = ModelCatalog(Settings.model_validate({"providers": {"models": models}}))
    assert chooser.names() == ("auto", "MoM", "large")
    assert chooser.choose("auto", None, random.Random(1)).name == "large"
    assert chooser.choose("small", None, random.Random(1)).name == "small"


@pytest.mark.parametrize(("requested", "left"), [("auto", True), ("MOM", True), ("small", False), ("", False)])
def test_it_is_told_whether_a_name_leaves_the_choice_to_the_router(requested: str, left: bool) -> None:
    assert catalog().is_automatic(requested) is left
