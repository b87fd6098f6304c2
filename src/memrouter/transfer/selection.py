"""Which memories an export is about."""

from memrouter.models.memory import DEFAULT_PROJECT, MemoryRecord
from memrouter.stores.query import Filter, ScanQuery
from memrouter.transfer.format import Filters


class Selection:
    """The filters of an export: what the store looks after, and the rest.

    Args:
        filters: As the manifest has them.
    """

    def __init__(self, filters: Filters) -> None:
        self._filters = filters

    @property
    def whole_owners(self) -> bool:
        """Return whether nothing but the user is chosen, so that a store can count the memories."""
        return self._filters == Filters(user_id=self._filters.user_id)

    def query(self, *, after: str | None, page: int) -> ScanQuery:
        """Return the part of the selection that the store looks after."""
        chosen = self._filters
        where = Filter()
        if chosen.types:
            where = Filter(types=frozenset(chosen.types))
        if chosen.sources:
            where = Filter(types=where.types, sources=frozenset(chosen.sources))
        return ScanQuery(user_id=chosen.user_id, where=where, after=after, page=page)

    def covers(self, record: MemoryRecord) -> bool:
        """Return whether the rest of the selection holds for a memory that the store gave."""
        chosen = self._filters
        return (
            chosen.project_id in (None, record.project_id or DEFAULT_PROJECT)
            and (chosen.since is None or record.created_at >= chosen.since)
            and (chosen.until is None or record.created_at < chosen.until)
        )
