"""The example of the data format is one that the reader takes, and the page names every field."""

import json
import re
from pathlib import Path

import jsonschema
import msgspec

from memrouter.transfer.format import MAX_LINE_BYTES, Manifest, MemoryLine, Trailer, json_schema
from memrouter.transfer.intake import Intake
from memrouter.transfer.lines import LineSplitter
from memrouter.transfer.reader import MemoryReader
from memrouter.transfer.seen import SeenMemories

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")


def example() -> bytes:
    found = re.search(r"^```text\n(?P<lines>\{\"kind\":\"manifest\".*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found["lines"].encode()


def test_the_example_is_a_whole_file() -> None:
    with SeenMemories() as seen:
        reader = MemoryReader(seen)
        intake = Intake(reader, LineSplitter())
        reads = [*intake.take(example()), *intake.end()]
    assert intake.damage is None
    assert len(reads) == reader.count == 2


def test_every_line_of_the_example_is_one_of_the_schema() -> None:
    schema = jsonschema.Draft202012Validator(json.loads(json_schema()))
    for line in example().splitlines():
        schema.validate(json.loads(line))


def test_schema_page_and_reader_name_the_same_fields() -> None:
    definitions = json.loads(json_schema())["$defs"]
    for kind, struct in (("manifest", Manifest), ("memory", MemoryLine), ("trailer", Trailer)):
        names = {field.name for field in msgspec.structs.fields(struct)}
        assert set(definitions[kind]["properties"]) == names | {"kind"}
        assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_the_page_names_the_longest_line() -> None:
    assert f"{MAX_LINE_BYTES:,} bytes" in PAGE
