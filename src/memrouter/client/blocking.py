"""The client for programs without an event loop."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx2
from msgspec import UNSET, UnsetType

from memrouter.client import calls
from memrouter.client.answers import (
    AddedMemories,
    Consolidation,
    Deletion,
    History,
    ImportReport,
    Memory,
    MemoryPage,
    SearchResult,
    Stats,
)
from memrouter.client.attempts import Attempt, check_timeout, router_root, sent_headers, unreadable
from memrouter.client.calls import Call, Change, Conversation, HybridMode, MergeName, NewMemory, Question, TypeName
from memrouter.client.exported import ExportedMemory, ExportReader
from memrouter.client.files import PartFile, chunks_of
from memrouter.client.retries import Retries

T = TypeVar("T")

PAGE: Final = 100
TIMEOUT_SECONDS: Final = 30.0


class MemrouterClient:
    """A user's memories in a running router; a context manager.

    Connections are kept and used again, so one client should serve a whole program. Calls that can do no harm twice
    are sent again where the router is busy or cannot be reached. Every method may raise ``RouterUnreachable``,
    ``RouterFailed``, ``Unauthenticated``, ``Forbidden``, ``RateLimited``, ``Overloaded``, ``StoreUnavailable`` and
    ``EmbeddingError``; ``InvalidRequest`` where a value is out of range; ``NotFound`` where a memory is absent or
    someone else's.

    Args:
        base_url: Address of the router, such as ``http://127.0.0.1:8888``.
        api_key: Key or token that says who is asking; for ``auth.mode: api_key`` and ``jwt``.
        user: Whose memories; for callers whose word about that is believed, and service keys.
        project: Which of the user's projects; None for the default one.
        timeout: Seconds that a step of a request may take: to connect, to send, until the next bytes arrive.
        retries: How often and when to try again.
        headers: Sent with every request.
        http: Sends the requests, with certificates and proxies of its own; closed by whoever opened it. None for one
            that is closed with this client.
        rng: Spreads the pauses between tries.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8888",
        *,
        api_key: str | None = None,
        user: str | None = None,
        project: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        retries: Retries | None = None,
        headers: Mapping[str, str] | None = None,
        http: httpx2.Client | None = None,
        rng: Random | None = None,
    ) -> None:
        self._root = router_root(base_url)
        self._headers = sent_headers(headers or {}, api_key=api_key, user=user, project=project)
        self._timeout = check_timeout(timeout)
        self._retries = retries or Retries()
        self._rng = rng or Random()
        self._http = http or httpx2.Client()
        self._own = http is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        if self._own:
            self._http.close()

    def add(
        self,
        content: str,
        *,
        type: TypeName | None = None,  # noqa: A002 - the name that the field has everywhere
        importance: float | None = None,
        expires_at: datetime | None = None,
        conversation_id: str | None = None,
    ) -> Memory:
        """Remember a text and return the memory that holds it; one that is remembered already is not stored again.

        Args:
            content: 1 to 16,384 bytes of UTF-8.
            type: Kind of knowledge; ``semantic`` unless named.
            importance: 0 to 1; 0.5 unless named.
            expires_at: When it stops being visible; an aware time in the future.
            conversation_id: The conversation it comes from.
        """
        new = NewMemory(
            content=content, type=type, importance=importance, expires_at=expires_at, conversation_id=conversation_id
        )
        return self.add_many([new]).memories[0]

    def add_many(self, memories: Sequence[NewMemory | str]) -> AddedMemories:
        """Remember several and return what became of each; a malformed one refuses all."""
        new = [NewMemory(content=each) if isinstance(each, str) else each for each in memories]
        return self._ask(calls.add(new)) if new else AddedMemories(memories=())

    def search(
        self,
        query: str,
        *,
        limit: int | None = None,
        threshold: float | None = None,
        types: Iterable[TypeName] = (),
        hybrid_search: bool | None = None,
        hybrid_mode: HybridMode | None = None,
        adaptive_threshold: bool | None = None,
        explain: bool = False,
    ) -> SearchResult:
        """Return the memories that bear on a question, best first; what is left out the router's configuration says.

        Args:
            query: What is asked.
            limit: Most memories.
            threshold: Lowest score, 0 to 1, of a relevant one.
            types: Kinds of memory; none named for all.
            hybrid_search: Whether words count beside vectors.
            hybrid_mode: How both are fused.
            adaptive_threshold: Whether the largest gap between scores ends the result.
            explain: Whether every memory comes with an explanation.
        """
        question = Question(
            query=query,
            limit=limit,
            threshold=threshold,
            types=types,
            hybrid_search=hybrid_search,
            hybrid_mode=hybrid_mode,
            adaptive_threshold=adaptive_threshold,
            explain=explain,
        )
        return self._ask(calls.search(question))

    def list(
        self,
        *,
        types: Iterable[TypeName] = (),
        conversation_id: str | None = None,
        session_id: str | None = None,
        conversation_of: str | None = None,
        include_superseded: bool = False,
        page_size: int = PAGE,
    ) -> Iterator[Memory]:
        """Give all memories, newest first; pages are asked for as they are needed.

        Args:
            types: Kinds of memory; none named for all.
            conversation_id: Only those of this conversation, as its memories name it.
            session_id: Only those of the conversation whose requests said this in the header ``x-session-id``.
            conversation_of: Only those of the conversation that this memory came from.
            include_superseded: Whether those that were replaced come too.
            page_size: Memories that are asked for at a time.
        """
        cursor, wanted = None, tuple(types)
        conversation = Conversation(conversation_id, session_id, conversation_of)
        while True:
            page = self._ask(
                calls.page(
                    types=wanted,
                    limit=page_size,
                    cursor=cursor,
                    conversation=conversation,
                    include_superseded=include_superseded,
                )
            )
            yield from page.memories
            cursor = page.next_cursor
            if cursor is None:
                return

    def page(
        self, *, types: Iterable[TypeName] = (), limit: int | None = None, cursor: str | None = None
    ) -> MemoryPage:
        """Return one page of memories, newest first; ``next_cursor`` of it names the next one."""
        return self._ask(calls.page(types=types, limit=limit, cursor=cursor))

    def get(self, memory_id: str) -> Memory:
        """Return one memory, superseded, quarantined or not."""
        return self._ask(calls.get(memory_id))

    def edit(
        self,
        memory_id: str,
        *,
        content: str | None = None,
        type: TypeName | None = None,  # noqa: A002 - the name that the field has everywhere
        importance: float | None = None,
        expires_at: datetime | UnsetType | None = UNSET,
    ) -> Memory:
        """Change one memory and return it; what is left out stays, and ``expires_at=None`` takes an expiry away."""
        change = Change(content=content, type=type, importance=importance, expires_at=expires_at)
        return self._ask(calls.edit(memory_id, change))

    def pin(self, memory_id: str) -> Memory:
        """Have a memory never pruned, evicted or merged."""
        return self._ask(calls.edit(memory_id, Change(pinned=True)))

    def unpin(self, memory_id: str) -> Memory:
        """Take back a ``pin``."""
        return self._ask(calls.edit(memory_id, Change(pinned=False)))

    def supersede(self, memory_id: str, new: str | NewMemory) -> Memory:
        """Put a new fact in the place of a memory and return the memory that holds it; the old one is kept, unseen."""
        fact = NewMemory(content=new) if isinstance(new, str) else new
        return self._ask(calls.supersede(memory_id, fact))

    def undo(self, memory_id: str) -> Memory:
        """Take back a replacement, given either memory, and return the one that is found again."""
        return self._ask(calls.undo(memory_id))

    def history(self, memory_id: str) -> History:
        """Return what happened to a memory, and the memories that replaced one another."""
        return self._ask(calls.history(memory_id))

    def delete(self, memory_id: str) -> None:
        """Remove a memory for good, with what it replaced."""
        self._ask(calls.delete(memory_id))

    def delete_all(
        self,
        *,
        types: Iterable[TypeName] = (),
        conversation_id: str | None = None,
        session_id: str | None = None,
        conversation_of: str | None = None,
        receipt: bool = False,
    ) -> Deletion:
        """Remove all of the user's memories in this project for good.

        Args:
            types: Only these kinds; none named for all.
            conversation_id: Only those of this conversation, as its memories name it.
            session_id: Only those of the conversation whose requests said this in the header ``x-session-id``.
            conversation_of: Only those of the conversation that this memory came from.
            receipt: Whether the answer proves which ones went.
        """
        conversation = Conversation(conversation_id, session_id, conversation_of)
        return self._ask(calls.delete_all(types=types, conversation=conversation, receipt=receipt))

    def stats(self) -> Stats:
        """Return figures about the visible memories."""
        return self._ask(calls.stats())

    def quarantined(self, *, page_size: int = PAGE) -> Iterator[Memory]:
        """Give the memories that are kept apart, newest first."""
        cursor = None
        while True:
            page = self._ask(calls.page(types=(), limit=page_size, cursor=cursor, quarantined=True))
            yield from page.memories
            cursor = page.next_cursor
            if cursor is None:
                return

    def release(self, memory_id: str) -> Memory:
        """Let a quarantined memory be found from now on, and return it."""
        return self._ask(calls.release(memory_id))

    def consolidate(self, *, dry_run: bool = False) -> Consolidation:
        """Merge memories that say the same; with ``dry_run`` only say which."""
        return self._ask(calls.consolidate(dry_run=dry_run))

    def export(self, *, project_id: str | None = None, vectors: bool = False) -> Iterator[ExportedMemory]:
        """Give all memories with every field as they arrive; superseded and expired ones too.

        Args:
            project_id: Only this project's; None for all of them.
            vectors: Whether they come with their vectors.

        Raises:
            DamagedData: The export was cut off or changed on its way; what was given before stands.
        """
        reader = ExportReader()
        with self._lines(project_id=project_id, vectors=vectors) as pieces:
            for piece in pieces:
                yield from reader.take(piece)
        reader.end()

    def export_to(self, path: str | Path, *, project_id: str | None = None, vectors: bool = True) -> int:
        """Write an export to a file that ``import_`` takes, and return how many memories that were.

        The file appears under its name only when all of it is there.

        Raises:
            DamagedData: The export was cut off or changed on its way; there is no file.
            OSError: The file cannot be written.
        """
        reader = ExportReader()
        file = PartFile.open(Path(path))
        try:
            with self._lines(project_id=project_id, vectors=vectors) as pieces:
                for piece in pieces:
                    for _ in reader.take(piece):
                        pass
                    file.write(piece)
            reader.end()
            file.keep()
        finally:
            file.close()
        return reader.count

    def import_(
        self,
        source: str | Path | bytes | Iterable[bytes],
        *,
        merge: MergeName = "skip",
        map_user: bool = False,
    ) -> ImportReport:
        """Take what an export gave into the user's own memories; doing it again changes nothing more.

        Args:
            source: A file, the lines, or the lines in pieces of any size; pieces cannot be sent again.
            merge: Where a memory of the same id is there: ``skip`` keeps it, ``replace`` replaces it, ``newer`` keeps
                the newer.
            map_user: Whether memories that another user exported become this user's; they are refused otherwise.

        Raises:
            DamagedData: A line is damaged; those before it were imported.
            BodyTooLarge: Over the router's limit; what came before may have been imported.
            OSError: The file cannot be read.
        """
        call = calls.bring(merge=merge, map_user=map_user)
        if isinstance(source, bytes):
            return self._ask(call, body=source)
        if isinstance(source, str | Path):
            return self._ask(call, body=Path(source))
        return self._ask(call, body=source)

    def _ask(self, call: Call[T], *, body: bytes | Path | Iterable[bytes] | None = None) -> T:
        again = body is None or isinstance(body, bytes | Path)
        attempt = Attempt(call, self._retries, self._rng, again=again)
        while True:
            try:
                answer = self._http.send(self._request(call, body))
            except httpx2.TransportError as error:
                pause = attempt.after_failure(error)
            else:
                failed = attempt.after_answer(answer.status_code, answer.content, answer.headers)
                if failed is None:
                    return attempt.decoded(answer.status_code, answer.content)
                pause = failed
            time.sleep(pause)

    def _request(self, call: Call[T], body: bytes | Path | Iterable[bytes] | None) -> httpx2.Request:
        content = call.body if body is None else body
        described = [] if content is None else [(b"content-type", call.media_type.encode())]
        return self._http.build_request(
            call.method,
            self._root + call.path,
            params=call.params,
            content=chunks_of(content) if isinstance(content, Path) else content,
            headers=[*self._headers, *described],
            timeout=self._timeout,
        )

    @contextmanager
    def _lines(self, *, project_id: str | None, vectors: bool) -> Iterator[Iterator[bytes]]:
        """Give the bytes of an export; tried again until the first ones arrive."""
        call = calls.export(project_id=project_id, vectors=vectors)
        answer = self._begun(call)
        try:
            yield _pieces(answer)
        finally:
            answer.close()

    def _begun(self, call: Call[bytes]) -> httpx2.Response:
        attempt = Attempt(call, self._retries, self._rng)
        while True:
            try:
                answer = self._http.send(self._request(call, None), stream=True)
                if answer.is_success:
                    return answer
                body = answer.read()
                answer.close()
            except httpx2.TransportError as error:
                pause = attempt.after_failure(error)
            else:
                pause = attempt.after_answer(answer.status_code, body, answer.headers) or 0.0
            time.sleep(pause)


def _pieces(answer: httpx2.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_bytes()
    except httpx2.HTTPError as error:
        raise unreadable(error) from error
