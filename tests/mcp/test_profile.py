"""Which memories stand in a profile, and in which order."""

from mcp.client.client import Client
from msgspec.structs import replace

from memrouter.config.keeping import QualitySettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.mcp.profile import MOST_FACTS, strongest
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import MemoryRecord, MemoryType
from memrouter.stores.base import Capabilities
from memrouter.testing.records import NOW, RecordFactory

from .calls import remembered, resource
from .conftest import ANN

DAY_MS = 86_400_000
FACTORY = RecordFactory(Capabilities("sqlite", 16, HashEmbedder(16).info.model, exact=True))


def order(*records: MemoryRecord) -> list[str]:
    return [hit.record.content for hit in strongest(records, now=NOW + 100 * DAY_MS, settings=QualitySettings())]


def made(content: str, **changes: object) -> MemoryRecord:
    return replace(FACTORY.make(content), **changes)


def test_pinned_facts_come_first_then_the_strongest() -> None:
    records = (
        made("faded"),
        made("needed often", access_count=50),
        made("important", importance=1.0),
        made("new", updated_at=NOW + 99 * DAY_MS),
        made("pinned", pinned=True, importance=0.0),
    )
    assert order(*records) == ["pinned", "new", "needed often", "important", "faded"]


def test_a_profile_is_bounded() -> None:
    assert len(order(*(made("") for _ in range(MOST_FACTS + 5)))) == MOST_FACTS


async def test_a_profile_has_facts_and_habits_and_no_events(ann: Client, service: MemoryService) -> None:
    assert await resource(ann, "memory://profile") == "Nothing is remembered about this user yet."
    await remembered(ann, "The user is a baker.", importance=0.4)
    await remembered(ann, "Answer the user in Norwegian.", type="procedural", importance=0.9)
    await service.remember(ANN, [MemoryDraft("We met in Oslo.", type=MemoryType.EPISODIC)])
    text = await resource(ann, "memory://profile")
    assert [word in text for word in ("baker", "Norwegian", "Oslo")] == [True, True, False]
    assert text.index("Norwegian") < text.index("baker")


async def test_a_profile_says_each_thing_once(ann: Client) -> None:
    await remembered(ann, "The user has a cat called Luna.", importance=0.3)
    await remembered(ann, "The user has a cat called Luna!!", importance=0.9)
    assert (await resource(ann, "memory://profile")).count("Luna") == 1
