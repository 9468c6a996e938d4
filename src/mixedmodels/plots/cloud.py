"""Clouds of points: the points themselves, or their density where they are many; and a smooth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from mixedmodels.plots.canvas import note
from mixedmodels.plots.style import colours, shades
from mixedmodels.plots.thinning import MOST_POINTS, MOST_ROWS, evenly, thinned_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# The part of the points that a smooth takes into account at each place.
SPAN = 2 / 3
PLACES = 40


def draw_cloud(ax: Axes, x: Floats, y: Floats) -> None:
    """Draw points; more than a few thousand as hexagons, the darker the more points."""
    if x.size <= MOST_POINTS:
        few = x.size <= 200
        ax.plot(
            x,
            y,
            linestyle="none",
            marker="o",
            color=colours(1)[0],
            markersize=4.5 if few else 2.5,
            markeredgewidth=0,
            alpha=0.8 if few else 0.45,
            rasterized=x.size > 500,
            label="observations",
        )
        return
    taken = evenly(x.size, MOST_ROWS)
    hexagons = ax.hexbin(
        x[taken],
        y[taken],
        gridsize=60,
        bins="log",
        mincnt=1,
        linewidths=0,
        cmap=LinearSegmentedColormap.from_list("ink", shades(ax)),
        rasterized=True,
    )
    counts = np.asarray(hexagons.get_array())
    note(ax, f"darker hexagons hold more observations, 1 to {counts.max():,.0f}")
    left_out = thinned_note(taken.size, x.size, "observations")
    if left_out:
        note(ax, left_out)


def draw_smooth(ax: Axes, x: Floats, y: Floats) -> None:
    """Draw how the mean of y goes with x."""
    places, heights = local_means(x, y)
    ax.plot(places, heights, color=colours(2)[1], label="local mean")


def local_means(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Smooth by local lines with tricube weights (Cleveland 1979, JASA 74:829), not robustly.

    Parameters
    ----------
    x, y : ndarray (n,)
        The points; of very many, some.

    Returns
    -------
    places, heights : ndarray
        Quantiles of x, and the smooth there.
    """
    order = np.argsort(x, kind="stable")
    order = order[evenly(order.size, 2 * MOST_POINTS)]
    x, y = x[order], y[order]
    places = np.unique(x[evenly(x.size, PLACES)])
    near = max(2, int(np.ceil(SPAN * x.size)))
    heights = np.empty_like(places)
    for i, place in enumerate(places):
        distance = np.abs(x - place)
        reach = np.partition(distance, near - 1)[near - 1] * (1 + 1e-9)
        weight = np.clip(1.0 - (distance / (reach or 1.0)) ** 3, 0.0, None) ** 3
        total = weight.sum()
        centre = weight @ x / total
        spread = weight @ (x - centre) ** 2
        mean = weight @ y / total
        slope = weight @ ((x - centre) * y) / spread if spread > 1e-12 * total else 0.0
        heights[i] = mean + slope * (place - centre)
    return places, heights
