"""YAML into plain data that remembers its lines.

The text is read event by event, so nothing in it can nest, repeat or name a type beyond the bounds here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import yaml

from memrouter.config.findings import Finding
from memrouter.config.paths import KeyPath
from memrouter.config.scalars import resolve_plain
from memrouter.errors import ConfigError, ConfigProblem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000

_LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_CORE_TAGS: dict[str, tuple[type, ...]] = {
    f"{_TAG}int": (int,),
    f"{_TAG}float": (int, float),
    f"{_TAG}bool": (bool,),
    f"{_TAG}null": (type(None),),
}
_TEXT_TAGS = (f"{_TAG}str", "!")
_STRUCTURE_TAGS = (None, "!", f"{_TAG}map", f"{_TAG}seq")


@dataclass(slots=True)
class Document:
    """A YAML document.

    Attributes:
        data: Mappings, lists and scalars; no part is shared, however often an alias names it.
        lines: Line of every key and list item, from 1.
        plain: Paths of the strings that stood without quotes.
        findings: Faults that let the rest be read on.
    """

    data: object = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    plain: set[KeyPath] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class _Node:
    kind: Literal["scalar", "list", "mapping"]
    line: int
    tag: str | None
    text: str = ""
    plain: bool = False
    children: list["_Node"] = field(default_factory=list)
    complete: bool = False

    @property
    def is_merge_key(self) -> bool:
        return self.kind == "scalar" and self.plain and self.text == "<<"

    def pairs(self) -> Iterator[tuple["_Node", "_Node"]]:
        return zip(self.children[::2], self.children[1::2], strict=True)


def parse_document(raw: bytes, file: str) -> Document:
    """Return the one document in ``raw``; an empty text has the data None.

    Args:
        raw: The file's content, UTF-8 with or without a byte order mark.
        file: Name for messages.

    Raises:
        ConfigError: It is too large, not UTF-8, not YAML, more than one document, nested or repeated beyond bounds.
    """
    text = _decode(raw, file)
    document = Document()
    try:
        root = _compose(text)
        if root is not None:
            _Reader(document).read(root)
    except yaml.YAMLError as error:
        raise _syntax_problem(error, text, file) from None
    except _Unreadable as error:
        raise _problem(file, error.line, error.found, error.allowed) from None
    return document


class _Unreadable(Exception):
    def __init__(self, line: int, found: str, allowed: str) -> None:
        super().__init__(found)
        self.line, self.found, self.allowed = line, found, allowed


def _decode(raw: bytes, file: str) -> str:
    if len(raw) > MAX_BYTES:
        raise _problem(file, None, "a file over 1 MiB", f"at most {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _problem(file, line, f"a byte that is not UTF-8 at offset {error.start}", "UTF-8 text") from None
    if "\0" in text:
        raise _problem(file, text[: text.index("\0")].count("\n") + 1, "a NUL character", "UTF-8 text")
    return text


def _problem(file: str, line: int | None, found: str, allowed: str) -> ConfigError:
    return ConfigError([ConfigProblem(file=file, line=line, key="", found=found, allowed=allowed)])


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> ConfigError:
    line: int | None = None
    found = "text that is not YAML"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        found = f"a syntax error ({error.problem or error.context})"
    elif isinstance(error, yaml.reader.ReaderError):
        line = text.encode()[: error.position].count(b"\n") + 1
        found = "a control character"
    return _problem(file, line, found, "YAML")


def _compose(text: str) -> _Node | None:
    """Return the tree of the only document, aliases resolved to the node that they name."""
    root: _Node | None = None
    anchors: dict[str, _Node] = {}
    open_nodes: list[_Node] = []
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if count > 2 * MAX_NODES:
            raise _Unreadable(line, "too many values", f"at most {MAX_NODES} values")
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop().complete = True
        elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise _Unreadable(line, "a second document", "one document in a file")
        elif isinstance(event, yaml.NodeEvent):
            node = _node(event, anchors, line)
            if open_nodes:
                open_nodes[-1].children.append(node)
            else:
                root = node
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append(node)
            if len(open_nodes) > MAX_DEPTH:
                raise _Unreadable(line, "values nested too deeply", f"at most {MAX_DEPTH} levels")
    return root


def _node(event: yaml.NodeEvent, anchors: dict[str, _Node], line: int) -> _Node:
    if isinstance(event, yaml.AliasEvent):
        target = anchors.get(event.anchor or "")
        if target is None:
            raise _Unreadable(line, "an alias without an anchor before it", "the name of an anchor above")
        if not target.complete:
            raise _Unreadable(line, "an alias inside the value that it names", "an alias after its anchor's value")
        return target
    if isinstance(event, yaml.ScalarEvent):
        is_plain = not event.style and event.tag is None
        node = _Node("scalar", line, event.tag, text=event.value, plain=is_plain, complete=True)
    else:
        tag = event.tag if isinstance(event, yaml.CollectionStartEvent) else None
        node = _Node("list" if isinstance(event, yaml.SequenceStartEvent) else "mapping", line, tag)
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


class _Reader:
    """Turns nodes into plain data, counting every value as often as it is repeated."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def read(self, root: _Node) -> None:
        self._document.lines[()] = root.line
        self._document.data = self._value(root, (), 0)

    def _value(self, node: _Node, path: KeyPath, depth: int) -> object:
        self._enter(node, depth)
        if node.kind == "scalar":
            value = self._scalar(node, path)
            if node.plain and isinstance(value, str):
                self._document.plain.add(path)
            return value
        if node.tag not in _STRUCTURE_TAGS:
            self._refuse_tag(node, path)
        if node.kind == "list":
            return [self._item(child, (*path, index), depth + 1) for index, child in enumerate(node.children)]
        mapping: dict[str, object] = {}
        self._fill(mapping, node, path, depth, merging=False)
        return mapping

    def _enter(self, node: _Node, depth: int) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise _Unreadable(node.line, "too many values, aliases counted", f"at most {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise _Unreadable(node.line, "values nested too deeply", f"at most {MAX_DEPTH} levels")

    def _item(self, node: _Node, path: KeyPath, depth: int) -> object:
        self._document.lines[path] = node.line
        return self._value(node, path, depth)

    def _fill(self, mapping: dict[str, object], node: _Node, path: KeyPath, depth: int, *, merging: bool) -> None:
        """Add the pairs of ``node`` that are not there yet; its own come before those that it merges."""
        merged = []
        own: dict[str, int] = {}
        for key_node, value_node in node.pairs():
            if key_node.is_merge_key:
                merged.append(value_node)
                continue
            key = self._key(key_node, path, own, report=not merging)
            if key is not None and key not in mapping:
                self._document.lines[*path, key] = key_node.line
                mapping[key] = self._value(value_node, (*path, key), depth + 1)
        for source in merged:
            self._merge(mapping, source, path, depth + 1)

    def _merge(self, mapping: dict[str, object], source: _Node, path: KeyPath, depth: int) -> None:
        self._enter(source, depth)
        for node in source.children if source.kind == "list" else [source]:
            if node.kind == "mapping":
                self._enter(node, depth)
                self._fill(mapping, node, path, depth, merging=True)
            else:
                self._report((*path, "<<"), node.line, "something that cannot be merged", "a mapping or a list of them")

    def _key(self, node: _Node, path: KeyPath, own: dict[str, int], *, report: bool) -> str | None:
        self._count += 1
        key = self._scalar(node, path) if node.kind == "scalar" else None
        if not isinstance(key, str):
            if report:
                self._report(path, node.line, "a key that is not a string", "strings as keys", "Put the key in quotes.")
            return None
        if key in own and report:
            found = f"the key a second time; it stands on line {own[key]} already"
            self._report((*path, key), node.line, found, "each key once")
        own.setdefault(key, node.line)
        return key

    def _scalar(self, node: _Node, path: KeyPath) -> object:
        if "\0" in node.text:
            self._report(path, node.line, "a NUL character", "text without NUL")
            return node.text.replace("\0", "")
        if node.tag is None:
            return resolve_plain(node.text) if node.plain else node.text
        if node.tag in _TEXT_TAGS:
            return node.text
        value = resolve_plain(node.text)
        if type(value) not in _CORE_TAGS.get(node.tag, ()):
            self._refuse_tag(node, path)
            return node.text
        return value

    def _refuse_tag(self, node: _Node, path: KeyPath) -> None:
        self._report(path, node.line, f"the tag {node.tag!r:.80}", "plain YAML without custom tags")

    def _report(self, path: KeyPath, line: int, found: str, allowed: str, hint: str = "") -> None:
        self._document.findings.append(Finding(path, allowed, found=found, hint=hint, line=line))
