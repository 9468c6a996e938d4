"""Pictures of residuals: against fitted values, normal plot, scale and location, leverage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.errors import ArgumentError, FitTooLargeError
from mixedmodels.inference.leverage import leverages
from mixedmodels.plots.canvas import Panels, message, note, one_panel, panels
from mixedmodels.plots.cloud import draw_cloud, draw_smooth
from mixedmodels.plots.labels import unit_of_response, with_unit
from mixedmodels.plots.style import GUIDE, colours, guide_width
from mixedmodels.plots.thinning import (
    MOST_POINTS,
    evenly_in_quantiles,
    normal_quantiles,
    thinned_note,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]


def residuals(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw residuals against fitted values, with a local mean; weighted ones times √w."""
    panel = one_panel(ax)
    fitted, residual = model.fitted().to_numpy(), _residuals(model)
    panel.axhline(0.0, color=GUIDE, linewidth=guide_width(), zorder=0, label="zero")
    unit = unit_of_response(model)
    panel.set_xlabel(with_unit("Fitted value", unit))
    panel.set_ylabel(
        with_unit("Residual" if model.options.weights is None else "√weight × residual", unit)
    )
    draw_cloud(panel, fitted, residual)
    draw_smooth(panel, fitted, residual)
    return panel


def normal(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw standardised residuals against normal quantiles, with the line of a normal sample."""
    panel = one_panel(ax)
    ordered = np.sort(_residuals(model)) / model.sigma
    quantiles = normal_quantiles(ordered.size)
    shown = evenly_in_quantiles(quantiles, MOST_POINTS)
    panel.axline(
        (0.0, 0.0), slope=1.0, color=GUIDE, linewidth=guide_width(), zorder=0, label="normal"
    )
    draw_cloud(panel, quantiles[shown], ordered[shown])
    panel.set_xlabel("Standard normal quantile")
    panel.set_ylabel("Residual / σ̂")
    left_out = thinned_note(shown.size, ordered.size, "residuals")
    if left_out:
        note(panel, left_out)
    return panel


def scale_location(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw the roots of absolute standardised residuals, whose mean should be level."""
    panel = one_panel(ax)
    fitted, root = model.fitted().to_numpy(), np.sqrt(np.abs(_residuals(model)) / model.sigma)
    panel.set_xlabel(with_unit("Fitted value", unit_of_response(model)))
    panel.set_ylabel("√|residual / σ̂|")
    draw_cloud(panel, fitted, root)
    draw_smooth(panel, fitted, root)
    panel.set_ylim(bottom=0.0)
    return panel


def leverage(model: LinearMixedModel, ax: Any) -> Axes:
    """Draw standardised residuals against leverages, whose mean is marked."""
    h = leverages(model)  # raises where it cannot be had
    panel = one_panel(ax)
    left = np.sqrt(np.clip(1.0 - h, 1e-12, None))
    panel.axhline(0.0, color=GUIDE, linewidth=guide_width(), zorder=0)
    panel.axvline(h.mean(), color=colours(2)[1], linestyle="--", zorder=3, label="mean")
    panel.set_xlabel("Leverage h (dashed: mean)")
    panel.set_ylabel("Residual / (σ̂√(1 − h))")
    draw_cloud(panel, h, _residuals(model) / (model.sigma * left))
    if np.ptp(h) < 1e-9:
        panel.set_xlim(0.0, 2.0 * h[0])
    return panel


def diagnosis(model: LinearMixedModel, ax: Any) -> Panels:
    """Draw all four; where leverages cannot be had, say so."""
    axes = panels(ax, 4, columns=2, size=(1.4, 1.5))
    residuals(model, axes[0])
    normal(model, axes[1])
    scale_location(model, axes[2])
    try:
        leverage(model, axes[3])
    except (ArgumentError, FitTooLargeError) as error:
        message(axes[3], str(error))
    return axes


def _residuals(model: LinearMixedModel) -> Floats:
    """Return the residuals, those of weighted rows scaled to one variance."""
    values: Floats = model.residuals().to_numpy()
    weights = None if model.options.weights is None else model.design.in_memory().weights
    return values if weights is None else values * np.sqrt(weights)
