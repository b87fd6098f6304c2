"""The headers in which a trusted party says for whom it calls."""

from dataclasses import dataclass, replace

from memrouter.api.identity.authenticator import RawHeaders
from memrouter.config.auth import AuthSettings
from memrouter.errors import Forbidden, InvalidRequest
from memrouter.models.memory import check_identity
from memrouter.models.turn import Identity


@dataclass(frozen=True, slots=True)
class Stated:
    """What the headers say; None where they are silent."""

    user: str | None
    project: str | None
    groups: tuple[str, ...]


class IdentityHeaders:
    """Reads user, project and groups from a request.

    Args:
        settings: Names of the headers.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self.user = settings.user_header.lower()
        self.project = settings.project_header.lower()
        self.groups = settings.groups_header.lower()
        self._names = frozenset(name.encode() for name in (self.user, self.project, self.groups))

    def given(self, headers: RawHeaders) -> RawHeaders:
        """Return those of the headers that are about identity, unread."""
        return [(name, value) for name, value in headers if name in self._names]

    def read(self, headers: RawHeaders) -> Stated:
        """Return what the headers say.

        Raises:
            InvalidRequest: One cannot be an identity: not UTF-8, given twice, too long or with control characters.
                ``param`` is the header.
        """
        values = read_values(self.given(headers))
        return Stated(
            user=_checked(values, self.user),
            project=_checked(values, self.project),
            groups=split_groups(values.get(self.groups, ""), param=self.groups),
        )

    def narrowed(self, identity: Identity, headers: RawHeaders, *, project: str | None) -> Identity:
        """Return ``identity``, which a credential proves, in the project that the headers choose.

        Args:
            identity: Of the credential.
            headers: Of the request; nothing in them makes anybody somebody else.
            project: The one that the credential is bound to; None where it is bound to none.

        Raises:
            InvalidRequest: As for ``read``.
            Forbidden: The headers name another user, or another project than the credential.
        """
        if not self.given(headers):
            return identity
        stated = self.read(headers)
        if stated.user not in (None, identity.user_id):
            raise Forbidden(f"{self.user} names somebody else than the credential does; leave it out", param=self.user)
        if project is not None and stated.project not in (None, project):
            raise Forbidden(f"{self.project} names another project than the credential does", param=self.project)
        return identity if stated.project is None else replace(identity, project_id=stated.project)


def read_values(given: RawHeaders) -> dict[str, str]:
    """Return the values by header name, without the white space around them that belongs to HTTP.

    Raises:
        InvalidRequest: A header is given twice or is not UTF-8; ``param`` is its name.
    """
    values: dict[str, str] = {}
    for raw_name, raw_value in given:
        name = raw_name.decode("ascii")
        if name in values:
            raise InvalidRequest(f"{name} was given more than once", code="duplicate_header", param=name)
        try:
            values[name] = raw_value.strip(b" \t").decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{name} is not UTF-8", code="invalid_encoding", param=name) from error
    return values


def split_groups(text: str, *, param: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list.

    Raises:
        InvalidRequest: One of them cannot be a name; ``param`` says where it stood.
    """
    if not text:
        return ()
    names = (name.strip(" \t") for name in text.split(","))
    return tuple(check_identity(name, param=param) for name in names if name)


def _checked(values: dict[str, str], header: str) -> str | None:
    value = values.get(header, "")
    return check_identity(value, param=header) if value else None
