"""The cross-tabulation of two factors as a sparse image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.columns import Columns
from mixedmodels.errors import ArgumentTypeError, DataError
from mixedmodels.factors import Factor, level_texts
from mixedmodels.plots.labels import plain, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mixedmodels.plots.sparse_image import Side

MOST_LABELLED = 40


def plot_crosstab(data: Any, rows: str, columns: str, *, ax: Axes | None = None) -> Axes:
    """Draw how often the levels of two factors occur together: the darker, the more often.

    Nested factors show a staircase, crossed ones a full image, partially crossed ones gaps.

    Parameters
    ----------
    data : data frame or dict
        The data, as `lmer` takes them.
    rows, columns : str
        The columns of the data whose levels are the rows and the columns of the image.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes

    Raises
    ------
    UnknownColumnError
        If a column is not there.
    DataError
        If no row has both.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> ax = mm.plot_crosstab(mm.datasets.load("pastes"), "sample", "batch")
    >>> ax.get_title(loc="left")
    '30 of 300 cells, 2 observations each'
    """
    from scipy.sparse import coo_array

    from mixedmodels.plots.canvas import one_panel, wrapped
    from mixedmodels.plots.sparse_image import draw_sparse

    for name in (rows, columns):
        if not isinstance(name, str):
            raise ArgumentTypeError(f"rows and columns must be names of columns, not {name!r}")
    table = Columns(data)
    down, across = table.factor(rows), table.factor(columns)
    kept = np.flatnonzero((down.codes >= 0) & (across.codes >= 0))
    if not kept.size:
        raise DataError(f"nothing to draw: the data have no row with both {rows} and {columns}")
    down, across = down.take(kept), across.take(kept)
    counts = coo_array(
        (np.ones(kept.size), (down.codes, across.codes)), shape=(down.nlevels, across.nlevels)
    )
    counts.sum_duplicates()
    ax = one_panel(ax)
    draw_sparse(ax, counts, _side(rows, down), _side(columns, across), square=False)
    low, high = int(counts.data.min()), int(counts.data.max())
    cells = down.nlevels * across.nlevels
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    plural = "s" * (high > 1)
    said = f"{counts.nnz:,} of {cells:,} cells, {each} observation{plural} each"
    ax.set_title(wrapped(ax, said), loc="left", fontsize="medium")
    return ax


def _side(name: str, factor: Factor) -> Side:
    from mixedmodels.plots.sparse_image import Side

    if factor.nlevels > MOST_LABELLED:
        return Side(f"{plain(name)} ({factor.nlevels:,} levels)")
    return Side(plain(name), (), tuple(shortened(text) for text in level_texts(factor.levels)))
