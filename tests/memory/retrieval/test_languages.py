import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.retrieval import LANGUAGES
from memrouter.memory.retrieval.languages import ENGLISH, StopWords, stop_words
from memrouter.memory.retrieval.words import Analyzer, DetectingAnalyzer, open_analyzer

KNOWN = {
    "english": frozenset({"the", "is", "in", "was"}),
    "german": frozenset({"der", "die", "ist", "in", "was"}),
    "french": frozenset({"le", "la", "est"}),
}
STOP_WORDS = StopWords(KNOWN)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("der hund ist in der stadt", "german"),
        ("le chat est la", "french"),
        ("the cat was in the house", "english"),
        ("in was", "english"),
        ("der cat", "english"),
        ("the house is der die ist", "english"),
        ("xyz", "english"),
        ("", "english"),
    ],
)
def test_a_language_is_told_by_its_stop_words(text: str, language: str) -> None:
    assert STOP_WORDS.language(text.split()) == language


@given(st.lists(st.sampled_from(["the", "der", "le", "est", "die", "x"]), max_size=30))
def test_the_order_of_the_words_does_not_matter(words: list[str]) -> None:
    assert STOP_WORDS.language(words) == STOP_WORDS.language(sorted(words))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_on_offer_has_a_stemmer(language: str) -> None:
    assert Analyzer(language).terms("x") == ["x"]


def test_unknown_languages_have_no_stop_words() -> None:
    assert stop_words("klingon") == frozenset()
    assert stop_words("english") > {"the", "don't"}
    assert ENGLISH in LANGUAGES


def test_a_detecting_analyzer_picks_the_analyzer_of_the_language() -> None:
    class Known(Analyzer):
        @property
        def stop_words(self) -> frozenset[str]:
            return KNOWN[self.language]

    chosen = DetectingAnalyzer({language: Known(language) for language in KNOWN})
    assert chosen.suited_to(["Die Katze ist da.", "Der Hund ist da."]).language == "german"
    assert chosen.suited_to([]).language == "english"
    assert chosen.terms("the cats") == ["cat"]
    assert Analyzer("german").suited_to(["the cat is here"]).language == "german"


async def test_the_configured_language_is_taken_and_auto_knows_english() -> None:
    assert (await open_analyzer("german")).language == "german"
    assert (await open_analyzer("auto")).suited_to(["what is the time in the house"]).language == "english"


def test_the_package_brings_stop_words_for_every_language_on_offer() -> None:
    assert all(len(stop_words(language)) > 20 for language in LANGUAGES)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich habe gestern meinen Hund in Berlin verloren", "german"),
        ("Ayer perdí a mi perro en la ciudad y lo buscamos por todas partes", "spanish"),
        ("Вчера я потерял свою собаку в городе и мы её искали", "russian"),
        ("I lost my dog yesterday in the city and we looked for him", "english"),
    ],
)
async def test_a_language_is_detected_with_the_package(text: str, language: str) -> None:
    assert (await open_analyzer("auto")).suited_to([text]).language == language


async def test_a_language_told_with_what_older_texts_told_is_the_one_told_anew() -> None:
    analyzer = await open_analyzer("auto")
    german, english = (
        "Der Hund ist in der K\u00fcche und die Katze auf dem Dach. ",
        "The cat is on the roof of the house. ",
    )
    texts = [f"{text * 9}{number}" for number in range(9) for text in (german, english)]
    for number in range(len(texts) + 1):
        _, older = analyzer.sampled(texts[number:])
        assert analyzer.sampled(texts[:number], older) == analyzer.sampled(texts)
    assert analyzer.suited_to([german] * 2).language == "german"
