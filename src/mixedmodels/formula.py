"""Formulas in the manner of lme4: ``response ~ fixed effects + (1 | group)``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from mixedmodels.errors import ArgumentTypeError, FormulaError, UnsupportedTermError
from mixedmodels.parser import parse
from mixedmodels.syntax import (
    Call,
    Chain,
    Constant,
    Dot,
    Name,
    Node,
    Parens,
    Prefix,
    deparse,
    formula_error,
    substitute,
    walk,
)
from mixedmodels.terms import Terms, expand, is_random


@dataclass(frozen=True)
class RandomTerm:
    """A random-effects term, ``(effects | group)``.

    Parameters
    ----------
    effects : Terms
        What varies by group; the intercept alone in a simple, scalar term.
    group : tuple of str
        The columns whose combinations are the levels of the grouping factor.
    correlated : bool
        Whether the effects of a level are correlated: ``|`` rather than ``||``.
    label : str
        The grouping factor as lme4 prints it: ``recipe:replicate``.
    text : str
        The term as R prints it.
    at : int
        Where it stands in the formula.
    """

    effects: Terms
    group: tuple[str, ...]
    correlated: bool
    label: str
    text: str = field(compare=False)
    at: int = field(compare=False, repr=False)

    @property
    def is_scalar(self) -> bool:
        """Whether the term has one effect for each level, the intercept."""
        return self.effects.intercept and not self.effects.terms


@dataclass(frozen=True, repr=False)
class Formula:
    """A formula, parsed.

    Parameters
    ----------
    response : Node
        The expression left of the ``~``.
    fixed : Terms
        The fixed effects.
    offsets : tuple of Node
        The arguments of ``offset()``.
    random : tuple of RandomTerm
        The random-effects terms as written, with ``a/b`` written out.
    right : Node
        All that is right of the ``~``, as written.
    text : str
        The formula as typed, for the marks in errors.

    Examples
    --------
    >>> formula = Formula.parse("strength~1+(1|batch/cask)")
    >>> print(formula)
    strength ~ 1 + (1 | batch/cask)
    >>> [term.label for term in formula.random]
    ['cask:batch', 'batch']
    """

    response: Node
    fixed: Terms
    offsets: tuple[Node, ...]
    random: tuple[RandomTerm, ...]
    right: Node
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Formula:
        """Parse a formula.

        Parameters
        ----------
        text : str
            The formula.

        Returns
        -------
        Formula

        Raises
        ------
        FormulaError
            If the text is not a formula with a response and a random-effects term; the error
            marks the place.
        ArgumentTypeError
            If `text` is not a string.
        """
        return _parse(_checked_text(text))

    @cached_property
    def _printed(self) -> str:
        return f"{deparse(self.response)} ~ {deparse(self.right)}"

    def __str__(self) -> str:
        return self._printed

    def __repr__(self) -> str:
        return f"Formula({str(self)!r})"

    @cached_property
    def has_dot(self) -> bool:
        """Whether the formula has a ``.`` that stands for columns of the data."""
        return any(isinstance(node, Dot) for node in walk(self.right))

    def with_columns(self, columns: Sequence[str], used: Collection[str] = ()) -> Formula:
        """Write out the ``.``: all columns but those of the response and the grouping factors.

        Parameters
        ----------
        columns : sequence of str
            The columns of the data.
        used : collection of str
            Columns with another role, such as the weights.

        Returns
        -------
        Formula

        Raises
        ------
        FormulaError
            If no column is left.
        """
        if not self.has_dot:
            return self
        taken = {node.text for node in walk(self.response) if isinstance(node, Name)}
        taken.update(used, *(term.group for term in self.random))
        names = [Name(column) for column in columns if column not in taken]
        if not names:
            at = next(node.at for node in walk(self.right) if isinstance(node, Dot))
            raise formula_error("the . stands for no column: all have a role", self.text, at)
        return _parse(f"{deparse(self.response)} ~ {deparse(_spliced(self.right, names))}")

    def update(self, change: str) -> Formula:
        """Change a formula as R's ``update.formula`` does.

        Parameters
        ----------
        change : str
            A formula in which ``.`` stands for what was there. Without a response the response
            stays.

        Returns
        -------
        Formula
            In its simplest form: terms by number of variables, an intercept not mentioned.

        Raises
        ------
        FormulaError
            If `change` is not a formula, or leaves no random-effects term.

        Examples
        --------
        >>> formula = Formula.parse("strength ~ 1 + (1 | batch) + (1 | sample)")
        >>> print(formula.update(". ~ . - (1 | batch)"))
        strength ~ (1 | sample)
        >>> print(formula.update("log(.) ~ ."))
        log(strength) ~ (1 | batch) + (1 | sample)
        """
        left, right = parse(_checked_text(change))
        response = self.response if left is None else _replace_dot(left, self.response)
        right = _replace_dot(right, Parens(self.right))
        if not self.has_dot:
            # A . that stands for columns not known yet must stay as it is.
            right = _simplest(right, change)
        return _parse(f"{deparse(response)} ~ {deparse(right)}")

    def require_scalar(self) -> None:
        """Raise unless all random-effects terms are simple and scalar.

        Raises
        ------
        UnsupportedTermError
            If a term has other effects than an intercept; the error names it.
        """
        for term in self.random:
            if not term.is_scalar:
                raise formula_error(
                    f"{term.text} cannot be fitted yet: only random intercepts, (1 | group), can",
                    self.text,
                    term.at,
                    UnsupportedTermError,
                )


def _checked_text(text: object) -> str:
    if not isinstance(text, str):
        raise ArgumentTypeError(f"a formula is a string, not a {type(text).__name__}")
    return text


@lru_cache(maxsize=512)
def _parse(text: str) -> Formula:
    response, right = parse(text)
    if response is None:
        raise formula_error("the formula has no response left of the ~", text, text.index("~"))
    for node in walk(response):
        if isinstance(node, Dot):
            raise formula_error("the response cannot be the . of the data", text, node.at)
    expansion = expand(right, text)
    if not expansion.random:
        raise FormulaError(
            f"the formula {deparse(response)} ~ {deparse(right)} has no random-effects term; "
            "add one such as (1 | group)"
        )
    if response in expansion.fixed.variables:
        raise FormulaError(f"the response {deparse(response)} is also among the fixed effects")
    random: list[RandomTerm] = []
    for node in expansion.random:
        for term in _random_terms(node, text):
            if term in random:
                raise formula_error(
                    f"the random-effects term {term.text} is there twice", text, term.at
                )
            random.append(term)
    return Formula(response, expansion.fixed, expansion.offsets, tuple(random), right, text)


# -- random-effects terms --------------------------------------------------------------------


def _random_terms(node: Parens, text: str) -> Iterator[RandomTerm]:
    bar = node.inner
    assert isinstance(bar, Chain)
    if len(bar.rest) > 1:
        raise formula_error("a random-effects term has one bar", text, bar.at)
    ((operator, group),) = bar.rest
    expansion = expand(bar.first, text)
    effects = expansion.fixed
    if expansion.random or expansion.offsets:
        raise formula_error("only effects can stand left of the bar", text, bar.first.at)
    if not effects.intercept and not effects.terms:
        raise formula_error(f"{deparse(node)} has no effects", text, node.at)
    groups = _groups(group, text)
    for names, label in groups:
        if len(set(names)) < len(names):
            raise formula_error(f"{label} names a column twice", text, group.at)
        written = deparse(bar.first) if len(groups) > 1 else ""
        term = f"({written} {operator} {label})" if written else deparse(node)
        yield RandomTerm(effects, names, operator == "|", label, term, node.at)


def _groups(node: Node, text: str) -> list[tuple[tuple[str, ...], str]]:
    """Columns and label of each grouping factor: ``a/b`` is ``b:a`` and ``a``, as in lme4."""
    if isinstance(node, Parens):
        return _groups(node.inner, text)
    if not (isinstance(node, Chain) and node.operators == {"/"}):
        names = _crossed(node, text)
        return [(names, ":".join(names))]
    groups = _groups(node.first, text)
    for _, operand in node.rest:
        inner = _crossed(operand, text)
        names, label = groups[0]
        outer = f"({label})" if len(names) > 1 else label
        groups.insert(0, (inner + names, ":".join((*inner, outer))))
    return groups


def _crossed(node: Node, text: str) -> tuple[str, ...]:
    match node:
        case Name(name):
            return (name,)
        case Parens(inner):
            return _crossed(inner, text)
        case Chain(_, _) if node.operators == {":"}:
            return tuple(name for operand in node.operands for name in _crossed(operand, text))
    message = f"the grouping factor {deparse(node)} must be a column, or columns joined by : or /"
    if isinstance(node, Chain) and node.operators <= {"+", "*"}:
        operands = [deparse(operand) for operand in node.operands]
        product = [":".join(operands)] if "*" in node.operators else []
        terms = " + ".join(f"(1 | {label})" for label in operands + product)
        message = f"{message}; for several factors write {terms}"
    elif isinstance(node, Call):
        message += "; any column is taken as a factor, other ones are to be added to the data"
    raise formula_error(message, text, node.at)


# -- updates ---------------------------------------------------------------------------------


def _replace_dot(node: Node, old: Node) -> Node:
    if isinstance(old, Chain | Prefix) and not isinstance(node, Dot):
        old = Parens(old)
    return substitute(node, lambda n: old if isinstance(n, Dot) else None)


def _simplest(right: Node, text: str) -> Node:
    expansion = expand(right, text, random_as_variables=True)
    terms, variables = expansion.fixed.terms, expansion.fixed.variables
    if any(len(term) > 1 and any(is_random(variables[v]) for v in term) for term in terms):
        raise FormulaError(f"{text}: a random-effects term can only be added or taken away")
    parts = [_joined(":", [variables[v] for v in term]) for term in terms]
    parts += [Call("offset", ((None, offset),)) for offset in expansion.offsets]
    if not parts:
        return Constant(int(expansion.fixed.intercept))
    whole = _joined("+", parts)
    if expansion.fixed.intercept:
        return whole
    rest = whole.rest if isinstance(whole, Chain) and whole.operators == {"+"} else ()
    return Chain(parts[0], (*rest, ("-", Constant(1))))


def _spliced(node: Node, names: list[Name]) -> Node:
    """Put a sum in the place of every ``.``, without parentheses where none are needed."""
    everything = _joined("+", names)
    in_parentheses = everything if len(names) == 1 else Parens(everything)

    def change(node: Node) -> Node | None:
        if isinstance(node, Dot):
            return in_parentheses
        if not (isinstance(node, Chain) and node.operators <= {"+", "-"}):
            return None
        operands: list[tuple[str, Node]] = []
        for operator, operand in (("+", node.first), *node.rest):
            if operator == "+" and isinstance(operand, Dot):
                operands += [("+", name) for name in names]
            else:
                operands.append((operator, substitute(operand, change)))
        return Chain(operands[0][1], tuple(operands[1:]))

    return everything if isinstance(node, Dot) else substitute(node, change)


def _joined(operator: str, nodes: Sequence[Node]) -> Node:
    return Chain(nodes[0], tuple((operator, n) for n in nodes[1:])) if len(nodes) > 1 else nodes[0]
