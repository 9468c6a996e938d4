"""The fixed effects: the columns of X, with R's contrasts and R's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mixedmodels.columns import Columns, Floats
from mixedmodels.contrasts import polynomial, treatment
from mixedmodels.errors import DataError, FitTooLargeError
from mixedmodels.expressions import Scope, State, Variable, evaluate
from mixedmodels.factors import Factor, Rows, level_texts, positions
from mixedmodels.formula import Formula
from mixedmodels.syntax import Node, deparse
from mixedmodels.transforms import Coded

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Predictor:
    """A variable of the fixed effects, as it was in the data that the model was made for.

    Parameters
    ----------
    node : Node
        The expression.
    label : str
        The expression as R prints it.
    suffixes : tuple of str
        What is added to the label in the names of its columns; those of contrasts, if it has
        levels.
    levels : pandas.Index, optional
        The levels of a factor, or False and True.
    dummies : tuple of str
        What is added where every level has a column.
    contrasts : ndarray (k, columns), optional
        One row for each level.
    """

    node: Node
    label: str
    suffixes: tuple[str, ...] = ("",)
    levels: pd.Index | None = None
    dummies: tuple[str, ...] = ()
    contrasts: Floats | None = None

    def names(self, full: bool) -> list[str]:
        """Name the columns, with a column for every level if `full`."""
        return [self.label + suffix for suffix in (self.dummies if full else self.suffixes)]

    def recognise(self, value: Variable) -> Floats | Factor:
        """Take a value from new data as this variable, with the levels that it had."""
        plain = _plain(value)
        if isinstance(plain, Factor) != (self.levels is not None):
            kinds = ("numeric", "a factor")
            was, now = kinds[self.levels is not None], kinds[isinstance(plain, Factor)]
            raise DataError(f"{self.label} was {was} and is {now} in the new data")
        if isinstance(plain, Factor) and self.levels is not None:
            return Factor(
                positions(plain, self.levels, self.label, "leave these rows out"), self.levels
            )
        return plain

    def columns(self, value: Floats | Factor, full: bool) -> Floats:
        """Compute the columns, as the rows of a matrix."""
        if not isinstance(value, Factor):
            return (value if value.ndim == 2 else value[:, None]).T
        assert self.contrasts is not None
        coding = np.eye(value.nlevels) if full else self.contrasts
        return np.take(np.ascontiguousarray(coding.T), value.codes, axis=1)


@dataclass(frozen=True, eq=False)
class FixedEffects:
    """All that is needed to make X again, for other data.

    Parameters
    ----------
    formula : Formula
        The formula.
    predictors : dict of int to Predictor
        The variables, by their number in the formula's terms.
    names : tuple of str
        The names of the coefficients.
    context : mapping
        The functions that the user has passed.
    state : dict
        What stateful transforms have learned.
    """

    formula: Formula
    predictors: Mapping[int, Predictor]
    names: tuple[str, ...]
    context: Mapping[str, Any]
    state: State

    def matrix(self, data: Any) -> Floats:
        """Make the model matrix X for other data.

        Parameters
        ----------
        data : data frame or dict
            The columns that the fixed effects need, without missing values.

        Returns
        -------
        ndarray (n, p)

        Raises
        ------
        UnknownColumnError
            If a column is not there.
        UnknownLevelError
            If a factor has a level that it did not have.
        DataError
            If values are missing or not finite, or of another kind than they were.
        """
        scope = self._scope(data)
        found = {v: evaluate(x.node, scope) for v, x in self.predictors.items()}
        _refuse_missing(scope.columns)
        values = {}
        for v, predictor in self.predictors.items():
            require_finite(found[v], predictor.label, scope.columns, None)
            values[v] = predictor.recognise(found[v])
        return self.assemble(values, scope.columns.n)

    @property
    def term_columns(self) -> tuple[slice, ...]:
        """Which columns of X belong to each term of the formula."""
        widths = (
            prod(len(x.names(full)) for _, x, full in term)
            for term in _blocks(self.formula, self.predictors)
        )
        ends = list(accumulate(widths, initial=int(self.formula.fixed.intercept)))
        return tuple(map(slice, ends[:-1], ends[1:]))

    def every_level(self, values: Mapping[int, Floats | Factor]) -> list[Floats]:
        """Make the columns of each term with one for every level, or combination of levels."""
        return [
            reduce(_products, [x.columns(values[v], True) for v, x, _ in term]).T
            for term in _blocks(self.formula, self.predictors)
        ]

    def assemble(self, values: Mapping[int, Floats | Factor], n: int) -> Floats:
        """Make X of the values of its variables, which are finite and have the levels known."""
        return _assemble(self.formula, self.predictors, values, n)

    def offset(self, data: Any) -> Floats | None:
        """Sum the offsets of the formula for other data.

        Parameters
        ----------
        data : data frame or dict
            The columns that the offsets need, without missing values.

        Returns
        -------
        ndarray (n,), or None if the formula has no offset
        """
        scope = self._scope(data)
        offset = formula_offset(self.formula, scope)
        _refuse_missing(scope.columns)
        if offset is not None:
            require_finite(offset, "the offset", scope.columns, None)
        return offset

    def _scope(self, data: Any) -> Scope:
        return Scope(Columns(data), self.formula.text, self.context, self.state, trained=True)


def fixed_effects(
    formula: Formula, values: Mapping[int, Variable], rows: Rows, scope: Scope
) -> tuple[FixedEffects, Floats]:
    """Make X from the values of the variables.

    Parameters
    ----------
    formula : Formula
        The formula.
    values : mapping of int to value
        The variables that occur in the terms, for all rows.
    rows : ndarray or None
        The rows to use; None for all.
    scope : Scope
        Where the values come from.

    Returns
    -------
    spec : FixedEffects
    X : ndarray (n, p)
        In Fortran order.

    Raises
    ------
    DataError
        If a value is not finite or a factor has one level.
    FitTooLargeError
        If X would not go into memory.
    """
    predictors, used = {}, {}
    for v, value in values.items():
        predictors[v], used[v] = predictor_of(formula.fixed.variables[v], value, rows, scope)
    n = scope.columns.n if rows is None else len(rows)
    _require_memory(n, _count(formula, predictors))
    spec = specify(formula, predictors, scope)
    return spec, spec.assemble(used, n)


def predictor_of(
    node: Node, value: Variable, rows: Rows, scope: Scope
) -> tuple[Predictor, Floats | Factor]:
    """Learn what a variable is in the rows used, and reduce it to them."""
    label = deparse(node)
    require_finite(value, label, scope.columns, rows)
    coding = value.coding if isinstance(value, Coded) else None
    plain = _plain(value)
    if isinstance(plain, Factor):
        # A truth value has both levels, as in R, whether or not both occur.
        is_truth = isinstance(value, np.ndarray)
        plain = _taken(plain, rows) if is_truth else plain.take(rows)
        if plain.nlevels < 2:
            raise DataError(
                f"{label} has the level {', '.join(level_texts(plain.levels))} only in the "
                "rows used; a fixed effect needs two"
            )
        texts = level_texts(plain.levels)
        _require_memory(plain.codes.size, plain.nlevels)
        made = (coding or (polynomial if plain.ordered else treatment))(texts)
        return (
            Predictor(node, label, made.names, plain.levels, tuple(texts), made.matrix),
            plain,
        )
    plain = plain if rows is None else plain[rows]
    k = 1 if plain.ndim == 1 else plain.shape[1]
    return Predictor(node, label, tuple(str(i + 1) for i in range(k)) if k > 1 else ("",)), plain


def specify(formula: Formula, predictors: Mapping[int, Predictor], scope: Scope) -> FixedEffects:
    """Put together what is known of the variables."""
    return FixedEffects(
        formula, predictors, _names(formula, predictors), scope.context, scope.state
    )


def formula_offset(formula: Formula, scope: Scope) -> Floats | None:
    """Sum the offsets in a formula, for all rows."""
    if not formula.offsets:
        return None
    total = np.zeros(scope.columns.n)
    for node in formula.offsets:
        value = evaluate(node, scope)
        if not isinstance(value, np.ndarray) or value.ndim != 1:
            raise DataError(f"the offset {deparse(node)} is not numeric")
        total += value
    return total


def require_finite(
    value: Variable,
    label: str,
    columns: Columns,
    rows: Rows,
    kind: type[DataError] = DataError,
) -> None:
    """Raise if a variable has a missing or infinite value in the rows used."""
    if isinstance(value, Coded):
        value = value.factor
    array = value.codes if isinstance(value, Factor) else value
    if rows is not None:
        array = array[rows]
    good = array >= 0 if isinstance(value, Factor) else np.isfinite(array)
    if good.all():
        return
    first = int(np.flatnonzero(~good.reshape(len(array), -1).all(axis=1))[0])
    (row,) = columns.index[[first if rows is None else rows[first]]].tolist()
    bad = array[~good].flat[0]
    what = "missing" if isinstance(value, Factor) else str(bad)
    others = np.count_nonzero(~good) - 1
    raise kind(
        f"{label} is {what} in row {row!r}"
        + (f" and {others} other places" if others else "")
        + "; correct the data or leave out these rows"
    )


# -- parts -----------------------------------------------------------------------------------


def _plain(value: Variable) -> Floats | Factor:
    """Reduce to what X is made of: numbers, or a factor, of False and True for truth values."""
    if isinstance(value, Coded):
        return value.factor
    if isinstance(value, np.ndarray) and value.dtype.kind == "b":
        import pandas as pd

        return Factor(value.astype(np.int32), pd.Index([False, True]))
    return cast("Floats | Factor", value)


def _taken(factor: Factor, rows: Rows) -> Factor:
    return factor if rows is None else Factor(factor.codes[rows], factor.levels)


def _blocks(
    formula: Formula, predictors: Mapping[int, Predictor]
) -> list[list[tuple[int, Predictor, bool]]]:
    """List, for each term, its variables and whether each has a column for every level."""
    fixed = formula.fixed
    is_factor = [
        v in predictors and predictors[v].levels is not None for v in range(len(fixed.variables))
    ]
    full = fixed.full_dummies(is_factor)
    return [
        [(v, predictors[v], (t, v) in full) for v in term] for t, term in enumerate(fixed.terms)
    ]


def _count(formula: Formula, predictors: Mapping[int, Predictor]) -> int:
    terms = _blocks(formula, predictors)
    return formula.fixed.intercept + sum(prod(len(x.names(f)) for _, x, f in t) for t in terms)


def _names(formula: Formula, predictors: Mapping[int, Predictor]) -> tuple[str, ...]:
    names = ["(Intercept)"] if formula.fixed.intercept else []
    for term in _blocks(formula, predictors):
        parts = [predictor.names(full) for _, predictor, full in term]
        # The first variable of a term varies fastest.
        names += reduce(lambda left, right: [f"{a}:{b}" for b in right for a in left], parts)
    return tuple(names)


def _assemble(
    formula: Formula,
    predictors: Mapping[int, Predictor],
    values: Mapping[int, Floats | Factor],
    n: int,
) -> Floats:
    columns = [np.ones((1, n))] if formula.fixed.intercept else []
    for term in _blocks(formula, predictors):
        parts = [predictor.columns(values[v], full) for v, predictor, full in term]
        columns.append(reduce(_products, parts))
    if not columns:
        return np.empty((n, 0), order="F")
    transposed = columns[0] if len(columns) == 1 else np.concatenate(columns)
    return np.asfortranarray(transposed.T)


def _products(left: Floats, right: Floats) -> Floats:
    return (right[:, None, :] * left[None, :, :]).reshape(-1, left.shape[1])


def _refuse_missing(columns: Columns) -> None:
    if missing := columns.missing():
        raise DataError(
            f"values are missing in {', '.join(missing)}; leave these rows out of the new data"
        )


def _require_memory(n: int, p: int) -> None:
    import os

    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return
    needed = 8 * n * p
    # X is assembled from blocks, so that it is there twice for a moment.
    if 2 * needed > memory:
        raise FitTooLargeError(
            f"the model matrix of {n} rows and {p} fixed effects needs {needed / 2**30:.1f} GiB; "
            "is one of the fixed effects a factor of many levels that should be random?"
        )
