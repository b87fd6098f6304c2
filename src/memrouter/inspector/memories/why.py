"""Why a memory is recalled: a live query, the scores and moves of what it finds, and what a prompt would be given."""

import json
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from memrouter.api.body import decode_json
from memrouter.api.memory_forms import Search
from memrouter.api.memory_search import MemorySearch
from memrouter.api.memory_views import CandidateView, SearchResult
from memrouter.errors import InvalidRequest, RequestError
from memrouter.inspector.memories.looking import choices
from memrouter.inspector.visit import Page, Visit
from memrouter.memory.turns.gate import text_worth_searching

GAUGE_WIDTH: Final = 260
"""Units of the drawing of a score, whose whole width is 1."""

REASONS: Final = {
    "threshold": "below the threshold",
    "gap": "behind the largest gap between scores",
    "limit": "beyond the limit on how many are recalled",
    "duplicate": "says the same as a better one",
    "blocked": "a block pattern matches its text",
    "pattern_timeout": "a block pattern took too long on its text",
    "algorithm": "left out by the reflection algorithm",
    "budget": "does not fit into what is left of the token budget",
}
"""Why a memory would not be injected, by the word that the API has for it."""

SIGNALS: Final = {
    "vector": "likeness in meaning",
    "words": "share of the message's words, by rarity, that the memory holds",
    "coverage": "the same, together with the turn before it",
    "neighbour": "likeness in meaning, together with the turns beside it",
    "passage": "rarity of the shared words, together with the turn before it",
    "conversation": "how much its whole conversation has to do with the message",
    "speaker": "whether it is by the one whom the message asks about",
    "length": "number of its words: short turns seldom hold a fact",
    "date": "whether it was made when the message says, such as yesterday",
    "time": "whether it names a time, where the message asks when",
    "fused": "the order before the reranker",
    "reranker": "what the reranker says, having read both texts",
}
"""What a signal is, by the name that the API has for it; those of other retrieval modes are among them."""

_IGNORED: Final = {
    "no_text": "it is empty",
    "no_words": "it holds no words",
    "small_talk": "it is small talk",
}


def why_pages(search: MemorySearch) -> list[Page]:
    """Return the page."""
    return [Page("/ui/why", partial(_why, search))]


async def _why(search: MemorySearch, visit: Visit) -> Response:
    scope, text = visit.owner, visit.asked("q").strip()
    values: dict[str, Any] = {"query": text, "result": None, "ignored": "", "problem": "", "recalls": True}
    service = visit.memory
    if text:
        try:
            result = await search.run(service, scope, _form(visit, text))
        except RequestError as error:
            values["problem"] = str(error)
        else:
            values |= _told(result)
            values["ignored"] = _IGNORED.get(text_worth_searching(text) or "", "")
            values["recalls"] = (await service.switches.of(scope.user_id)).recall
    fields = {name: visit.asked(name) for name in ("limit", "threshold", "mode", "adaptive", "type")}
    return await visit.render(
        "memories/why.html",
        status=400 if values["problem"] else 200,
        fields=fields,
        reasons=REASONS,
        signal_words=SIGNALS,
        gauge_width=GAUGE_WIDTH,
        settings=visit.desk.runtime.settings.memory,
        **values,
        **choices(),
    )


def _form(visit: Visit, text: str) -> Search:
    """Return what the address of the page asks for; what is left out comes from the configuration."""
    asked: dict[str, Any] = {"query": text, "explain": True}
    for name, number in (("limit", int), ("threshold", float)):
        if value := visit.asked(name):
            try:
                asked[name] = number(value)
            except ValueError:
                raise InvalidRequest(f"{name}: is a number", param=name) from None
    if mode := visit.asked("mode"):
        asked |= {"hybrid_search": False} if mode == "vectors" else {"hybrid_search": True, "hybrid_mode": mode}
    if adaptive := visit.asked("adaptive"):
        asked["adaptive_threshold"] = adaptive == "on"
    if kind := visit.asked("type"):
        asked["types"] = [kind]
    return decode_json(json.dumps(asked).encode(), Search)


def _told(result: SearchResult) -> dict[str, Any]:
    """Return the candidates in two parts: those that a prompt would be given, in its order, and the others."""
    candidates = result.candidates or []
    placed = [(each.place, each) for each in candidates if each.place is not None]
    injected = [each for _, each in sorted(placed, key=lambda pair: pair[0])]
    left_out: list[CandidateView] = [each for each in candidates if each.place is None]
    return {"result": result, "injected": injected, "left_out": left_out}
