"""Whose memories a command means and where they are, and how it prints what it is told."""

import inspect
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import Annotated, Any, Concatenate, Final, ParamSpec, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from memrouter.cli.caller_headers import caller_headers
from memrouter.cli.desk import run_to_end
from memrouter.cli.memory_desk import MemoryDesk, open_local, open_remote
from memrouter.cli.options import ConfigOption
from memrouter.cli.remote_desk import Answer
from memrouter.models.memory import DEFAULT_PROJECT, Scope, check_identity

P = ParamSpec("P")
F = TypeVar("F", bound=BaseModel)

IdArgument = Annotated[str, typer.Argument(metavar="ID")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

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


@dataclass(frozen=True, slots=True)
class Place:
    """Whose memories are meant, and where they are."""

    user: UserOption = None
    project: ProjectOption = DEFAULT_PROJECT
    config: ConfigOption = None
    url: UrlOption = None
    api_key: KeyOption = None
    header: HeaderOption = None

    def run(self, ask: Callable[[MemoryDesk], Awaitable[Answer]]) -> Answer:
        """Return the answer; errors end the program with a message and exit status 2."""
        if self.url is None and self.user is None:
            raise typer.BadParameter("name the user whose memories are meant", param_hint="--user")
        if self.url is not None and self.config is not None:
            raise typer.BadParameter("a running router has a configuration of its own", param_hint="--config")
        headers = caller_headers(self.user, self.project, api_key=self.api_key, lines=self.header or [])

        async def work() -> Answer:
            if self.url is not None:
                async with open_remote(self.url, headers) as remote:
                    return await ask(remote)
            user = check_identity(self.user or "", param="--user")
            scope = Scope(user, check_identity(self.project, param="--project"))
            async with open_local(self.config, scope) as local:
                return await ask(local)

        return run_to_end(work, again="run the command again")


_PLACE: Final = tuple(field.name for field in fields(Place))


def at_place(command: Callable[Concatenate[Place, P], None]) -> Callable[..., None]:
    """Return a command line for a function whose first parameter is made of the options of ``Place``."""
    own = list(inspect.signature(command).parameters.values())[1:]
    options = list(inspect.signature(Place).parameters.values())
    required = [each for each in own if each.default is inspect.Parameter.empty]
    parameters = [*required, *(each for each in own if each not in required), *options]

    @wraps(command)
    def run(**given: Any) -> None:
        place = Place(**{name: given.pop(name) for name in _PLACE})
        command(place, **given)  # type: ignore[call-arg]  # the signature below names exactly these

    shown = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    run.__dict__["__signature__"] = inspect.Signature(shown)
    run.__annotations__ = {each.name: each.annotation for each in shown}
    return run


def checked(form: type[F], *, hints: Mapping[str, str], **values: object) -> F:
    """Return what the API would take, made of options; those that are None count as left out.

    Args:
        form: The form.
        hints: How options are named that are called otherwise than their field.
        values: By field.

    Raises:
        typer.BadParameter: A value is out of range.
    """
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return form.model_validate_json(json.dumps(given))
    except ValidationError as error:
        fault = error.errors()[0]
        field = str(fault["loc"][0])
        hint = hints.get(field, f"--{field.replace('_', '-')}")
        raise typer.BadParameter(fault["msg"].removeprefix("Value error, "), param_hint=hint) from None


def show_answer(answer: Answer, as_json: bool, show_table: Callable[[dict[str, Any]], None]) -> None:
    """Print an answer as JSON, or as ``show_table`` does."""
    if as_json:
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=not _speaks_utf8()) + "\n")
    else:
        show_table(answer)


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
