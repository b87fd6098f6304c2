import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval import words
from memrouter.memory.retrieval.irregular import IRREGULAR
from memrouter.memory.retrieval.languages import ENGLISH_STOP_WORDS
from memrouter.memory.retrieval.words import MAX_TOKEN_CHARS, Analyzer, tokenize

ANY_TEXT = st.text(st.characters())  # surrogates and control characters included


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("EMP-90210", ["emp-90210", "emp", "90210"]),
        ("2024-03-15", ["2024-03-15", "2024", "03", "15"]),
        ("model3", ["model3"]),
        ("ann@example.com.", ["ann@example.com", "ann", "example", "com"]),
        ("snake_case", ["snake_case", "snake", "case"]),
        ("don\u2019t", ["don't"]),
        ("Stra\u00dfe", ["strasse"]),
        ("\ufb01ne \uff21\uff22", ["fine", "ab"]),
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("\u6211\u7231\u4f60", ["\u6211\u7231", "\u7231\u4f60"]),
        ("\u5b57 \u6771\u4eac2024", ["\u5b57", "\u6771\u4eac", "2024"]),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", ["\u0928\u092e\u0938\u094d\u0924\u0947"]),
        ("-- ... \x00 \U0001f600", []),
        ("", []),
    ],
)
def test_tokens_are_words_numbers_compounds_and_character_pairs(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


@given(ANY_TEXT)
def test_any_text_gives_tokens_that_are_neither_empty_nor_long(text: str) -> None:
    assert all(0 < len(token) <= MAX_TOKEN_CHARS for token in tokenize(text))
    assert all(Analyzer().terms(text))
    assert all(Analyzer().search_words(text))


@given(ANY_TEXT)
def test_case_and_compatibility_forms_do_not_matter(text: str) -> None:
    folded = words._folded(text)
    assert tokenize(folded) == tokenize(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_the_quick_way_for_ascii_finds_the_same_runs(text: str) -> None:
    folded = text.lower()
    assert words._ASCII_RUN.findall(folded) == words._RUN.findall(folded)


def test_a_token_is_cut_at_the_bound() -> None:
    assert tokenize("x" * 1000) == ["x" * MAX_TOKEN_CHARS]


def test_terms_are_stems_without_stop_words() -> None:
    assert Analyzer().terms("What are Caroline's hikes? I didn't go hiking.") == ["carolin", "hike", "go", "hike"]


def test_stop_words_alone_give_no_terms() -> None:
    assert Analyzer().terms(" ".join(sorted(ENGLISH_STOP_WORDS))) == []


def test_search_words_are_tokens_with_their_stems_once_each_and_bounded() -> None:
    analyzer = Analyzer()
    assert analyzer.search_words("hiking and hiking in Lisbon") == ("hiking", "hike", "lisbon")
    assert len(analyzer.search_words(" ".join(f"w{i}" for i in range(500)), limit=64)) == 64


def test_another_language_stems_its_own_way() -> None:
    assert Analyzer("german").terms("H\u00e4user") == ["haus"]


def test_an_unknown_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"klingon.*english"):
        Analyzer("klingon")


def test_threads_can_share_an_analyzer() -> None:
    analyzer = Analyzer()
    texts = [f"running runners number {i} hiking hikes" for i in range(200)]
    expected = [analyzer.terms(text) for text in texts]
    results: list[list[list[str]]] = []

    def work() -> None:
        results.append([analyzer.terms(text) for text in texts])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


@pytest.mark.parametrize(
    ("one", "other"),
    [("I bought it", "where did I buy it"), ("we went there", "going there"), ("two children", "a child")],
)
def test_irregular_english_forms_are_one_term_with_their_base(one: str, other: str) -> None:
    assert set(Analyzer().terms(one)) & set(Analyzer().terms(other))


def test_irregular_forms_are_those_of_english_only() -> None:
    assert Analyzer("german").terms("went") != Analyzer("german").terms("go")
    assert all(base not in IRREGULAR for base in IRREGULAR.values())


def test_stems_are_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MAX_KNOWN", 4)
    analyzer = Analyzer()
    text = " ".join(f"running{number}" for number in range(20)) + " running " + "x" * 1000
    assert analyzer.terms(text) == analyzer.terms(text) == Analyzer().terms(text)
    assert len(analyzer._known) <= 4


@given(
    st.lists(
        st.sampled_from(["Luna", "e-mail,", "(EMP-90210)", "caf\u00e9", "\u732b\u304c", "don't!", "a.b", "\x1f", "..."])
    )
)
def test_terms_of_a_text_are_those_of_its_tokens(parts: list[str]) -> None:
    text, analyzer = " \u2003".join(parts), Analyzer()
    whole = [token for token in tokenize(text) if token not in analyzer.stop_words]
    assert analyzer.terms(text) == [term for token in whole for term in analyzer._stems([token])]
