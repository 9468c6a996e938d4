"""The parameters of a model by name: standard deviations, then fixed effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixedmodels.estimates import Estimates


def sd_names(model: Estimates) -> tuple[str, ...]:
    """Name the standard deviations: ``sd[Batch]`` of each term, and ``sd[Residual]``.

    Beside a factor that is called Residual, the residual's is ``sigma``.
    """
    labels = model.cross_products.labels
    residual = "sigma" if "Residual" in labels else "sd[Residual]"
    return (*(f"sd[{label}]" for label in labels), residual)


def coefficient_names(model: Estimates) -> tuple[str, ...]:
    """Name the fixed effects that the data determine; primed where a sd has the name already."""
    taken = set(sd_names(model))
    names = (model.design.names[j] for j in model.cross_products.structure.kept)
    return tuple(f"{name}′" if name in taken else name for name in names)


def parameter_names(model: Estimates) -> tuple[str, ...]:
    """Name all parameters, each differently."""
    return sd_names(model) + coefficient_names(model)


def parameter_values(model: Estimates) -> NDArray[np.float64]:
    """Return their estimates, in the order of the names."""
    return np.concatenate([model.sigma * model.theta, [model.sigma], model.beta])
