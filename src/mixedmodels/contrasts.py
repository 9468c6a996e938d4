"""Contrasts: how a factor of k levels becomes k - 1 columns, with R's names for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mixedmodels.errors import DataError, FormulaError

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contrasts:
    """A contrast matrix.

    Parameters
    ----------
    matrix : ndarray (k, columns)
        One row for each level.
    names : tuple of str
        What follows the name of the factor in the names of the coefficients.
    """

    matrix: Floats
    names: tuple[str, ...]


# Makes the contrasts of the levels, given their texts.
Coding: TypeAlias = Callable[[Sequence[str]], Contrasts]


def treatment(levels: Sequence[str], base: int = 0) -> Contrasts:
    """Compare each level with a base level."""
    others = [i for i in range(len(levels)) if i != base]
    return Contrasts(np.eye(len(levels))[:, others], tuple(levels[i] for i in others))


def sas(levels: Sequence[str]) -> Contrasts:
    """Compare each level with the last one."""
    return treatment(levels, len(levels) - 1)


def deviation(levels: Sequence[str]) -> Contrasts:
    """Compare each level but the last with the mean of all."""
    k = len(levels)
    return _numbered(np.vstack([np.eye(k - 1), np.full((1, k - 1), -1.0)]))


def helmert(levels: Sequence[str]) -> Contrasts:
    """Compare each level but the first with the mean of those before it."""
    k = len(levels)
    rows, columns = np.indices((k, k - 1))
    matrix = np.where(rows <= columns, -1.0, 0.0) + (rows == columns + 1) * rows
    return _numbered(matrix)


def difference(levels: Sequence[str]) -> Contrasts:
    """Compare each level but the first with the one before it."""
    k = len(levels)
    rows, columns = np.indices((k, k - 1))
    return _numbered((columns + 1) / k - (rows <= columns))


def polynomial(levels: Sequence[str]) -> Contrasts:
    """Take orthogonal polynomials of the positions of the levels."""
    k = len(levels)
    positions = np.arange(k) - (k - 1) / 2
    columns = np.full((k, k), k**-0.5)
    for degree in range(1, k):
        previous = columns[:, :degree]
        column = positions * previous[:, -1]
        for _ in range(2):  # once would leave the rounding errors of high degrees
            column = column - previous @ (previous.T @ column)
        columns[:, degree] = column / np.linalg.norm(column)
    names = (".L", ".Q", ".C", *(f"^{degree}" for degree in range(4, k)))
    return Contrasts(columns[:, 1:], names[: k - 1])


def custom(weights: object) -> Coding:
    """Take the columns of a matrix, or the named vectors of a dict, as contrasts."""
    names = tuple(weights) if isinstance(weights, dict) else None
    try:
        columns = list(weights.values()) if isinstance(weights, dict) else weights
        matrix = np.array(columns, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise FormulaError("custom contrasts must be a matrix or a dict of vectors of numbers")
    if names is not None:
        matrix = matrix.T

    def coding(levels: Sequence[str]) -> Contrasts:
        if matrix.shape[0] != len(levels) or matrix.shape[1] >= len(levels):
            raise DataError(
                f"contrasts for {len(levels)} levels need that many rows and fewer columns, not "
                f"{matrix.shape[0]} by {matrix.shape[1]}"
            )
        return _numbered(matrix) if names is None else Contrasts(matrix, names)

    return coding


def by_position(coding: Coding) -> Coding:
    """Name the columns by the positions of their levels, as R does for a function in ``C()``."""

    def numbered(levels: Sequence[str]) -> Contrasts:
        return coding([str(i + 1) for i in range(len(levels))])

    return numbered


def _numbered(matrix: Floats) -> Contrasts:
    return Contrasts(matrix, tuple(str(i + 1) for i in range(matrix.shape[1])))
