"""Predictions of a fitted model, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixedmodels.columns import Columns, nearest
from mixedmodels.errors import ArgumentError, ArgumentTypeError, DataError, UnknownColumnError
from mixedmodels.factors import Factor
from mixedmodels.inference.henderson import error_variances
from mixedmodels.inference.leverage import distinct_cells

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int32]

Levels = Literal["error", "population", "missing"]
Interval = Literal["confidence", "prediction"]


@dataclass(frozen=True)
class _Rows:
    """What a prediction needs of its rows."""

    X: Floats  # without redundant columns
    offset: Floats
    codes: list[Codes | None]  # of each term, -1 where not known; None where it is left out
    weights: Floats | None
    index: pd.Index


def predict(
    model: LinearMixedModel,
    newdata: Any,
    *,
    random: bool | Sequence[str],
    levels: Levels,
    interval: Interval | None,
    level: float,
    se: bool,
) -> pd.Series | pd.DataFrame:
    """Predict the response: see `LinearMixedModel.predict`."""
    import pandas as pd
    from scipy.special import ndtri

    if levels not in ("error", "population", "missing"):
        raise ArgumentError(f"levels must be 'error', 'population' or 'missing', not {levels!r}")
    if interval not in (None, "confidence", "prediction"):
        raise ArgumentError(
            f"interval must be None, 'confidence' or 'prediction', not {interval!r}"
        )
    if isinstance(level, bool) or not isinstance(level, float) or not 0.0 < level < 1.0:
        raise ArgumentError(f"level must be a probability between 0 and 1, not {level!r}")
    if not isinstance(se, bool | np.bool_):
        raise ArgumentTypeError(f"se must be True or False, not {se!r}")
    wanted = _wanted(model, random)
    plain = interval is None and not se
    if newdata is None and plain and len(set(wanted)) == 1:  # also piece by piece from a file
        means = model.fitted().to_numpy() if wanted[0] else model.population_mean
        return pd.Series(means, index=model.design.index, name="prediction")
    if newdata is None:
        rows = _rows_of_fit(model, wanted)
    else:
        rows = _new_rows(model, newdata, wanted, levels, interval == "prediction")
    values = rows.X @ model.beta + rows.offset
    start = 0
    missing = np.zeros(values.size, dtype=bool)
    for grouping, codes in zip(model.design.groupings, rows.codes, strict=True):
        stop = start + grouping.nlevels
        if codes is not None:
            # A level that is not known has its mean in the population, zero.
            values = values + np.where(codes < 0, 0.0, model.b[start:stop][codes])
            missing |= (codes < 0) & (levels == "missing")
        start = stop
    values[missing] = np.nan
    if plain:
        return pd.Series(values, index=rows.index, name="prediction")
    errors = np.sqrt(_variances(model, rows, interval == "prediction"))
    errors[missing] = np.nan
    frame = pd.DataFrame({"prediction": values, "se": errors}, index=rows.index)
    if interval is None:
        return frame
    half = float(ndtri(0.5 + 0.5 * level)) * errors
    return frame.assign(lower=values - half, upper=values + half)


def _variances(model: LinearMixedModel, rows: _Rows, new_observation: bool) -> Floats:
    """Compute the variance of what is to be, about the prediction."""
    codes, relative, start = [], np.zeros(len(rows.X)), 0
    for grouping, gamma, known in zip(
        model.design.groupings, model.theta**2, rows.codes, strict=True
    ):
        if known is None:
            codes.append(np.full(len(rows.X), -1, dtype=np.int64))
            relative += gamma * new_observation
        else:
            codes.append(np.where(known < 0, -1, known.astype(np.int64) + start))
            relative += np.where(known < 0, gamma, 0.0)
        start += grouping.nlevels
    relative += error_variances(model, rows.X, *distinct_cells(np.column_stack(codes)))
    if new_observation:
        relative += 1.0 if rows.weights is None else 1.0 / rows.weights
    variances: Floats = model.sigma**2 * relative
    return variances


# -- rows ------------------------------------------------------------------------------------


def _wanted(model: LinearMixedModel, random: Any) -> list[bool]:
    """Tell of each term whether its random effects are to be added."""
    labels = [g.label for g in model.design.groupings]
    if isinstance(random, bool | np.bool_):
        return [bool(random)] * len(labels)
    if isinstance(random, str) or not isinstance(random, list | tuple | set | frozenset):
        raise ArgumentTypeError(
            "random must be True, False or a list of grouping factors, such as "
            f"[{labels[0]!r}]; got {random!r}"
        )
    for label in random:
        if label not in labels:
            hint = nearest(str(label), labels)
            raise UnknownColumnError(
                f"the model has no grouping factor {label!r}; it has {', '.join(labels)}"
                + (f". {hint}" if hint else "")
            )
    return [label in random for label in labels]


def _rows_of_fit(model: LinearMixedModel, wanted: list[bool]) -> _Rows:
    design = model.design.in_memory()
    return _Rows(
        X=design.X[:, model.cross_products.structure.kept],
        offset=np.zeros(design.n) if design.offset is None else design.offset,
        codes=[g.codes if add else None for g, add in zip(design.groupings, wanted, strict=True)],
        weights=design.weights,
        index=design.index,
    )


def _new_rows(
    model: LinearMixedModel, newdata: Any, wanted: list[bool], levels: Levels, weighted: bool
) -> _Rows:
    spec = model.design.spec
    columns = Columns(newdata)
    X = spec.matrix(newdata)[:, model.cross_products.structure.kept]
    offset = np.zeros(len(X))
    for part in (spec.offset(newdata), _offset_argument(model.options.offset, columns)):
        if part is not None:
            offset = offset + part
    unknown: Literal["error", "missing"] = "error" if levels == "error" else "missing"
    codes: list[Codes | None] = []
    for grouping, add in zip(model.design.groupings, wanted, strict=True):
        if not add:
            codes.append(None)
            continue
        found = grouping.locate(newdata, unknown=unknown)
        if levels == "error" and (found < 0).any():
            row = columns.index[int(np.flatnonzero(found < 0)[0])]
            raise DataError(
                f"{grouping.label} is missing in row {row!r}; leave it out, or predict with "
                "levels='population' or random=False"
            )
        codes.append(found)
    weights = _weights_argument(model.options.weights, columns) if weighted else None
    return _Rows(X, offset, codes, weights, columns.index)


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


def _weights_argument(weights: Any, columns: Columns) -> NDArray[np.float64] | None:
    """Read the weights of new rows, if the model's are a column and the rows have it."""
    if not isinstance(weights, str) or weights not in columns.names:
        return None
    values = columns.value(weights)
    if isinstance(values, Factor) or not (np.isfinite(values) & (values > 0)).all():
        raise DataError(f"the weights {weights} must be positive and finite in every row")
    return values.astype(np.float64)
