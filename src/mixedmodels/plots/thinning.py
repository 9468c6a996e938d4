"""Which of very many values to draw, so that the picture is the same and never frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.intp]

MOST_LEVELS = 2000
MOST_POINTS = 5000
MOST_ROWS = 1_000_000


def evenly(count: int, most: int = MOST_LEVELS) -> Positions:
    """Choose ranks, evenly spaced, the first and the last among them.

    Examples
    --------
    >>> evenly(7, 4)
    array([0, 2, 4, 6])
    """
    if count <= most:
        return np.arange(count)
    return np.round(np.linspace(0, count - 1, most)).astype(np.intp)


def normal_quantiles(count: int) -> NDArray[np.float64]:
    """Return the standard normal quantiles of ranks, at the probabilities (i − ½)/n."""
    from scipy.special import ndtri

    quantiles: NDArray[np.float64] = ndtri((np.arange(count) + 0.5) / count)
    return quantiles


def evenly_in_quantiles(quantiles: NDArray[np.float64], most: int = MOST_LEVELS) -> Positions:
    """Choose ranks evenly spaced in their quantiles: all of the tails, few of the middle."""
    if quantiles.size <= most:
        return np.arange(quantiles.size)
    wanted = np.linspace(quantiles[0], quantiles[-1], most)
    return np.unique(np.searchsorted(quantiles, wanted).clip(0, quantiles.size - 1))


def thinned_note(drawn: int, count: int, what: str) -> str:
    """Say how many are drawn; empty where all are."""
    return "" if drawn == count else f"{drawn:,} of {count:,} {what} drawn"
