"""``memrouter memory quarantine``: the memories that are kept apart, since they look like instructions to a model."""

from typing import Annotated

import typer

from memrouter.api.memory_conversations import ListParams
from memrouter.cli.memory_desk import MemoryDesk
from memrouter.cli.memory_place import IdArgument, Place, YesOption, at_place, show_answer
from memrouter.cli.memory_tables import MemoryTables
from memrouter.cli.options import JsonOption
from memrouter.cli.remote_desk import Answer
from memrouter.errors import InvalidRequest

quarantine_app = typer.Typer(
    no_args_is_help=True, help="Memories that look like instructions to a model: list, release or delete them."
)


@quarantine_app.command(name="list")
@at_place
def list_quarantined(
    place: Place,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most memories on the page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="The page before names it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List them, newest first, each with the rule that it met."""
    params = ListParams(quarantined=True, limit=limit, cursor=cursor)
    show_answer(place.run(lambda desk: desk.page(params)), as_json, MemoryTables().quarantined)


@quarantine_app.command()
@at_place
def release(place: Place, memory_id: IdArgument, as_json: JsonOption = False) -> None:
    """Let one be recalled like any other memory."""
    show_answer(place.run(lambda desk: desk.release(memory_id)), as_json, MemoryTables().memory)


@quarantine_app.command()
@at_place
def delete(place: Place, memory_id: IdArgument, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Remove one for good; a memory that is not quarantined is left alone."""
    if not yes:
        typer.confirm("The memory is removed for good. Go on?", abort=True)

    async def remove(desk: MemoryDesk) -> Answer:
        if (await desk.show(memory_id))["quarantine"] is None:
            raise InvalidRequest("this memory is not quarantined; memrouter memory forget removes it", param="id")
        return await desk.forget(memory_id)

    show_answer(place.run(remove), as_json, MemoryTables().deleted)
