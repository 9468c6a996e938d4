"""Leverages: the diagonal of the matrix that takes the response to the fitted values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.errors import FitTooLargeError
from mixedmodels.matrices import theta_of_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.design import Design
    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]

# Levels of all terms but the largest, and floating-point operations, that are still affordable.
MOST_LEVELS = 4000
MOST_FLOPS = 5e11
BLOCK = 2048


def leverages(model: LinearMixedModel) -> Floats:
    """Compute the leverage of each row: the derivative of its fitted value by its response.

    With z̃ = Λz and M = Λ'Z'WZΛ + I, G = M⁻¹Λ'Z'WX, it is

        h = w [ z̃'M⁻¹z̃ + (x − G'z̃)' (X'V⁻¹X)⁻¹ (x − G'z̃) ]

    at the estimated θ. M⁻¹z̃ is had by eliminating the largest term, whose block of M is diagonal;
    rows of the same levels share it.

    Parameters
    ----------
    model : LinearMixedModel
        The fitted model.

    Returns
    -------
    ndarray (n,)
        Between 0 and 1; their sum is the effective number of parameters.

    Raises
    ------
    FitTooLargeError
        If it would take too long.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.sparse import csr_array, diags_array, eye_array

    sums = model.cross_products
    leading = sums.levels[0]
    rest = sum(sums.levels) - leading
    design = model.design.in_memory()
    cells, cell_of_row = _cells(design)
    if rest > MOST_LEVELS or len(cells) * float(rest) ** 2 > MOST_FLOPS:
        raise FitTooLargeError(
            f"leverages of {len(cells):,} different rows take too long with {rest:,} levels beside "
            f"those of {sums.labels[0]}"
        )
    scale = theta_of_levels(model.theta, sums.levels)
    weights = np.ones(model.nobs) if design.weights is None else design.weights
    half = (diags_array(scale) @ model.Zt @ diags_array(np.sqrt(weights))).tocsr()
    M = (half @ half.T + eye_array(half.shape[0])).tocsr()
    d = M.diagonal()[:leading]
    B = M[leading:, :leading]
    S = M[leading:, leading:].toarray() - (B @ diags_array(1.0 / d) @ B.T).toarray()
    factor = cholesky(S, lower=True) if rest else S

    X = design.X[:, sums.structure.kept]
    right = half @ (np.sqrt(weights)[:, None] * X)  # Λ'Z'WX
    G = np.empty_like(right)
    if rest:
        below = right[leading:] - B @ (right[:leading] / d[:, None])
        G[leading:] = solve_triangular(
            factor, solve_triangular(factor, below, lower=True), lower=True, trans="T"
        )
    G[:leading] = (right[:leading] - B.T @ G[leading:]) / d[:, None]

    # The part of Z, for each combination of levels: a²/d and what is left of z̃ in S.
    first = cells[:, 0]
    a = scale[first]
    random = a**2 / d[first]
    for start in range(0, len(cells) if rest else 0, BLOCK):
        part = slice(start, start + BLOCK)
        others = cells[part, 1:]
        count = len(others)
        places = (np.repeat(np.arange(count), others.shape[1]), others.ravel() - leading)
        z = csr_array((scale[others].ravel(), places), shape=(count, rest))
        v = z.T - B[:, first[part]] @ diags_array(a[part] / d[first[part]])
        random[part] += np.square(solve_triangular(factor, v.toarray(), lower=True)).sum(axis=0)

    shrunk = sum(scale[column][:, None] * G[column] for column in cells.T)
    x = X - np.asarray(shrunk)[cell_of_row]
    fixed = np.einsum("ij,jk,ik->i", x, model.optimum.core.unscaled_covariance, x)
    h: Floats = weights * (random[cell_of_row] + fixed)
    return h


def _cells(design: Design) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the combinations of levels that occur, as rows of Z', and which one each row has."""
    offset, columns = 0, []
    for g in design.groupings:
        columns.append(g.codes.astype(np.int64) + offset)
        offset += g.nlevels
    codes = np.column_stack(columns)
    cells, of_row = np.unique(codes, axis=0, return_inverse=True)
    return cells, of_row.ravel()
