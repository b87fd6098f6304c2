"""Which collection has the memories: the one of the configured name, or one that a reindex has made beside it.

A collection that was reindexed says where its memories are now. A small one that holds nothing but this, the pointer,
then takes its place under its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pymilvus import MilvusClient

PROPERTY: Final = "memrouter."
"""In front of the names of the properties in which a collection says what it keeps."""

MOVED_TO: Final = "moved_to"
"""Says in which collection the memories are now."""

HEIR_OF: Final = "heir_of"
"""Says under which name a collection is looked for; written before the one of that name goes."""

RETIRES: Final = "retires"
"""Says which collection still has to go."""

POINTER: Final = "pointer"
"""Says that a collection holds nothing but ``moved_to``."""

BESIDE: Final = "__"
"""Stands in the name of a collection that a reindex made, behind the configured one."""

_DESCRIPTION: Final = "Says in its properties which collection has the memories"


@dataclass(frozen=True, slots=True)
class Link:
    """One collection on the way from the configured name to the memories.

    Attributes:
        name: Its name.
        description: From ``describe_collection``.
    """

    name: str
    description: Mapping[str, Any]

    @property
    def notes(self) -> dict[str, str]:
        """Return what the collection says; see ``notes_of``."""
        return notes_of(self.description)


def notes_of(description: Mapping[str, Any]) -> dict[str, str]:
    """Return what a collection says about itself and its vectors; see ``embedding_space``."""
    found = dict(description.get("properties") or {})
    return {
        name.removeprefix(PROPERTY): str(found[name]) for name in found if name.startswith(PROPERTY) and found[name]
    }


def properties_of(notes: Mapping[str, str]) -> dict[str, str]:
    """Return the properties in which a collection says something; a text of no characters takes it back."""
    return {PROPERTY + name: text for name, text in notes.items()}


def follow(client: "MilvusClient", name: str) -> Sequence[Link]:
    """Return the collections from the one of a name to the one with the memories; none where there are none.

    The first has another name where a reindex was killed before the pointer was there.
    """
    links: list[Link] = []
    following = name if client.has_collection(name) else _heir(client, name)
    while following is not None and following not in {link.name for link in links}:
        links.append(Link(following, dict(client.describe_collection(following))))
        following = links[-1].notes.get(MOVED_TO)
    return links


def make_pointer(client: "MilvusClient", name: str, *, to: str) -> None:
    """Make a collection that says where the memories are, or have the one that is there say so."""
    from pymilvus import DataType, MilvusClient
    from pymilvus.exceptions import MilvusException

    notes = {MOVED_TO: to}
    if not client.has_collection(name):
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=_DESCRIPTION)
        schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=2)  # every collection has to have one
        try:
            client.create_collection(name, schema=schema, properties=properties_of({**notes, POINTER: "1"}))
        except MilvusException:
            if not client.has_collection(name):  # else another process was quicker
                raise
    if notes_of(client.describe_collection(name)).get(MOVED_TO) != to:
        client.alter_collection_properties(name, properties_of(notes))


def retire(client: "MilvusClient", root: str) -> None:
    """Remove the collection that another has taken the place of, where that has not been done yet.

    Every step may have been done already. The heir is named before the old collection goes, so that it is always found.
    """
    links = follow(client, root)
    current = links[-1]
    before = [link.name for link in links[:-1] if POINTER not in link.notes]
    retired = before[-1] if before else current.notes.get(RETIRES)
    if retired is None:
        if links[0].name != root:
            make_pointer(client, root, to=current.name)
        return
    client.alter_collection_properties(current.name, properties_of({HEIR_OF: root, RETIRES: retired}))
    if retired == root and client.has_collection(root) and POINTER not in notes_of(client.describe_collection(root)):
        client.drop_collection(root)
    make_pointer(client, root, to=current.name)
    if retired != root and client.has_collection(retired):
        client.drop_collection(retired)
    client.alter_collection_properties(current.name, properties_of({RETIRES: ""}))


def _heir(client: "MilvusClient", name: str) -> str | None:
    for other in sorted(client.list_collections()):
        if other.startswith(name + BESIDE) and notes_of(client.describe_collection(other)).get(HEIR_OF) == name:
            return str(other)
    return None
