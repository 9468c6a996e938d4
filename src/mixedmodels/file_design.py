"""A design whose rows stay in their file, and are read batch by batch.

The file is read twice: `read_design` learns levels, splines and which rows are complete;
`FileDesign.pieces` then yields the rows as designs, batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedmodels.columns import Columns, Floats
from mixedmodels.design import (
    Design,
    Outline,
    combined_offset,
    numeric_response,
    positive_weights,
)
from mixedmodels.distinct import Distinct
from mixedmodels.errors import (
    DataError,
    ResponseError,
)
from mixedmodels.expressions import Scope, evaluate
from mixedmodels.factors import Factor
from mixedmodels.files import File
from mixedmodels.fixed_effects import (
    formula_offset,
    require_finite,
)
from mixedmodels.grouping import Grouping

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Rows from which a first basis of X is made; it only has to be near.
_SAMPLE_ROWS = 1 << 15


@dataclass(frozen=True, eq=False)
class Labels:
    """A factor, as a function of the columns it is made of.

    Parameters
    ----------
    distinct : Distinct
        The combinations of values that occur.
    codes : ndarray of int32
        Of each combination, the level.
    levels : pandas.Index
        The labels of the levels.
    """

    distinct: Distinct
    codes: NDArray[np.int32]
    levels: pd.Index

    def of(self, table: pa.Table) -> NDArray[np.int32]:
        """Find the level of each row."""
        numbers = self.distinct.numbers(table)
        if numbers.size and numbers.min() < 0:
            names = ", ".join(self.distinct.names)
            raise DataError(f"the file has changed while it was read: {names} has other values")
        codes: NDArray[np.int32] = self.codes[numbers]
        return codes


class Sample:
    """Some rows of a file, from all of its parts, gathered batch by batch."""

    def __init__(self) -> None:
        self._most = _SAMPLE_ROWS // 8
        self._tables: list[pa.Table] = []
        self._positions: list[NDArray[np.int64]] = []

    def add(self, table: pa.Table, positions: NDArray[np.int64]) -> None:
        """Take some of these rows."""
        count = min(len(table), self._most)
        taken = np.linspace(0, len(table) - 1, count).round().astype(np.int64)
        self._tables.append(table.take(taken))
        self._positions.append(positions[taken])
        if sum(map(len, self._positions)) > 2 * _SAMPLE_ROWS:
            table, positions = self.rows()
            self._tables = [table.take(np.arange(0, len(table), 2))]
            self._positions = [positions[::2]]
            self._most = max(1, self._most // 2)

    def rows(self) -> tuple[pa.Table, NDArray[np.int64]]:
        """Return the rows and their positions in the file."""
        import pyarrow as pa

        return pa.concat_tables(self._tables), np.concatenate(self._positions)


@dataclass(frozen=True, eq=False, repr=False)
class FileDesign(Outline):
    """What a linear mixed model is made of, with the rows in a file.

    Parameters
    ----------
    file : File
        Where the rows are.
    n : int
        The number of rows without missing values.
    columns : tuple of str
        The columns that the model reads.
    factors : mapping of int to Labels
        The variables of the fixed effects that are factors, by their number in the formula.
    labels : tuple of Labels
        Of each grouping factor.
    weights_name, offset_name : str or None
        Columns of the prior weights and of an offset besides the formula's.
    sample : Sample
        Some of the rows.
    batch_rows : int or None
        Rows read at a time.
    """

    file: File
    n: int
    columns: tuple[str, ...]
    factors: Mapping[int, Labels]
    labels: tuple[Labels, ...]
    weights_name: str | None
    offset_name: str | None
    sample: Sample
    batch_rows: int | None = None

    @property
    def data(self) -> str:
        """The path of the file."""
        return str(self.file.path)

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    @property
    def index(self) -> pd.Index:
        """The positions of the rows used."""
        import pandas as pd

        if not self.n_dropped:
            return pd.RangeIndex(self.n)
        kept = [rows for _, rows in self._complete_rows(self.columns)]
        return pd.Index(np.concatenate(kept))

    def pieces(self, *, all_columns: bool = False) -> Iterator[Design]:
        """Yield the rows used, batch by batch, each a design of the same model."""
        columns = self.file.schema.names if all_columns else self.columns
        for table, rows in self._complete_rows(columns):
            if len(table):
                yield self.piece(table, rows)

    def _complete_rows(
        self, columns: Sequence[str]
    ) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        start = 0
        for table in self.file.batches(columns, self.batch_rows):
            complete, positions, _ = complete_rows(table, self.columns, start)
            start += len(table)
            yield complete, positions

    def piece(self, table: pa.Table, rows: NDArray[np.int64]) -> Design:
        """Make a design of complete rows and their positions in the file."""
        import pandas as pd

        columns = Columns(table, pd.Index(rows))
        spec = self.spec
        scope = Scope(columns, self.formula.text, spec.context, spec.state, trained=True)
        y = numeric_response(self.formula, scope)
        require_finite(y, f"the response {self.response_name}", columns, None, ResponseError)
        values: dict[int, Floats | Factor] = {}
        for v, predictor in spec.predictors.items():
            if v in self.factors:
                labels = self.factors[v]
                values[v] = Factor(labels.of(table), labels.levels)
                continue
            value = evaluate(predictor.node, scope)
            require_finite(value, predictor.label, columns, None)
            values[v] = predictor.recognise(value)
        offsets = [formula_offset(self.formula, scope)]
        if self.offset_name is not None:
            offsets.append(_numbers(columns, self.offset_name, "offset"))
        weights = None
        if self.weights_name is not None:
            weights = positive_weights(_numbers(columns, self.weights_name, "weights"), None)
        groupings = tuple(
            Grouping(g.label, g.names, g.levels, labels.of(table))
            for g, labels in zip(self.groupings, self.labels, strict=True)
        )
        return Design(
            formula=self.formula,
            names=self.names,
            groupings=groupings,
            n_total=self.n_total,
            spec=spec,
            response_name=self.response_name,
            data_name=self.data_name,
            y=np.ascontiguousarray(y),
            X=spec.assemble(values, columns.n),
            weights=weights,
            offset=combined_offset([part for part in offsets if part is not None], columns, None),
            rows=None,
            index=columns.index,
            data=table,
            path=self.file.path,
        )

    def few(self) -> Design:
        """Return a design of some rows from all parts of the file."""
        return self.piece(*self.sample.rows())

    def in_memory(self) -> Design:
        """Return the design with all of its rows, and all columns of the file."""
        import pyarrow as pa

        pieces = list(self.pieces())
        first = pieces[0]

        def joined(parts: Sequence[Floats | None]) -> Floats | None:
            arrays = [part for part in parts if part is not None]
            return np.concatenate(arrays) if arrays else None

        index = self.index
        return replace(
            first,
            y=np.concatenate([piece.y for piece in pieces]),
            X=np.asfortranarray(np.concatenate([piece.X for piece in pieces])),
            groupings=tuple(
                replace(g, codes=np.concatenate([piece.groupings[t].codes for piece in pieces]))
                for t, g in enumerate(first.groupings)
            ),
            weights=joined([piece.weights for piece in pieces]),
            offset=joined([piece.offset for piece in pieces]),
            rows=index.to_numpy() if self.n_dropped else None,
            index=index,
            data=pa.concat_tables(self.file.batches(self.file.schema.names)),
        )


def complete_rows(
    table: pa.Table, used: Sequence[str], start: int
) -> tuple[pa.Table, NDArray[np.int64], dict[str, int]]:
    """Leave out the rows with missing values.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of a file.
    used : sequence of str
        The columns whose values must be there.
    start : int
        The position in the file of the first.

    Returns
    -------
    table : pyarrow.Table
        The complete rows.
    positions : ndarray of int64
        Theirs in the file.
    lacking : dict of str to int
        How many values are missing in the columns that lack any.
    """
    import pyarrow.compute as pc

    lacking, absent = {}, np.zeros(len(table), dtype=bool)
    for name in used:
        mask = pc.is_null(table.column(name), nan_is_null=True).to_numpy()
        if count := int(np.count_nonzero(mask)):
            lacking[name] = count
            absent |= mask
    if not lacking:
        return table, np.arange(start, start + len(table)), lacking
    return table.filter(~absent), start + np.flatnonzero(~absent), lacking


def _numbers(columns: Columns, name: str, role: str) -> Floats:
    column = columns.value(name)
    if isinstance(column, Factor):
        raise DataError(f"the column {name!r} of the {role} is not numeric")
    return column.astype(np.float64)
