"""CrossProducts and Plan → Optimum: Newton's method, whose loop is in the core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels import _core
from mixedmodels.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.cross_products import CrossProducts
    from mixedmodels.estimation.plan import Plan

# Twice the decrease of the criterion that the next step would bring. As the decrement is squared
# by each step, the last one costs little and gives theta all its digits.
TOLERANCE = 1e-20
# Where rounding, or the cost of another gradient, ends the descent earlier, this is converged.
LEAST_TOLERANCE = 1e-8
MOST_ITERATIONS = 100


@dataclass(frozen=True)
class Iteration:
    """One line of the trace.

    Attributes
    ----------
    number, evaluations : int
        Of the iteration, from 0 at the start; evaluations of the criterion so far.
    objective : float
        The criterion.
    step : float
        Length of the step that led here, as a part of Newton's.
    decrement : float
        g'A⁻¹g, twice the decrease that Newton's next step promises.
    theta : tuple of float
        The relative standard deviations.
    gradient : tuple of float
        ∂d/∂γ, the derivative of the criterion with respect to the variance ratios γ = θ².
    """

    number: int
    evaluations: int
    objective: float
    step: float
    decrement: float
    theta: tuple[float, ...]
    gradient: tuple[float, ...]

    @property
    def projected_gradient(self) -> tuple[float, ...]:
        """∂d/∂θ; of a variance at zero, what of ∂d/∂γ would release it."""
        return tuple(
            2.0 * t * g if t > 0.0 else min(g, 0.0)
            for t, g in zip(self.theta, self.gradient, strict=True)
        )


@dataclass(frozen=True, eq=False, repr=False)
class Optimum:
    """Where the criterion is least, and how it was found.

    Attributes
    ----------
    core : _core.Fit
        What the core found.
    reml : bool
        The criterion: REML or maximum likelihood.
    mc_error : tuple of float
        Of an iterative fit, the Monte Carlo error of each variance ratio in its standard errors;
        empty where the fit is exact.
    objective_error : float
        Monte Carlo standard error of the criterion; 0 where it is exact.
    probes : int
        Number of random probes.
    """

    core: _core.Fit
    reml: bool
    mc_error: tuple[float, ...] = ()
    objective_error: float = 0.0
    probes: int = 0

    @cached_property
    def theta(self) -> NDArray[np.float64]:
        """Relative standard deviations σ_t/σ, one a term."""
        theta = np.sqrt(self.core.gamma)
        theta.flags.writeable = False
        return theta

    @property
    def objective(self) -> float:
        """The criterion at the optimum."""
        return self.core.objective

    @property
    def converged(self) -> bool:
        """Whether the next step would lower the criterion by less than rounding would."""
        ended_well = not self.probes or self.core.ending == "converged"
        return self.core.decrement <= LEAST_TOLERANCE and ended_well

    @cached_property
    def multipliers(self) -> NDArray[np.float64]:
        """∂d/∂γ of the terms whose variance is zero, which is positive there; zero elsewhere."""
        return np.where(self.core.gamma == 0.0, self.core.gradient, 0.0)

    @cached_property
    def iterations(self) -> tuple[Iteration, ...]:
        """The trace, from the start to the optimum."""
        return tuple(_iteration(*row) for row in self.core.trace)

    def to_frame(self, labels: Sequence[str]) -> pd.DataFrame:
        """Return the trace, one row an iteration."""
        import pandas as pd

        return pd.DataFrame(
            {
                "iteration": [it.number for it in self.iterations],
                "evaluations": [it.evaluations for it in self.iterations],
                "objective": [it.objective for it in self.iterations],
                "step": [it.step for it in self.iterations],
                "decrement": [it.decrement for it in self.iterations],
                **{
                    f"theta[{label}]": [it.theta[t] for it in self.iterations]
                    for t, label in enumerate(labels)
                },
                **{
                    f"gradient[{label}]": [it.gradient[t] for it in self.iterations]
                    for t, label in enumerate(labels)
                },
            }
        )

    def __repr__(self) -> str:
        theta = ", ".join(f"{t:.6g}" for t in self.theta)
        return (
            f"Optimum: {self.objective:.6f} at theta = ({theta}), "
            f"{len(self.core.trace)} iterations, {self.core.evaluations} evaluations with those "
            f"from other starts, {self.core.ending}"
        )


def _iteration(
    number: int,
    evaluations: int,
    objective: float,
    step: float,
    decrement: float,
    gamma: Sequence[float],
    gradient: Sequence[float],
) -> Iteration:
    theta = tuple(g**0.5 for g in gamma)
    return Iteration(number, evaluations, objective, step, abs(decrement), theta, tuple(gradient))


def minimise(
    data: CrossProducts,
    plan: Plan,
    reml: bool,
    start: NDArray[np.float64] | None = None,
    on_iteration: Callable[[Iteration], None] | None = None,
    near: NDArray[np.float64] | None = None,
) -> Optimum:
    """Find the variance ratios with the least criterion.

    Newton's method with the average information as the Hessian (Gilmour, Thompson & Cullis 1995,
    Biometrics 51:1440) on γ = θ² ≥ 0, a variance staying at zero while the criterion would rise
    with it; from Henderson's moments unless a start is given.

    Parameters
    ----------
    data : CrossProducts
        The sums over the data.
    plan : Plan
        How to evaluate.
    reml : bool
        REML or maximum likelihood.
    start : ndarray (k,), optional
        θ to start from.
    on_iteration : callable, optional
        Called with each `Iteration` as it is reached.
    near : ndarray (k,), optional
        θ of an iterative fit that is to be made exact.

    Returns
    -------
    Optimum

    Raises
    ------
    DataError
        If the random effects fit the response perfectly.
    """
    callback = None
    if on_iteration is not None:
        call = on_iteration  # the closure wants a name that is never None

        def callback(*row: object) -> None:
            call(_iteration(*row))  # type: ignore[arg-type]

    squares = None if start is None else np.square(np.minimum(start, 1e100))
    if plan.method == "iterative" or (plan.method == "hybrid" and near is None):
        exact_follows = plan.method == "hybrid"
        fit, shares, probes, error, _ = _core.fit_iterative(
            data.response,
            reml,
            squares,
            plan.mc_error,
            plan.seed,
            not exact_follows,
            plan.core if plan.has_factor else None,
            callback,
        )
        _refuse_perfect(fit, data)
        if not exact_follows:
            return Optimum(fit, reml, tuple(shares.tolist()), error, probes)
        near = np.sqrt(fit.gamma)
    tolerance = TOLERANCE
    if near is not None:
        squares = np.square(near)
        tolerance = LEAST_TOLERANCE
    fit = _core.fit(data.response, plan.core, reml, squares, tolerance, MOST_ITERATIONS, callback)
    return Optimum(_refuse_perfect(fit, data), reml)


def _refuse_perfect(fit: _core.Fit, data: CrossProducts) -> _core.Fit:
    if fit.ending == "perfect fit":
        raise DataError(
            f"the levels of {' and '.join(data.labels)} fit the response perfectly, or so nearly "
            "that no residual variance can be told beside theirs; a grouping factor may repeat "
            "the response"
        )
    return fit
