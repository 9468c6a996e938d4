"""The growth curves of a design, log-log: time against rows, and against levels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.large.growth import Curve

#: What is drawn, in colours of Okabe & Ito, which the colour-blind tell apart; markers do it too.
LINES = (
    ("total", "in all", "#000000", "o", "-"),
    ("plan", "read, sum, plan", "#0072B2", "s", "--"),
    ("fit", "fit and print", "#D55E00", "^", "-."),
)
LEAST_SECONDS = 1e-3


def draw(curves: list[Curve], path: Path) -> None:
    """Draw a panel a curve, on one scale of time."""
    with mpl.rc_context({"font.size": 11, "svg.hashsalt": "growth", "svg.fonttype": "path"}):
        figure = Figure(figsize=(8.2, 3.8), layout="constrained")
        panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for axes, curve in zip(panels, curves, strict=True):
            _panel(axes, curve)
        panels[0].set_ylabel("seconds")
        panels[0].legend(frameon=False, loc="upper left")
        panels[0].margins(y=0.3)
        figure.savefig(path, metadata={"Date": None})


def _panel(axes: Axes, curve: Curve) -> None:
    x = [point.along for point in curve.points]
    for name, label, colour, marker, style in LINES:
        seconds = [max(LEAST_SECONDS, getattr(point, name)) for point in curve.points]
        axes.loglog(x, seconds, color=colour, marker=marker, linestyle=style, label=label)
    fixed = curve.points[0]
    if curve.grows == "rows":
        axes.set_title(f"{fixed.levels:,} levels", fontsize=11)
        axes.set_xlabel("rows")
    else:
        axes.set_title(f"{fixed.rows:,} rows", fontsize=11)
        axes.set_xlabel("levels of all factors")
    axes.set_xticks(x, [_short(value) for value in x])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"
