"""Stop words of languages, and telling languages apart by them."""

from collections.abc import Iterable, Mapping
from itertools import islice
from struct import Struct

from stop_words import safe_get_stop_words

SAMPLE_TOKENS = 400
"""Tokens that a language is told from."""
MARGIN = 1.5
"""How many times the stop words of English another language's must be, to be taken for the language."""

ENGLISH = "english"

_ENGLISH = """
a about above after again against all also am an and any are as at be because been before being below between both
but by can cannot could did do does doing done down during each few for from further get had has have having he her
here hers herself him himself his how i if in into is it its itself just let me more most my myself no nor not of
off on once only or other our ours ourselves out over own same shall she should so some such than that the their
theirs them themselves then there these they this those through to too under until up us very was we were what when
where which while who whom whose why will with would you your yours yourself yourselves
ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't he'd he'll he's here's how's i'd i'll i'm
i've isn't it'd it'll it's let's she'd she'll she's shouldn't that's there's they'd they'll they're they've wasn't
we'd we'll we're we've weren't what's when's where's who's why's won't wouldn't you'd you'll you're you've
"""
ENGLISH_STOP_WORDS = frozenset(_ENGLISH.split())


def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language, folded; none where they are not known.

    Those of English are our own, with contractions; the others come from the package ``stop-words``.
    """
    if language == ENGLISH:
        return ENGLISH_STOP_WORDS
    return frozenset(word.casefold() for word in safe_get_stop_words(language))


class StopWords:
    """The stop words of several languages, by word; tells languages apart.

    A tally is a number that says of each language how often its stop words were heard; tallies are added like numbers,
    as long as that makes no more than SAMPLE_TOKENS tokens.

    Args:
        known: Stop words by language; English among them.
    """

    def __init__(self, known: Mapping[str, frozenset[str]]) -> None:
        self._languages = sorted(known)
        self._counts = Struct(f"<{len(known)}H")  # of each language 16 bits, which hold far more than SAMPLE_TOKENS
        self._tallies: dict[str, int] = {}
        for place, language in enumerate(self._languages):
            for word in known[language]:
                self._tallies[word] = self._tallies.get(word, 0) + (1 << 16 * place)

    def of(self, token: str) -> int:
        """Return the tally of one token: once for each language that it is a stop word of."""
        return self._tallies.get(token, 0)

    def most(self, tally: int) -> str:
        """Return the language heard most; English where there is none, and unless it was MARGIN times as often."""
        counts = self._counts.unpack(tally.to_bytes(self._counts.size, "little"))
        most = max(counts)
        enough = most >= 2 and most > MARGIN * counts[self._languages.index(ENGLISH)]
        return self._languages[counts.index(most)] if enough else ENGLISH

    def language(self, tokens: Iterable[str]) -> str:
        """Return the language that most stop words among the first SAMPLE_TOKENS tokens belong to; see ``most``.

        Args:
            tokens: Folded words of the text.
        """
        return self.most(sum(map(self.of, islice(tokens, SAMPLE_TOKENS))))
