"""The part of Go's text/template that the chart uses, for machines without Helm.

Compared once with text/template and sprig themselves; what the chart does not use raises TemplateError.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

Functions: TypeAlias = Mapping[str, Callable[..., Any]]
_ACTION = re.compile(
    r"""\{\{(?P<left>-\s)?\s*(?P<body>/\*.*?\*/|(?:"(?:[^"\\]|\\.)*"|`[^`]*`|(?!\}\}).)*?)(?P<right>\s-)?\}\}""",
    re.DOTALL,
)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+)|(?P<declare>:=)|(?P<mark>[|(),])"""
    r"""|(?P<variable>\$\w*)|(?P<fields>(?:\.\w+)+|\.)|(?P<name>\w+))"""
)


class TemplateError(Exception):
    """A template is wrong, asks for what is not here, or calls ``fail``."""


@dataclass
class Node:
    """A piece of a template: text, or an action with what it encloses."""

    kind: str
    tokens: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""
    body: list["Node"] = field(default_factory=list)
    otherwise: list["Node"] = field(default_factory=list)


@lru_cache
def parse(source: str) -> tuple[Node, ...]:
    """Return the pieces of a template.

    Raises:
        TemplateError: An action is not understood or not ended.
    """
    flat = list(_flat(source))
    nodes, rest = _block(flat, 0, inside=False)
    if rest != len(flat):
        raise TemplateError("an end without a beginning")
    return tuple(nodes)


def _flat(source: str) -> Iterator[Node]:
    at, trim = 0, False
    for match in _ACTION.finditer(source):
        text = source[at : match.start()]
        text = text.lstrip() if trim else text
        yield Node("text", text=text.rstrip() if match["left"] else text)
        at, trim = match.end(), match["right"] is not None
        if not match["body"].startswith("/*"):
            yield _action(match["body"].strip())
    rest = source[at:]
    if "{{" in rest:
        raise TemplateError(f"an action has no end: {rest[:80]}")
    yield Node("text", text=rest.lstrip() if trim else rest)


def _action(body: str) -> Node:
    tokens, at = [], 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None or match.lastgroup is None:
            raise TemplateError(f"not understood: {body}")
        start = match.start(match.lastgroup)
        apart = match.lastgroup == "fields" and (start == 0 or body[start - 1] in " \t\n(")
        tokens.append((("dot" if apart else match.lastgroup), match[match.lastgroup]))
        at = match.end()
    kind = tokens[0][1] if tokens and tokens[0][1] in ("if", "else", "end", "range", "with", "define") else "show"
    return Node(kind, tokens[0 if kind == "show" else 1 :])


def _block(flat: Sequence[Node], at: int, *, inside: bool) -> tuple[list[Node], int]:
    nodes: list[Node] = []
    while at < len(flat):
        node = flat[at]
        if node.kind in ("end", "else"):
            if not inside:
                raise TemplateError(f"{node.kind} without a beginning")
            return nodes, at
        nodes.append(node)
        at += 1
        if node.kind in ("if", "range", "with", "define"):
            at = _enclose(node, flat, at)
    if inside:
        raise TemplateError("an action is not ended")
    return nodes, at


def _enclose(node: Node, flat: Sequence[Node], at: int) -> int:
    """Give a node what it encloses; return where the rest begins."""
    node.body, at = _block(flat, at, inside=True)
    closing = flat[at]
    if closing.kind == "end":
        return at + 1
    if closing.tokens:  # else if, else with
        chained = Node(closing.tokens[0][1], closing.tokens[1:])
        node.otherwise = [chained]
        return _enclose(chained, flat, at + 1)
    node.otherwise, at = _block(flat, at + 1, inside=True)
    return at + 1


def truth(value: Any) -> bool:
    """Return what ``if`` takes a value for."""
    return bool(value)


def show(value: Any) -> str:
    """Return how an action prints a value; absent ones as nothing, as Helm does."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= 1_000_000:
            raise TemplateError(f"Go would print the number {value} with an exponent: quote it")
        case str() | int():
            return str(value)
        case _:
            raise TemplateError(f"a {type(value).__name__} is printed; say toYaml")


class Renderer:
    """Renders parsed templates.

    Args:
        functions: By name; ``include`` is there without being given.
        defined: Named templates; ``define`` adds to them.
    """

    def __init__(self, functions: Functions, defined: dict[str, list[Node]]) -> None:
        self._functions = {**functions, "include": self.include}
        self._defined = defined

    def include(self, name: str, data: Any) -> str:
        """Return a named template, rendered."""
        if name not in self._defined:
            raise TemplateError(f"no template is called {name}")
        return self.render(self._defined[name], data)

    def render(self, nodes: Sequence[Node], data: Any) -> str:
        """Return the text of a template for ``data``."""
        return self._run(nodes, data, {"$": data})

    def _run(self, nodes: Sequence[Node], dot: Any, names: dict[str, Any]) -> str:
        return "".join(self._one(node, dot, names) for node in nodes)

    def _one(self, node: Node, dot: Any, names: dict[str, Any]) -> str:
        match node.kind:
            case "text":
                return node.text
            case "define":
                self._defined[ast.literal_eval(node.tokens[0][1])] = node.body
                return ""
            case "if" | "with":
                value = self._value(node.tokens, dot, inner := dict(names))
                inside = value if node.kind == "with" else dot
                return self._run(node.body, inside, inner) if truth(value) else self._run(node.otherwise, dot, inner)
            case "range":
                return self._range(node, dot, names)
        declared = node.tokens[0][0] == "variable" and len(node.tokens) > 1 and node.tokens[1][0] == "declare"
        value = self._value(node.tokens, dot, names)
        return "" if declared else show(value)

    def _range(self, node: Node, dot: Any, names: dict[str, Any]) -> str:
        declared = [text for kind, text in node.tokens if kind == "variable"] if _declares(node.tokens) else []
        start = next((index for index, token in enumerate(node.tokens) if token[0] == "declare"), -1) + 1
        values = self._value(node.tokens[start:], dot, dict(names))
        pairs = sorted(values.items()) if isinstance(values, Mapping) else list(enumerate(values or ()))
        if not pairs:
            return self._run(node.otherwise, dot, dict(names))
        shown = []
        for key, value in pairs:
            own = [key, value][-len(declared[:2]) :] if declared else []
            shown.append(self._run(node.body, value, {**names, **dict(zip(declared, own, strict=False))}))
        return "".join(shown)

    def _value(self, tokens: Sequence[tuple[str, str]], dot: Any, names: dict[str, Any]) -> Any:
        if len(tokens) > 1 and tokens[0][0] == "variable" and tokens[1][0] == "declare":
            names[tokens[0][1]] = self._value(tokens[2:], dot, names)
            return names[tokens[0][1]]
        value, at = self._pipeline(tokens, 0, dot, names)
        if at != len(tokens):
            raise TemplateError(f"not understood: {tokens[at:]}")
        return value

    def _pipeline(self, tokens: Sequence[tuple[str, str]], at: int, dot: Any, names: dict[str, Any]) -> tuple[Any, int]:
        value, at = self._command(tokens, at, dot, names, ())
        while at < len(tokens) and tokens[at] == ("mark", "|"):
            value, at = self._command(tokens, at + 1, dot, names, (value,))
        return value, at

    def _command(
        self, tokens: Sequence[tuple[str, str]], at: int, dot: Any, names: dict[str, Any], piped: tuple[Any, ...]
    ) -> tuple[Any, int]:
        head, at = self._operand(tokens, at, dot, names)
        arguments = []
        while at < len(tokens) and tokens[at] not in (("mark", "|"), ("mark", ")")):
            argument, at = self._operand(tokens, at, dot, names)
            arguments.append(argument() if isinstance(argument, _Function) else argument)
        if isinstance(head, _Function) or callable(head):
            return head(*arguments, *piped), at
        if arguments or piped:
            raise TemplateError(f"{tokens} calls what is no function")
        return head, at

    def _operand(self, tokens: Sequence[tuple[str, str]], at: int, dot: Any, names: dict[str, Any]) -> tuple[Any, int]:
        kind, text = tokens[at]
        at += 1
        match kind:
            case "string":
                value: Any = text[1:-1] if text[0] == "`" else ast.literal_eval(text)
            case "number":
                value = int(text)
            case "name" if text in ("true", "false", "nil"):
                value = {"true": True, "false": False, "nil": None}[text]
            case "name":
                if text not in self._functions:
                    raise TemplateError(f"no function is called {text}")
                return _Function(self._functions[text]), at
            case "dot":
                value = _fields(dot, text)
            case "variable":
                if text not in names:
                    raise TemplateError(f"{text} is not declared")
                value = names[text]
            case "mark" if text == "(":
                value, at = self._pipeline(tokens, at, dot, names)
                if at >= len(tokens) or tokens[at] != ("mark", ")"):
                    raise TemplateError("a parenthesis is not closed")
                at += 1
            case _:
                raise TemplateError(f"not understood: {text}")
        if at < len(tokens) and tokens[at][0] == "fields":
            value, at = _fields(value, tokens[at][1]), at + 1
        return value, at


@dataclass(frozen=True)
class _Function:
    """A function that stands at the beginning of a command, or alone as an argument."""

    call: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)


def _declares(tokens: Sequence[tuple[str, str]]) -> bool:
    return any(kind == "declare" for kind, _ in tokens)


def _fields(value: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        if value is None:
            raise TemplateError(f"nil has no field {path}")
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
    return value
