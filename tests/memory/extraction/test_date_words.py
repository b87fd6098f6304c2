import regex

from memrouter.memory.extraction.date_words import DATE_WORDS

UNITS = {"day", "week", "weekend", "month", "year"}


def test_every_language_has_ten_numbers_and_seven_days_or_none() -> None:
    for words in DATE_WORDS:
        assert len(words.numbers.split()) == 10
        assert len(words.weekdays.split()) == (7 if words.parted else 0)
        assert set(words.units) <= UNITS


def test_no_word_means_two_things() -> None:
    numbers: dict[str, set[int]] = {}
    units: dict[str, set[str]] = {}
    weekdays: dict[str, set[int]] = {}
    for words in DATE_WORDS:
        for number, same in enumerate(words.numbers.split(), start=1):
            for word in same.split("/"):
                numbers.setdefault(word, set()).add(number)
        for unit, names in words.units.items():
            for word in names.split():
                units.setdefault(word, set()).add(unit)
        for number, word in enumerate(words.weekdays.split()):
            weekdays.setdefault(word, set()).add(number)
    assert {len(meanings) for meanings in numbers.values()} == {1}
    assert {len(meanings) for meanings in units.values()} == {1}
    assert {len(meanings) for meanings in weekdays.values()} == {1}


def test_every_row_can_be_found_by_the_words_that_it_needs() -> None:
    for words in DATE_WORDS:
        for needs, pattern, unit, shift in words.rows:
            assert unit in UNITS | {"", "coming"}
            assert -2 <= shift <= 2
            assert bool(needs) == words.parted
            assert all(need == need.casefold() and regex.search(need, pattern) for need in needs.split()), pattern
