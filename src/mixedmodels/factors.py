"""Factors: categorical variables as codes and levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mixedmodels.errors import DataError, UnknownLevelError
from mixedmodels.syntax import number_text

if TYPE_CHECKING:
    import pandas as pd

Codes: TypeAlias = NDArray[np.int32]
# Positions of the rows to use; None for all.
Rows: TypeAlias = NDArray[np.intp] | None

MOST_LEVELS = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class Factor:
    """A categorical variable.

    Parameters
    ----------
    codes : ndarray of int32 (n,)
        Position of each row's level; -1 where it is missing.
    levels : pandas.Index
        The labels, as they are in the data: categories in their own order, other values sorted.
    ordered : bool
        Whether the order of the levels means something.
    """

    codes: Codes
    levels: pd.Index
    ordered: bool = False

    @property
    def nlevels(self) -> int:
        """The number of levels."""
        return len(self.levels)

    def take(self, rows: Rows) -> Factor:
        """Keep some rows, or all, and the levels that occur in them."""
        codes = self.codes if rows is None else self.codes[rows]
        occurs = np.bincount(codes + 1, minlength=self.nlevels + 1)[1:] > 0
        if occurs.all():
            return self if rows is None else replace(self, codes=codes)
        rank = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
        return Factor(_recode(codes, rank), self.levels[occurs], self.ordered)


def factor_of(series: pd.Series, name: str) -> Factor:
    """Make a factor of a column.

    Parameters
    ----------
    series : Series
        Values that can be sorted, or categories.
    name : str
        What to call it in errors.

    Raises
    ------
    DataError
        If the values cannot be levels.
    """
    dtype: Any = series.dtype
    array: Any = series.array
    if hasattr(array, "codes") and hasattr(dtype, "categories"):
        factor = Factor(array.codes.astype(np.int32), dtype.categories, bool(dtype.ordered))
    elif isinstance(dtype, np.dtype) and dtype.kind in "iub":
        factor = factor_of_integers(series.to_numpy())
    else:
        factor = _factor_of_values(series, name)
    if factor.nlevels > MOST_LEVELS:
        raise DataError(f"{name} has {factor.nlevels} levels; at most {MOST_LEVELS} are possible")
    return factor


def factor_of_integers(values: NDArray[Any]) -> Factor:
    """Make a factor of integers; where their range is small, by a table and without sorting."""
    import pandas as pd

    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if high - low > max(1024, 4 * values.size):
        found, distinct = pd.factorize(values)
        order = np.argsort(distinct)
        rank = np.empty(order.size, dtype=np.int32)
        rank[order] = np.arange(order.size, dtype=np.int32)
        return Factor(rank[found], pd.Index(distinct[order]))
    wide = values if values.dtype == np.uint64 else values.astype(np.int64)
    place = (wide - wide.min()).astype(np.intp) if values.size else np.empty(0, dtype=np.intp)
    occurs = np.zeros(high - low + 1, dtype=bool)
    occurs[place] = True
    levels = np.flatnonzero(occurs).astype(wide.dtype) + wide.dtype.type(low)
    rank = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return Factor(rank[place], pd.Index(levels.astype(values.dtype)))


def _factor_of_values(series: pd.Series, name: str) -> Factor:
    import pandas as pd

    if is_arrow_dictionary(series.dtype):
        import pyarrow as pa

        return factor_of(pa.Table.from_pandas(series.to_frame("x"))["x"].to_pandas(), name)
    try:
        found, distinct = pd.factorize(series)
        levels = pd.Index(distinct, tupleize_cols=False)
        if levels.dtype == object:
            labels = levels.to_numpy()
            order = np.array(sorted(range(labels.size), key=labels.__getitem__), dtype=np.intp)
        else:
            order = levels.argsort()
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in series.dropna()})
        raise DataError(
            f"column {name!r} cannot be a factor: its values ({', '.join(kinds)}) cannot be "
            "sorted; convert them to one type"
        ) from error
    if levels.dtype.kind == "c":
        raise DataError(f"column {name!r} holds complex numbers; convert it")
    rank = np.empty(order.size, dtype=np.int32)
    rank[order] = np.arange(order.size, dtype=np.int32)
    return Factor(_recode(found, rank), levels[order])


def _recode(codes: NDArray[Any], rank: Codes) -> Codes:
    """Give each code its new number; -1 stays -1."""
    recoded: Codes = np.append(rank, np.int32(-1))[codes]
    return recoded


def level_texts(levels: pd.Index) -> list[str]:
    """Write labels as R writes levels."""
    if levels.dtype.kind in "Mm":
        return list(levels.astype(str))
    return [_level_text(label) for label in levels.tolist()]


def _level_text(label: object) -> str:
    if isinstance(label, bool | np.bool_):
        return "TRUE" if label else "FALSE"
    return number_text(float(label)) if isinstance(label, float | np.floating) else str(label)


def positions(factor: Factor, levels: pd.Index, label: str, remedy: str) -> NDArray[np.int32]:
    """Find the levels of a factor among `levels`.

    Parameters
    ----------
    factor : Factor
        The factor, in new data.
    levels : pandas.Index
        The levels that are known.
    label : str
        What to call it in errors.
    remedy : str
        What the error advises.

    Returns
    -------
    ndarray of int32 (n,)
        -1 where the factor is missing.

    Raises
    ------
    UnknownLevelError
        If a level that occurs is not known.
    """
    factor = factor.take(None)
    place = np.append(levels.get_indexer(factor.levels), -1).astype(np.int32)
    unknown = [text for text, p in zip(level_texts(factor.levels), place, strict=False) if p < 0]
    if unknown:
        shown = ", ".join(unknown[:5]) + ", …" * (len(unknown) > 5)
        plural = "s" * (len(unknown) > 1)
        raise UnknownLevelError(
            f"{label} has {len(unknown)} unknown level{plural}: {shown}; {remedy}"
        )
    codes: NDArray[np.int32] = place[factor.codes]
    return codes


def is_arrow_dictionary(dtype: Any) -> bool:
    """Tell whether a dtype is that of categories held by pyarrow."""
    return str(dtype.name).startswith("dictionary<")
