"""``memrouter memory supersede``, ``undo``, ``history``, ``pin`` and ``unpin``: putting a memory right."""

from typing import Annotated

import typer

from memrouter.api.memory_forms import MemoryChange, Replacement
from memrouter.cli.memory_place import IdArgument, Place, at_place, checked, show_answer
from memrouter.cli.memory_tables import MemoryTables
from memrouter.cli.options import JsonOption


@at_place
def supersede(
    place: Place,
    memory_id: IdArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is right.")],
    as_json: JsonOption = False,
) -> None:
    """Put a new fact in the place of a memory. The old one is kept for retention.undo_days, so that undo works."""
    new = checked(Replacement, hints={"content": "TEXT"}, content=text)
    show_answer(place.run(lambda desk: desk.supersede(memory_id, new)), as_json, MemoryTables().memory)


@at_place
def undo(place: Place, memory_id: IdArgument, as_json: JsonOption = False) -> None:
    """Take back a replacement, named by either of the two memories; show the one that is found again."""
    show_answer(place.run(lambda desk: desk.undo(memory_id)), as_json, MemoryTables().memory)


@at_place
def history(place: Place, memory_id: IdArgument, as_json: JsonOption = False) -> None:
    """Tell who or what wrote a memory, from which conversation, and what happened to it since."""
    show_answer(place.run(lambda desk: desk.history(memory_id)), as_json, MemoryTables().history)


@at_place
def pin(place: Place, memory_id: IdArgument, as_json: JsonOption = False) -> None:
    """Keep a memory whatever is pruned, evicted or merged."""
    change = MemoryChange(pinned=True)
    show_answer(place.run(lambda desk: desk.change(memory_id, change)), as_json, MemoryTables().memory)


@at_place
def unpin(place: Place, memory_id: IdArgument, as_json: JsonOption = False) -> None:
    """Take back a pin."""
    change = MemoryChange(pinned=False)
    show_answer(place.run(lambda desk: desk.change(memory_id, change)), as_json, MemoryTables().memory)
