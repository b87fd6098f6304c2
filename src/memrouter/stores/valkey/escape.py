"""A user id inside a query, for indexes of the Go router only: our own queries hold nothing but digests and numbers."""

_ASCII_SPACE = " \t\n\v\f\r"


def user_clause(user_id: str) -> str | None:
    """Return a query for the rows of a user in an index whose ``user_id`` is a plain TAG; None if none can find them.

    Such a TAG was split at commas and trimmed, and is matched in any case: the answer may hold rows of others, so
    every row must be checked against the user id.
    """
    tags = [tag.strip(_ASCII_SPACE) for tag in user_id.split(",")]
    return " ".join(f"@user_id:{{{escaped(tag)}}}" for tag in tags if tag) or None


def escaped(text: str) -> str:
    """Return ``text`` with a backslash before every ASCII character that is neither a letter nor a digit."""
    return "".join(f"\\{char}" if char.isascii() and not char.isalnum() else char for char in text)
