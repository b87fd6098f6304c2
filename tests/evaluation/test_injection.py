from memrouter.config.memory import ReflectionSettings
from memrouter.evaluation.bench import Bench
from memrouter.evaluation.injection import Injection
from memrouter.memory.injection.blocks import render_block
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.storing.drafts import MemoryDraft


async def test_tokens_are_those_of_the_block_that_the_filter_leaves(bench: Bench) -> None:
    scope, service = bench.scope("ann"), bench.service()
    texts = ("My canary is called Figaro.", "My canary is called  figaro.", "My locker has the code 1234.")
    await service.remember(scope, [MemoryDraft(content=text) for text in texts], unique=False)
    hits = (await service.recall(scope, "canary and locker", RecallPolicy(limit=9, threshold=0, adaptive=False))).hits
    now = bench.clock.ms
    injection = Injection(ReflectionSettings(block_patterns=("code",)), bench.tokens)
    (canary, *_) = [hit for hit in hits if "canary" in hit.record.content]
    counted = await injection.tokens(hits, now=now)
    assert 0 < counted < bench.tokens.count(render_block(hits, now=now))
    assert abs(counted - bench.tokens.count(render_block([canary], now=now))) <= 2


async def test_nothing_to_inject_takes_no_tokens(bench: Bench) -> None:
    assert await Injection(ReflectionSettings(), bench.tokens).tokens([], now=0) == 0
