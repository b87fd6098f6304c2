from memrouter.config.base import Section
from memrouter.config.field_texts import field_texts
from memrouter.config.settings import Listener


class Parent(Section):
    """A section."""

    plain: int = 0
    told: int = 0
    """Told by the parent."""


class Child(Parent):
    """A section that has more."""

    told: int = 1
    """Told anew,
    in two lines."""
    more: str = ""
    """Only here."""


def test_a_field_is_told_of_by_what_stands_under_it() -> None:
    assert field_texts(Listener)["port"] == "0 takes a free port."
    assert field_texts(Parent) == {"told": "Told by the parent."}


def test_fields_of_a_parent_are_told_of_unless_the_child_says_otherwise() -> None:
    assert field_texts(Child) == {"told": "Told anew,\nin two lines.", "more": "Only here."}


def test_a_section_without_its_source_has_no_texts() -> None:
    sourceless = type("Sourceless", (Child,), {"__module__": Child.__module__})
    assert field_texts(sourceless) == field_texts(Child)
