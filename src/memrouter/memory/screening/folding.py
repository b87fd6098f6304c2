"""The form of a text in which instructions are looked for, and what was hidden in it."""

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator

_LONGEST_DECODED = 4096
_MOST_DECODED = 8

_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e01ef]+"
)
_FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{2,8}\U000e007f")
# Tags, overrides of direction, long runs of signs that nobody sees: all of them carry something past a reader.
_SMUGGLED = re.compile(
    "[\U000e0000-\U000e007f]|[\u202d\u202e]|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4}|[\u200b-\u200d\u2060-\u2064\ufeff]{6}"
)
_MIXED_SCRIPT = re.compile(
    r"(?<![a-z\u0370-\u052f])(?:[a-z]++[\u0370-\u052f]|[\u0370-\u052f]++[a-z])[a-z\u0370-\u052f]*+"
)
_CONFUSABLE = str.maketrans(
    "аеорсухіјѕԁһԛԝѵкмнтвгпьαοερνικτυχωӏϲߋ",
    "aeopcyxijsdhqwvkmhtbrnbaoepviktuxwlco",
)
# Begins with what is seldom there: such a pattern is found quicker.
_LEET_SIGN = re.compile(r"[0134578$](?:(?=[a-z])|(?<=[a-z][0134578$]))")
_LEET_WORD = re.compile(r"(?<![\w$])[a-z0134578$]{4,30}(?![\w$])")
_LEET = str.maketrans("0134578$", "oieastbs")
_SPACED_SIGN = re.compile(r"(?:[ .\-_*|/,][^\W\d_]){4}")
_SPACED = re.compile(r"(?<!\w)[^\W\d_](?:[ .\-_*|/,][^\W\d_]){4,}(?!\w)")
_SPACES = re.compile(r"[ .\-_*|/,]")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_\-])[A-Za-z0-9+/_\-]{24,}={0,2}")
_ACCENTS = re.compile("[\u0300-\u036f]")


def smuggles(text: str) -> bool:
    """Return whether a text has characters whose only use is to carry something that a reader does not see."""
    if text.isascii():
        return False
    return _SMUGGLED.search(_FLAG.sub("", text) if "\U0001f3f4" in text else text) is not None


def folded(text: str) -> str:
    """Return the form in which instructions are looked for.

    Lower case, compatible characters as one, without invisible characters, accents and entities of HTML; words of mixed
    scripts and with digits for letters become Latin ones, l e t t e r s set apart are joined.
    """
    plain = html.unescape(text) if "&" in text else text
    if not plain.isascii():
        plain = _HIDDEN.sub("", plain)
        plain = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", plain)))
    plain = plain.casefold()
    if not plain.isascii():
        plain = _MIXED_SCRIPT.sub(lambda found: found[0].translate(_CONFUSABLE), plain)
    if _SPACED_SIGN.search(plain):
        plain = _SPACED.sub(lambda found: _SPACES.sub("", found[0]), plain)
    if _LEET_SIGN.search(plain):
        plain = _LEET_WORD.sub(lambda found: _plain_letters(found[0]), plain)
    return plain


def _plain_letters(word: str) -> str:
    return word if word.isdigit() else word.translate(_LEET)


def decoded(text: str) -> Iterator[str]:
    """Yield what stands in the first eight pieces of base64 that hold text; of each the first 4,096 characters."""
    pieces = 0
    for run in _BASE64.finditer(text):
        if pieces == _MOST_DECODED:
            return
        inner = _text_of(run[0])
        if inner is not None:
            pieces += 1
            yield inner


def _text_of(encoded: str) -> str | None:
    code = encoded[:_LONGEST_DECODED].rstrip("=").replace("-", "+").replace("_", "/")
    code = code[: len(code) - 1] if len(code) % 4 == 1 else code
    try:
        raw = base64.b64decode(code + "=" * (-len(code) % 4), validate=True)
        text = raw.decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if sum(map(str.isprintable, text)) > 0.9 * len(text) else None
