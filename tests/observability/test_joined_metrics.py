from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from memrouter.observability.joined_metrics import joined
from memrouter.observability.metrics import Metrics


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "a family stands in one place"
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


@settings(max_examples=20)  # each reads everything that several routers expose
@given(
    st.lists(
        st.lists(st.tuples(st.text(max_size=8), st.integers(1, 9)), max_size=5),
        min_size=1,
        max_size=3,
    )
)
def test_the_samples_of_all_workers_are_there_and_told_apart(counted: list[list[tuple[str, int]]]) -> None:
    texts = {}
    for number, counts in enumerate(counted, start=1):
        metrics = Metrics()
        for reason, times in counts:
            for _ in range(times):
                metrics.skipped(reason)
        texts[str(number)] = metrics.render().decode()
    whole = samples(joined(texts))
    for worker, text in texts.items():
        for (name, labels), value in samples(text).items():
            if not name.startswith("process_") and not name.endswith("_created"):
                assert whole[name, labels | {("worker", worker)}] == value
    assert sum(len(samples(text)) for text in texts.values()) == len(whole)


def test_what_only_one_worker_knows_is_there() -> None:
    first, second = Metrics(), Metrics()
    second.error("overloaded")
    text = joined({"1": first.render().decode(), "2": second.render().decode()})
    assert 'memrouter_errors_total{worker="2",kind="overloaded"} 1.0' in text
    assert text.count("# TYPE memrouter_errors_total counter") == 1


def test_nothing_of_nobody_is_nothing() -> None:
    assert joined({}) == ""
