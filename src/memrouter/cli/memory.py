"""``memrouter memory``: look at a user's memories, and at why they are found."""

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from memrouter.api.memory_forms import Search
from memrouter.cli.caller_headers import caller_headers
from memrouter.cli.desk import ConfigOption, JsonOption, run_to_end
from memrouter.cli.memory_desk import Answer, MemoryDesk, open_local, open_remote
from memrouter.cli.memory_tables import MemoryTables
from memrouter.models.memory import DEFAULT_PROJECT, MemoryType, Scope, check_identity

memory_app = typer.Typer(no_args_is_help=True, help="Search, list, show and forget memories of one user.")

UserOption = Annotated[
    str | None, typer.Option("--user", "-u", help="Whose memories; with --url sent as x-authz-user-id.")
]
ProjectOption = Annotated[str, typer.Option("--project", help="Project of the user.")]
UrlOption = Annotated[
    str | None, typer.Option("--url", help="Ask a running router instead, such as http://127.0.0.1:8888.")
]
KeyOption = Annotated[
    str | None, typer.Option("--api-key", envvar="MEMROUTER_API_KEY", help="With --url: sent as a bearer token.")
]
HeaderOption = Annotated[
    list[str] | None, typer.Option("--header", "-H", metavar="NAME: VALUE", help="With --url: one more; repeatable.")
]
TypeOption = Annotated[list[MemoryType] | None, typer.Option("--type", help="Only this type; repeatable.")]


@memory_app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to search for.")],
    user: UserOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    config: ConfigOption = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    header: HeaderOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show every candidate, and why it was dropped.")] = False,
    limit: Annotated[int | None, typer.Option(help="Most memories; omitted = as configured.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Lowest score of a relevant memory, 0 to 1; omitted = as configured.")
    ] = None,
    types: TypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find memories as the router finds them for a chat request. Nothing is counted as an access."""
    form = _form(query=text, limit=limit, threshold=threshold, explain=explain, types=types or [])
    place = _Place(user, project, config, url, api_key, header or [])
    found = place.run(lambda desk: desk.search(form))
    _print(found, as_json, MemoryTables().search)


@memory_app.command(name="list")
def list_memories(
    user: UserOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    config: ConfigOption = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    header: HeaderOption = None,
    types: TypeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most memories on the page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="The page before names it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List memories, newest first."""
    place = _Place(user, project, config, url, api_key, header or [])
    page = place.run(lambda desk: desk.page(types=types or [], limit=limit, cursor=cursor))
    _print(page, as_json, MemoryTables().page)


@memory_app.command()
def show(
    memory_id: Annotated[str, typer.Argument(metavar="ID")],
    user: UserOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    config: ConfigOption = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    header: HeaderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one memory with every field."""
    place = _Place(user, project, config, url, api_key, header or [])
    _print(place.run(lambda desk: desk.show(memory_id)), as_json, MemoryTables().memory)


@memory_app.command()
def forget(
    memory_id: Annotated[str, typer.Argument(metavar="ID")],
    user: UserOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    config: ConfigOption = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    header: HeaderOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove one memory for good."""
    if not yes:
        typer.confirm("The memory is removed for good. Go on?", abort=True)
    place = _Place(user, project, config, url, api_key, header or [])
    typer.echo(place.run(lambda desk: desk.forget(memory_id))["message"])


def _form(**values: object) -> Search:
    try:
        return Search.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        field = str(fault["loc"][0])
        hint = "TEXT" if field == "query" else f"--{field}"
        raise typer.BadParameter(fault["msg"].removeprefix("Value error, "), param_hint=hint) from None


@dataclass(frozen=True, slots=True)
class _Place:
    """Whose memories are meant, and where they are."""

    user: str | None
    project: str
    config: Path | None
    url: str | None
    api_key: str | None
    header: list[str]

    def run(self, ask: Callable[[MemoryDesk], Awaitable[Answer]]) -> Answer:
        """Return the answer; errors end the program with a message and exit status 2."""
        if self.url is None and self.user is None:
            raise typer.BadParameter("name the user whose memories are meant", param_hint="--user")
        if self.url is not None and self.config is not None:
            raise typer.BadParameter("a running router has a configuration of its own", param_hint="--config")
        headers = caller_headers(self.user, self.project, api_key=self.api_key, lines=self.header)

        async def work() -> Answer:
            if self.url is not None:
                async with open_remote(self.url, headers) as remote:
                    return await ask(remote)
            user = check_identity(self.user or "", param="--user")
            scope = Scope(user, check_identity(self.project, param="--project"))
            async with open_local(self.config, scope) as local:
                return await ask(local)

        return run_to_end(work, again="run the command again")


def _print(answer: Answer, as_json: bool, show_table: Callable[[dict[str, Any]], None]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=not _speaks_utf8()) + "\n")
    else:
        show_table(answer)


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
