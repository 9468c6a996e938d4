"""The profiles of a fitted model: which, how far, and from which minimum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels import _core
from mixedmodels.columns import nearest
from mixedmodels.errors import (
    ArgumentError,
    ArgumentTypeError,
    ConvergenceWarning,
    DataError,
    UnknownColumnError,
    warn,
)
from mixedmodels.estimation.newton import minimise
from mixedmodels.inference.parameters import parameter_names
from mixedmodels.inference.profile import LEVELS, Profile, ProfileCurve, normal_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]

# Between two points of a profile, in ζ.
LARGEST_GAP = 0.5
MOST_MINIMA = 6


def profile(
    model: LinearMixedModel,
    which: str | Sequence[str] | None = None,
    *,
    level: float = 0.99,
    reml: bool | None = None,
) -> Profile:
    """Profile a fitted model: see `LinearMixedModel.profile`."""
    last = normal_quantile(level)
    exact = sorted({last, *(z for z in map(normal_quantile, LEVELS) if z < last)})
    # A region of two parameters reaches as far as the root of χ² with two degrees of freedom.
    end = math.sqrt(-2.0 * math.log1p(-level))
    return profile_to(model, which, reml, level, _with_between(exact, end))


def profile_to(
    model: LinearMixedModel,
    which: str | Sequence[str] | None,
    reml: bool | None,
    level: float,
    targets: list[tuple[float, bool]],
) -> Profile:
    """Profile as far as the targets: ζ, and whether it is to be met exactly."""
    from mixedmodels.plots.labels import unit_of_response

    if model.plan.method == "iterative":
        raise ArgumentError(
            "an iterative fit has no exact criterion to profile; update(method='hybrid') makes it "
            "exact, if a factor goes into memory, and confint(method='wald') does without"
        )
    if reml not in (None, True, False):
        raise ArgumentTypeError(f"reml must be True, False or None, not {reml!r}")
    names, chosen = chosen_parameters(model, which)
    k = len(model.theta)
    of_variances = model.reml if reml is None else reml
    curves: dict[int, ProfileCurve] = {}
    for by_reml in (True, False):
        wanted = [i for i in chosen if (i <= k and of_variances) == by_reml]
        if wanted:
            curves |= _curves(model, by_reml, wanted, names, targets)
    return Profile(tuple(curves[i] for i in chosen), names, level, unit_of_response(model))


def chosen_parameters(
    model: LinearMixedModel, which: str | Sequence[str] | None
) -> tuple[tuple[str, ...], list[int]]:
    """Return the names of all parameters, and the numbers of those chosen."""
    names = parameter_names(model)
    if which is None:
        return names, list(range(len(names)))
    wanted = [which] if isinstance(which, str) else which
    if not isinstance(wanted, Sequence) or not all(isinstance(name, str) for name in wanted):
        raise ArgumentTypeError("parameters must be a name or a list of names: " + ", ".join(names))
    if not wanted:
        raise ArgumentError("no parameter is named; leave them out for all")
    return names, [_number(name, names, model) for name in dict.fromkeys(wanted)]


def _number(name: str, names: tuple[str, ...], model: LinearMixedModel) -> int:
    """Find a parameter; a grouping factor that is no coefficient stands for its sd."""
    for one in (name, f"sd[{name}]"):
        if one in names:
            return names.index(one)
    if name in model.design.names:
        raise ArgumentError(
            f"the coefficient {name} is not estimated: its column follows from others"
        )
    hint = nearest(name, names)
    raise UnknownColumnError(
        f"the model has no parameter {name!r}. {hint}{' ' * bool(hint)}"
        f"There are {', '.join(names)}."
    )


def _with_between(exact: list[float], end: float) -> list[tuple[float, bool]]:
    """Add the end, and points in between that need not be met exactly."""
    targets: list[tuple[float, bool]] = []
    before = 0.0
    for z in [*exact, end]:
        pieces = math.ceil((z - before) / LARGEST_GAP)
        targets += [(before + (z - before) * i / pieces, False) for i in range(1, pieces)]
        targets.append((z, True))
        before = z
    return targets


def _curves(
    model: LinearMixedModel,
    reml: bool,
    wanted: list[int],
    names: tuple[str, ...],
    targets: list[tuple[float, bool]],
) -> dict[int, ProfileCurve]:
    """Profile by one criterion; from a lower minimum, if the profiles meet one."""
    from mixedmodels.estimation.progress import Progress

    fit = model if model.reml == reml else model.update(reml=reml)
    sums, k = model.cross_products, len(model.theta)
    optimum = fit.optimum
    criterion = "REML criterion" if reml else "deviance"
    with Progress(sums.labels, criterion, False, model.options.progress) as progress:

        def tell(parameter: int, zeta: float) -> None:
            progress.stage(f"profile of {names[parameter]}: ζ = {zeta:.2f}")

        for _ in range(MOST_MINIMA):
            found, lower = _core.profile(
                sums.response,
                model.plan.core,
                reml,
                optimum.core.gamma,
                wanted,
                [z for z, _ in targets],
                [exact for _, exact in targets],
                tell if progress.wanted else None,
            )
            if lower is None:
                break
            try:
                optimum = minimise(sums, model.plan, reml, np.sqrt(lower))
            except DataError:
                raise DataError(
                    f"the {criterion} has no least value as far out as the profiles go: there the "
                    f"levels of {' and '.join(sums.labels)} fit the response perfectly, with so "
                    "few rows; ask for a lower level, or leave out a term"
                ) from None
    if optimum is not fit.optimum:
        theta = ", ".join(f"{t:.6g}" for t in optimum.theta)
        warn(
            f"a profile met a lower {criterion} than the fit's, by "
            f"{fit.objective - optimum.objective:.2g}: it has several minima, and the profiles are "
            f"those of the lower one. update(start=[{theta}]) fits there",
            ConvergenceWarning,
        )
    if lower is not None:
        raise ArgumentError(
            f"the {criterion} has so many minima that it cannot be profiled; "
            "leave out a term whose variance is hardly determined"
        )
    curves = {}
    for i, (values, zeta, slope, parameters, at_zero, low, high) in zip(wanted, found, strict=True):
        if not len(values):
            raise DataError(
                f"{names[i]} has no profile: with it held, even at its estimate, the {criterion} "
                "has no minimum that can be found; the data hardly determine the other parameters"
            )
        if not (low and high):
            warn(
                f"the profile of {names[i]} ends early: the {criterion} could not be minimised "
                f"beyond {values[0]:.6g} to {values[-1]:.6g}, and intervals that reach further are "
                "missing; the data hardly determine the other parameters there",
                ConvergenceWarning,
            )
        centre = int(np.flatnonzero(zeta == 0.0)[0]) if (zeta == 0.0).any() else 0
        slope[centre] = _slope_at_centre(values, zeta, centre)
        arrays = (values, zeta, slope, parameters)
        for array in arrays:
            array.flags.writeable = False
        curves[i] = ProfileCurve(names[i], float(values[centre]), *arrays, i <= k, reml, at_zero)
    return curves


def _slope_at_centre(values: Floats, zeta: Floats, centre: int) -> float:
    """Take dζ/dvalue at the estimate as the limit of ζ / (value − estimate), a smooth ratio."""
    others = np.delete(np.arange(len(values)), centre)
    near = others[np.argsort(np.abs(others - centre), kind="stable")][:4]
    if not near.size:
        return 1.0
    steps = values[near] - values[centre]
    ratios = zeta[near] / steps
    if values[centre] == 0.0:  # of a variance, ζ² is smooth in σ²
        return math.sqrt(max(0.0, _limit(np.square(steps[:3]), np.square(ratios[:3]))))
    limit = _limit(steps, ratios)
    return limit if limit > 0.0 else float(ratios[0])  # the nearest, where they are not smooth


def _limit(x: Floats, y: Floats) -> float:
    """Return the value at 0 of the polynomial through points (Lagrange)."""
    total = 0.0
    for i, value in enumerate(y):
        rest = np.delete(x, i)
        total += value * float(np.prod(rest / (rest - x[i])))
    return total
