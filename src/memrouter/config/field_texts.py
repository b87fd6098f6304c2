"""What the source says about the fields of a section, read for people only: a router starts without it."""

import ast
import inspect
import textwrap
from itertools import pairwise

from memrouter.config.base import Section


def field_texts(section: type[Section]) -> dict[str, str]:
    """Return the docstring under each field that has one, by the field's name; none where there is no source."""
    texts: dict[str, str] = {}
    for owner in reversed(section.__mro__):
        if issubclass(owner, Section):
            texts |= _own_texts(owner)
    return texts


def _own_texts(section: type[Section]) -> dict[str, str]:
    try:
        source = inspect.getsource(section)
    except OSError:  # installed without it, as compiled files
        return {}
    [definition] = ast.parse(textwrap.dedent(source)).body
    texts = {}
    for pair in pairwise(getattr(definition, "body", ())):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = inspect.cleandoc(text)
    return texts
