"""Grouping factors: the levels of random-effects terms, and how they relate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixedmodels.columns import Columns
from mixedmodels.errors import GroupingError
from mixedmodels.factors import Factor, Rows, factor_of_integers, level_texts, positions
from mixedmodels.formula import Formula, RandomTerm

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class GroupingFactor:
    """The grouping factor of a random-effects term.

    Parameters
    ----------
    label : str
        Its name as lme4 prints it.
    names : tuple of str
        The columns whose combinations are its levels.
    levels : pandas.Index
        The labels of the levels that occur.
    """

    label: str
    names: tuple[str, ...]
    levels: pd.Index

    @property
    def nlevels(self) -> int:
        """The number of levels."""
        return len(self.levels)

    def __repr__(self) -> str:
        return f"Grouping({self.label}, {self.nlevels} levels)"

    def locate(
        self, data: Any, *, unknown: Literal["error", "missing"] = "error"
    ) -> NDArray[np.int32]:
        """Find the levels of other data among the levels of this factor.

        Parameters
        ----------
        data : data frame or dict
            The grouping columns.
        unknown : {"error", "missing"}, default "error"
            What to do with levels that this factor does not have.

        Returns
        -------
        ndarray of int32 (n,)
            Positions of the levels; -1 where the level is missing or, if so wished, unknown.

        Raises
        ------
        UnknownLevelError
            If a level is not known.
        UnknownColumnError
            If a grouping column is not there.
        """
        columns = Columns(data)
        factors = [columns.factor(name) for name in self.names]
        known = reduce(np.logical_and, [factor.codes >= 0 for factor in factors])
        rows = np.flatnonzero(known)
        factor = _crossing([f.take(rows) for f in factors])
        codes = np.full(columns.n, -1, dtype=np.int32)
        if unknown == "missing":
            place = self.levels.get_indexer(factor.levels)
            codes[rows] = place[factor.codes]
        else:
            codes[rows] = positions(
                factor,
                self.levels,
                self.label,
                "levels='population' predicts for them without a random effect",
            )
        return codes


@dataclass(frozen=True, eq=False, repr=False)
class Grouping(GroupingFactor):
    """A grouping factor and the level of each row.

    Parameters
    ----------
    codes : ndarray of int32 (n,)
        Position of each row's level.
    """

    codes: NDArray[np.int32]


def groupings_of(formula: Formula, columns: Columns, rows: Rows) -> tuple[Grouping, ...]:
    """Make the grouping factors of a formula, in lme4's order.

    Parameters
    ----------
    formula : Formula
        The formula.
    columns : Columns
        The data.
    rows : ndarray or None
        The rows to use; None for all.

    Returns
    -------
    tuple of Grouping

    Raises
    ------
    GroupingError
        If the variance of a factor cannot be estimated.
    """
    groupings = [_grouping(term, columns, rows) for term in formula.random]
    groupings = in_order(groupings)
    for a, b in combinations(groupings, 2):
        if a.nlevels == b.nlevels and _is_nested(a, b):
            raise same_division(a, b)
    return tuple(groupings)


_G = TypeVar("_G", bound=GroupingFactor)


def in_order(groupings: list[_G]) -> list[_G]:
    """Sort grouping factors as lme4 does: by decreasing number of levels.

    Raises
    ------
    GroupingError
        If two have the same name.
    """
    labels = [grouping.label for grouping in groupings]
    if len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        raise GroupingError(f"two grouping factors are called {label}; rename the column")
    levels = [grouping.nlevels for grouping in groupings]
    if levels != sorted(levels, reverse=True):
        # lme4 reverses the increasing order, and ties with it; an order that fits, it leaves.
        order = sorted(range(len(levels)), key=levels.__getitem__)[::-1]
        groupings = [groupings[i] for i in order]
    return groupings


def same_division(a: GroupingFactor, b: GroupingFactor) -> GroupingError:
    """Make the error for two factors of which each level of one is a level of the other."""
    return GroupingError(
        f"the grouping factors {a.label} and {b.label} divide the rows in the same way, "
        "so that their variances cannot be told apart; keep one of them"
    )


def _grouping(term: RandomTerm, columns: Columns, rows: Rows) -> Grouping:
    factor = _crossing([columns.factor(name).take(rows) for name in term.group])
    return grouping_of(term, factor, factor.codes.size)


def crossed_factor(term: RandomTerm, columns: Columns) -> Factor:
    """Make the factor whose levels are the combinations of a term's columns, for all rows."""
    return _crossing([columns.factor(name).take(None) for name in term.group])


def grouping_of(term: RandomTerm, factor: Factor, n: int) -> Grouping:
    """Make the grouping of a term whose factor has been found, for a model of `n` rows.

    Raises
    ------
    GroupingError
        If the variance of the factor cannot be estimated.
    """
    label = term.label
    if factor.nlevels < 2:
        raise GroupingError(
            f"the grouping factor {label} has one level only, {level_texts(factor.levels)[0]!r}; "
            "a variance between levels needs two or more"
        )
    if factor.nlevels == n:
        raise GroupingError(
            f"the grouping factor {label} has a level for each of the {n} rows; its variance "
            "cannot be told from that of the residuals"
        )
    if len(term.group) > 1 and not factor.levels.is_unique:
        raise GroupingError(
            f"the labels of {label}, joined by colons, are not unique; take the colons out of the "
            "labels"
        )
    return Grouping(label, term.group, factor.levels, factor.codes)


def _crossing(factors: list[Factor]) -> Factor:
    """Make a factor of the combinations of levels that occur, the first factor varying slowest."""
    if len(factors) == 1:
        return factors[0]
    import pandas as pd

    codes, texts = factors[0].codes, level_texts(factors[0].levels)
    for factor in factors[1:]:
        inner = level_texts(factor.levels)
        pairs = factor_of_integers(codes.astype(np.int64) * len(inner) + factor.codes)
        outer_codes, inner_codes = np.divmod(pairs.levels.to_numpy(), max(len(inner), 1))
        codes = pairs.codes
        texts = [
            f"{texts[i]}:{inner[j]}"
            for i, j in zip(outer_codes.tolist(), inner_codes.tolist(), strict=True)
        ]
    return Factor(codes, pd.Index(texts, dtype=object))


def refuse_absorbed(groupings: tuple[Grouping, ...], fixed: Mapping[str, Factor]) -> None:
    """Raise if a fixed effect leaves nothing of a grouping factor.

    Parameters
    ----------
    groupings : tuple of Grouping
        The grouping factors.
    fixed : mapping of str to Factor
        The factors that are main effects, by label, in the rows used.

    Raises
    ------
    GroupingError
        If the levels of a fixed factor determine those of a grouping factor.
    """
    for label, factor in fixed.items():
        for grouping in groupings:
            if factor.nlevels >= grouping.nlevels and _is_nested(factor, grouping):
                raise GroupingError(
                    f"the fixed effect {label} fits every level of the grouping factor "
                    f"{grouping.label}, and leaves nothing of its variance; keep one of them"
                )


def _is_nested(inner: Grouping | Factor, outer: Grouping) -> bool:
    """Tell whether each level of `inner` occurs with one level of `outer` only."""
    of_level = np.empty(inner.nlevels, dtype=np.int32)
    of_level[inner.codes] = outer.codes
    return bool((of_level[inner.codes] == outer.codes).all())


def relation(a: Grouping, b: Grouping) -> str:
    """Tell whether `a` is nested in `b`, crossed with it, or partially crossed."""
    if _is_nested(a, b):
        return "nested"
    pairs = factor_of_integers(a.codes.astype(np.int64) * b.nlevels + b.codes)
    return "crossed" if pairs.nlevels == a.nlevels * b.nlevels else "partially crossed"
