"""The exact null distribution of the test of one variance against none, by its spectrum.

C. M. Crainiceanu and D. Ruppert, Likelihood ratio tests in linear mixed models with one variance
component, Journal of the Royal Statistical Society B 66 (2004), 165-185, theorem 1: whatever β and
σ are, the statistic depends on independent χ² variables only, weighted by eigenvalues,

    sup over λ ≥ 0 of  −ν log(1 − Σ_s a_s(λ) w_s / Σ_s w_s) − Σ_s log(1 + λξ_s),
    a_s(λ) = λμ_s / (1 + λμ_s),

where μ are the eigenvalues of Z'P₀Z with P₀ the projection off the columns of X. By REML ξ = μ and
ν = n − p; by maximum likelihood ξ are the eigenvalues of Z'Z and ν = n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.errors import FitTooLargeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.cross_products import CrossProducts

    Floats = NDArray[np.float64]

# Eigenvalues nearer to each other than this part of the largest are one.
_SAME = 1e-9
# Order of the matrix whose eigenvalues take about a second.
_MOST_ORDER = 2000
# λ is searched on a grid of its logarithm, from where λμ is small for the largest μ to where it is
# large for the least, and then by Newton's method.
_SMALL, _LARGE, _STEP = 1e-4, 1e5, 0.25
_NEWTON_STEPS = 4
# Draws and eigenvalues of one block, in numbers.
_BLOCK = 1_000_000


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues, each once, with their multiplicities.

    Attributes
    ----------
    mu, mu_times : ndarray
        Those of Z'P₀Z that are not zero.
    xi, xi_times : ndarray
        Those of the determinant: the same by REML, of Z'Z by maximum likelihood.
    nu : int
        n − p by REML, n by maximum likelihood.
    df : int
        n − p.
    """

    mu: Floats
    mu_times: Floats
    xi: Floats
    xi_times: Floats
    nu: int
    df: int

    @property
    def balanced(self) -> bool:
        """Whether all eigenvalues are equal: then the statistic is a function of one F ratio."""
        return len(self.mu) == len(self.xi) == 1 and abs(self.mu[0] / self.xi[0] - 1) <= _SAME


def spectrum(sums: CrossProducts, reml: bool) -> Spectrum:
    """Find the eigenvalues that the test of the only term depends on.

    Parameters
    ----------
    sums : CrossProducts
        Of a model with one random-effects term.
    reml : bool
        Whether the statistic is that of REML.

    Returns
    -------
    Spectrum

    Raises
    ------
    FitTooLargeError
        If the eigenvalue problem is too large: with thousands of different sizes of levels.
    """
    counts = np.asarray(sums.structure.count)
    mu = _distinct(_projected_eigenvalues(counts, np.asarray(sums.structure.ZtX)))
    xi = mu if reml else _distinct(counts)
    df = sums.n - sums.rank
    return Spectrum(*mu, *xi, df if reml else sums.n, df)


def _projected_eigenvalues(counts: Floats, U: Floats) -> Floats:
    """Find the eigenvalues of diag(counts) − UU'.

    Within levels of one count U is rotated onto at most p of them; the others keep the count as
    their eigenvalue. What is left is of the order of p times the number of different counts.
    """
    p = U.shape[1]
    order = np.argsort(counts, kind="stable")
    starts = np.flatnonzero(np.diff(counts[order], prepend=-np.inf) > _SAME * counts.max())
    free, diagonal, rows = [], [], []
    for same in np.split(order, starts[1:]):
        count = counts[same[0]]
        block: Floats = U[same]
        if len(same) > p:
            block = np.linalg.qr(block).R
            free.append(np.full(len(same) - p, count))
        diagonal.append(np.full(len(block), count))
        rows.append(block)
    reduced, coupled = np.concatenate(diagonal), np.concatenate(rows)
    if len(reduced) > _MOST_ORDER:
        raise FitTooLargeError(
            f"the exact null distribution needs the eigenvalues of a matrix of order "
            f"{len(reduced)}; use method='mixture', which holds for so many levels"
        )
    return np.concatenate([*free, np.linalg.eigvalsh(np.diag(reduced) - coupled @ coupled.T)])


def _distinct(values: Floats) -> tuple[Floats, Floats]:
    """Return each value that is not zero once, and how often it is there."""
    values = np.sort(values[values > _SAME * values.max()])
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > _SAME * values[-1])
    times = np.diff(starts, append=len(values)).astype(np.float64)
    return np.add.reduceat(values, starts) / times, times


# -- balanced: closed form -------------------------------------------------------------------


def balanced_tail(spectrum: Spectrum, observed: float) -> tuple[float, float]:
    """Compute P(statistic ≥ observed) and P(statistic = 0) where all eigenvalues are equal.

    The part x of the sum of squares that is between levels has a beta distribution under the
    hypothesis, and the statistic rises with x from where the mean squares are equal.
    """
    from scipy.optimize import brentq
    from scipy.special import betainc

    nu, times = spectrum.nu, float(spectrum.xi_times[0])
    between, within = spectrum.mu_times[0] / 2, (spectrum.df - spectrum.mu_times[0]) / 2
    log_edge = np.log1p(-times / nu)

    def statistic(log_rest: float) -> float:
        # Both logarithms are zero at the edge; `log_rest` is log(1 − x), which may be tiny.
        log_x = np.log(-np.expm1(log_rest))
        gained = log_rest - log_edge
        return float(-nu * gained + times * (np.log(times / (nu - times)) + log_rest - log_x))

    def beyond(log_rest: float) -> float:
        return float(betainc(within, between, np.exp(log_rest)))

    zero = 1.0 - beyond(log_edge)
    if observed <= 0.0:
        return 1.0, zero
    lowest = log_edge - observed / (nu - times) - 1.0
    while statistic(lowest) < observed:
        lowest = 2.0 * lowest
    return beyond(brentq(lambda v: statistic(v) - observed, lowest, log_edge, xtol=1e-13)), zero


# -- any spectrum: simulation ----------------------------------------------------------------


def simulate_statistics(spectrum: Spectrum, n: int, seed: int) -> Floats:
    """Draw from the null distribution.

    Parameters
    ----------
    spectrum : Spectrum
        The eigenvalues.
    n : int
        Number of draws.
    seed : int
        Of the random numbers.

    Returns
    -------
    ndarray (n,)
        Statistics; exactly zero where the variance would be estimated as zero.
    """
    rng = np.random.default_rng(seed)
    # An equal number of numbers for each draw: the blocks do not change what is drawn.
    shapes = np.append(spectrum.mu_times, spectrum.df - spectrum.mu_times.sum()) / 2
    block = max(1, _BLOCK // len(shapes))
    parts = []
    for start in range(0, n, block):
        size = (min(block, n - start), len(shapes))
        parts.append(suprema(spectrum, 2.0 * rng.standard_gamma(shapes, size=size)))
    return np.concatenate(parts)


def suprema(spectrum: Spectrum, squares: Floats) -> Floats:
    """Compute the statistics of given sums of squares.

    Parameters
    ----------
    spectrum : Spectrum
        The eigenvalues.
    squares : ndarray (n, k + 1)
        Sums of squares that belong to each μ, and the rest.

    Returns
    -------
    ndarray (n,)
    """
    # The total does not matter: shares of it.
    w = squares[:, :-1] / squares.sum(axis=1, keepdims=True)
    mu, xi, times, nu = spectrum.mu, spectrum.xi, spectrum.xi_times, spectrum.nu
    grid = np.arange(np.log(_SMALL / mu.max()), np.log(_LARGE / mu.min()), _STEP)
    lam = np.exp(grid)
    shares = w @ (1.0 / (1.0 + 1.0 / np.outer(mu, lam)))
    values = -nu * np.log1p(-shares) - np.log1p(np.outer(lam, xi)) @ times
    best = values.argmax(axis=1)
    statistic = values[np.arange(len(w)), best]

    # Below the grid the criterion is a line: it rises there where it does at zero.
    rising = nu * (w @ mu) > xi @ times
    inside = np.flatnonzero(((best > 0) | rising) & (best < len(grid) - 1))
    w, t = w[inside], grid[best[inside]]
    low, high = t - _STEP, t + _STEP
    top = statistic[inside]
    for _ in range(_NEWTON_STEPS):
        a = 1.0 / (1.0 + np.exp(-t)[:, None] / mu)
        b = 1.0 / (1.0 + np.exp(-t)[:, None] / xi)
        rest = 1.0 - np.sum(a * w, axis=1)
        rise = np.sum(a * (1 - a) * w, axis=1) / rest
        bend = np.sum(a * (1 - a) * (1 - 2 * a) * w, axis=1) / rest + rise**2
        slope = nu * rise - b @ times
        curvature = nu * bend - (b * (1 - b)) @ times
        step = np.where(curvature < 0, -slope / np.minimum(curvature, -1e-300), 0.0)
        t = np.clip(t + step, low, high)
        a = 1.0 / (1.0 + np.exp(-t)[:, None] / mu)
        logs = np.log1p(np.exp(t)[:, None] * xi) @ times
        top = np.maximum(top, -nu * np.log1p(-np.sum(a * w, axis=1)) - logs)
    statistic[inside] = top
    return np.where((statistic > 0.0) & ((best > 0) | rising), statistic, 0.0)
