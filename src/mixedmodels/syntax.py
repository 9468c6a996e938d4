"""The language of formulas: text to a tree of frozen nodes, and the tree back to text.

Grammar, precedence and the printed form are R's. The tree is all that a formula can say:
columns, constants, operators and calls by name. There is no node for anything else, so nothing
else can ever be evaluated.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TypeAlias

from mixedmodels.errors import FormulaError

SYNONYMS = {"**": "^", "&&": "&", "and": "&", "or": "|", "not": "!"}
_UNSPACED = {"/", "^", ":", "%%", "%/%"}
CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None} | {
    "True": True,
    "False": False,
    "None": None,
}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Name:
    """A column."""

    text: str
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Dot:
    """The full stop: all other columns in a formula, what was there in an update."""

    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A number, a string, true, false or nothing."""

    value: float | int | str | bool | None
    at: int = field(default=0, repr=False)

    def __eq__(self, other: object) -> bool:
        # To Python, 1 equals True; as arguments they mean different things.
        return isinstance(other, Constant) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[type, object]:
        return type(self.value), self.value


@dataclass(frozen=True, slots=True)
class Prefix:
    """An operator with one operand."""

    operator: str
    operand: Node
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by operators of one precedence, from left to right.

    A sum of thousands of terms is one flat chain, so that its tree is not deep.
    """

    first: Node
    rest: tuple[tuple[str, Node], ...]
    at: int = field(default=0, compare=False, repr=False)

    @property
    def operators(self) -> set[str]:
        """The operators that occur."""
        return {operator for operator, _ in self.rest}

    @property
    def operands(self) -> list[Node]:
        """All operands."""
        return [self.first, *(operand for _, operand in self.rest)]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of arguments, each with its keyword or None."""

    function: str
    arguments: tuple[tuple[str | None, Node], ...]
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Parens:
    """Parentheses, kept because they are printed as they were written."""

    inner: Node
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Collection:
    """A list, tuple or dict of constants, as an argument; `keys` are those of a dict."""

    bracket: str
    items: tuple[Node, ...]
    keys: tuple[str, ...] = ()
    at: int = field(default=0, compare=False, repr=False)


Node: TypeAlias = Name | Dot | Constant | Prefix | Chain | Call | Parens | Collection


def formula_error(
    message: str, text: str, at: int, kind: type[FormulaError] = FormulaError
) -> FormulaError:
    """Make an error that marks a place in `text`; of a long text only the surroundings show."""
    before, after = max(0, at - 60), at + 60
    # Every control character is replaced by one blank, so that the mark stays below its place.
    shown = "".join(c if c.isprintable() else " " for c in text[before:after])
    left, right = "…" * (before > 0), "…" * (after < len(text))
    return kind(message, left + shown + right, at - before + len(left))


# -- printing --------------------------------------------------------------------------------


def deparse(node: Node) -> str:
    """Write a tree as R would print it."""
    match node:
        case Name(text):
            return name_text(text)
        case Dot():
            return "."
        case Constant(value):
            return _constant_text(value)
        case Prefix(operator, operand):
            return operator + deparse(operand)
        case Chain(first, rest):
            parts = [deparse(first)]
            for operator, operand in rest:
                parts += [operator if operator in _UNSPACED else f" {operator} ", deparse(operand)]
            return "".join(parts)
        case Call(function, arguments):
            return f"{function}({', '.join(_argument_text(*pair) for pair in arguments)})"
        case Parens(inner):
            return f"({deparse(inner)})"
        case Collection(bracket, items, keys):
            texts = [deparse(item) for item in items]
            if bracket == "{":
                texts = [f"{_constant_text(k)}: {v}" for k, v in zip(keys, texts, strict=True)]
            comma = "," * (bracket == "(" and len(texts) == 1)
            return f"{bracket}{', '.join(texts)}{comma}{_CLOSING[bracket]}"


def is_name_character(character: str) -> bool:
    """Tell whether a character may stand in a name without backticks."""
    return character.isalnum() or character in "._" or unicodedata.category(character)[0] == "M"


def name_text(name: str) -> str:
    """Write the name of a column, in backticks if it needs them."""
    plain = (
        name != "."
        and not name.startswith("__")
        and name not in CONSTANTS
        and name not in SYNONYMS
        and (name[:1].isalpha() or name[:1] in "._")
        and all(map(is_name_character, name))
        and not (name[0] == "." and name[1:2].isdigit())
    )
    return name if plain else _escaped(name, "`")


def _argument_text(key: str | None, value: Node) -> str:
    return deparse(value) if key is None else f"{name_text(key)} = {deparse(value)}"


def _escaped(text: str, quote: str) -> str:
    text = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    for letter, character in ESCAPES.items():
        text = text.replace(character, "\\" + letter)
    return quote + text + quote


def _constant_text(value: float | int | str | bool | None) -> str:
    if isinstance(value, str):
        return _escaped(value, '"')
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    return number_text(value)


def number_text(value: float) -> str:
    """Write a number as R does: to 15 digits, in the shorter of fixed and scientific notation.

    Numbers that 15 digits do not tell from their neighbours get the two more that do.
    """
    if not isfinite(value):
        return {"inf": "Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    exact = float(f"{value:.14e}") == value
    mantissa, _, exponent = f"{value:.{14 if exact else 16}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    decimals = max(0, len(mantissa.lstrip("-").replace(".", "")) - 1 - int(exponent))
    fixed, scientific = f"{value:.{decimals}f}", f"{mantissa}e{exponent}"
    return fixed if len(fixed) <= len(scientific) else scientific


# -- walking ---------------------------------------------------------------------------------


def children(node: Node) -> list[Node]:
    """List the nodes right below a node."""
    match node:
        case Prefix(_, operand):
            return [operand]
        case Chain():
            return node.operands
        case Call(_, arguments):
            return [value for _, value in arguments]
        case Parens(inner):
            return [inner]
        case Collection(_, items):
            return list(items)
    return []


def walk(node: Node) -> Iterator[Node]:
    """Visit a tree, each node before its children."""
    yield node
    for child in children(node):
        yield from walk(child)


def substitute(node: Node, change: Callable[[Node], Node | None]) -> Node:
    """Rebuild a tree with each node for which `change` returns another one replaced by it."""
    if (new := change(node)) is not None:
        return new
    match node:
        case Prefix(_, operand):
            return replace(node, operand=substitute(operand, change))
        case Chain(first, rest):
            return replace(
                node,
                first=substitute(first, change),
                rest=tuple((op, substitute(x, change)) for op, x in rest),
            )
        case Call(_, arguments):
            changed = tuple((key, substitute(x, change)) for key, x in arguments)
            return replace(node, arguments=changed)
        case Parens(inner):
            return replace(node, inner=substitute(inner, change))
        case Collection(_, items):
            return replace(node, items=tuple(substitute(x, change) for x in items))
    return node
