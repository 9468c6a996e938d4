"""A table held compactly, codes and labels, and written as a user would have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

ROW_GROUP = 1_000_000


@dataclass(frozen=True, eq=False)
class Coded:
    """A column with few distinct values: row i holds labels[codes[i]]."""

    codes: NDArray[np.integer]
    labels: NDArray[np.int64] | list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def arrow(self, rows: slice) -> pa.Array:
        import pyarrow as pa

        labels = pa.array(self.labels)
        return pa.DictionaryArray.from_arrays(self.codes[rows], labels).cast(labels.type)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length."""

    columns: Mapping[str, Coded | NDArray[np.generic]]

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def batches(self) -> Iterator[pa.Table]:
        """Give the rows in groups, labels in place of codes."""
        import pyarrow as pa

        for start in range(0, self.rows, ROW_GROUP):
            part = slice(start, start + ROW_GROUP)
            yield pa.table(
                {
                    name: column.arrow(part) if isinstance(column, Coded) else column[part]
                    for name, column in self.columns.items()
                }
            )

    def write(self, path: Path) -> None:
        """Write a parquet file; it appears under its name when it is whole."""
        import pyarrow.parquet as pq

        unfinished = path.with_suffix(".part")
        batches = self.batches()
        first = next(batches)
        with pq.ParquetWriter(unfinished, first.schema, compression="snappy") as writer:
            writer.write_table(first)
            for batch in batches:
                writer.write_table(batch)
        unfinished.replace(path)


def labels(prefix: str, levels: int) -> list[str]:
    """Name levels in order of their codes: a letter or more, and a number of even width."""
    width = len(str(levels))
    return [f"{prefix}{level:0{width}}" for level in range(1, levels + 1)]
