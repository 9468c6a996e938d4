"""Confidence intervals of all parameters: by profile likelihood, Wald's, or the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.display.document import Document, Printed
from mixedmodels.display.numbers import format_real, round_decimal
from mixedmodels.display.tables import Table
from mixedmodels.errors import ArgumentError, DataError, UnknownColumnError
from mixedmodels.inference.parameters import parameter_values
from mixedmodels.inference.profile import Profile, normal_quantile
from mixedmodels.inference.profiling import chosen_parameters, profile_to

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]

METHODS = ("profile", "wald", "bootstrap")
#: What is said of a standard deviation, by the name of the scale.
SCALES = {"sd": "σ", "log": "log σ", "variance": "σ²"}


@dataclass(frozen=True, slots=True)
class Interval:
    """The confidence interval of one parameter.

    Attributes
    ----------
    name : str
        The parameter.
    estimate, lower, upper : float
        Estimate and ends; missing where there is no interval, which a note explains.
    """

    name: str
    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False, repr=False)
class ConfidenceIntervals(Printed):
    """Confidence intervals of the parameters of a model.

    Attributes
    ----------
    intervals : tuple of Interval
        One a parameter: variance components, then coefficients.
    level : float
        The confidence level.
    method : {"profile", "wald", "bootstrap"}
        How they were made.
    scale : {"sd", "log", "variance"}
        What they say of the variance components: σ, log σ or σ².
    notes : tuple of str
        What is to be said of them.
    """

    intervals: tuple[Interval, ...]
    level: float
    method: str
    scale: str
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return a frame by parameter, with columns estimate, lower and upper."""
        import pandas as pd

        return pd.DataFrame(
            {
                "estimate": [i.estimate for i in self.intervals],
                "lower": [i.lower for i in self.intervals],
                "upper": [i.upper for i in self.intervals],
            },
            index=pd.Index([i.name for i in self.intervals], name="parameter"),
        )

    def __getitem__(self, name: str) -> Interval:
        for one in (name, f"sd[{name}]"):
            for interval in self.intervals:
                if interval.name == one:
                    return interval
        raise UnknownColumnError(
            f"there is no interval of {name!r}; there are those of "
            + ", ".join(i.name for i in self.intervals)
        )

    def document(self) -> Document:
        """Lay out a row a parameter: the estimate and both ends."""
        tail = 50.0 * (1.0 - self.level)
        rows = [tuple(_texts([i.estimate, i.lower, i.upper])) for i in self.intervals]
        how = {"profile": "profile likelihood", "wald": "Wald", "bootstrap": "bootstrap"}
        table = Table(
            headers=("Estimate", f"{tail:.3g} %", f"{100.0 - tail:.5g} %"),
            rows=tuple(rows),
            labels=tuple(i.name for i in self.intervals),
            title=f"{100.0 * self.level:.5g} % confidence intervals ({how[self.method]}):",
            notes=self.notes,
        )
        return Document((table,))


def _texts(values: list[float]) -> list[str]:
    """Format a row to five digits of its largest number."""
    finite = [abs(v) for v in values if math.isfinite(v) and v != 0.0]
    if not finite:
        return [text.strip() for text in format_real(values, digits=5)]
    decimals = 4 - math.floor(math.log10(max(finite)))
    if not 0 <= decimals <= 8:
        return [text.strip() for text in format_real(values, digits=5)]
    rounded = [round_decimal(v, decimals) if math.isfinite(v) else v for v in values]
    return [text.strip() for text in format_real(rounded, digits=15, min_decimals=decimals)]


def confint(
    model: LinearMixedModel,
    parameters: str | Sequence[str] | None = None,
    *,
    level: float = 0.95,
    method: str = "profile",
    scale: str = "sd",
    reml: bool | None = None,
    n: int = 1000,
    seed: int | None = None,
) -> ConfidenceIntervals:
    """Make confidence intervals: see `LinearMixedModel.confint`."""
    if method not in METHODS:
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    _check_scale(scale)
    z = normal_quantile(level)
    if method == "profile":
        curves = profile_to(model, parameters, reml, level, [(0.5 * z, False), (z, True)])
        return from_profile(curves, level, scale)
    if reml is not None:
        raise ArgumentError(
            f"reml is of method='profile' only; update(reml={reml}) fits by the other criterion"
        )
    if method == "wald":
        return _wald(model, parameters, level, z, scale)
    return _bootstrap(model, parameters, level, scale, n, seed)


def from_profile(profile: Profile, level: float, scale: str) -> ConfidenceIntervals:
    """Read intervals off profiles that go as far."""
    _check_scale(scale)
    rows = []
    for curve in profile.curves:
        ends = (curve.estimate, *curve.interval(level))
        rows.append(Interval(curve.name, *_scaled(ends, scale, curve.standard_deviation)))
    notes = _scale_note(scale, any(c.standard_deviation for c in profile.curves))
    by_reml = [c.name for c in profile.curves if c.reml]
    by_ml = [c.name for c in profile.curves if not c.reml]
    if by_reml and by_ml:
        notes += (f"by REML: {', '.join(by_reml)}; by maximum likelihood: {', '.join(by_ml)}",)
    return ConfidenceIntervals(tuple(rows), level, "profile", scale, notes)


def _check_scale(scale: str) -> None:
    if scale not in SCALES:
        raise ArgumentError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")


def _scale_note(scale: str, any_sd: bool) -> tuple[str, ...]:
    return (f"variance components as {SCALES[scale]}",) if any_sd and scale != "sd" else ()


def _scaled(sds: tuple[float, ...], scale: str, standard_deviation: bool) -> list[float]:
    """Take standard deviations to a scale; coefficients stay as they are."""
    if not standard_deviation or scale == "sd":
        return list(sds)
    values = np.asarray(sds)
    if scale == "variance":
        return [float(v) for v in values**2]
    with np.errstate(divide="ignore"):
        return [float(v) for v in np.log(values)]


def _wald(
    model: LinearMixedModel,
    parameters: str | Sequence[str] | None,
    level: float,
    z: float,
    scale: str,
) -> ConfidenceIntervals:
    names, chosen = chosen_parameters(model, parameters)
    k = len(model.theta)
    estimates = parameter_values(model).tolist()
    log_errors = log_sd_errors(model)
    errors = model.sigma * np.sqrt(np.diagonal(model.optimum.core.unscaled_covariance))
    rows = []
    for i in chosen:
        if i > k:
            half = z * float(errors[i - k - 1])
            rows.append(Interval(names[i], estimates[i], estimates[i] - half, estimates[i] + half))
        else:
            with np.errstate(over="ignore"):  # then the data bound it by nothing: from 0 to ∞
                factor = float(np.exp(z * log_errors[i]))
            ends = (estimates[i], estimates[i] / factor, estimates[i] * factor)
            rows.append(Interval(names[i], *_scaled(ends, scale, standard_deviation=True)))
    notes = _scale_note(scale, any(i <= k for i in chosen))
    if zero := [names[i] for i in chosen if i <= k and estimates[i] == 0.0]:
        notes += (
            f"{', '.join(zero)}: estimated as zero, where Wald's approximation fails; "
            "method='profile' has an interval",
        )
    return ConfidenceIntervals(tuple(rows), level, "wald", scale, notes)


def log_sd_errors(model: LinearMixedModel) -> Floats:
    """Compute standard errors of log σ_t and log σ (k + 1,) from the average information.

    With D the criterion over γ, least over σ² = r²/ν, and A its average information: γ̂ has the
    covariance 2A⁻¹, and log σ² the variance 2/ν + δ'(2A⁻¹)δ, δ_t = −‖e_t‖²/r² the derivative of
    log r² by γ_t. Missing for a variance of zero.
    """
    core = model.optimum.core
    gamma, k = core.gamma, len(core.gamma)
    free = np.flatnonzero(gamma > 0.0)
    starts = np.concatenate([[0], np.cumsum(model.cross_products.levels)[:-1]])
    squares = np.add.reduceat(np.square(core.u), starts)
    information = core.information[np.ix_(free, free)]
    singular = DataError(
        f"the data do not tell the variances of {' and '.join(model.cross_products.labels)} apart, "
        "so that Wald's intervals have no standard errors; leave out a term, or use "
        "method='profile'"
    )
    try:
        covariance = 2.0 * np.linalg.inv(information)
    except np.linalg.LinAlgError:
        raise singular from None
    delta = -squares[free] / gamma[free] / core.r2
    along = covariance @ delta
    residual = 2.0 / core.nu + float(delta @ along)
    variances = np.full(k + 1, np.nan)
    variances[free] = (
        np.diagonal(covariance) / gamma[free] ** 2 + residual + 2.0 * along / gamma[free]
    )
    variances[k] = residual
    if not (np.all(variances[free] > 0.0) and residual > 0.0):
        raise singular
    out: Floats = 0.5 * np.sqrt(variances)
    return out


def _bootstrap(
    model: LinearMixedModel,
    parameters: str | Sequence[str] | None,
    level: float,
    scale: str,
    n: int,
    seed: int | None,
) -> ConfidenceIntervals:
    names, chosen = chosen_parameters(model, parameters)
    k = len(model.theta)
    estimates = parameter_values(model).tolist()
    found = model.bootstrap(n, seed).confint(level=level)
    rows = []
    for i in chosen:
        ends = (estimates[i], float(found.lower[names[i]]), float(found.upper[names[i]]))
        rows.append(Interval(names[i], *_scaled(ends, scale, i <= k)))
    notes = _scale_note(scale, any(i <= k for i in chosen))
    return ConfidenceIntervals(tuple(rows), level, "bootstrap", scale, notes)
