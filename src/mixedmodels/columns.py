"""The columns of a data frame, of whatever library, as numbers, truth values and factors."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mixedmodels.errors import ArgumentTypeError, DataError, UnknownColumnError
from mixedmodels.factors import Factor, factor_of, is_arrow_dictionary

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


Value: TypeAlias = Floats | Mask | Factor


class Columns:
    """Read the columns of a data frame, each once, and remember where values are missing.

    Parameters
    ----------
    data : data frame or dict
        Any eager data frame that narwhals understands (pandas, polars, pyarrow, …), or a dict
        of sequences.
    index : pandas.Index, optional
        The labels of the rows, where they are not the frame's own.

    Raises
    ------
    ArgumentTypeError
        If `data` is nothing of that kind.
    DataError
        If two columns have the same name.
    """

    def __init__(self, data: Any, index: pd.Index | None = None) -> None:
        self._frame = _frame(data)
        self._index = index
        columns = self._frame.columns
        if getattr(columns, "nlevels", 1) > 1:
            raise DataError("the columns of the data have several levels of names; flatten them")
        unique = columns.is_unique if hasattr(columns, "is_unique") else _all_differ(columns)
        if not unique:
            twice = sorted({str(c) for c in columns if list(columns).count(c) > 1})
            raise DataError(f"columns with the same name: {', '.join(twice)}; rename them")
        self._columns = columns
        self.n = len(self._frame)
        self._series: dict[str, pd.Series] = {}
        self._values: dict[str, Value] = {}
        self._factors: dict[str, Factor] = {}
        self._missing: dict[str, Mask | None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns.

        Raises
        ------
        DataError
            If a name is empty or no string.
        """
        names = tuple(self._columns)
        for position, name in enumerate(names):
            if not isinstance(name, str) or not name:
                raise DataError(f"column {position} has {name!r} for a name; rename it")
        return names

    @property
    def index(self) -> pd.Index:
        """The labels of the rows."""
        if self._index is not None:
            return self._index
        if is_pandas(self._frame):
            index: pd.Index = self._frame.index
            return index
        import pandas as pd

        return pd.RangeIndex(self.n)

    def value(self, name: str) -> Value:
        """Read a column as a covariate: numbers, truth values or a factor."""
        value = self._values.get(name)
        if value is None:
            value, missing = value_of(self.series(name), name)
            self._values[name] = value
            self.note_missing(name, missing)
        return value

    def factor(self, name: str) -> Factor:
        """Read a column as a factor, whatever it holds."""
        factor = self._factors.get(name)
        if factor is None:
            self._factors[name] = factor = factor_of(self.series(name), name)
            self.note_missing(name, factor.codes < 0)
        return factor

    def series(self, name: str) -> pd.Series:
        """Return a column as a pandas Series.

        Raises
        ------
        UnknownColumnError
            If there is no such column; the error has the nearest names.
        """
        series = self._series.get(name)
        if series is None:
            if name not in self._columns:
                names = [str(column) for column in self._columns]
                known = nearest(name, names) or f"The columns are {_listed(names)}."
                raise UnknownColumnError(f"the data have no column {name!r}. {known}")
            series = self._frame[name] if is_pandas(self._frame) else _converted(self._frame, name)
            self._series[name] = series
        return series

    def missing(self) -> dict[str, Mask]:
        """Tell where values of the columns read so far are missing, of those that lack any."""
        return {name: mask for name, mask in self._missing.items() if mask is not None}

    def note_missing(self, name: str, mask: Mask | None) -> None:
        """Note in which rows something, a column as a rule, is missing."""
        self._missing[name] = mask if mask is not None and mask.any() else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the names most like a name, or nothing."""
    from difflib import get_close_matches

    by_lower = {k.lower(): k for k in known}
    found = get_close_matches(name.lower(), by_lower, 3)
    return f"Did you mean {' or '.join(repr(by_lower[f]) for f in found)}?" if found else ""


def _listed(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _all_differ(names: list[str]) -> bool:
    return len(set(names)) == len(names)


# -- frames ----------------------------------------------------------------------------------


def is_pandas(data: object) -> bool:
    """Tell whether data are a pandas frame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def _frame(data: Any) -> Any:
    """Return a pandas frame as it is, others wrapped by narwhals."""
    if is_pandas(data):
        return data
    if isinstance(data, Mapping):
        import pandas as pd

        try:
            return pd.DataFrame(dict(data))
        except (ValueError, TypeError) as error:
            raise DataError(f"the columns in the dict make no data frame: {error}") from error
    import narwhals as nw

    try:
        frame = nw.from_native(data, eager_only=True)
        frame.columns  # noqa: B018 (reading the names finds the ones that are there twice)
        return frame
    except TypeError as error:
        raise ArgumentTypeError(
            "the data must be a data frame in memory (pandas, polars, pyarrow, …) or a dict of "
            f"columns, not a {type(data).__name__}"
        ) from error
    except Exception as error:
        # narwhals raises its own errors, as it finds columns of the same name.
        raise DataError(f"the columns of the data cannot be read: {error}") from error


def to_pandas(data: Any) -> pd.DataFrame:
    """Return any of the accepted data as a pandas frame."""
    frame = _frame(data)
    if is_pandas(frame):
        pandas: pd.DataFrame = frame
        return pandas
    import pandas as pd

    return pd.DataFrame({name: _converted(frame, name) for name in frame.columns})


def _converted(frame: Any, name: str) -> pd.Series:
    """Take a column out of a frame of another library."""
    import narwhals as nw
    import pandas as pd
    import pyarrow as pa

    # Integers and truth values with missing ones among them stay what they are.
    kept = {getattr(pa, t.lower())(): getattr(pd, t + "Dtype")() for t in _NULLABLE}
    try:
        table = frame.select(name).to_arrow()
        series: pd.Series = table.to_pandas(types_mapper=kept.get)[name]
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"column {name!r} is of type {frame.schema[name]}, which is neither numbers nor "
            "labels; convert it"
        ) from error
    if frame.implementation.is_polars() and isinstance(series.dtype, pd.CategoricalDtype):
        # In polars an Enum has its order for sorting only, a Categorical is sorted as text.
        series = series.cat.as_unordered()
        if frame.schema[name] == nw.Categorical:
            series = series.cat.reorder_categories(sorted(series.cat.categories))
    return series


_NULLABLE = [f"{u}Int{b}" for u in ("", "U") for b in (8, 16, 32, 64)]


# -- values ----------------------------------------------------------------------------------


def value_of(series: pd.Series, name: str) -> tuple[Value, Mask | None]:
    """Read a series as numbers, truth values or a factor, and tell where it is missing.

    Parameters
    ----------
    series : Series
        The values.
    name : str
        What to call it in errors.

    Raises
    ------
    DataError
        If the values are something else.
    """
    dtype: Any = series.dtype
    kind = dtype.kind
    if isinstance(dtype, np.dtype):
        if kind in "iuf":
            numbers = series.to_numpy().astype(np.float64)
            return numbers, np.isnan(numbers) if kind == "f" else None
        if kind == "b":
            return series.to_numpy(), None
    return _other_value(series, name)


def _other_value(series: pd.Series, name: str) -> tuple[Value, Mask | None]:
    import pandas as pd

    dtype: Any = series.dtype
    if isinstance(dtype, pd.CategoricalDtype) or is_arrow_dictionary(dtype):
        factor = factor_of(series, name)
        return factor, factor.codes < 0
    missing = series.isna().to_numpy(dtype=bool)
    holds = {"i": "integer", "u": "integer", "f": "floating", "b": "boolean"}.get(dtype.kind)
    holds = holds or pd.api.types.infer_dtype(series, skipna=True)
    match holds:
        case "boolean":
            truth = np.zeros(len(series), dtype=bool)
            truth[~missing] = series[~missing].to_numpy(dtype=bool)
            return truth, missing
        case "integer" | "floating" | "mixed-integer-float" | "decimal" | "empty":
            numbers = np.full(len(series), np.nan)
            numbers[~missing] = series[~missing].to_numpy(dtype=np.float64)
            return numbers, missing | np.isnan(numbers)
        case "string":
            factor = factor_of(series, name)
            return factor, factor.codes < 0
        case "datetime64" | "datetime" | "date" | "timedelta64" | "timedelta" | "time" | "period":
            raise DataError(
                f"column {name!r} holds dates or times; make it a number, such as the days since "
                "the first, or a category"
            )
    raise DataError(
        f"column {name!r} holds values of type {dtype} ({holds}) that are neither numbers nor "
        "categories; convert it"
    )
