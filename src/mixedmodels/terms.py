"""R's algebra of terms: what `a * b`, `(a + b)^2 - a:b`, `a/b` and `x - 1` stand for.

A term is a set of variables, held as the bits of an integer; a variable is any expression that is
not one of the operators below. Variables are numbered as they first appear, and that order, not
the order in which a term was typed, is the order of a term's variables, as in R.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from mixedmodels.errors import FormulaError
from mixedmodels.syntax import (
    Call,
    Chain,
    Collection,
    Constant,
    Node,
    Parens,
    Prefix,
    deparse,
    formula_error,
    walk,
)

MOST_TERMS = 10_000
_ALGEBRA = {"+", "-", "*", "/", "%in%", ":", "^"}
_BARS = {"|", "||"}


@dataclass(frozen=True)
class Terms:
    """The terms of a sum of effects.

    Parameters
    ----------
    intercept : bool
        Whether there is an intercept.
    variables : tuple of Node
        The expressions that the terms are made of.
    terms : tuple of tuple of int
        Variables of each term, by increasing number of variables.
    """

    intercept: bool
    variables: tuple[Node, ...]
    terms: tuple[tuple[int, ...], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The terms as R writes them."""
        texts = [deparse(variable) for variable in self.variables]
        return tuple(":".join(texts[v] for v in term) for term in self.terms)

    def full_dummies(self, is_factor: Sequence[bool]) -> set[tuple[int, int]]:
        """Find where a factor has a column for every level, as pairs of (term, variable).

        Elsewhere it has contrasts. R's rule: contrasts where what remains of the term without the
        factor is within an earlier term, the intercept included; and without an intercept, the
        first factor of all has every level.
        """
        sets = [frozenset(term) for term in self.terms]
        full = {
            (t, v)
            for t, term in enumerate(self.terms)
            if len(term) > 1
            for v in term
            if is_factor[v] and not any(sets[t] - {v} <= earlier for earlier in sets[:t])
        }
        if not self.intercept:
            first = ((t, v) for t, term in enumerate(self.terms) for v in term if is_factor[v])
            full.update([pair] if (pair := next(first, None)) else [])
        return full


@dataclass(frozen=True)
class Expansion:
    """What the right-hand side of a formula stands for."""

    fixed: Terms
    offsets: tuple[Node, ...]
    random: tuple[Parens, ...]


def is_random(node: Node) -> bool:
    """Tell whether a node is a random-effects term, such as ``(1 | g)``."""
    return isinstance(node, Parens) and is_bar(node.inner)


def is_bar(node: Node) -> bool:
    """Tell whether a node has a bar as its outermost operator."""
    return isinstance(node, Chain) and bool(node.operators & _BARS)


def expand(node: Node, text: str, *, random_as_variables: bool = False) -> Expansion:
    """Expand the right-hand side of a formula.

    Parameters
    ----------
    node : Node
        The right-hand side.
    text : str
        The formula, for the marks in errors.
    random_as_variables : bool, default False
        Keep random-effects terms among the terms, where they can be taken away again, instead of
        collecting them.

    Returns
    -------
    Expansion

    Raises
    ------
    FormulaError
        If an operator has an operand that it cannot have.
    """
    expander = _Expander(text, random_as_variables)
    terms = sorted(expander.encode(node, additive=True), key=int.bit_count)
    variables = tuple(expander.variables)
    fixed = Terms(expander.intercept, variables, tuple(map(_bits, terms)))
    return Expansion(fixed, tuple(expander.offsets), tuple(expander.random))


def _bits(term: int) -> tuple[int, ...]:
    bits = []
    while term:
        low = term & -term
        bits.append(low.bit_length() - 1)
        term ^= low
    return tuple(bits)


class _Expander:
    def __init__(self, text: str, random_as_variables: bool) -> None:
        self.text = text
        self.random_as_variables = random_as_variables
        self.intercept = True
        self.adding = True  # False within what is taken away, where 1 means "no intercept"
        self.variables: dict[Node, int] = {}
        self.offsets: dict[Node, None] = {}
        self.random: list[Parens] = []

    def error(self, message: str, node: Node) -> FormulaError:
        return formula_error(message, self.text, node.at)

    def encode(self, node: Node, additive: bool = False) -> dict[int, None]:
        """List the terms of a node, in order; `additive` if it is part of the outermost sum."""
        match node:
            case Parens(inner) if not is_random(node):
                return self.encode(inner, additive)
            case Parens():
                return self.encode_random(node, additive)
            case Chain(_, _) if is_bar(node):
                message = f"a random-effects term stands in parentheses: ({deparse(node)})"
                raise self.error(message, node)
            case Chain(_, _) if node.operators <= _ALGEBRA:
                return self.encode_chain(node, additive)
            case Prefix("+", operand):
                return self.encode(operand, additive)
            case Prefix("-", operand):
                self.take_away({}, operand, additive)
                return {}
            case Constant(value):
                return self.encode_constant(value, node)
            case Collection():
                raise self.error(f"{deparse(node)} can only be an argument", node)
            case Call("offset", arguments):
                if not additive or len(arguments) != 1 or arguments[0][0] is not None:
                    raise self.error("offset() takes one argument and can only be added", node)
                if self.adding:
                    self.offsets[arguments[0][1]] = None
                else:
                    self.offsets.pop(arguments[0][1], None)
                return {}
        return self.variable(node)

    def variable(self, node: Node) -> dict[int, None]:
        if not self.random_as_variables:
            for inside in walk(node):
                if is_random(inside):
                    term = deparse(inside)
                    raise self.error(
                        f"{term} is part of {deparse(node)} but can only be added; put the rest "
                        "into parentheses",
                        inside,
                    )
        return {1 << self.variables.setdefault(node, len(self.variables)): None}

    def encode_constant(self, value: object, node: Node) -> dict[int, None]:
        if isinstance(value, bool) or value not in (0, 1):
            raise self.error(
                f"{deparse(node)} is no term; only 1 and 0, for the intercept, are numbers that "
                "may stand alone (arithmetic goes into I(...))",
                node,
            )
        self.intercept = (value == 1) == self.adding
        return {}

    def encode_random(self, node: Parens, additive: bool) -> dict[int, None]:
        term = deparse(node)
        if not additive:
            raise self.error(f"the random-effects term {term} can only be added", node)
        if self.random_as_variables:
            return self.variable(node)
        if not self.adding:
            raise self.error(f"{term} can be taken away in an update only", node)
        self.random.append(node)
        return {}

    def encode_chain(self, node: Chain, additive: bool) -> dict[int, None]:
        additive = additive and node.operators <= {"+", "-"}
        left = self.encode(self.checked(node.first, node.rest[0][0]), additive)
        for operator, operand in node.rest:
            if operator == "-":
                self.take_away(left, operand, additive)
                continue
            if operator == "^":
                left = self.power(left, operand)
                continue
            right = self.encode(self.checked(operand, operator), additive)
            match operator:
                case "+":
                    left.update(right)
                case ":":
                    left = self.products(left, right)
                case "*":
                    left = left | right | self.products(left, right)
                case "/" if left:
                    left |= self.products({reduce(or_, left): None}, right)
                case "%in%" if right:
                    left = self.products(left, {reduce(or_, right): None})
        return left

    def checked(self, operand: Node, operator: str) -> Node:
        if operator in (":", "/", "%in%") and isinstance(operand, Constant):
            message = f"{deparse(operand)} cannot be an operand of {operator} in a formula"
            raise self.error(f"{message}; arithmetic goes into I(...)", operand)
        return operand

    def take_away(self, left: dict[int, None], operand: Node, additive: bool) -> None:
        self.adding = not self.adding
        for term in self.encode(operand, additive):
            left.pop(term, None)
        self.adding = not self.adding

    def power(self, base: dict[int, None], exponent: Node) -> dict[int, None]:
        if not (isinstance(exponent, Constant) and isinstance(exponent.value, int)):
            raise self.error("the exponent of terms must be a positive whole number", exponent)
        if isinstance(exponent.value, bool) or exponent.value < 1:
            raise self.error("the exponent of terms must be a positive whole number", exponent)
        result = base
        for _ in range(exponent.value - 1):
            larger = result | self.products(result, base)
            if len(larger) == len(result):
                break
            result = larger
        return result

    def products(self, left: dict[int, None], right: dict[int, None]) -> dict[int, None]:
        if len(left) * len(right) > 10 * MOST_TERMS:
            raise FormulaError(f"the formula stands for more than {MOST_TERMS} interactions")
        result = dict.fromkeys(a | b for a in left for b in right)
        if len(result) > MOST_TERMS:
            raise FormulaError(f"the formula stands for more than {MOST_TERMS} interactions")
        return result
