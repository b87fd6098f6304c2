from memrouter.config.findings import did_you_mean


def test_the_nearest_word_is_named_whatever_its_case() -> None:
    assert did_you_mean("VALKY", ["sqlite", "valkey"]) == "Did you mean 'valkey'?"
    assert did_you_mean("or", ["AND", "OR"]) == "Did you mean 'OR'?"


def test_nothing_is_guessed_where_nothing_is_near_or_the_word_is_no_word() -> None:
    assert did_you_mean("zzz", ["sqlite", "valkey"]) == ""
    assert did_you_mean(5, ["5"]) == ""
    assert did_you_mean("a" * 10_000, ["a" * 10_000]) == ""
