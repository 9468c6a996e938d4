"""Distinct rows of categorical columns, gathered batch by batch, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedmodels.columns import Columns
from mixedmodels.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Distinct rows of batches that are gathered before they are compared with each other.
_MOST_PENDING = 1 << 20


class Gatherer:
    """Gathers the distinct rows of some columns.

    Parameters
    ----------
    names : sequence of str
        The columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._tables: list[pa.Table] = []
        self._pending = 0
        self._merged = 0
        self._categories: dict[str, tuple[list[Any], bool]] = {}

    def add(self, table: pa.Table) -> None:
        """Take in the rows of a table, which have no missing values."""
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = []
        for name in self._names:
            column = table.column(name)
            if pa.types.is_dictionary(column.type):
                labels, _ = self._categories.setdefault(name, ([], column.type.ordered))
                known = set(labels)
                for chunk in column.chunks:
                    labels += [x for x in chunk.dictionary.to_pylist() if x not in known]
                    known.update(labels)
                column = column.cast(column.type.value_type)
            if pa.types.is_floating(column.type):
                column = pc.add(column, 0.0)  # minus zero is zero
            columns.append(column)
        try:
            distinct = _distinct(pa.table(columns, names=self._names))
        except pa.ArrowNotImplementedError as error:
            raise DataError(
                f"{', '.join(self._names)} cannot be a factor: its values are of a type that "
                "cannot be sorted; convert them"
            ) from error
        self._tables.append(distinct)
        self._pending += len(distinct)
        if self._pending > self._merged + _MOST_PENDING:
            self._merge()

    def _merge(self) -> None:
        import pyarrow as pa

        self._tables = [_distinct(pa.concat_tables(self._tables))]
        self._merged = self._pending = len(self._tables[0])

    def close(self) -> Distinct:
        """Return what has been gathered."""
        import pyarrow as pa

        self._merge()
        (table,) = self._tables
        for name, (labels, ordered) in self._categories.items():
            place = table.schema.get_field_index(name)
            values = pa.array(labels, table.column(name).type)
            import pyarrow.compute as pc

            codes = pc.index_in(table.column(name).combine_chunks(), value_set=values)
            column = pa.DictionaryArray.from_arrays(codes, values, ordered=ordered)
            table = table.set_column(place, name, column)
        return Distinct.of(tuple(self._names), table)


def _distinct(table: pa.Table) -> pa.Table:
    return table.group_by(table.column_names, use_threads=False).aggregate([])


@dataclass(frozen=True, eq=False, repr=False)
class Distinct:
    """The distinct rows of some columns.

    Parameters
    ----------
    names : tuple of str
        The columns.
    table : pyarrow.Table
        The rows, each once.
    values : tuple of pandas.Index
        The distinct values of each column.
    keys : pandas.Index or None
        Of each row, the numbers of its values as one number; None where there is one column.
    """

    names: tuple[str, ...]
    table: pa.Table
    values: tuple[pd.Index, ...]
    keys: pd.Index | None

    @classmethod
    def of(cls, names: tuple[str, ...], table: pa.Table) -> Distinct:
        """Give numbers to the rows of a table, all of which differ."""
        import pandas as pd

        values = tuple(_index(_plain(table.column(name)).unique()) for name in names)
        if prod(len(index) for index in values) >= 2**62:
            raise DataError(
                f"{', '.join(names)} could be combined in more ways than can be numbered; give "
                "their combinations a column of their own"
            )
        first = cls(names, table, values, None)
        if len(names) == 1:
            return first
        return cls(names, table, values, pd.Index(first._key(table)))

    @property
    def columns(self) -> Columns:
        """The rows as columns, from which factors can be made."""
        return Columns(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def numbers(self, table: pa.Table) -> NDArray[np.int64]:
        """Find the rows of a table among the distinct ones.

        Parameters
        ----------
        table : pyarrow.Table
            Columns without missing values.

        Returns
        -------
        ndarray of int64 (n,)
            Positions; -1 for rows that are not among them.
        """
        key = self._key(table)
        if self.keys is None:
            return key
        known = key >= 0
        import pandas as pd

        key[known] = self.keys.get_indexer(pd.Index(key[known]))
        return key

    def _key(self, table: pa.Table) -> NDArray[np.int64]:
        key = np.zeros(len(table), dtype=np.int64)
        for name, index in zip(self.names, self.values, strict=True):
            place = _places(table.column(name), index)
            key = np.where((key < 0) | (place < 0), -1, key * len(index) + place)
        return key


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _index(values: pa.Array | pa.ChunkedArray) -> pd.Index:
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        texts: pd.Index = pd.Index(values.to_numpy(zero_copy_only=False), dtype=object)
        return texts
    index: pd.Index = pd.Index(values.to_numpy(zero_copy_only=False))
    return index


def _places(column: pa.ChunkedArray, index: pd.Index) -> NDArray[np.int64]:
    import pyarrow as pa

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        places: NDArray[np.int64] = index.get_indexer(column.to_numpy())
        return places
    # Labels are looked up once a batch.
    encoded = column.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks)
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    known = index.get_indexer(_index(encoded.dictionary))
    places = known[encoded.indices.to_numpy(zero_copy_only=False)]
    return places
