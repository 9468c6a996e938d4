"""Pictures of influence: Cook's distances of rows, and of levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.factors import level_texts
from mixedmodels.plots.canvas import MOST_READ, height_for, label_rows, note, one_panel
from mixedmodels.plots.labels import plain, shortened
from mixedmodels.plots.style import GUIDE, colours, guide_width
from mixedmodels.plots.thinning import evenly, thinned_note

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

# Rows whose distance is drawn, those of the largest.
MOST_ROWS = 40


def cooks(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw the largest of the rows' Cook's distances, in order."""
    distances = model.cooks_distance()
    largest = distances.nlargest(MOST_ROWS)
    panel = one_panel(ax, height_for(len(largest)))
    _dots(panel, largest.to_numpy()[::-1], largest.index[::-1], "Row")
    panel.set_xlabel("Cook's distance")
    if len(distances) > len(largest):
        note(panel, f"the {len(largest)} largest of {len(distances):,} rows")
    return panel


def influence(model: LinearMixedModel, group: str | None, ax: Any) -> Axes:
    """Draw Cook's distance of each level of a factor, in increasing order."""
    found = model.influence(group)
    known = np.flatnonzero(np.isfinite(found.cooks_distance))
    order = known[np.argsort(found.cooks_distance[known], kind="stable")]
    panel = one_panel(ax, height_for(len(order)))
    name = "Row" if found.group == "obs" else plain(found.group)
    shown = _dots(panel, found.cooks_distance[order], found.levels[order], name)
    panel.set_xlabel("Cook's distance of the fixed effects")
    left_out = thinned_note(shown, len(order), "levels")
    if left_out:
        note(panel, left_out)
    if found.notes:
        note(panel, f"{len(found.notes)} levels are not drawn, as the model needs them")
    return panel


def _dots(panel: Axes, distances: NDArray[np.float64], levels: pd.Index, name: str) -> int:
    """Draw a dot for each distance, from the bottom, and return how many are drawn."""
    count = len(distances)
    shown = evenly(count)
    (colour,) = colours(1)
    panel.set_ylim(-0.6, count - 0.4)
    panel.axvline(0.0, color=GUIDE, linewidth=guide_width(), zorder=0, label="zero")
    panel.hlines(shown, 0.0, distances[shown], color=GUIDE, linewidth=guide_width(), label="stems")
    panel.plot(
        distances[shown],
        shown,
        linestyle="none",
        marker="o",
        color=colour,
        markersize=5.0 if count <= MOST_READ else 2.0,
        markeredgewidth=0,
        label="distances",
    )
    few = levels if count <= MOST_READ else levels[:0]
    label_rows(panel, np.arange(count), [shortened(t) for t in level_texts(few)], count, name)
    return int(shown.size)
