"""That no memory occurs twice in one call."""

from collections import Counter
from collections.abc import Iterable

from memrouter.errors import MemoryConflict


def require_single(names: Iterable[str | tuple[str, str]]) -> None:
    """Check that no memory occurs twice.

    Args:
        names: Ids, or owners with ids.

    Raises:
        MemoryConflict: One does.
    """
    repeated = [name for name, number in Counter(names).items() if number > 1]
    if repeated:
        raise MemoryConflict([name if isinstance(name, str) else name[1] for name in repeated])
