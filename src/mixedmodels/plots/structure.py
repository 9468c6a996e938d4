"""Images of a model's matrices: Z', Λ, Z'Z and L with its fill-in."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.errors import ArgumentError
from mixedmodels.factors import level_texts
from mixedmodels.plots.canvas import Panels, message, one_panel, panels
from mixedmodels.plots.labels import plain, shortened
from mixedmodels.plots.sparse_image import Side, draw_sparse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

MOST_LABELLED = 40


def Zt(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw Z', the indicators of the levels: a column an observation."""
    panel = one_panel(ax)
    matrix = model.Zt
    draw_sparse(
        panel, matrix.tocoo(), _effects(model), Side("Observation", numbered=True), square=False
    )
    return _titled(panel, "Z′", matrix.shape)


def Lambda(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw Λ, the relative standard deviations of the random effects."""
    panel = one_panel(ax)
    matrix = model.Lambda.tocoo()
    matrix.eliminate_zeros()
    side = _effects(model)
    draw_sparse(panel, matrix, side, side)
    return _titled(panel, "Λ", matrix.shape)


def ZtZ(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw Z'Z: how often levels occur, and occur together."""
    panel = one_panel(ax)
    matrix = (model.Zt @ model.Zt.T).tocoo()
    side = _effects(model)
    draw_sparse(panel, matrix, side, side)
    return _titled(panel, "Z′Z", matrix.shape)


def L(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw the Cholesky factor L of Λ'Z'WZΛ + I, what is not in that matrix in a colour."""
    factor = model.L.tocoo()  # raises where there is none
    factor.eliminate_zeros()
    panel = one_panel(ax)
    fill = ~_in_matrix(model, factor.row, factor.col)
    side = _permuted_effects(model)
    draw_sparse(panel, factor, side, side, fill=fill)
    _titled(panel, "L", factor.shape)
    many = f"{factor.nnz:,} nonzeros, {np.count_nonzero(fill):,} of them fill-in"
    panel.set_xlabel("\n".join(filter(None, [panel.get_xlabel(), many])))
    return panel


def structure(model: LinearMixedModel, ax: Any) -> Panels:
    """Draw all four; where there is no L, say so."""
    axes = panels(ax, 4, columns=2, size=(1.35, 1.9))
    Zt(model, axes[0])
    Lambda(model, axes[1])
    ZtZ(model, axes[2])
    try:
        L(model, axes[3])
    except ArgumentError as error:
        message(axes[3], f"L: {error}")
    return axes


# -- parts -----------------------------------------------------------------------------------


def _titled(ax: Axes, name: str, shape: tuple[int, ...]) -> Axes:
    ax.set_title(f"{name}, {shape[0]:,} × {shape[1]:,}", loc="left", fontsize="medium")
    return ax


def _effects(model: LinearMixedModel) -> Side:
    """Describe the random effects, term after term."""
    groupings = model.design.groupings
    few = sum(g.nlevels for g in groupings) <= MOST_LABELLED
    texts = [text for g in groupings for text in level_texts(g.levels)] if few else []
    return Side(
        " and ".join(plain(g.label) for g in groupings),
        tuple((plain(g.label), g.nlevels) for g in groupings),
        tuple(map(shortened, texts)),
    )


def _permuted_effects(model: LinearMixedModel) -> Side:
    """Describe the random effects in the order of L: terms may be mixed to save fill-in."""
    levels = [g.nlevels for g in model.design.groupings]
    names = [plain(g.label) for g in model.design.groupings]
    term = np.repeat(np.arange(len(levels)), levels)[model.permutation]
    runs = [(int(t), len(list(same))) for t, same in groupby(term.tolist())]
    if len(runs) == len(levels):
        return Side("", tuple((names[t], size) for t, size in runs))
    rest = " and ".join(names[1:])
    return Side("", ((names[0], levels[0]), (f"{rest}, mixed", sum(levels[1:]))))


def _in_matrix(
    model: LinearMixedModel, row: NDArray[Any], column: NDArray[Any]
) -> NDArray[np.bool_]:
    """Tell which entries of L are entries of the permuted Λ'Z'WZΛ + I."""
    from scipy.sparse import eye_array

    half = (model.Lambda @ model.Zt).tocsr()
    half.eliminate_zeros()
    pattern = (half @ half.T + eye_array(half.shape[0])).tocoo()
    q = np.int64(half.shape[0])
    place = np.empty(q, dtype=np.int64)
    place[model.permutation] = np.arange(q)
    there = np.sort(place[pattern.row] * q + place[pattern.col])
    wanted = row.astype(np.int64) * q + column
    found = np.searchsorted(there, wanted).clip(0, there.size - 1)
    same: NDArray[np.bool_] = there[found] == wanted
    return same
