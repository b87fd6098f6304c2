"""``memrouter memory switch``: whether a user's memories are saved and recalled, as an operator wants it."""

from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from memrouter.cli.desk import open_desk, refuse_migration, run_to_end, show_report
from memrouter.cli.options import ConfigOption, JsonOption
from memrouter.clock import SystemClock
from memrouter.memory.switches import KEPT_MS, Switches, UserSwitches
from memrouter.models.memory import check_identity


class Position(StrEnum):
    """Of a switch."""

    ON = "on"
    OFF = "off"


def switch(
    user: Annotated[str, typer.Option("--user", "-u", help="Whose memories, in all projects.")],
    saving: Annotated[
        Position | None, typer.Option(help="Whether anything is stored for the user; what is kept stays.")
    ] = None,
    recall: Annotated[Position | None, typer.Option(help="Whether the user's memories are put into prompts.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a user's switches, or turn them; running routers notice within 10 s.

    For all users and for routes, saving is auto_store and recall is recall in the configuration.

    Exit status: 0 done; 2 it failed, 130 interrupted.
    """

    async def work() -> Switches:
        user_id = check_identity(user, param="--user")
        async with open_desk(config, existing=True) as desk:
            switches = UserSwitches(desk.store.state, SystemClock())
            if saving is None and recall is None:
                return await switches.of(user_id)
            refuse_migration(desk.settings, config, hint="a switch in one of its stores would not reach the other")
            return await switches.set(user_id, saving=_wanted(saving), recall=_wanted(recall))

    now = run_to_end(work, again="run the same command again")
    lines = [f"{name}: {'on' if on else 'off'}" for name, on in msgspec.structs.asdict(now).items()]
    if saving is not None or recall is not None:
        lines.append(f"running routers notice within {KEPT_MS // 1000} s")
    show_report(msgspec.to_builtins(now), lines, as_json=as_json)


def _wanted(position: Position | None) -> bool | None:
    return None if position is None else position is Position.ON
