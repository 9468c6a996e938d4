"""Predictions of a fitted model for new rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixedmodels.columns import Columns
from mixedmodels.errors import ArgumentError, DataError
from mixedmodels.factors import Factor

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel


def predict(
    model: LinearMixedModel,
    newdata: Any,
    *,
    random: bool,
    levels: Literal["error", "population"],
) -> pd.Series:
    """Predict the response: see `LinearMixedModel.predict`."""
    import pandas as pd

    if levels not in ("error", "population"):
        raise ArgumentError(f"levels must be 'error' or 'population', not {levels!r}")
    if newdata is None:
        values = model.fitted().to_numpy() if random else model.population_mean
        return pd.Series(values, index=model.design.index, name="prediction")

    spec = model.design.spec
    columns = Columns(newdata)
    values = spec.matrix(newdata)[:, model.cross_products.structure.kept] @ model.beta
    for offset in (spec.offset(newdata), _offset_argument(model.options.offset, columns)):
        if offset is not None:
            values = values + offset
    if random:
        stop = 0
        unknown: Literal["error", "missing"] = "error" if levels == "error" else "missing"
        for grouping in model.design.groupings:
            start, stop = stop, stop + grouping.nlevels
            codes = grouping.locate(newdata, unknown=unknown)
            if levels == "error" and (codes < 0).any():
                row = columns.index[int(np.flatnonzero(codes < 0)[0])]
                raise DataError(
                    f"{grouping.label} is missing in row {row!r}; leave it out, or predict with "
                    "levels='population' or random=False"
                )
            # A level that is not known has its mean in the population, zero.
            values = values + np.where(codes < 0, 0.0, model.b[start:stop][codes])
    return pd.Series(values, index=columns.index, name="prediction")


def _offset_argument(offset: Any, columns: Columns) -> NDArray[np.float64] | None:
    """Read, for new rows, the offset that `lmer` was given apart from the formula."""
    if offset is None:
        return None
    if not isinstance(offset, str):
        raise ArgumentError(
            "the model was fitted with an array as offset, which new rows do not have; "
            "fit it with the name of a column as offset"
        )
    values = columns.value(offset)
    if isinstance(values, Factor) or not np.isfinite(values).all():
        raise DataError(f"the offset {offset} must be a finite number in every row")
    return values.astype(np.float64)
