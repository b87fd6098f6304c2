"""``memrouter memory``: look at a user's memories, and at why they are found; add and forget some."""

from typing import Annotated

import typer

from memrouter.api.memory_conversations import DeleteParams, ListParams
from memrouter.api.memory_forms import NewMemory, Search
from memrouter.cli.memory_corrections import history, pin, supersede, undo, unpin
from memrouter.cli.memory_place import IdArgument, Place, YesOption, at_place, checked, show_answer
from memrouter.cli.memory_quarantine import quarantine_app
from memrouter.cli.memory_switch import switch
from memrouter.cli.memory_tables import MemoryTables
from memrouter.cli.options import JsonOption
from memrouter.models.memory import MemoryType

memory_app = typer.Typer(no_args_is_help=True, help="Look at, add, correct and forget memories of one user.")

TypeOption = Annotated[list[MemoryType] | None, typer.Option("--type", help="Only this type; repeatable.")]
ConversationOption = Annotated[
    str | None, typer.Option("--conversation", help="Only this conversation, as its memories name it.")
]
SessionOption = Annotated[
    str | None, typer.Option("--session", help="Only the conversation whose requests said this in x-session-id.")
]
ConversationOfOption = Annotated[
    str | None, typer.Option("--conversation-of", metavar="ID", help="Only the conversation that a memory came from.")
]
_HINTS = {"query": "TEXT", "content": "TEXT", "conversation_id": "--conversation", "session_id": "--session"}


@memory_app.command()
@at_place
def search(
    place: Place,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to search for.")],
    explain: Annotated[bool, typer.Option("--explain", help="Show every candidate, and why it was dropped.")] = False,
    limit: Annotated[int | None, typer.Option(help="Most memories; omitted = as configured.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Lowest score of a relevant memory, 0 to 1; omitted = as configured.")
    ] = None,
    types: TypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find memories as the router finds them for a chat request. Nothing is counted as an access."""
    form = checked(
        Search, hints=_HINTS, query=text, limit=limit, threshold=threshold, explain=explain, types=types or []
    )
    show_answer(place.run(lambda desk: desk.search(form)), as_json, MemoryTables().search)


@memory_app.command(name="list")
@at_place
def list_memories(
    place: Place,
    types: TypeOption = None,
    conversation: ConversationOption = None,
    session: SessionOption = None,
    conversation_of: ConversationOfOption = None,
    superseded: Annotated[bool, typer.Option("--superseded", help="Those that were replaced, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most memories on the page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="The page before names it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List memories, newest first."""
    params = checked(
        ListParams,
        hints=_HINTS,
        type=types,
        conversation_id=conversation,
        session_id=session,
        conversation_of=conversation_of,
        include_superseded=superseded,
        limit=limit,
        cursor=cursor,
    )
    show_answer(place.run(lambda desk: desk.page(params)), as_json, MemoryTables().page)


@memory_app.command()
@at_place
def show(place: Place, memory_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show one memory with every field."""
    show_answer(place.run(lambda desk: desk.show(memory_id)), as_json, MemoryTables().memory)


@memory_app.command()
@at_place
def add(
    place: Place,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to remember.")],
    type_: Annotated[MemoryType, typer.Option("--type")] = MemoryType.SEMANTIC,
    importance: Annotated[float, typer.Option(help="0 to 1.")] = 0.5,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it goes, such as 2030-01-31T00:00:00Z; omitted = never.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Remember something; what is remembered already is not stored again."""
    hints = {**_HINTS, "expires_at": "--expires"}
    new = checked(NewMemory, hints=hints, content=text, type=type_, importance=importance, expires_at=expires)
    show_answer(place.run(lambda desk: desk.add(new)), as_json, MemoryTables().added)


@memory_app.command()
@at_place
def forget(
    place: Place,
    memory_id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    conversation: ConversationOption = None,
    session: SessionOption = None,
    conversation_of: ConversationOfOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove one memory, or everything that came from one conversation, for good.

    A conversation goes with what was made of it, and turns of it that wait to be stored are dropped.
    """
    ways = [memory_id, conversation, session, conversation_of]
    if sum(way is not None for way in ways) != 1:
        raise typer.BadParameter("name either a memory or a conversation, in one way")
    if not yes:
        what = "The memory is" if memory_id is not None else "Everything that came from this conversation is"
        typer.confirm(f"{what} removed for good. Go on?", abort=True)
    if memory_id is not None:
        answer = place.run(lambda desk: desk.forget(memory_id))
    else:
        named = {"conversation_id": conversation, "session_id": session, "conversation_of": conversation_of}
        params = checked(DeleteParams, hints=_HINTS, receipt=True, **named)
        answer = place.run(lambda desk: desk.forget_conversation(params))
    show_answer(answer, as_json, MemoryTables().deleted)


memory_app.command()(supersede)
memory_app.command()(undo)
memory_app.command()(history)
memory_app.command()(pin)
memory_app.command()(unpin)
memory_app.command()(switch)
memory_app.add_typer(quarantine_app, name="quarantine")
