"""Henderson's mixed-model equations: the joint inverse for (u, β), on rows of Z and X."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.errors import FitTooLargeError
from mixedmodels.matrices import theta_of_levels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from mixedmodels.estimates import Estimates

    Floats = NDArray[np.float64]
    Solver = Callable[[Floats], Floats]

# Levels of all terms but the largest up to which S is factored, and operations still affordable.
MOST_LEVELS = 4000
MOST_FLOPS = 5e11
BLOCK = 2048
# Of conjugate gradients: columns at once, relative error of a solution, iterations.
COLUMNS, TOLERANCE, MOST_ITERATIONS = 64, 1e-12, 2000


def error_variances(
    model: Estimates, X: Floats, cells: NDArray[np.int64], cell_of_row: NDArray[np.intp]
) -> Floats:
    """Compute var(x'β̂ + z'b̂ − x'β − z'b)/σ² of some rows, at the estimated θ.

    With z̃ = Λz, M = Λ'Z'WZΛ + I and G = M⁻¹Λ'Z'WX, it is

        z̃'M⁻¹z̃ + (x − G'z̃)' (X'V⁻¹X)⁻¹ (x − G'z̃)

    (Henderson 1975, Biometrics 31:423). M⁻¹z̃ is had by eliminating the largest term, whose block of
    M is diagonal, and solving with the Schur complement S of the rest: by its factor where that is
    small, by conjugate gradients where it is not. Rows of the same levels share the work.

    Parameters
    ----------
    model : Estimates
        The fitted model.
    X : ndarray (m, rank)
        The fixed-effects rows, without redundant columns.
    cells : ndarray (c, k)
        Combinations of levels: of each term the place among all q random effects, or -1 where the
        rows have none of its random effects.
    cell_of_row : ndarray (m,)
        The combination of each row.

    Returns
    -------
    ndarray (m,)

    Raises
    ------
    FitTooLargeError
        If it would take too long.
    """
    from scipy.linalg import solve_triangular

    structure = model.cross_products.structure
    R = structure.R
    random, shrunk = _quadratic_forms(model, cells)
    # In the orthonormal basis X = QR, where a large mean costs no digits.
    x = X if not R.size else solve_triangular(R, X.T, trans="T", lower=False).T
    x = x - shrunk[cell_of_row]
    covariance = R @ model.optimum.core.unscaled_covariance @ R.T
    fixed = np.einsum("ij,jk,ik->i", x, covariance, x)
    total: Floats = random[cell_of_row] + fixed
    return total


def _quadratic_forms(model: Estimates, cells: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return z̃'M⁻¹z̃ (c,) and G'z̃ (c, rank), G of the orthonormal basis, for each combination."""
    from scipy.sparse import csr_array, diags_array

    sums = model.cross_products
    structure = sums.structure
    leading, q = sums.levels[0], sum(sums.levels)
    rest = q - leading
    scale = theta_of_levels(model.theta, sums.levels)
    d = 1.0 + scale[:leading] ** 2 * structure.count[:leading]
    B = _below(model, scale)
    right = scale[:, None] * structure.ZtX
    solve, halved = _solver(model, B, d, scale, len(cells))

    first = cells[:, 0]
    a = np.where(first < 0, 0.0, scale[first])
    random = a**2 / d[first]
    shrunk = (a / d[first])[:, None] * right[first]
    if not rest:
        return random, shrunk
    below = right[leading:] - B @ (right[:leading] / d[:, None])
    if halved:  # a factor need only solve by half: v'S⁻¹v = ‖L⁻¹v‖²
        below = solve(below)
    for start in range(0, len(cells), BLOCK):
        part = slice(start, start + BLOCK)
        others = cells[part, 1:]
        present = others >= 0
        places = np.repeat(np.arange(len(others)), others.shape[1])[present.ravel()]
        columns = others[present]
        z = csr_array((scale[columns], (places, columns - leading)), shape=(len(others), rest))
        v = (z.T - B[:, first[part]] @ diags_array(a[part] / d[first[part]])).toarray()
        solved = solve(v)
        random[part] += (solved * (solved if halved else v)).sum(axis=0)
        shrunk[part] += solved.T @ below
    return random, shrunk


def _below(model: Estimates, scale: Floats) -> csr_array:
    """Return the block of M below that of the leading term (rest, leading)."""
    from scipy.sparse import csr_array, diags_array

    sums = model.cross_products
    leading, rest = sums.levels[0], sum(sums.levels[1:])
    if not rest:
        return csr_array((0, leading))
    start, index, value = sums.structure.leading
    cells = csr_array((value, index, start), shape=(leading, rest))
    scaled = diags_array(scale[leading:]) @ cells.T @ diags_array(scale[:leading])
    return csr_array(scaled)


def _solver(
    model: Estimates, B: csr_array, d: Floats, scale: Floats, count: int
) -> tuple[Solver, bool]:
    """Return what solves with S, or half of it with a factor of S, for `count` right-hand sides."""
    from scipy.linalg import cholesky, solve_triangular
    from scipy.sparse import csr_array, diags_array, eye_array

    sums = model.cross_products
    leading, rest = sums.levels[0], B.shape[0]
    if not rest:
        return (lambda v: v), True
    start, index, value = sums.structure.trailing
    upper = csr_array((value, index, start), shape=(rest, rest))
    s = scale[leading:]
    N = upper + upper.T + diags_array(sums.structure.count[leading:])
    A = csr_array(eye_array(rest) + diags_array(s) @ N @ diags_array(s))
    if rest <= MOST_LEVELS and count * float(rest) ** 2 <= MOST_FLOPS:
        S = A.toarray() - (B @ diags_array(1.0 / d) @ B.T).toarray()
        L = cholesky(S, lower=True)
        return (lambda v: solve_triangular(L, v, lower=True)), True
    iterations = 100.0  # or so
    if 4.0 * iterations * count * (B.nnz + A.nnz) > MOST_FLOPS:
        raise FitTooLargeError(
            f"standard errors and leverages of {count:,} different combinations of levels take too "
            f"long with {rest:,} levels beside those of {sums.labels[0]}; ask for fewer rows, or "
            "predict with random=False"
        )
    diagonal = A.diagonal() - (B.multiply(B) @ (1.0 / d))
    transposed = csr_array(B.T)

    def apply(v: Floats) -> Floats:
        product: Floats = A @ v - B @ ((transposed @ v) / d[:, None])
        return product

    return (lambda v: _conjugate_gradients(apply, v, diagonal)), False


def _conjugate_gradients(apply: Solver, b: Floats, diagonal: Floats) -> Floats:
    """Solve for the columns of `b`, some at a time, preconditioned by the diagonal."""
    x = np.zeros_like(b)
    for start in range(0, b.shape[1], COLUMNS):
        part = slice(start, start + COLUMNS)
        r = b[:, part].copy()
        z = r / diagonal[:, None]
        p, rz = z.copy(), (r * z).sum(axis=0)
        least = TOLERANCE**2 * rz
        for _ in range(MOST_ITERATIONS):
            if (rz <= least).all():
                break
            Sp = apply(p)
            curvature = (p * Sp).sum(axis=0)
            step = np.where(rz > least, rz / np.where(curvature > 0.0, curvature, 1.0), 0.0)
            x[:, part] += step * p
            r -= step * Sp
            z = r / diagonal[:, None]
            before, rz = rz, (r * z).sum(axis=0)
            p = z + np.where(before > 0.0, rz / np.where(before > 0.0, before, 1.0), 0.0) * p
        else:
            raise FitTooLargeError(
                "the equations of the random effects are too ill-conditioned for standard errors "
                "without a factor; predict with random=False"
            )
    return x
