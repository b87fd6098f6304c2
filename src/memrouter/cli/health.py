"""``memrouter health``: ask a running router whether it can serve; for health checks of containers, and for people."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Annotated, Any, TypeGuard

import typer

from memrouter.cli.exit_status import INCOMPLETE_EXIT
from memrouter.cli.options import JsonOption

MAX_REPORT_BYTES = 1024 * 1024


def health(
    url: Annotated[
        str, typer.Option(help="The router's address, http:// or https://, without a path.")
    ] = "http://127.0.0.1:8888",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait; readiness itself may take 2.")] = 4.0,
    as_json: JsonOption = False,
) -> None:
    """Ask a running router for /ready. Exit status 0: it can serve, be it with parts degraded; 1: it cannot."""
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("give --url as http://HOST:PORT or https://HOST:PORT")
    try:
        report = _ready(url.rstrip("/") + "/ready", timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        report = {"status": "failed", "checks": {"answer": {"status": "failed", "detail": _plain(reason)}}}
    typer.echo(json.dumps(report, indent=2) if as_json else "\n".join(_lines(report)))
    if report["status"] not in ("ok", "degraded"):
        raise typer.Exit(INCOMPLETE_EXIT)


def _ready(url: str, timeout: float) -> dict[str, Any]:
    """Return the report of a router that can serve, or that says why it cannot.

    Raises:
        OSError: No answer.
        ValueError: The answer is not that of a router.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - the scheme was looked at
            body = answer.read(MAX_REPORT_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != http.HTTPStatus.SERVICE_UNAVAILABLE:
                raise ValueError(f"{url} answered {error.code}; is this a memrouter?") from None
            body = error.read(MAX_REPORT_BYTES)
    try:
        report = json.loads(body)
    except ValueError:
        report = None
    if not _is_report(report):
        raise ValueError(f"{url} is not answered by a memrouter")
    return dict(report)


def _is_report(body: object) -> TypeGuard[dict[str, Any]]:
    if not isinstance(body, dict) or not isinstance(checks := body.get("checks"), dict):
        return False
    return isinstance(body.get("status"), str) and all(isinstance(part, dict) for part in checks.values())


def _lines(report: dict[str, Any]) -> list[str]:
    parts = [(name, part) for name, part in report["checks"].items() if part.get("status") != "ok"]
    return [
        _plain(report["status"]),
        *(_plain(f"{name}: {part.get('status')}: {part.get('detail') or 'no reason given'}") for name, part in parts),
    ]


def _plain(text: object) -> str:
    """Return text without what could steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
