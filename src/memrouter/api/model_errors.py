"""What the OpenAPI description says of errors on routes that talk to models."""

from typing import Any, Final

from pydantic import BaseModel

_DESCRIPTIONS: Final = {
    400: "A field is wrong",
    401: "Nobody is identified, or a credential is not believed",
    403: "The caller may not do this",
    404: "No such model; or absent, expired or someone else's",
    413: "The body is too large",
    429: "The caller, or the router at the model server, asks too often",
    500: "A fault of the router or of the model server",
    502: "No model server could be reached, or it broke off",
    503: "The router or the model server cannot serve now",
    504: "The model server kept silent too long",
}


def error_descriptions(form: type[BaseModel], **others: str) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route, for errors in one form.

    Args:
        form: The body of every error.
        others: Further statuses, as ``status_529="..."``.
    """
    added = {int(name.removeprefix("status_")): text for name, text in others.items()}
    described: dict[int | str, dict[str, Any]] = {
        status: {"model": form, "description": text} for status, text in sorted({**_DESCRIPTIONS, **added}.items())
    }
    return {**described, "default": {"model": form, "description": "Any other error, as the model server gives it"}}
