"""A model that merges: believed where nothing was lost or made up, and never needed."""

from random import Random

import msgspec
import pytest

from memrouter.config.settings import Settings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.upkeep.model_writer import ModelWriter, faithful
from memrouter.models.memory import Trust
from memrouter.models.turn import ModelChoice
from memrouter.testing.clock import ManualClock
from memrouter.testing.upstream import Answer, ScriptedUpstream
from memrouter.upstream.client import HttpUpstream

from .upkeep_bench import Bench, Counts

REX = ("I have a small dog called Rex", "I have a small brown dog called Rex")
MERGED = "I have a small brown dog called Rex"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I have a small brown dog",
        "I have a small brown dog called Rex, and a cat called Max",
        "I have a small brown dog called Rex who is 5",
        "I have no small brown dog called Rex",
        "Rex",
        "Q: a dog?\nA: I have a small brown dog called Rex",
        "I have a small brown dog called Rex. " * 4,
        "```I have a small brown dog called Rex```",
    ],
)
def test_a_text_that_loses_adds_or_bloats_is_not_believed(text: str) -> None:
    assert not faithful(text, REX, Analyzer())


def test_a_text_that_says_it_all_in_fewer_words_is_believed() -> None:
    assert faithful(MERGED, REX, Analyzer())


def test_a_number_of_any_source_must_be_there() -> None:
    sources = ("The flight on May 3 goes to Rome", "The flight on May 3 at 9:40 goes to Rome")
    assert faithful("The flight on May 3 at 9:40 goes to Rome", sources, Analyzer())
    assert not faithful("The flight on May 3 goes to Rome", sources, Analyzer())


def test_a_name_of_any_source_must_be_there() -> None:
    sources = ("On weekends I play long games of chess in the park with Anna", "On weekends I play chess with Anna")
    assert faithful("On weekends I play long games of chess in the park with Anna", sources, Analyzer())
    assert not faithful("On weekends I play long games of chess in the park", sources, Analyzer())


def bench_with(bench: Bench, models: ScriptedUpstream) -> tuple[Bench, HttpUpstream]:
    """Return the bench with a model that writes the merged texts."""
    provider = {"name": "small", "backend_refs": [{"base_url": models.url}]}
    settings = Settings.model_validate({"version": "v0.3", "providers": {"models": [provider]}})
    clock = ManualClock()
    upstream = HttpUpstream(settings, env={}, clock=clock, rng=Random(1))
    counts = Counts()
    writer = ModelWriter.over(
        upstream,
        ModelChoice("small", "small"),
        tokens=TokenCounter.load(),
        analyzer=Analyzer(),
        observer=counts,
        clock=clock,
    )
    written = Bench(bench.store, writer=writer)
    written.counts = counts
    return written, upstream


async def test_a_text_that_can_be_relied_on_is_stored_with_the_trust_of_a_model(bench: Bench) -> None:
    async with ScriptedUpstream(Answer.completion(f"<think>Well.</think>{MERGED}")) as models:
        written, upstream = bench_with(bench, models)
        await written.keep(*REX)
        report = await written.upkeep.consolidation.run()
        await upstream.aclose()
    (record,) = (await written.active()).values()
    assert (record.content, record.trust) == (MERGED, Trust.MODEL)
    assert report.mergers[0].by_model
    assert min(written.counts.tokens) > 0
    asked = models.requests[0].json()["messages"]
    assert msgspec.json.decode(asked[1]["content"].removeprefix("Notes:\n")) == list(REX)


@pytest.mark.parametrize(
    "answer", [Answer.completion("You have a dog called Max."), Answer.error(500), Answer.json({"odd": 1})]
)
async def test_whatever_else_the_model_does_the_sentences_are_put_together(bench: Bench, answer: Answer) -> None:
    async with ScriptedUpstream(answer) as models:
        written, upstream = bench_with(bench, models)
        await written.keep(*REX)
        await written.keep(*REX, user_id="bob")
        report = await written.upkeep.consolidation.run()
        await upstream.aclose()
    assert [merger.by_model for merger in report.mergers] == [False, False]
    (record,) = (await written.active()).values()
    assert (record.content, record.trust) == ("\n".join(REX), Trust.DIRECT_USER)
    assert len(models.requests) == (1 if answer.status == 500 else 2)
