"""Profiles of the likelihood: ζ against parameters, implied densities, and pairs of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.errors import ArgumentError
from mixedmodels.inference.profile import LEVELS, Profile, ProfileCurve, normal_quantile
from mixedmodels.plots.canvas import Drawn, Panels, note, one_or_all, panels
from mixedmodels.plots.labels import plain, squared, with_unit
from mixedmodels.plots.style import GUIDE, colours, guide_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

KINDS = ("zeta", "density", "pairs")
SCALES = ("sd", "log", "variance")
POINTS = 201
MOST_PAIRED = 12
# Of a contour.
ANGLES = 181


def plot(
    profile: Profile, curves: tuple[ProfileCurve, ...], kind: str, scale: str, ax: Any
) -> Drawn:
    """Draw the picture of that kind: see `Profile.plot`."""
    if kind not in KINDS:
        raise ArgumentError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if scale not in SCALES:
        raise ArgumentError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    curves = tuple(curve for curve in curves if len(curve.zeta) > 1)
    if not curves:
        raise ArgumentError("none of the profiles has more than one point")
    if kind == "pairs":
        return _pairs(profile, curves, scale, ax)
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    size = ((1.0, 1.5, 2.0)[columns - 1], 0.8 * rows)
    axes = panels(ax, len(curves), columns=columns, size=size)
    for curve, one in zip(curves, axes, strict=True):
        (_zeta if kind == "zeta" else _density)(profile, curve, scale, one)
    axes[0].set_ylabel("ζ" if kind == "zeta" else "Density")
    return one_or_all(axes)


def _zeta(profile: Profile, curve: ProfileCurve, scale: str, ax: Axes) -> None:
    """Draw ζ, with an interval for each level between its ends: straight where it is normal."""
    low, high = (normal_quantile(profile.level) * s for s in (-1.0, 1.0))
    z = np.linspace(max(curve.zeta[0], low), min(curve.zeta[-1], high), POINTS)
    x = _on_scale(curve, curve.value_at(z), scale)
    shown = np.isfinite(x)
    first, second = colours(2)
    ax.plot(x[shown], z[shown], color=first, label="ζ")
    ax.axhline(0.0, color=GUIDE, linewidth=guide_width(), zorder=0)
    for level in LEVELS:
        if level > profile.level:
            continue
        ends = _on_scale(curve, np.array(curve.interval(level)), scale)
        quantile = normal_quantile(level)
        tops = np.clip([-quantile, quantile], z[0], z[-1])
        for end, top in zip(ends, tops, strict=True):
            if np.isfinite(end):
                ax.plot([end, end], [0.0, top], color=second, linewidth=guide_width())
    ax.set_xlabel(_label(profile, curve, scale))
    named = ", ".join(f"{100 * level:g}" for level in LEVELS if level <= profile.level)
    note(ax, f"intervals: {named} %")


def _density(profile: Profile, curve: ProfileCurve, scale: str, ax: Axes) -> None:
    """Draw φ(ζ) dζ/dx."""
    from scipy.special import ndtr

    values = curve.value_at(np.linspace(curve.zeta[0], curve.zeta[-1], POINTS))
    density = curve.density_at(values)
    x = _on_scale(curve, values, scale)
    if curve.standard_deviation and scale != "sd":
        with np.errstate(divide="ignore", invalid="ignore"):
            density = density * values if scale == "log" else density / (2.0 * values)
    shown = np.isfinite(x) & np.isfinite(density)
    (colour,) = colours(1)
    ax.plot(x[shown], density[shown], color=colour, label="density")
    ax.fill_between(x[shown], density[shown], color=colour, alpha=0.15, linewidth=0)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel(_label(profile, curve, scale))
    if curve.at_zero:
        note(ax, f"and a probability of {ndtr(curve.zeta[0]):.2g} at σ = 0")


# -- pairs -----------------------------------------------------------------------------------


def _pairs(profile: Profile, curves: tuple[ProfileCurve, ...], scale: str, ax: Any) -> Drawn:
    """Draw a matrix of panels: in ζ above the diagonal, in the parameters below it."""
    count = len(curves)
    if count < 2:
        raise ArgumentError("pairs need two parameters or more")
    if count > MOST_PAIRED:
        raise ArgumentError(
            f"{count} parameters make too many pairs to see; name at most {MOST_PAIRED} in "
            "parameters"
        )
    if len({curve.reml for curve in curves}) > 1:
        raise ArgumentError(
            "pairs need one criterion for all: profile(reml=False) takes the likelihood, and "
            "parameters may name the standard deviations only"
        )
    side = 0.6 * count
    axes = panels(ax, count * count, columns=count, size=(0.8 * side, side))
    for i, down in enumerate(curves):
        for j, across in enumerate(curves):
            one = axes[i * count + j]
            if i == j:
                _name_panel(profile, down, scale, one)
            else:
                _pair(profile, across, down, scale if i > j else None, one)
                _edge_labels(profile, axes, (i, j), count, curves, scale)
    return axes


def _name_panel(profile: Profile, curve: ProfileCurve, scale: str, ax: Axes) -> None:
    ax.text(
        0.5,
        0.5,
        _label(profile, curve, scale).replace(" of ", " of\n"),
        ha="center",
        va="center",
        transform=ax.transAxes,
    )
    ax.set_xticks([])
    ax.set_yticks([])


def _edge_labels(
    profile: Profile,
    axes: Panels,
    place: tuple[int, int],
    count: int,
    curves: tuple[ProfileCurve, ...],
    scale: str,
) -> None:
    """Label ticks on the outside only: parameters left and below, ζ right and above."""
    i, j = place
    ax = axes[i * count + j]
    above = i < j
    if above:
        ax.yaxis.tick_right()
        ax.xaxis.tick_top()
        ax.yaxis.set_label_position("right")
    ax.tick_params(
        labelright=above and j == count - 1,
        labeltop=above and i == 0,
        labelleft=not above and j == 0,
        labelbottom=not above and i == count - 1,
    )
    if above and j == count - 1:
        ax.set_ylabel("ζ")
    if not above and j == 0:
        ax.set_ylabel(_label(profile, curves[i], scale))
    if not above and i == count - 1:
        ax.set_xlabel(_label(profile, curves[j], scale))


def _pair(
    profile: Profile, across: ProfileCurve, down: ProfileCurve, scale: str | None, ax: Axes
) -> None:
    """Draw one pair's contours and profile traces, in ζ where there is no scale."""
    column = {name: k for k, name in enumerate(profile.names)}
    up = _trace(across, down, column[down.name])  # ζ of `down` along the profile of `across`
    right = _trace(down, across, column[across.name])
    first, second = colours(2)

    def place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        if scale is None:
            return x, y
        return _where(across, x, scale), _where(down, y, scale)

    for level in LEVELS:
        if level > profile.level:
            continue
        radius = float(np.sqrt(-2.0 * np.log1p(-level)))
        x, y = _contour(radius, up, right)
        x, y = (_clipped(c, v) for c, v in ((across, x), (down, y)))
        ax.plot(*place(x, y), color=first, linewidth=guide_width(), label=f"{100 * level:g} %")
    z = np.linspace(across.zeta[0], across.zeta[-1], POINTS)
    ax.plot(*place(z, _clipped(down, up(z))), color=second, linewidth=guide_width())
    z = np.linspace(down.zeta[0], down.zeta[-1], POINTS)
    ax.plot(*place(_clipped(across, right(z)), z), color=second, linewidth=guide_width())


def _trace(along: ProfileCurve, other: ProfileCurve, column: int) -> Any:
    """Return ζ of another parameter as a function of ζ of the one profiled; straight outside."""
    from scipy.interpolate import PchipInterpolator

    z = along.zeta
    values = np.clip(along.parameters[:, column], other.values[0], other.values[-1])
    spline = PchipInterpolator(z, other.zeta_at(values))
    ends = z[[0, -1]]
    slopes = spline(ends, 1)

    def trace(at: Any) -> Floats:
        at = np.asarray(at, dtype=np.float64)
        inside = spline(np.clip(at, *ends))
        beyond = np.where(at < ends[0], (at - ends[0]) * slopes[0], 0.0)
        beyond = np.where(at > ends[1], (at - ends[1]) * slopes[1], beyond)
        out: Floats = inside + beyond
        return out

    return trace


def _contour(radius: float, up: Any, right: Any) -> tuple[Floats, Floats]:
    """Interpolate a contour of two parameters' criterion in ζ, from where the traces cross it.

    On x = r cos(a + d/2), y = r cos(a − d/2) the difference d of the phases is a periodic function
    of their mean a, known at the four points where a tangent is vertical or horizontal (Bates &
    Watts 1988, appendix A6.2).
    """
    from scipy.interpolate import CubicSpline

    def phase(height: float) -> float:
        return float(np.arccos(np.clip(height / radius, -0.999999, 0.999999)))

    y_right, y_left = phase(float(up(radius))), phase(float(up(-radius)))
    x_top, x_bottom = phase(float(right(radius))), phase(float(right(-radius)))
    phases = [(0.0, y_right), (x_top, 0.0), (np.pi, y_left), (x_bottom, np.pi)]
    known = []
    for x, y in phases:
        sign = 1.0 if x >= y else -1.0  # both phases may change sign
        known.append((sign * 0.5 * (x + y), sign * (x - y)))
    known.sort()
    means, differences = map(np.array, zip(*known, strict=True))
    spline = CubicSpline(
        np.append(means, means[0] + 2.0 * np.pi),
        np.append(differences, differences[0]),
        bc_type="periodic",
    )
    a = np.linspace(-np.pi, np.pi, ANGLES)
    d = spline(a)
    return radius * np.cos(a + 0.5 * d), radius * np.cos(a - 0.5 * d)


# -- parts -----------------------------------------------------------------------------------


def _clipped(curve: ProfileCurve, zeta: Floats) -> Floats:
    return np.clip(zeta, curve.zeta[0], curve.zeta[-1])


def _where(curve: ProfileCurve, zeta: Floats, scale: str) -> Floats:
    x = _on_scale(curve, curve.value_at(zeta), scale)
    return np.where(np.isfinite(x), x, np.nan)


def _on_scale(curve: ProfileCurve, values: Floats, scale: str) -> Floats:
    if not curve.standard_deviation or scale == "sd":
        return values
    if scale == "variance":
        return values**2
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values))


def _label(profile: Profile, curve: ProfileCurve, scale: str) -> str:
    if not curve.standard_deviation:
        unit = profile.unit if curve.name == "(Intercept)" else ""
        return with_unit(curve.name, unit)
    name = plain(curve.name.removeprefix("sd[").removesuffix("]"))
    if scale == "log":
        return f"log σ of {name}"
    if scale == "variance":
        return f"σ² of {with_unit(name, squared(profile.unit))}"
    return f"σ of {with_unit(name, profile.unit)}"
