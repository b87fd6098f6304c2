"""Where a scan of a store stands: the last memory that it left behind, in an opaque form."""

import base64
import binascii
import re
from dataclasses import dataclass

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MAX_ID_CHARS

_FORM = re.compile(rf"([a-z]+):([0-9a-f]{{32}}):(-?[0-9]{{1,19}}):(.{{1,{MAX_ID_CHARS}}})", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a scan; positions are ordered as scans go.

    Attributes:
        owner: Owner key of the memory.
        created_at: Its time in milliseconds.
        id: Its id.
    """

    owner: str
    created_at: int
    id: str

    def encode(self, *, backend: str) -> str:
        """Return the opaque form, which tells one kind of store from another."""
        return base64.urlsafe_b64encode(f"{backend}:{self.owner}:{self.created_at}:{self.id}".encode()).decode()

    @classmethod
    def decode(cls, text: str, *, backend: str) -> "Position":
        """Return the position behind an opaque form.

        Raises:
            InvalidRequest: ``text`` was not made by ``encode`` for this kind of store.
        """
        try:
            found = _FORM.fullmatch(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode())
        except (ValueError, binascii.Error):
            found = None
        if found is None or found[1] != backend or not -(2**63) <= int(found[3]) < 2**63:
            raise InvalidRequest(f"a scan position is not one that a {backend} store gave out", param="after")
        return cls(owner=found[2], created_at=int(found[3]), id=found[4])
