"""The model's matrices as SciPy's sparse arrays: Z', Λ and the Cholesky factor L."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixedmodels import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csc_array, csr_array, dia_array

    from mixedmodels.cross_products import CrossProducts
    from mixedmodels.design import Design
    from mixedmodels.estimation.plan import Plan


def theta_of_levels(theta: NDArray[np.float64], levels: tuple[int, ...]) -> NDArray[np.float64]:
    """Repeat each term's θ for its levels: the diagonal of Λ (q,)."""
    return np.repeat(theta, levels)


def transposed_Z(design: Design) -> csr_array:
    """Return Z' (q, n): indicators of the levels, term after term."""
    from scipy.sparse import csc_array

    offsets = np.cumsum([0] + [g.nlevels for g in design.groupings])
    n, k = design.y.size, len(design.groupings)
    rows = np.column_stack(
        [g.codes + offset for g, offset in zip(design.groupings, offsets, strict=False)]
    )
    indicators = csc_array(
        (np.ones(n * k), rows.ravel(), k * np.arange(n + 1)), shape=(int(offsets[-1]), n)
    )
    return indicators.tocsr()


def relative_factor(theta: NDArray[np.float64], levels: tuple[int, ...]) -> dia_array:
    """Return Λ (q, q), diagonal while all terms are scalar."""
    from scipy.sparse import diags_array

    return diags_array(theta_of_levels(theta, levels))


def cholesky_factor(
    data: CrossProducts, plan: Plan, theta: NDArray[np.float64]
) -> tuple[csc_array, NDArray[np.int64]]:
    """Return L and the permutation P with L L' = P (Λ'Z'WZΛ + I) P'.

    Parameters
    ----------
    data : CrossProducts
        The sums over the data.
    plan : Plan
        How the Schur complement is ordered.
    theta : ndarray (k,)
        Relative standard deviations.

    Returns
    -------
    L : csc_array (q, q)
        Lower triangular.
    permutation : ndarray (q,)
        Row i of L belongs to random effect ``permutation[i]``.
    """
    from scipy.sparse import block_array, csc_array, csr_array, diags_array

    d, start, index, value = _core.factor(data.response, plan.core, theta**2)
    levels = data.levels
    leading_levels = levels[0]
    root = diags_array(np.sqrt(d))
    if plan.dimension == 0:
        return csc_array(root), np.arange(leading_levels)
    order = plan.core.order.astype(np.int64)
    scale = theta_of_levels(theta, levels)
    cell_start, cell_index, cell_value = data.structure.leading
    cells = csr_array((cell_value, cell_index, cell_start), shape=(leading_levels, plan.dimension))
    below = (diags_array(scale[leading_levels:]) @ cells.T)[order] @ diags_array(
        theta[0] / np.sqrt(d)
    )
    schur = csc_array((value, index, start), shape=(plan.dimension, plan.dimension))
    L = csc_array(block_array([[root, None], [below, schur]]))
    return L, np.concatenate([np.arange(leading_levels), leading_levels + order])
