"""``memrouter keys``: the API keys that ``global.auth.mode: api_key`` believes."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from memrouter.api.identity.api_key import ApiKey, hash_secret, is_key_id, new_secret, write_key
from memrouter.api.identity.key_file import KeyFile
from memrouter.api.identity.key_keeper import KeptKey, KeyKeeper
from memrouter.api.identity.key_state import KeyState
from memrouter.cli.desk import config_name, open_desk, run_to_end, show_report
from memrouter.cli.options import ConfigOption, JsonOption
from memrouter.clock import SystemClock
from memrouter.config.base import parse_seconds
from memrouter.config.load import load_settings
from memrouter.doctor.findings import printable
from memrouter.errors import NotFound
from memrouter.models.turn import ORDINARY, Permission

keys_app = typer.Typer(no_args_is_help=True, help="API keys: make, list and revoke them. Only hashes are kept.")

_AGAIN = "nothing has changed; run it again"


@keys_app.command()
def create(
    config: ConfigOption = None,
    user: Annotated[str | None, typer.Option(help="Whose key it is.")] = None,
    service: Annotated[bool, typer.Option("--service", help="A service that names users in the user header.")] = False,
    project: Annotated[str | None, typer.Option(help="The only project of that user; omitted: any.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of that user; repeatable.")] = None,
    acts_for: Annotated[
        list[str] | None,
        typer.Option(help="A user that the service may name, or a beginning and *; repeatable. Omitted: all."),
    ] = None,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    expires: Annotated[str | None, typer.Option(help="How long it works, such as 90d; omitted: for ever.")] = None,
    scope: Annotated[
        list[Permission] | None, typer.Option(help="What it allows; repeatable. Omitted: chat and memory.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it: this once, since only its hash is kept."""
    if (user is not None) == service:
        raise typer.BadParameter("give either --user USER or --service")
    clock, rng = SystemClock(), random.SystemRandom()
    key_id, secret = new_secret(rng)
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    try:
        key = ApiKey(
            id=key_id,
            sha256=hash_secret(secret),
            created=now,
            user=user,
            project=project,
            groups=tuple(group or ()),
            service=service,
            acts_for=tuple(acts_for or ()),
            name=name,
            expires=now + _duration(expires) if expires else None,
            scopes=tuple(scope or sorted(ORDINARY)),
        )
    except OverflowError:
        raise typer.BadParameter("--expires is too far away; leave it out for a key that works for ever") from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None

    async def add() -> None:
        async with open_keeper(config, existing=False) as keeper:
            await keeper.add(key)

    run_to_end(add, again=_AGAIN)
    whole = write_key(key_id, secret)
    facts = {"key": whole, **_facts(KeptKey(key, None))}
    show_report(facts, [whole], as_json=as_json)
    typer.echo(f"{_whose(key)}; this key is not shown again", err=True)


@keys_app.command("list")
def list_keys(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the keys, oldest first, without their secrets."""

    async def all_keys() -> list[KeptKey]:
        async with open_keeper(config, existing=True) as keeper:
            return await keeper.all()

    kept = run_to_end(all_keys, again="run it again")
    now = SystemClock().now_ms()
    lines = [printable(_line(one, now)) for one in kept]
    show_report({"keys": [_facts(one) for one in kept]}, lines or ["there are no keys"], as_json=as_json)


@keys_app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id from the list: the middle of the key.")],
    config: ConfigOption = None,
) -> None:
    """Remove a key for good; running routers refuse it within auth.api_keys.cache (5 s)."""

    async def remove() -> None:
        async with open_keeper(config, existing=True) as keeper:
            if not is_key_id(key_id) or not await keeper.remove(key_id):
                raise NotFound("there is no key with this id; memrouter keys list shows them")

    run_to_end(remove, again=_AGAIN)
    typer.echo(f"revoked {printable(key_id)}")


@asynccontextmanager
async def open_keeper(config: Path | None, *, existing: bool) -> AsyncIterator[KeyKeeper]:
    """Open where the configuration has keys kept, for as long as the context lasts.

    Args:
        config: The configuration file; None for the defaults.
        existing: Whether it must be there already.

    Raises:
        ConfigError: The configuration cannot be used, or there are no keys.
        StoreError: The store cannot be opened.
    """
    settings = load_settings(config, env=os.environ).settings
    auth = settings.global_.auth
    if auth.mode != "api_key":
        typer.echo(f"note: {config_name(config)} has auth.mode {auth.mode}, in which no key is believed", err=True)
    if auth.api_keys.file:
        yield KeyFile(Path(auth.api_keys.file))
    else:
        async with open_desk(config, existing=existing) as desk:
            yield KeyState(desk.store.state, clock=SystemClock())


def _duration(text: str) -> timedelta:
    seconds = parse_seconds(text)
    if not isinstance(seconds, float) or seconds <= 0:
        msg = "--expires needs a time such as 90d"
        raise ValueError(msg)
    return timedelta(seconds=seconds)


def _facts(kept: KeptKey) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(kept.key)
    del facts["sha256"]
    return {**facts, "last_used": _moment(kept.last_used) if kept.last_used is not None else None}


def _line(kept: KeptKey, now: int) -> str:
    key = kept.key
    parts = [key.id, _whose(key), "+".join(key.scopes), f"created {key.created:%Y-%m-%d}"]
    if key.expires is not None:
        parts.append(f"{'EXPIRED' if key.has_expired(now) else 'expires'} {key.expires:%Y-%m-%d}")
    parts += [f"used about {_moment(kept.last_used)}"] if kept.last_used is not None else []
    return "  ".join([*parts, *([key.name] if key.name else [])])


def _whose(key: ApiKey) -> str:
    if key.service:
        return f"service for {', '.join(key.acts_for) or 'all users'}"
    return f"user {key.user}" + (f" in project {key.project}" if key.project else "")


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
