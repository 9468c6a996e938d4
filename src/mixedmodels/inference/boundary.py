"""The null distribution of a test that variances are zero, which is the least that they may be.

A χ² distribution supposes that an estimate can fall on either side of the hypothesis. A variance
cannot, so that the statistic is zero about half of the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mixedmodels.errors import ArgumentError, ComparisonError
from mixedmodels.inference.null_distribution import balanced_tail, simulate_statistics, spectrum
from mixedmodels.inference.refits import Refitter
from mixedmodels.inference.simulation import as_seed, batches, whole_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]

#: How the null distribution may be found.
Method = Literal["auto", "chisq", "exact", "mixture", "bootstrap"]
METHODS: tuple[str, ...] = get_args(Method)

#: The seed of tables that are to print the same every time.
DEFAULT_SEED = 1

# With so many levels, the theory in the limit is near: a zero in about half of all data sets.
_MANY_LEVELS = 100
# What a bootstrap may take without being asked for, roughly; for fewer draws there is none.
_PATIENCE_SECONDS, _FEWEST_UNASKED = 3.0, 1000
# Measured seconds to draw a number and to sum it, and of the least refit.
_NUMBER_SECONDS, _FIT_SECONDS = 6e-8, 3e-5
# Evaluations of a refit, those from other starts included.
_EVALUATIONS = 30
# Fewer simulations say nothing of a p-value.
FEWEST = 100
# Of the criterion: differences below it are rounding.
_ROUNDING = 1e-8


@dataclass(frozen=True, slots=True)
class NullDistribution:
    """Where a test statistic of variances would fall if these were zero.

    Attributes
    ----------
    method : {"exact", "mixture", "bootstrap", "chisq"}
        How it was found.
    name : str
        The distribution, in words.
    reason : str
        Why this one.
    p_value : float
        Probability of a statistic as large as that observed, or larger.
    mass_at_zero : float
        Probability of a statistic of zero.
    n : int
        Simulations; 0 where the distribution is known in closed form.
    seed : int or None
        Of the simulations.
    """

    method: str
    name: str
    reason: str
    p_value: float
    mass_at_zero: float
    n: int = 0
    seed: int | None = None

    @property
    def mc_error(self) -> float:
        """Monte Carlo standard error of the p-value; 0 in closed form."""
        return math.sqrt(self.p_value * (1 - self.p_value) / self.n) if self.n else 0.0

    @property
    def sentences(self) -> tuple[str, str]:
        """What is printed below a test: which distribution and why; what it is like."""
        zero = f"a statistic of zero has probability {self.mass_at_zero:.2f}"
        if self.n:
            at_least = "at most " if self.p_value <= 1 / (self.n + 1) else ""
            zero = (
                f"{self.n:,} draws, seed {self.seed}: Monte Carlo error {at_least}"
                f"{self.mc_error:.1g}; {zero}"
            )
        return f"{self.name} ({self.reason})", zero


def check_arguments(method: Any, n: Any, seed: Any) -> int:
    """Refuse what the arguments of a test may not be; return the seed.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If one is not what it may be.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    whole_number(n, "n", FEWEST)
    return DEFAULT_SEED if seed is None else as_seed(seed)


# -- one variance against none ---------------------------------------------------------------


def exact(model: LinearMixedModel, observed: float, n: int, seed: int) -> NullDistribution:
    """Test the variance of the only term by its exact distribution.

    Parameters
    ----------
    model : LinearMixedModel
        With one term.
    observed : float
        The statistic.
    n, seed : int
        Number and seed of simulations; there are none in a balanced design.

    Returns
    -------
    NullDistribution

    Raises
    ------
    FitTooLargeError
        If the levels have thousands of different sizes.
    """
    values = spectrum(model.cross_products, model.reml)
    reason = "one variance against none: exact, however small the sample"
    if values.balanced:
        p, zero = balanced_tail(values, observed)
        return NullDistribution("exact", "the F distribution", reason, p, zero)
    drawn = simulate_statistics(values, n, seed)
    return _counted("exact", "its own distribution", reason, drawn, observed, seed)


# -- variances beside others -----------------------------------------------------------------


def beside_others(
    small: Any,
    large: Any,
    tested: Sequence[int],
    observed: float,
    more_coefficients: int = 0,
    *,
    method: str = "auto",
    n: int = 10_000,
    seed: int = DEFAULT_SEED,
) -> NullDistribution:
    """Test variances of a model that keeps others under the hypothesis.

    Parameters
    ----------
    small, large : LinearMixedModel
        The models, without and with the variances, fitted by the same criterion.
    tested : sequence of int
        The terms of `large` whose variances are tested.
    observed : float
        The statistic.
    more_coefficients : int, default 0
        Fixed effects that `large` has more, tested with them.
    method : {"auto", "mixture", "bootstrap"}
        How to find the distribution.
    n, seed : int
        Number and seed of simulations.

    Returns
    -------
    NullDistribution

    Raises
    ------
    ArgumentError, ComparisonError
        If the method does not go with these models.
    """
    if method == "exact":
        raise ArgumentError(
            "the exact distribution is known for one variance against none, and here others stay; "
            "use method='bootstrap', or fm.test_variance(...) of a model with one term"
        )
    levels = min(int(large.design.groupings[t].nlevels) for t in tested)
    few = levels < _MANY_LEVELS
    if method == "auto":
        regular = len(tested) == 1 and not small.singular
        draws = _affordable_draws(small, large, n)
        method = "bootstrap" if draws and (few or not regular) else "mixture"
        n = draws or n
    if method == "bootstrap":
        statistics = bootstrap_statistics(small, large, n, seed)
        why = f"{levels} levels: too few for the limit" if few else "asked for"
        if len(tested) > 1:
            why = f"{len(tested)} variances at once"
        elif small.singular:
            why = "another variance is estimated as zero as well"
        return _counted("bootstrap", "parametric bootstrap", why, statistics, observed, seed)
    covariance = _covariance(large, tested) if len(tested) > 1 else np.eye(1)
    return mixture(covariance, observed, more_coefficients, levels, small.singular)


def mixture(
    covariance: Floats, observed: float, more: int, levels: int, singular: bool = False
) -> NullDistribution:
    """Test variances, with the covariance of their estimates, by the limit for many levels.

    Self and Liang (1987), below; D. O. Stram and J. W. Lee, Variance components testing in the
    longitudinal mixed effects model, Biometrics 50 (1994), 1171-1177.
    """
    weights = mixture_weights(covariance)
    p = mixture_tail(weights, observed, more)
    text = " + ".join(f"{w:.3g} chi2({j + more})" for j, w in enumerate(weights))
    reason = "the limit for many levels"
    if levels < _MANY_LEVELS:
        reason += f"; there are {levels}, and method='bootstrap' is nearer the truth"
    if singular:
        reason += "; it supposes that the other variances are not zero, and one is estimated so"
    return NullDistribution("mixture", text, reason, p, float(weights[0]) if more == 0 else 0.0)


def mixture_tail(weights: Floats, observed: float, more: int = 0) -> float:
    """Compute P(statistic ≥ observed) of Σ_j weights_j χ²(j + more)."""
    from scipy.special import chdtrc

    if observed <= 0.0:
        return 1.0
    return float(sum(w * chdtrc(j + more, observed) for j, w in enumerate(weights) if j + more))


def mixture_weights(covariance: Floats) -> Floats:
    """Compute how often 0, 1, … of the estimates are positive, in the limit.

    S. G. Self and K.-Y. Liang, Asymptotic properties of maximum likelihood estimators and
    likelihood ratio tests under nonstandard conditions, JASA 82 (1987), 605-610; weights for three
    by A. Shapiro, Towards a unified theory of inequality constrained testing in multivariate
    analysis, International Statistical Review 56 (1988), 49-62.

    Parameters
    ----------
    covariance : ndarray (k, k)
        Of the estimates, as if they could be negative; one to three of them.

    Returns
    -------
    ndarray (k + 1,)

    Raises
    ------
    ArgumentError
        If there are more than three.
    """
    k = len(covariance)
    if k > 3:
        raise ArgumentError(
            f"the weights of a mixture are known for up to three variances, not {k}; "
            "use method='bootstrap', or test them in turn"
        )
    all_positive = _orthant(covariance)
    if k == 1:
        return np.array([0.5, 0.5])
    if k == 2:
        return np.array([0.5 - all_positive, 0.5, all_positive])
    none = _orthant(np.linalg.inv(covariance))
    return np.array([none, 0.5 - all_positive, 0.5 - none, all_positive])


def _orthant(covariance: NDArray[np.floating[Any]]) -> float:
    """Compute the probability that up to three normal variables are all positive."""
    sd = np.sqrt(np.diagonal(covariance))
    rho = (covariance / np.outer(sd, sd))[np.triu_indices(len(sd), 1)]
    angles = float(np.arcsin(np.clip(rho, -1.0, 1.0)).sum())
    return {1: 0.5, 2: 0.25 + angles / (2 * np.pi), 3: 0.125 + angles / (4 * np.pi)}[len(sd)]


def _covariance(large: Any, tested: Sequence[int]) -> Floats:
    information = np.asarray(large.optimum.core.information)
    if not np.all(np.isfinite(information)):
        raise ArgumentError(
            "the information about the variances, which the mixture needs, is not known here; "
            "use method='bootstrap'"
        )
    return np.linalg.inv(information)[np.ix_(tested, tested)]


# -- bootstrap -------------------------------------------------------------------------------


def _affordable_draws(small: Any, large: Any, n: int) -> int:
    """Return how many draws are made without being asked for: n, or fewer, or none."""
    if not (small.plan.has_factor and large.plan.has_factor):
        return 0
    fits = sum(max(_FIT_SECONDS, _EVALUATIONS * m.plan.core.seconds) for m in (small, large))
    most = int(_PATIENCE_SECONDS / (fits + _NUMBER_SECONDS * large.nobs)) // 1000 * 1000
    return n if n <= most else most if most >= _FEWEST_UNASKED else 0


def bootstrap_statistics(small: Any, large: Any, n: int, seed: int) -> Floats:
    """Refit both models to responses drawn from the smaller.

    Parameters
    ----------
    small, large : LinearMixedModel
        Nested models of the same observations, fitted by the same criterion.
    n, seed : int
        Number and seed of responses.

    Returns
    -------
    ndarray
        Statistics, without those of fits that failed.

    Raises
    ------
    ComparisonError
        If a model cannot be refitted exactly.
    """
    for model in (small, large):
        if not model.plan.has_factor:
            raise ComparisonError(
                "the bootstrap refits both models exactly, and one was fitted iteratively; use "
                "method='mixture', or update(method='hybrid') if a factor goes into memory"
            )
    fits = Refitter(small), Refitter(large)
    parts = []
    for Y in batches(small, n, seed):
        without, beside = (fit.fit(Y) for fit in fits)
        good = without.converged & beside.converged
        parts.append((without.objective - beside.objective)[good])
    return np.maximum(np.concatenate(parts), 0.0)


def _counted(
    method: str, name: str, reason: str, statistics: Floats, observed: float, seed: int
) -> NullDistribution:
    n = len(statistics)
    if n == 0:
        raise ComparisonError("no simulated response could be fitted; use method='mixture'")
    if observed <= _ROUNDING:
        p = 1.0
    else:
        # The data themselves are one draw of the hypothesis, so that none is impossible.
        p = (1 + int(np.count_nonzero(statistics >= observed - _ROUNDING))) / (n + 1)
    zero = float(np.mean(statistics <= _ROUNDING))
    return NullDistribution(method, name, reason, p, zero, n, seed)
