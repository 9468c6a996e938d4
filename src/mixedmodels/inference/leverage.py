"""Leverages, and the Cook's distances of rows that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.errors import ArgumentError
from mixedmodels.inference.henderson import error_variances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.design import Design
    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]


def leverages(model: LinearMixedModel) -> Floats:
    """Compute the leverage of each row: the derivative of its fitted value by its response.

    It is w · var(x'β̂ + z'b̂ − x'β − z'b)/σ² at the estimated θ.

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
    design = model.design.in_memory()
    X = design.X[:, model.cross_products.structure.kept]
    variances = error_variances(model, X, *_cells(design))
    return variances if design.weights is None else design.weights * variances


def cooks_distances(model: LinearMixedModel) -> Floats:
    """Compute the Cook's distance of each row: see `LinearMixedModel.cooks_distance`."""
    rank = model.cross_products.rank
    if not rank:
        raise ArgumentError("Cook's distance is of fixed effects, and the model has none")
    h = leverages(model)
    design = model.design.in_memory()
    residuals = design.y - (model.fixed_part(design) + model.random_part(design))
    if design.weights is not None:
        residuals = residuals * np.sqrt(design.weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = (residuals / (1.0 - h)) ** 2 * h / (rank * model.sigma**2)
    alone: Floats = np.where(h < 1.0 - 1e-12, distances, np.nan)
    return alone


def _cells(design: Design) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the combinations of levels that occur, as rows of Z', and which one each row has."""
    offset, columns = 0, []
    for g in design.groupings:
        columns.append(g.codes.astype(np.int64) + offset)
        offset += g.nlevels
    return distinct_cells(np.column_stack(columns))


def distinct_cells(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the different rows of `codes`, and which of them each row is."""
    cells, of_row = np.unique(codes, axis=0, return_inverse=True)
    return cells, of_row.ravel()
