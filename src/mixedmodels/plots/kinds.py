"""The pictures of a fitted model by their names: what `LinearMixedModel.plot` draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mixedmodels.columns import nearest
from mixedmodels.errors import ArgumentError
from mixedmodels.plots import convergence, criterion, diagnosis, influence, structure, variances

if TYPE_CHECKING:
    from mixedmodels.model import LinearMixedModel
    from mixedmodels.plots.canvas import Drawn

WHOLE: dict[str, Callable[[LinearMixedModel, Any], Drawn]] = {
    "diagnosis": diagnosis.diagnosis,
    "residuals": diagnosis.residuals,
    "normal": diagnosis.normal,
    "scale-location": diagnosis.scale_location,
    "leverage": diagnosis.leverage,
    "cooks": influence.cooks,
    "variances": variances.variances,
    "convergence": convergence.convergence,
    "zeta": lambda model, ax: model.profile().plot("zeta", ax=ax),
    "density": lambda model, ax: model.profile().plot("density", ax=ax),
    # Pairs need one criterion for all parameters: the likelihood.
    "pairs": lambda model, ax: model.profile(reml=False).plot("pairs", ax=ax),
    "structure": structure.structure,
    "Zt": structure.Zt,
    "Lambda": structure.Lambda,
    "ZtZ": structure.ZtZ,
    "L": structure.L,
}
BY_GROUP: dict[str, Callable[[LinearMixedModel, str | None, Any], Drawn]] = {
    "caterpillar": lambda model, group, ax: model.ranef().caterpillar(group, ax=ax),
    "qqmath": lambda model, group, ax: model.ranef().qqmath(group, ax=ax),
    "criterion": criterion.criterion,
    "influence": influence.influence,
}


def plot(model: LinearMixedModel, kind: str, group: str | None, ax: Any) -> Drawn:
    """Draw the picture of that name."""
    if isinstance(kind, str) and kind in BY_GROUP:
        return BY_GROUP[kind](model, group, ax)
    if not isinstance(kind, str) or kind not in WHOLE:
        names = [*WHOLE, *BY_GROUP]
        hint = nearest(str(kind), names)
        raise ArgumentError(
            f"there is no picture {kind!r}. {hint}{' ' * bool(hint)}There are {', '.join(names)}."
        )
    if group is not None:
        raise ArgumentError(
            f"the picture {kind!r} is of the whole model; only {', '.join(BY_GROUP)} are of a group"
        )
    return WHOLE[kind](model, ax)
