"""Profile likelihood: the signed root ζ of the criterion as a function of one parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.display.document import Document, Printed
from mixedmodels.display.numbers import format_real
from mixedmodels.display.tables import Table
from mixedmodels.errors import ArgumentError, ArgumentTypeError, UnknownColumnError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray
    from scipy.interpolate import CubicHermiteSpline

    from mixedmodels.inference.intervals import ConfidenceIntervals
    from mixedmodels.plots.canvas import Drawn

    Floats = NDArray[np.float64]

# Levels whose ends are points of the profile, and so have all digits.
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
# Points this near to a ζ asked for are meant.
SAME = 1e-7


@dataclass(frozen=True, eq=False)
class ProfileCurve:
    """The profile of one parameter.

    Attributes
    ----------
    name : str
        The parameter.
    estimate : float
        Where the criterion is least; ζ = 0 there.
    values, zeta, slope : ndarray (m,)
        The parameter, ascending; ζ, the signed root of the rise of the criterion; dζ/dvalue.
    parameters : ndarray (m, P)
        All parameters where the criterion is least with this one held.
    standard_deviation : bool
        Whether the parameter is a standard deviation rather than a coefficient.
    reml : bool
        The criterion: REML's, or the deviance.
    at_zero : bool
        Whether the profile ends at a standard deviation of 0.
    """

    name: str
    estimate: float
    values: Floats
    zeta: Floats
    slope: Floats
    parameters: Floats
    standard_deviation: bool
    reml: bool
    at_zero: bool

    @cached_property
    def _spline(self) -> CubicHermiteSpline:
        from scipy.interpolate import CubicHermiteSpline

        return CubicHermiteSpline(self.values, self.zeta, self.slope)

    def zeta_at(self, values: ArrayLike) -> Floats:
        """Interpolate ζ; missing outside of the profile.

        Parameters
        ----------
        values : array_like
            Values of the parameter.

        Returns
        -------
        ndarray
        """
        out: Floats = self._spline(np.asarray(values, dtype=np.float64), extrapolate=False)
        return out

    def value_at(self, zeta: ArrayLike) -> Floats:
        """Interpolate the parameter at ζ, the inverse of `zeta_at`.

        Parameters
        ----------
        zeta : array_like
            Values of ζ; below that of a standard deviation of 0, the parameter is 0.

        Returns
        -------
        ndarray
            Missing outside of the profile.
        """
        z = np.asarray(zeta, dtype=np.float64)
        out = np.full(z.shape, np.nan)
        for node, value in zip(self.zeta, self.values, strict=True):
            out[np.abs(z - node) < SAME] = value
        if self.at_zero:
            out[z < self.zeta[0]] = 0.0
        between = np.isnan(out) & (z > self.zeta[0]) & (z < self.zeta[-1])
        if between.any():
            out[between] = self._inverse(z[between])
        return out

    def _inverse(self, z: Floats) -> Floats:
        """Bisect the spline, which ascends between two points of the profile."""
        right = np.searchsorted(self.zeta, z)
        low, high = self.values[right - 1], self.values[right]
        for _ in range(54):
            middle = 0.5 * (low + high)
            below = self._spline(middle) < z
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        out: Floats = 0.5 * (low + high)
        return out

    def density_at(self, values: ArrayLike) -> Floats:
        """Compute φ(ζ) dζ/dvalue: the density of which the intervals are quantiles.

        Parameters
        ----------
        values : array_like
            Values of the parameter.

        Returns
        -------
        ndarray
            Missing outside of the profile.
        """
        z = self.zeta_at(values)
        slope = self._spline(np.asarray(values, dtype=np.float64), 1)
        out: Floats = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi) * slope
        return out

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval at a level: where ζ is its normal quantiles.

        Parameters
        ----------
        level : float, default 0.95
            The confidence level.

        Returns
        -------
        tuple of float
            Lower and upper end; missing where the profile does not go as far.
        """
        z = normal_quantile(level)
        low, high = self.value_at([-z, z]).tolist()
        return low, high


@dataclass(frozen=True, eq=False, repr=False)
class Profile(Printed):
    """Profiles of the parameters of a fitted model.

    Attributes
    ----------
    curves : tuple of ProfileCurve
        One a parameter profiled: ``profile["sd[Batch]"]``, or ``profile["Batch"]`` for short.
    names : tuple of str
        All parameters of the model, in the order of the columns of a curve's `parameters`.
    level : float
        The highest level of confidence that intervals, and regions of two parameters, can have.
    unit : str
        Of the response, if it is known.
    """

    curves: tuple[ProfileCurve, ...]
    names: tuple[str, ...]
    level: float
    unit: str = ""

    def __getitem__(self, name: str) -> ProfileCurve:
        for one in (name, f"sd[{name}]"):
            for curve in self.curves:
                if curve.name == one:
                    return curve
        raise UnknownColumnError(
            f"there is no profile of {name!r}; there are those of "
            + ", ".join(curve.name for curve in self.curves)
        )

    def to_frame(self) -> pd.DataFrame:
        """Return all points in one long frame.

        Returns
        -------
        DataFrame
            parameter, the one profiled; zeta; and a column for each parameter of the model.
        """
        import pandas as pd

        frames = [
            pd.DataFrame(
                {"parameter": c.name, "zeta": c.zeta}
                | {f"{name}": c.parameters[:, j] for j, name in enumerate(self.names)}
            )
            for c in self.curves
        ]
        return pd.concat(frames, ignore_index=True)

    def confint(self, level: float = 0.95, *, scale: str = "sd") -> ConfidenceIntervals:
        """Read confidence intervals off the profiles.

        Parameters
        ----------
        level : float, default 0.95
            The confidence level.
        scale : {"sd", "log", "variance"}, default "sd"
            What is said of the variance components: σ, log σ or σ².

        Returns
        -------
        ConfidenceIntervals

        Raises
        ------
        ArgumentError
            If the profiles do not go as far.
        """
        from mixedmodels.inference.intervals import from_profile

        if normal_quantile(level) > normal_quantile(self.level) + SAME:
            raise ArgumentError(
                f"the profiles go as far as intervals of level {self.level:g}; "
                f"profile(level={level:g}) goes further"
            )
        return from_profile(self, level, scale)

    def plot(
        self,
        kind: str = "zeta",
        *,
        parameters: Sequence[str] | None = None,
        scale: str = "sd",
        ax: Any = None,
    ) -> Drawn:
        """Draw the profiles.

        Parameters
        ----------
        kind : {"zeta", "density", "pairs"}
            ζ against each parameter, with intervals; the densities that the profiles imply; or
            for each pair of parameters the contours of their regions and how each follows the
            other (Bates & Watts 1988, section 6.1).
        parameters : list of str, optional
            Which; all by default.
        scale : {"sd", "log", "variance"}, default "sd"
            Draw variance components as σ, log σ or σ².
        ax : Axes, or one for each panel, optional
            Where to draw; a pairs plot of m parameters has m² panels, row by row.

        Returns
        -------
        Axes, or tuple of Axes
        """
        from mixedmodels.plots.profile import plot

        curves = self.curves
        if parameters is not None:
            wanted = [parameters] if isinstance(parameters, str) else parameters
            curves = tuple(self[name] for name in wanted)
        return plot(self, curves, kind, scale, ax)

    def document(self) -> Document:
        """Lay out where each profile stands and how far it goes."""
        values = [
            format_real([c.estimate, c.values[0], c.values[-1]], digits=5) for c in self.curves
        ]
        zetas = [format_real([c.zeta[0], c.zeta[-1]], digits=3) for c in self.curves]
        rows = tuple(
            ("REML" if c.reml else "ML", *(v.strip() for v in (*value, *zeta)), str(len(c.zeta)))
            for c, value, zeta in zip(self.curves, values, zetas, strict=True)
        )
        table = Table(
            headers=("criterion", "estimate", "from", "to", "ζ from", "ζ to", "points"),
            rows=rows,
            align="lrrrrrr",
            labels=tuple(c.name for c in self.curves),
            title="Profiles of the criterion:",
        )
        return Document((table,))


def normal_quantile(level: float) -> float:
    """Return the z of an interval of this level, by the normal distribution."""
    from scipy.special import ndtri

    if isinstance(level, bool) or not isinstance(level, float | np.floating):
        raise ArgumentTypeError(f"level must be a probability such as 0.95, not {level!r}")
    if not 0.0 < level <= 1.0 - 1e-9:
        raise ArgumentError(f"level must be a probability between 0 and 1, not {level!r}")
    return float(ndtri((1.0 + level) / 2.0))
