"""Data sets from their files into data frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mixedmodels.datasets.card import Card, Column

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

DATA = Path(__file__).parent / "data"


def read_pandas(card: Card) -> pd.DataFrame:
    """Read a data set, its factors as categoricals with the levels of the card in their order."""
    import pandas as pd

    path = DATA / f"{card.name}.csv"
    if not path.exists():  # the one large set is compressed
        path = path.with_suffix(".csv.gz")
    frame = pd.read_csv(path, dtype={column.name: _dtype(column) for column in card.fields})
    for column in card.fields:
        if column.is_factor:
            frame[column.name] = _with_levels(frame[column.name], column)
    frame.attrs["name"] = card.name
    return frame


def read_polars(card: Card) -> pl.DataFrame:
    """Read a data set into polars, its factors as ``Enum``, which keeps the order of the levels."""
    import polars as pl

    frame = read_pandas(card)
    enums = {
        column.name: pl.Enum(frame[column.name].cat.categories.to_list())
        for column in card.fields
        if column.is_factor
    }
    return pl.from_pandas(frame).cast(enums)  # type: ignore[arg-type]


def read_pyarrow(card: Card) -> pa.Table:
    """Read a data set into pyarrow, its factors as dictionary arrays."""
    import pyarrow as pa

    return pa.Table.from_pandas(read_pandas(card), preserve_index=False)


def _dtype(column: Column) -> str:
    if column.is_factor:
        return "category"
    return "int64" if column.kind == "integer" else "float64"


def _with_levels(values: pd.Series, column: Column) -> pd.Series:
    # pandas sorts the labels it meets, and reads those that look like numbers as numbers.
    values = values.cat.rename_categories(str)
    levels = column.levels or sorted(values.cat.categories, key=int)
    return values.cat.reorder_categories(levels, ordered=column.kind == "ordered factor")
