"""The profiled criterion over θ: a curve for one term, contours for two, slices for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels import _core
from mixedmodels.errors import ArgumentError, FitTooLargeError, UnknownColumnError
from mixedmodels.plots.canvas import Drawn, note, one_or_all, one_panel, panels
from mixedmodels.plots.labels import plain
from mixedmodels.plots.style import GUIDE, colours, guide_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]

# Points of a curve and of a side of the contours, where an evaluation is cheap and where not.
POINTS, FEW_POINTS = 101, 41
GRID = 61
CHEAP_FLOPS = 1e8
# How far above the minimum the picture goes.
RISE = 12.0
# Of the contours, above the minimum: the regions of two parameters at these levels of confidence.
CONFIDENCE = (0.5, 0.8, 0.9, 0.95, 0.99)
MOST_FLOPS = 1e11
MOST_SECONDS = 60.0


def criterion(model: LinearMixedModel, group: str | None, ax: Any) -> Drawn:
    """Draw the criterion, least over β and σ, as a function of θ, and its minimum."""
    labels = model.cross_products.labels
    if group is not None and group not in labels:
        raise UnknownColumnError(
            f"the model has no grouping factor {group!r}; it has {', '.join(labels)}"
        )
    terms = range(len(labels)) if group is None else [labels.index(group)]
    _require_affordable(model, len(terms) * FEW_POINTS)
    if len(terms) == 2 and model.plan.flops * GRID**2 < MOST_FLOPS:
        return _contours(model, one_panel(ax))
    axes = panels(ax, len(terms), columns=min(3, len(terms)), size=(min(2.0, len(terms)), 1.0))
    for one, term in zip(axes, terms, strict=True):
        _curve(model, term, one)
    return one_or_all(axes)


def _curve(model: LinearMixedModel, term: int, ax: Axes) -> None:
    name, minimum = _name(model), model.theta[term]
    low, high = _range(model, term, RISE)
    points = POINTS if model.plan.flops < CHEAP_FLOPS else FEW_POINTS
    theta = np.unique(np.append(np.linspace(low, high, points), minimum))
    values = [_value(model, _replaced(model.theta, term, t)) for t in theta]
    ax.plot(theta, values, color=colours(1)[0], label="criterion")
    ax.plot([minimum], [model.objective], "o", color=colours(2)[1], label="minimum", clip_on=False)
    ax.axvline(minimum, color=GUIDE, linewidth=guide_width(), zorder=0)
    ax.set_xlim(low, high)
    ax.set_xlabel(f"θ of {plain(model.cross_products.labels[term])}")
    ax.set_ylabel(name)
    ax.ticklabel_format(axis="y", useOffset=False)
    note(ax, f"least, {model.objective:.2f}, at θ = {minimum:.4g}")
    if len(model.theta) > 1:
        note(ax, "the other θ at their estimates")


def _contours(model: LinearMixedModel, ax: Axes) -> Axes:
    heights = -2.0 * np.log1p(-np.array(CONFIDENCE))  # χ² of two degrees of freedom
    ranges = [_range(model, term, 1.5 * RISE) for term in (0, 1)]
    across, down, above = _surface(model, ranges, GRID // 2)
    inside = above <= heights[-1]
    ranges = [_around(across, inside.any(axis=0)), _around(down, inside.any(axis=1))]
    across, down, above = _surface(model, ranges, GRID)
    lines = ax.contour(across, down, above, heights, colors=colours(1))
    ax.clabel(lines, fmt={h: f"{100 * c:g} %" for h, c in zip(heights, CONFIDENCE, strict=True)})
    ax.plot(*model.theta[:, None], "o", color=colours(2)[1], label="minimum", clip_on=False)
    first, second = (plain(label) for label in model.cross_products.labels)
    ax.set_xlim(*ranges[0])
    ax.set_ylim(*ranges[1])
    ax.set_xlabel(f"θ of {first}")
    ax.set_ylabel(f"θ of {second}")
    note(ax, f"{_name(model)}, least {model.objective:.2f}; contours: χ² regions of both θ")
    return ax


def _surface(
    model: LinearMixedModel, ranges: list[tuple[float, float]], count: int
) -> tuple[Floats, Floats, Floats]:
    """Evaluate how far the criterion is above its minimum, on a grid."""
    across, down = (np.linspace(low, high, count) for low, high in ranges)
    values = np.array([[_value(model, np.array([s, t])) for s in across] for t in down])
    return across, down, np.clip(values - model.objective, 0.0, None)


def _around(places: Floats, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the range of the places inside, and the places next to them."""
    first, last = np.flatnonzero(inside)[[0, -1]]
    return float(places[max(first - 1, 0)]), float(places[min(last + 1, places.size - 1)])


# -- parts -----------------------------------------------------------------------------------


def _name(model: LinearMixedModel) -> str:
    return "REML criterion" if model.reml else "Deviance"


def _value(model: LinearMixedModel, theta: Floats) -> float:
    plan, data = model.plan.core, model.cross_products.response
    value = _core.evaluate(data, plan, np.square(theta), model.reml, False)["objective"]
    return float(value)  # type: ignore[arg-type]


def _replaced(theta: Floats, term: int, value: float) -> Floats:
    changed = theta.copy()
    changed[term] = value
    return changed


def _range(model: LinearMixedModel, term: int, rise: float) -> tuple[float, float]:
    """Find where the criterion has risen enough to either side, or zero."""
    centre = float(model.theta[term])

    def risen(theta: float) -> bool:
        return _value(model, _replaced(model.theta, term, theta)) - model.objective > rise

    def edge(inside: float, outside: float) -> float:
        for _ in range(6):
            middle = 0.5 * (inside + outside)
            inside, outside = (inside, middle) if risen(middle) else (middle, outside)
        return outside

    inside, step = centre, max(0.25 * centre, 0.05)
    for _ in range(60):
        if risen(inside + step):
            break
        inside, step = inside + step, 1.4 * step
    return (edge(centre, 0.0) if risen(0.0) else 0.0), edge(inside, inside + step)


def _require_affordable(model: LinearMixedModel, evaluations: int) -> None:
    plan = model.plan
    if not plan.has_factor:
        raise ArgumentError(
            "this iterative fit cannot evaluate the criterion away from its minimum; "
            "update(method='hybrid') can, if a factor goes into memory"
        )
    # The criterion alone, without derivatives.
    seconds = evaluations * plan.core.seconds / 3
    if seconds > MOST_SECONDS:
        raise FitTooLargeError(
            f"the picture takes {evaluations} evaluations of the criterion, about {seconds:.0f} "
            "seconds; name one group, or look at a part of the data"
        )
