"""How the optimiser came to the minimum, iteration by iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from mixedmodels.plots.canvas import Panels, key_above, note, panels
from mixedmodels.plots.labels import plain
from mixedmodels.plots.style import DASHES, MARKERS, colours

if TYPE_CHECKING:
    from mixedmodels.model import LinearMixedModel


def convergence(model: LinearMixedModel, ax: Any) -> Panels:
    """Draw the trace: the decrease that the next step promises, and θ."""
    axes = panels(ax, 2, columns=2, size=(1.5, 1.0))
    trace = model.iterations
    number = trace["iteration"].to_numpy()
    promised = 0.5 * trace["decrement"].to_numpy()
    left, right = axes
    positive = np.where(promised > 0, promised, np.nan)
    left.plot(number, positive, "o-", color=colours(1)[0])
    left.set_yscale("log")
    left.set_ylabel("Decrease to come, ½g′A⁻¹g")
    name = "REML criterion" if model.reml else "deviance"
    for one in axes:
        one.set_xlabel("Iteration")
        one.xaxis.set_major_locator(MaxNLocator(integer=True))
    note(left, f"{name} at the end: {model.objective:.4f}")
    labels = model.cross_products.labels
    for t, (label, colour) in enumerate(zip(labels, colours(len(labels)), strict=True)):
        right.plot(
            number,
            trace[f"theta[{label}]"].to_numpy(),
            color=colour,
            marker=MARKERS[t % len(MARKERS)],
            linestyle=DASHES[t % len(DASHES)],
            label=plain(label),
        )
    right.set_ylim(0.0, 1.08 * max(float(right.dataLim.y1), 1e-3))
    right.set_ylabel("θ")
    key_above(right, None, len(labels))
    return axes
