"""Data files, Parquet, CSV and Arrow, read in batches of rows by pyarrow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixedmodels.errors import ArgumentError, DataError
from mixedmodels.writing import path_to_write, refuse_data, write_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Rows read at a time.
BATCH_ROWS = 1 << 18
_CSV_BLOCK_BYTES = 1 << 24

KINDS = (".parquet", ".csv", ".arrow", ".feather")

_TRUE, _FALSE = ["True", "TRUE", "true"], ["False", "FALSE", "false"]
# What pandas takes for missing.
_MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
]


@dataclass(frozen=True)
class File:
    """A file of rows.

    Parameters
    ----------
    path : Path
        Where it is; the end of its name says what it is.
    stamp : tuple of int
        Its size and the time of its last change, by which it is known again.

    Raises
    ------
    ArgumentError
        If there is no such file, or its name ends otherwise.
    DataError
        If it cannot be read as what its name says, or two of its columns have the same name.
    """

    path: Path
    stamp: tuple[int, int] | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> File:
        """Look at a file; its rows are not read yet, but for the types of a CSV file's columns."""
        # Whole, so that it is the same file wherever the program goes.
        whole = Path(path).expanduser().absolute()
        file = cls(whole, _stamp(whole))
        if file.kind not in KINDS:
            raise ArgumentError(f"{path} must be a file of one of the kinds {', '.join(KINDS)}")
        if not file.path.is_file():
            raise ArgumentError(f"there is no file {path}")
        names = file.schema.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"{path} has more than one column {twice[0]!r}; rename or remove one")
        return file

    @property
    def kind(self) -> str:
        """The end of its name; of a compressed CSV file, the one before."""
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        return ".csv" if suffixes[-2:] == [".csv", ".gz"] else "".join(suffixes[-1:])

    @property
    def name(self) -> str:
        """What the data are called: the name of the file without its end."""
        return self.path.name.split(".")[0] or self.path.name

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with self._reading():
            if self.kind == ".parquet":
                import pyarrow.parquet as pq

                return pq.read_schema(self.path)
            if self.kind == ".csv":
                return self._csv_schema()
            import pyarrow as pa

            with pa.ipc.open_file(self.path) as reader:
                return reader.schema

    def batches(self, columns: Sequence[str], rows: int | None = None) -> Iterator[pa.Table]:
        """Read some columns, so many rows at a time.

        Parameters
        ----------
        columns : sequence of str
            Their names, in the order wished.
        rows : int, optional
            The most rows of a batch; 262,144 by default.

        Yields
        ------
        pyarrow.Table
        """
        rows = rows or BATCH_ROWS
        columns = list(columns)
        self._require_unchanged()
        yield from self._batches(columns, rows)
        self._require_unchanged()

    def _require_unchanged(self) -> None:
        if self.path.exists() and _stamp(self.path) != self.stamp:
            raise DataError(f"{self.path} has changed since it was first read; fit the model again")

    def _batches(self, columns: list[str], rows: int) -> Iterator[pa.Table]:
        import pyarrow as pa

        with self._reading():
            if self.kind == ".parquet":
                import pyarrow.parquet as pq

                # Not buffered ahead: what is would be kept until the last row has been read.
                with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20) as file:
                    for batch in file.iter_batches(rows, columns=columns):
                        yield pa.Table.from_batches([batch]).select(columns)
            elif self.kind == ".csv":
                types = {name: self.schema.field(name).type for name in columns}
                for batch in self._csv_batches(types):
                    table = pa.Table.from_batches([batch])
                    for start in range(0, len(table), rows):
                        yield table.slice(start, rows).select(columns)
            else:
                with pa.ipc.open_file(self.path) as reader:
                    for i in range(reader.num_record_batches):
                        table = pa.Table.from_batches([reader.get_batch(i)]).select(columns)
                        for start in range(0, len(table), rows):
                            yield table.slice(start, rows)

    # -- CSV -----------------------------------------------------------------------------------

    def _csv_schema(self) -> pa.Schema:
        """Find the types of the columns, from all rows where the first do not say text."""
        import pyarrow as pa

        with self._csv_reader({}) as reader:
            first = reader.schema
        for name, dtype in zip(first.names, first.types, strict=True):
            if pa.types.is_binary(dtype):
                raise DataError(f"{self.path} is not in UTF-8 (column {name!r}); convert it")
        doubtful = {
            n: _Texts()
            for n, t in zip(first.names, first.types, strict=True)
            if not pa.types.is_string(t)
        }
        if doubtful:
            for batch in self._csv_batches(dict.fromkeys(doubtful, pa.string())):
                for name, texts in doubtful.items():
                    texts.add(batch.column(name))
        return pa.schema(
            [(n, doubtful[n].type() if n in doubtful else pa.string()) for n in first.names]
        )

    def _csv_reader(self, types: Mapping[str, pa.DataType]) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        return csv.open_csv(
            pa.input_stream(
                self.path, compression="gzip" if self.path.suffix.lower() == ".gz" else None
            ),
            read_options=csv.ReadOptions(block_size=_CSV_BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict(types),
                include_columns=list(types) or None,
                strings_can_be_null=True,
                null_values=_MISSING,
                true_values=_TRUE,
                false_values=_FALSE,
            ),
        )

    def _csv_batches(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        with self._csv_reader(types) as reader:
            yield from reader

    @contextmanager
    def _reading(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if "UTF8" in str(error) or isinstance(error, UnicodeDecodeError):
                raise DataError(f"{self.path} is not in UTF-8; convert it") from error
            reason = " ".join(str(error).split())
            raise DataError(f"{self.path} cannot be read: {reason}") from error


class _Texts:
    """What the texts of a CSV column can be read as, batch by batch.

    Whole numbers written with leading zeros are labels, as 001 and 1 are two, and so are those
    that no integer can hold.
    """

    def __init__(self) -> None:
        self._truth = self._whole = self._padded = self._number = self._any = False
        self._fits = {"int64": True, "uint64": True}
        self._first = True

    def add(self, texts: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = pc.utf8_trim_whitespace(texts.drop_null())
        if not len(texts):
            return
        if self._first:
            self._truth = self._whole = self._number = True
            self._first = False
        if self._truth:
            self._truth = bool(pc.all(pc.is_in(texts, value_set=pa.array(_TRUE + _FALSE))).as_py())
        if self._whole:
            self._whole = bool(pc.all(pc.match_substring_regex(texts, r"^[+-]?\d+$")).as_py())
        if self._whole:
            padded = pc.match_substring_regex(texts, r"^[+-]?0\d")
            self._padded = self._padded or bool(pc.any(padded).as_py())
            for name, fits in self._fits.items():
                self._fits[name] = fits and _can_be(texts, name)
        elif self._number:
            self._number = _can_be(texts, "float64")

    def type(self) -> pa.DataType:
        import pyarrow as pa

        if self._truth:
            return pa.bool_()
        if self._whole:
            if self._padded:
                return pa.string()
            fitting = [name for name, fits in self._fits.items() if fits]
            return pa.type_for_alias(fitting[0]) if fitting else pa.string()
        return pa.float64() if self._number or self._first else pa.string()


def _can_be(texts: pa.Array, dtype: str) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.cast(pc.replace_substring_regex(texts, r"^\+", ""), dtype)
    except pa.ArrowInvalid:
        return False
    return True


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def is_path(data: object) -> bool:
    """Tell whether data are given as the path of a file."""
    return isinstance(data, str | os.PathLike)


def write_frames(
    frames: Iterable[pd.DataFrame], path: str | os.PathLike[str], source: Path | None
) -> Path:
    """Write frames one below the other into a file that is there whole or not at all.

    Parameters
    ----------
    frames : iterable of DataFrame
        With the same columns.
    path : path
        The file; the end of its name says what it is: ``.parquet``, ``.csv`` or ``.arrow``.
    source : Path or None
        The file of the data, which is not written over.

    Returns
    -------
    Path

    Raises
    ------
    ArgumentError
        If the file cannot be written.
    """
    import pyarrow as pa

    file = path_to_write(path, KINDS)
    refuse_data(file, source, "the rows")

    def write(part: Path) -> None:
        writer: Any = None
        try:
            for frame in frames:
                table = pa.Table.from_pandas(frame, preserve_index=False)
                if writer is None:
                    writer = _writer(part, file.suffix.lower(), table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()

    try:
        write_whole(file, write)
    except pa.ArrowException as error:
        raise DataError(
            f"a column of the data cannot be written to {path}: {' '.join(str(error).split())}"
        ) from error
    return file


def _writer(path: Path, kind: str, schema: pa.Schema) -> Any:
    import pyarrow as pa

    if kind == ".parquet":
        import pyarrow.parquet as pq

        return pq.ParquetWriter(path, schema)
    if kind == ".csv":
        from pyarrow import csv

        return csv.CSVWriter(path, schema)
    return pa.ipc.new_file(str(path), schema)
