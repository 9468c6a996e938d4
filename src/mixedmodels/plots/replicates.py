"""Densities of bootstrap replicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.errors import ArgumentError, UnknownColumnError
from mixedmodels.plots.canvas import Drawn, one_or_all, panels
from mixedmodels.plots.labels import plain
from mixedmodels.plots.style import GUIDE, colours, guide_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixedmodels.inference.bootstrap import Bootstrap

BINS = 60


def replicates(bootstrap: Bootstrap, parameters: Any, ax: Any) -> Drawn:
    """Draw a histogram of each parameter's replicates: see `Bootstrap.plot`."""
    names = list(bootstrap.names)
    wanted = names if parameters is None else np.atleast_1d(parameters).tolist()
    for name in wanted:
        if name not in names:
            raise UnknownColumnError(
                f"the bootstrap has no parameter {name!r}; it has {', '.join(names)}"
            )
    if len(wanted) == 0:
        raise ArgumentError("no parameter is asked for")
    intervals = bootstrap.confint(kind="shortest")
    columns = min(2, len(wanted))
    rows = -(-len(wanted) // columns)
    axes = panels(ax, len(wanted), columns=columns, size=(0.9 * columns, 0.65 * rows))
    values = bootstrap.values[bootstrap.good]
    for one, name in zip(axes, wanted, strict=True):
        column = names.index(name)
        low, high = intervals.loc[name]
        _histogram(one, values[:, column], bootstrap.estimates[column], low, high)
        one.set_xlabel(plain(name))
        one.set_ylabel("Density")
    return one_or_all(axes)


def _histogram(
    ax: Axes, values: NDArray[np.float64], estimate: float, low: float, high: float
) -> None:
    """Draw one: what is exactly zero, on the boundary, stands in the first bin alone."""
    colour, accent = colours(2)
    bins = min(BINS, max(10, int(np.sqrt(values.size))))
    ax.hist(values, bins=bins, density=True, color=colour, alpha=0.6)
    ax.axvline(estimate, color=GUIDE, linewidth=guide_width())
    ax.plot([low, high], [0.0, 0.0], color=accent, linewidth=4.0, solid_capstyle="butt")
