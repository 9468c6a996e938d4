"""FileDesign → sums of its rows, which pass by in batches and are not kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mixedmodels import _core
from mixedmodels.design import Design, Outline, constant_response
from mixedmodels.errors import PrecisionWarning, warn
from mixedmodels.grouping import same_division

Floats = NDArray[np.float64]

# Readings of the file, each with a better basis of X; the second is nearly always the last.
_MOST_READINGS = 6
_REDUNDANT = 1e-10


def row_sums(
    design: Outline, tell: Callable[[str], None] = lambda text: None
) -> tuple[_core.Structure, _core.CrossProducts, Floats]:
    """Sum the rows of a design whose rows are in a file.

    Parameters
    ----------
    design : Outline
        The design.
    tell : callable, optional
        Told how many rows have been read.

    Returns
    -------
    structure : _core.Structure
        The sums without the response.
    products : _core.CrossProducts
        Those with it.
    squares : ndarray (p,)
        The sums of squares of the columns of X.

    Raises
    ------
    ResponseError
        If the response is constant.
    GroupingError
        If two grouping factors divide the rows in the same way.

    Warns
    -----
    PrecisionWarning
        If no basis was found on which the sums keep their digits.
    """
    R0, b0 = first_basis(design.few(), design.n)
    levels = [g.nlevels for g in design.groupings]
    for _ in range(_MOST_READINGS):
        sums = _core.RowSums(levels, R0, b0)
        least, greatest = np.inf, -np.inf
        for piece in design.pieces():
            tell(f"summing: {sums.rows:,} of {design.n:,} rows")
            least, greatest = min(least, piece.y.min()), max(greatest, piece.y.max())
            y = piece.y if piece.offset is None else piece.y - piece.offset
            sums.add([g.codes for g in piece.groupings], piece.X, y, piece.weights)
        if least == greatest and design.n > 1:
            raise constant_response(design.response_name, least)
        if sums.sound():
            break
        R0, b0 = sums.better_R0, sums.better_b0
    else:
        warn(
            f"the sums over the file have lost digits, even after {_MOST_READINGS} readings: "
            "columns of the fixed effects are nearly redundant, or far from zero; centre and "
            "rescale them, or fit a frame in memory",
            PrecisionWarning,
        )
    squares = sums.squares
    structure, products = sums.finish()
    _refuse_same_divisions(design, structure)
    return structure, products, squares


def first_basis(design: Design, n: int) -> tuple[Floats, Floats]:
    """Find R with X R⁻¹ nearly orthonormal in all rows, and b with y nearly X R⁻¹ b, on a few.

    Parameters
    ----------
    design : Design
        Some of the rows.
    n : int
        The number of all rows.

    Returns
    -------
    R : ndarray (p, p)
        Upper triangular, in Fortran order.
    b : ndarray (p,)
    """
    root = 1.0 if design.weights is None else np.sqrt(design.weights)[:, None]
    X = design.X * root
    y = design.y if design.offset is None else design.y - design.offset
    p = X.shape[1]
    R, b = np.zeros((p, p), order="F"), np.zeros(p)
    lengths = np.linalg.norm(X, axis=0)
    Q = np.empty((X.shape[0], 0))
    kept: list[int] = []
    for j in range(p):
        v = X[:, j].copy()
        for _ in range(2):
            share = Q.T @ v
            v -= Q @ share
            R[kept, j] += share
        left = float(np.linalg.norm(v))
        if left > _REDUNDANT * lengths[j]:
            R[j, j] = left
            Q = np.column_stack([Q, v / left])
            kept.append(j)
        else:  # redundant here, but perhaps not in all rows
            R[j, j] = lengths[j] or 1.0
    b[kept] = Q.T @ (y * np.ravel(root))
    grown = np.sqrt(n / design.n)
    return np.asfortranarray(R * grown), b * grown


def _refuse_same_divisions(design: Outline, structure: _core.Structure) -> None:
    """Raise if two factors with as many levels have one cell a level."""
    groupings = design.groupings
    offset = np.cumsum([0] + [g.nlevels for g in groupings])
    for s, a in enumerate(groupings):
        for t in range(s + 1, len(groupings)):
            if groupings[t].nlevels != a.nlevels:
                continue
            start, index, _ = structure.leading if s == 0 else structure.trailing
            first = 0 if s == 0 else offset[s] - offset[1]
            cells = index[start[first] : start[first + a.nlevels]]
            low, high = offset[t] - offset[1], offset[t + 1] - offset[1]
            if np.count_nonzero((cells >= low) & (cells < high)) == a.nlevels:
                raise same_division(a, groupings[t])
