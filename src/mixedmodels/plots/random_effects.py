"""Pictures of random effects: caterpillar plots and normal probability plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mixedmodels.errors import ArgumentError
from mixedmodels.factors import level_texts
from mixedmodels.plots.canvas import (
    MOST_READ,
    Drawn,
    Panels,
    height_for,
    label_rows,
    note,
    one_or_all,
    panels,
    points_high,
)
from mixedmodels.plots.labels import plain, shortened, with_unit
from mixedmodels.plots.style import GUIDE, colours, guide_width
from mixedmodels.plots.thinning import evenly, evenly_in_quantiles, normal_quantiles, thinned_note

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixedmodels.random_effects import RandomEffects


def caterpillar(
    effects: RandomEffects, group: str | None, level: float, ax: Any, unit: str = ""
) -> Drawn:
    """Draw prediction intervals in increasing order of the conditional mean, a panel a factor."""
    names, quantile = _factors(effects, group), _quantile(level)
    most = max(len(effects[name]) for name in names)
    axes = _axes(ax, len(names), height_for(most))
    for one, name in zip(axes, names, strict=True):
        means, sds, levels = _in_order(effects, name)
        count = means.size
        shown = evenly(count)
        one.set_ylim(-0.6, count - 0.4)
        _intervals(one, means[shown], quantile * sds[shown], shown.astype(float))
        few = levels if count <= MOST_READ else levels[:0]
        labels = [shortened(text) for text in level_texts(few)]
        label_rows(one, np.arange(count), labels, count, plain(name))
        _finish(one, name, unit, level, means, shown.size)
    return one_or_all(axes)


def qqmath(
    effects: RandomEffects, group: str | None, level: float, ax: Any, unit: str = ""
) -> Drawn:
    """Draw the same intervals against normal quantiles, which are on the vertical axis."""
    names, quantile = _factors(effects, group), _quantile(level)
    axes = _axes(ax, len(names), 1.0)
    for one, name in zip(axes, names, strict=True):
        means, sds, _ = _in_order(effects, name)
        quantiles = normal_quantiles(means.size)
        shown = evenly_in_quantiles(quantiles)
        _intervals(one, means[shown], quantile * sds[shown], quantiles[shown])
        one.set_ylabel("Standard normal quantile")
        one.set_title(f"{plain(name)}, {means.size:,} levels", loc="left", fontsize="medium")
        _finish(one, name, unit, level, means, shown.size)
    return one_or_all(axes)


# -- parts -----------------------------------------------------------------------------------


def _factors(effects: RandomEffects, group: str | None) -> list[str]:
    if group is None:
        return list(effects)
    effects[group]  # raises if the model has no such factor
    return [group]


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    if isinstance(level, bool) or not isinstance(level, float) or not 0.0 < level < 1.0:
        raise ArgumentError(f"level must be a probability between 0 and 1, not {level!r}")
    return float(ndtri((1.0 + level) / 2.0))


def _axes(ax: Any, count: int, height: float) -> Panels:
    columns = min(count, 3)
    size = ((1.0, 1.5, 2.0)[columns - 1], height * -(-count // columns))
    return panels(ax, count, columns=columns, size=size, share_x=True)


class _Ordered(NamedTuple):
    """Conditional means in increasing order, with their standard deviations and levels."""

    means: NDArray[np.float64]
    sds: NDArray[np.float64]
    levels: pd.Index


def _in_order(effects: RandomEffects, name: str) -> _Ordered:
    means = effects[name]["(Intercept)"].to_numpy()
    order = np.argsort(means, kind="stable")
    sds = effects.condsd[name]["(Intercept)"].to_numpy()
    return _Ordered(means[order], sds[order], effects[name].index[order])


def _intervals(
    ax: Axes,
    means: NDArray[np.float64],
    half: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> None:
    """Draw intervals with their middles, thinner where they are closer."""
    (colour,) = colours(1)
    room = points_high(ax) / max(len(means), 1)
    many = room < 3.0
    ax.axvline(0.0, color=GUIDE, linewidth=guide_width(), zorder=2.1, label="zero")
    ax.hlines(
        rows,
        means - half,
        means + half,
        color=colour,
        alpha=float(np.clip(0.6 * room, 0.1, 0.35)) if many else 1.0,
        linewidth=float(np.clip(0.5 * room, 0.4, 1.5)),
        snap=False,  # lines on whole pixels would leave stripes
        label="intervals",
    )
    ax.plot(
        means,
        rows,
        linestyle="none",
        marker="o",
        color=colour,
        markersize=float(np.clip(0.6 * room, 1.8, 5.5)),
        markeredgewidth=0,
        zorder=3,
        label="conditional means",
    )


def _finish(
    ax: Axes, name: str, unit: str, level: float, means: NDArray[np.float64], drawn: int
) -> None:
    ax.set_xlabel(with_unit(f"Random effect of {name}", unit))
    note(ax, f"with {100 * level:g} % prediction intervals")
    left_out = thinned_note(drawn, means.size, "levels")
    if left_out:
        note(ax, left_out)
    if not np.any(means):
        note(ax, "the variance is estimated as zero")
