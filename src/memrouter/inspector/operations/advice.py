"""What to do about a part of the router that does not work: words, and where the documentation has more. Pure."""

from dataclasses import dataclass
from typing import Final

_TITLES: Final = {
    "accepting_requests": "Requests",
    "identity": "Identity",
    "memory_store": "Memory store",
    "embedder": "Embedder",
    "upstream": "Model servers",
    "memory_migration": "Memory migration",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """What follows from a part that does not work.

    Attributes:
        means: What users notice.
        do: What to do.
        documentation: Page of the documentation that has more, and the heading on it.
    """

    means: str
    do: str
    documentation: tuple[str, str]


def title_of(check: str) -> str:
    """Return what a check of ``/ready`` is called on pages."""
    return _TITLES.get(check, check.replace("_", " ").capitalize())


def advice_for(check: str) -> Advice:
    """Return what to do where the check of ``/ready`` with this name fails."""
    match check:
        case "accepting_requests":
            return Advice(
                "new requests are refused",
                "the router is stopping; wait for it to be started again",
                ("Operations", "Stop"),
            )
        case "identity":
            return Advice(
                "callers may be refused, or be believed who should not be",
                "see that the keys or the token issuer can be reached, and that trust_body_user is off",
                ("Troubleshooting", "Identity is refused"),
            )
        case "memory_store":
            return Advice(
                "chats are answered without memory, and finished turns wait to be stored",
                "see that the store runs and has room; then run the doctor, which names the command that mends it",
                ("Troubleshooting", "The store fails"),
            )
        case "embedder":
            return Advice(
                "nothing can be recalled or stored",
                "see that the embedding model, or its endpoint, can be had; then run the doctor",
                ("Troubleshooting", "Memory is not used"),
            )
        case "upstream":
            return Advice(
                "requests to some models fail",
                "see that the model's servers run and that their addresses are right; then run the doctor",
                ("Troubleshooting", "The model server"),
            )
        case _:
            return Advice(
                "it is not done yet",
                "see the store's page, and the log",
                ("Troubleshooting", "Moves that stand still"),
            )
