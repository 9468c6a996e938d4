"""The variance components and their shares of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.plots.canvas import one_panel, points_wide
from mixedmodels.plots.labels import plain, squared, unit_of_response, with_unit
from mixedmodels.plots.style import colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mixedmodels.model import LinearMixedModel


def shares(model: LinearMixedModel) -> dict[str, float]:
    """Return the share of each component in the sum of all, the residual last."""
    components = model.varcorr().components
    total = sum(c.variance for c in components)
    return {c.group: c.variance / total for c in components}


def variances(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw a bar for each variance, with its share of their sum."""
    components = model.varcorr().components
    panel = one_panel(ax, 0.28 + 0.12 * len(components))
    values = np.array([c.variance for c in components])
    rows = np.arange(len(components))
    bars = panel.barh(rows, values, height=0.6, color=colours(1)[0])
    texts = [f"{share:.1%}" for share in shares(model).values()]
    panel.bar_label(bars, [text.replace("%", " %") for text in texts], padding=4)
    panel.set_yticks(rows, [plain(c.group) for c in components])
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(components) - 0.5, -0.5)
    panel.set_xlim(0.0, (1.0 + 55.0 / points_wide(panel)) * values.max())
    panel.set_xlabel(with_unit("Variance", squared(unit_of_response(model))))
    return panel
