"""A typed client for the memories that a running router keeps, blocking or for asyncio."""

from memrouter.client.answers import (
    AddedMemories,
    Consolidation,
    Deletion,
    FoundMemory,
    History,
    HistoryEvent,
    ImportReport,
    Memory,
    MemoryPage,
    Outcome,
    Receipt,
    SearchResult,
    Stats,
)
from memrouter.client.asynchronous import AsyncMemrouterClient
from memrouter.client.blocking import MemrouterClient
from memrouter.client.calls import NewMemory
from memrouter.client.exported import ExportedMemory
from memrouter.client.retries import Retries

__all__ = [
    "AddedMemories",
    "AsyncMemrouterClient",
    "Consolidation",
    "Deletion",
    "ExportedMemory",
    "FoundMemory",
    "History",
    "HistoryEvent",
    "ImportReport",
    "Memory",
    "MemoryPage",
    "MemrouterClient",
    "NewMemory",
    "Outcome",
    "Receipt",
    "Retries",
    "SearchResult",
    "Stats",
]
