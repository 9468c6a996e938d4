"""Conditional standard deviations of the random effects, σ √diag(Λ M⁻¹ Λ)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels import _core
from mixedmodels.errors import UnknownColumnError, UnknownLevelError
from mixedmodels.matrices import theta_of_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.estimates import Estimates

# Of an iterative fit: probes for the factors of many levels; those of few are solved for.
PROBES = 64
FEW_LEVELS = 256


@dataclass(frozen=True, eq=False)
class ConditionalSDs:
    """Conditional standard deviations and how far they may be off.

    Attributes
    ----------
    values : ndarray (q,)
        Term after term.
    errors : ndarray (q,)
        Monte Carlo standard errors; zero where the values are exact.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]

    @property
    def estimated(self) -> bool:
        """Whether some values are estimates."""
        return bool(self.errors.any())


def conditional_sds(model: Estimates) -> ConditionalSDs:
    """Compute the conditional standard deviations of all random effects.

    Exactly, from the inverse of the factor; in an iterative fit, of the factors of more than 256
    levels estimates from 64 random probes (Bekas, Kokiopoulou & Saad 2007).
    """
    sums, theta = model.cross_products, model.theta
    scale = model.sigma * theta_of_levels(theta, sums.levels)
    if model.plan.has_factor:
        diagonal = _core.inverse_diagonal(sums.response, model.plan.core, theta**2)
        return ConditionalSDs(scale * np.sqrt(diagonal), np.zeros(diagonal.size))
    value, error = _core.estimate_inverse_diagonal(sums.response, theta**2, PROBES, model.plan.seed)
    stop = 0
    for levels in sums.levels:
        start, stop = stop, stop + levels
        if levels <= FEW_LEVELS:
            value[start:stop] = _core.iterative_inverse_diagonal(
                sums.response, theta**2, list(range(start, stop))
            )
            error[start:stop] = 0.0
    root = np.sqrt(value)
    return ConditionalSDs(scale * root, scale * error / (2.0 * root))


def chosen_sds(model: Estimates, label: str, levels: Any) -> NDArray[np.float64]:
    """Compute those of some levels of a factor, exactly: see `LinearMixedModel.condsd`."""
    import pandas as pd

    labels = [g.label for g in model.design.groupings]
    if label not in labels:
        raise UnknownColumnError(
            f"the model has no grouping factor {label!r}; it has {', '.join(labels)}"
        )
    term = labels.index(label)
    wanted = pd.Index([levels] if np.ndim(levels) == 0 else levels)
    place = model.design.groupings[term].levels.get_indexer(wanted)
    if unknown := wanted[place < 0].tolist():
        raise UnknownLevelError(f"{label} has no level {unknown[0]!r}")
    sums = model.cross_products
    place = place + sum(sums.levels[:term])
    if model.plan.has_factor:
        return conditional_sds(model).values[place]
    diagonal = _core.iterative_inverse_diagonal(sums.response, model.theta**2, place.tolist())
    sds: NDArray[np.float64] = model.sigma * model.theta[term] * np.sqrt(diagonal)
    return sds
