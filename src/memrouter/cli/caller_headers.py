"""The headers by which a command tells a running router who is asking."""

from collections.abc import Sequence

import typer

from memrouter.models.memory import DEFAULT_PROJECT


def caller_headers(user: str | None, project: str, *, api_key: str | None, lines: Sequence[str]) -> dict[str, str]:
    """Return the headers, names in lower case.

    Args:
        user: Sent as ``x-authz-user-id``; None for none.
        project: Sent unless it is the default one.
        api_key: Sent as a bearer token; None for none.
        lines: Further headers, each ``NAME: VALUE``.

    Raises:
        typer.BadParameter: A line is no header.
    """
    headers = {} if user is None else {"x-authz-user-id": user}
    if project != DEFAULT_PROJECT:
        headers["x-authz-project-id"] = project
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    for line in lines:
        name, colon, value = line.partition(":")
        if not (colon and name.strip()):
            raise typer.BadParameter(f"{line[:40]!r} is not NAME: VALUE", param_hint="--header")
        headers[name.strip().lower()] = value.strip()
    return headers
