"""How text that anybody may have written stands in a page: as text, with what cannot be seen made visible. Pure."""

import re
from typing import Final

from markupsafe import Markup, escape

BRIEF_CHARS: Final = 400
"""Characters of a text in a list."""

# The flags of England, Scotland and Wales: the only use of tag characters that hides nothing.
_FLAG: Final = "\U0001f3f4(?:{})\U000e007f".format(
    "|".join("".join(chr(0xE0000 + ord(letter)) for letter in name) for name in ("gbeng", "gbsct", "gbwls"))
)
# Controls but tab and line feed, marks of direction, invisible and tag characters, lone surrogates; not the joiners,
# which emoji and many scripts need.
_HIDDEN: Final = re.compile(
    f"(?P<flag>{_FLAG})|"
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)


def shown(text: object) -> Markup:
    """Return text as markup that shows exactly that text, line ends included, where CSS keeps white space.

    Hidden characters stand as their code points, so nothing in a text can reorder or disguise the page around it.
    """
    plain, pieces, position = str(text), list[Markup](), 0
    for found in _HIDDEN.finditer(plain):
        if found["flag"]:
            continue
        code = f"U+{ord(found[0]):04X}"
        pieces += [escape(plain[position : found.start()]), Markup('<span class="hidden-char">{}</span>').format(code)]
        position = found.end()
    return Markup("").join((*pieces, escape(plain[position:])))


def brief(text: object, most: int = BRIEF_CHARS) -> Markup:
    """Return the beginning of a text as ``shown`` does, with an ellipsis where something is left out."""
    plain = str(text)
    return shown(plain) if len(plain) <= most else shown(plain[:most].rstrip() + "…")


def plain(text: object, most: int = 80) -> str:
    """Return the beginning of a text on one line without hidden characters, for titles and labels."""
    words = " ".join(_HIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text)).split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"
