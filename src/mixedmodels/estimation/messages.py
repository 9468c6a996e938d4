"""What is said of an optimum: whether it is one, and whether the terms can be told apart.

All of it is free of units: the criterion is in units of log-likelihood, and variances are compared
with their own standard errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.estimation.newton import Optimum

    Floats = NDArray[np.floating[Any]]

#: Estimates that move against each other by more than this are hardly known apart.
CONFOUNDED = -0.9


def stopped_early(optimum: Optimum, labels: Sequence[str], criterion: str) -> str:
    """Say how far from an optimum the search ended, which variance is concerned, what to do.

    Parameters
    ----------
    optimum : Optimum
        Where it ended.
    labels : sequence of str
        The terms.
    criterion : str
        What was minimised.

    Returns
    -------
    str
    """
    fall = optimum.core.decrement / 2
    text = f"the optimiser stopped early ({optimum.core.ending})"
    if not np.isfinite(fall):
        return (
            f"{text}: there the derivatives of the {criterion} are not numbers; fit without one "
            f"of {', '.join(labels)}, or begin elsewhere with start="
        )
    text += f": the {criterion} could still fall by {fall:.1e}"
    moves = _next_step(optimum)
    if moves is not None:
        t = int(np.argmax(moves))
        text += f", the variance of {labels[t]} move by {moves[t]:.1g} of its standard error"
    if not optimum.probes:
        text += "; update(start=fm.theta) goes on from there"
    return f"{text}; see the model's iterations"


def confounded(optimum: Optimum, labels: Sequence[str]) -> tuple[str, ...]:
    """Name the terms whose variances can hardly be told apart.

    Parameters
    ----------
    optimum : Optimum
        The optimum.
    labels : sequence of str
        The terms.

    Returns
    -------
    tuple of str
        A sentence for each pair.
    """
    covariance = _inverse(np.asarray(optimum.core.information)) if len(labels) > 1 else None
    if covariance is None:
        return ()
    sd = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(sd, sd)
    return tuple(
        f"the variances of {labels[s]} and {labels[t]} can hardly be told apart: the correlation "
        f"of their estimates is {correlation[s, t]:.2f}; their sum is surer than either, and one "
        "of the terms may do"
        for s, t in combinations(range(len(labels)), 2)
        if correlation[s, t] < CONFOUNDED
    )


def _next_step(optimum: Optimum) -> Floats | None:
    """Compute Newton's next step, each variance's in its standard errors, if it can be."""
    core = optimum.core
    free = (core.gamma > 0.0) | (core.gradient < 0.0)
    inverse = _inverse(np.asarray(core.information)[np.ix_(free, free)])
    if inverse is None or not np.all(np.isfinite(core.gradient)):
        return None
    moves = np.zeros(len(free))
    # The information is that of twice the log-likelihood.
    moves[free] = np.abs(inverse @ core.gradient[free]) / np.sqrt(2 * np.diagonal(inverse))
    return moves


def _inverse(information: Floats) -> Floats | None:
    """Invert, unless the matrix is none of information."""
    if not information.size or not np.all(np.isfinite(information)):
        return None
    scale = np.sqrt(np.abs(np.diagonal(information)))
    if not np.all(scale > 0.0):
        return None
    try:
        inverse = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    except np.linalg.LinAlgError:
        return None
    return inverse if np.all(np.diagonal(inverse) > 0.0) else None
