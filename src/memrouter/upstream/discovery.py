"""Ask an OpenAI-compatible server which models it has."""

import aiohttp
import msgspec

from memrouter.errors import ConfigError, ConfigProblem

PATIENCE_SECONDS = 5
OK = 200


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


async def discover_models(base_url: str, *, api_key: str = "") -> list[str]:
    """Return the names of the models at ``base_url``, such as ``http://127.0.0.1:8000/v1``; at least one.

    Args:
        base_url: Address up to and including the version.
        api_key: Sent as a bearer token unless empty.

    Raises:
        ConfigError: The server cannot be asked, or names no model; the message says what to do.
    """
    url = f"{base_url.rstrip('/')}/models"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS)) as session,
            session.get(url, headers={"authorization": f"Bearer {api_key}"} if api_key else None) as answer,
        ):
            if answer.status != OK:
                raise _not_usable(base_url, f"HTTP {answer.status} from {url}")
            models = [model.id for model in msgspec.json.decode(await answer.read(), type=_Models).data]
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise _not_usable(base_url, f"{url} ({type(error).__name__})") from error
    if not models:
        raise _not_usable(base_url, f"no model at {url}")
    return models


def _not_usable(base_url: str, found: str) -> ConfigError:
    return ConfigError(
        [
            ConfigProblem(
                file="<command line>",
                line=None,
                key="--upstream",
                found=found,
                allowed="the URL of a running OpenAI-compatible server, up to and including its version",
                hint="Start the model server first, set MEMROUTER_UPSTREAM_KEY if it wants a key, or name its models: "
                f"memrouter serve --upstream {base_url} --model NAME",
            )
        ]
    )
