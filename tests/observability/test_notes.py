"""What is put off is counted once, in its order, whoever asks for it and in whatever thread."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

from memrouter.observability.notes import MOST_NOTES, TakesNotes, noted


class Ledger(TakesNotes):
    """Counts what it is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[str, int]] = []
        self.began = threading.Event()
        self.may_end = threading.Event()

    @noted
    def enter(self, name: str, *, amount: int = 1) -> None:
        """Count a thing."""
        self.entries.append((name, amount))

    @noted
    def take_long(self) -> None:
        """Count until ``may_end`` is set."""
        self.began.set()
        self.may_end.wait()
        self.entries.append(("long", 1))


def test_a_noted_call_is_made_when_its_object_settles_and_only_then() -> None:
    ledger = Ledger()
    ledger.enter("a", amount=2)
    ledger.enter("b")
    assert ledger.entries == []
    ledger.settle()
    ledger.settle()
    assert ledger.entries == [("a", 2), ("b", 1)]


def test_no_more_than_so_many_calls_wait() -> None:
    ledger = Ledger()
    for _ in range(MOST_NOTES - 1):
        ledger.enter("a")
    assert ledger.entries == []
    ledger.enter("last")
    assert len(ledger.entries) == MOST_NOTES
    assert ledger.entries[-1] == ("last", 1)


def test_whoever_settles_waits_for_calls_that_another_thread_is_making() -> None:
    ledger = Ledger()
    ledger.take_long()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ledger.settle)
        ledger.began.wait()
        second = threads.submit(lambda: (ledger.settle(), list(ledger.entries))[1])
        finished, _ = wait([second], timeout=0.1)  # a settle that does not wait returns at once
        ledger.may_end.set()
        assert not finished
        assert second.result() == [("long", 1)]
        first.result()


def test_calls_of_many_threads_are_all_made_once() -> None:
    ledger = Ledger()

    def write(number: int) -> None:
        for amount in range(700):
            ledger.enter(str(number), amount=amount)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    ledger.settle()
    assert sorted(ledger.entries) == sorted((str(number), amount) for number in range(4) for amount in range(700))
    assert [entry for entry in ledger.entries if entry[0] == "0"] == [("0", amount) for amount in range(700)]


def test_two_objects_settle_apart() -> None:
    one, other = Ledger(), Ledger()
    one.enter("a")
    other.settle()
    assert one.entries == other.entries == []
