"""Text to a formula's tree."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mixedmodels.errors import FormulaError
from mixedmodels.syntax import (
    CONSTANTS,
    ESCAPES,
    SYNONYMS,
    Call,
    Chain,
    Collection,
    Constant,
    Dot,
    Name,
    Node,
    Parens,
    Prefix,
    formula_error,
    is_name_character,
)

LONGEST = 1_000_000
DEEPEST = 50

# How tightly the binary operators bind; `!` stands between `&` and the comparisons, the signs
# between `:` and `^`.
_LEVELS = {
    **dict.fromkeys(["|", "||"], 1),
    "&": 2,
    **dict.fromkeys(["==", "!=", "<", ">", "<=", ">="], 4),
    **dict.fromkeys(["+", "-"], 5),
    **dict.fromkeys(["*", "/"], 6),
    **dict.fromkeys(["%in%", "%%", "%/%"], 7),
    ":": 8,
    "^": 10,
}
_COMPARISON, _POWER = 4, 10
_PREFIXES = {"!": _COMPARISON, "+": _POWER, "-": _POWER}


# -- words -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Word:
    kind: str  # name, quoted, number, string, operator, end
    text: str
    at: int


_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?L?")
_OPERATOR = re.compile(r"%in%|%%|%/%|\*\*|\|\||&&|[<>=!]=|[-+*/^:~|&!<>=(),\[\]{}]")


def _words(text: str) -> Iterator[_Word]:
    at, end = 0, len(text)
    while at < end:
        c, start = text[at], at
        if c.isspace():
            at += 1
        elif match := _NUMBER.match(text, at):
            at = match.end()
            if at < end and is_name_character(text[at]):
                raise formula_error(
                    "a name may not start with a digit; put it in backticks", text, start
                )
            yield _Word("number", match.group(), start)
        elif c.isalpha() or c in "._":
            while at < end and is_name_character(text[at]):
                at += 1
            word = text[start:at]
            kind = "operator" if word in SYNONYMS else "name"
            yield _Word(kind, SYNONYMS.get(word, word), start)
        elif c in "`'\"":
            word, at = _quoted(text, at)
            yield _Word("quoted" if c == "`" else "string", word, start)
        elif match := _OPERATOR.match(text, at):
            at = match.end()
            word = match.group()
            yield _Word("operator", SYNONYMS.get(word, word), start)
        else:
            hint = " (the remainder of a division is %%)" if c == "%" else ""
            raise formula_error(f"{c!r} has no meaning in a formula{hint}", text, at)
    yield _Word("end", "", end)


def _quoted(text: str, start: int) -> tuple[str, int]:
    quote, at, letters = text[start], start + 1, list[str]()
    while at < len(text) and text[at] != quote:
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
            letters.append(ESCAPES.get(text[at], text[at]))
        else:
            letters.append(text[at])
        at += 1
    if at == len(text):
        raise formula_error(f"the quote {quote} is never closed", text, start)
    return "".join(letters), at + 1


# -- parser ----------------------------------------------------------------------------------


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.words = list(_words(text))
        self.i = 0
        self.depth = 0

    @property
    def word(self) -> _Word:
        return self.words[self.i]

    def is_next(self, operator: str) -> bool:
        return self.word.kind == "operator" and self.word.text == operator

    def take(self) -> _Word:
        word = self.word
        self.i += 1
        return word

    def expect(self, operator: str) -> None:
        if not self.is_next(operator):
            raise self.unexpected()
        self.i += 1

    def unexpected(self) -> FormulaError:
        word = self.word
        previous = self.words[self.i - 1] if self.i else word
        python = next((w.text for w in (previous, word) if _is_python(w)), None)
        if python is not None:
            message = f"{python!r} is Python; a formula has only columns, operators and calls"
        elif word.kind == "end":
            message = "the formula ends too early"
        elif word.text == "[":
            message = "subscripts cannot be used in a formula"
        elif word.kind == "name" and word.text[0] == "." and previous.text in (")", "]", "}"):
            message = f"attributes such as {word.text} cannot be used in a formula"
        elif word.text == ")":
            message = "this parenthesis closes nothing, or something is missing before it"
        elif word.text == "~":
            message = "a formula has one ~, between the response and the terms"
        elif word.text == "=":
            message = "= belongs to arguments of functions; equality is =="
        else:
            message = f"{word.text!r} is not expected here; is an operator missing before it?"
        return formula_error(message, self.text, word.at)

    def expression(self, floor: int = 0) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise formula_error("the formula is nested too deeply", self.text, self.word.at)
        left = self.operand()
        while (level := self.level()) > floor:
            rest = []
            while self.level() == level:
                operator = self.take().text
                # Powers associate to the right, all others to the left.
                operand = self.expression(level - (level == _POWER))
                rest.append((operator, operand))
                if level == _COMPARISON and self.level() == level:
                    raise formula_error(
                        "comparisons cannot be chained; join them by &", self.text, self.word.at
                    )
            left = Chain(left, tuple(rest), left.at)
        self.depth -= 1
        return left

    def level(self) -> int:
        return _LEVELS.get(self.word.text, -1) if self.word.kind == "operator" else -1

    def operand(self) -> Node:
        word = self.word
        if word.kind == "number":
            self.i += 1
            return Constant(_number(word.text), word.at)
        if word.kind == "string":
            self.i += 1
            return Constant(word.text, word.at)
        if word.kind in ("name", "quoted"):
            return self.name()
        if word.kind == "operator" and word.text in _PREFIXES:
            self.i += 1
            # The level below its own lets a prefix follow a prefix.
            return Prefix(word.text, self.expression(_PREFIXES[word.text] - 1), word.at)
        if self.is_next("("):
            self.i += 1
            inner = self.expression()
            if self.is_next(","):
                self.i += 1
                return Collection("(", (inner, *self.items(")")), (), word.at)
            self.expect(")")
            return Parens(inner, word.at)
        if self.is_next("["):
            self.i += 1
            return Collection("[", tuple(self.items("]")), (), word.at)
        if self.is_next("{"):
            return self.dictionary()
        raise self.unexpected()

    def name(self) -> Node:
        word = self.take()
        if word.kind == "name":
            if word.text.startswith("__"):
                raise formula_error(
                    f"{word.text} cannot be used in a formula; put the name of a column in "
                    "backticks",
                    self.text,
                    word.at,
                )
            if self.is_next("("):
                return self.call(word)
            if word.text == ".":
                return Dot(word.at)
            if word.text in CONSTANTS:
                return Constant(CONSTANTS[word.text], word.at)
        elif not word.text:
            raise formula_error("there is no name between the backticks", self.text, word.at)
        return Name(word.text, word.at)

    def call(self, function: _Word) -> Node:
        self.expect("(")
        arguments: list[tuple[str | None, Node]] = []
        while not self.is_next(")"):
            key = None
            word, following = self.word, self.words[min(self.i + 1, len(self.words) - 1)]
            if word.kind in ("name", "quoted") and following.text == "=":
                if word.text.startswith("_") or word.text in dict(arguments):
                    raise formula_error(
                        f"{word.text} cannot be given as an argument here", self.text, word.at
                    )
                key = word.text
                self.i += 2
            arguments.append((key, self.expression()))
            if not self.is_next(")"):
                self.expect(",")
        self.expect(")")
        return Call(function.text, tuple(arguments), function.at)

    def items(self, closing: str) -> Iterator[Node]:
        while not self.is_next(closing):
            yield self.expression()
            if not self.is_next(closing):
                self.expect(",")
        self.expect(closing)

    def dictionary(self) -> Node:
        at = self.take().at
        items: dict[str, Node] = {}
        while not self.is_next("}"):
            if self.word.kind != "string":
                raise self.unexpected()
            key = self.take().text
            self.expect(":")
            items[key] = self.expression()
            if not self.is_next("}"):
                self.expect(",")
        self.expect("}")
        return Collection("{", tuple(items.values()), tuple(items), at)


def _is_python(word: _Word) -> bool:
    return word.kind == "name" and keyword.iskeyword(word.text) and word.text not in CONSTANTS


def _number(text: str) -> float | int:
    value = float(text.removesuffix("L"))
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


@lru_cache(maxsize=512)
def parse(text: str) -> tuple[Node | None, Node]:
    """Parse a formula into what stands left of the ~, or None, and right of it.

    Parameters
    ----------
    text : str
        The formula.

    Returns
    -------
    left : Node or None
    right : Node

    Raises
    ------
    FormulaError
        If the text is not a formula; the place is marked.
    """
    if not text.strip():
        raise FormulaError("the formula is empty; write one such as 'y ~ x + (1 | g)'")
    if len(text) > LONGEST:
        raise FormulaError(f"the formula has {len(text)} characters; at most {LONGEST} can be read")
    parser = _Parser(text)
    left = None
    if not parser.is_next("~"):
        left = parser.expression()
        if parser.word.kind == "end":
            raise formula_error(
                "the formula has no ~; write 'response ~ terms + (1 | group)'", text, len(text)
            )
    parser.expect("~")
    right = parser.expression()
    if parser.word.kind != "end":
        raise parser.unexpected()
    return left, right
