"""Formula and file → FileDesign: a design whose rows stay in their file.

The file is read twice: `read_design` learns levels, splines and which rows are complete;
`FileDesign.pieces` then yields the rows as designs, batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedmodels.columns import Columns, Floats
from mixedmodels.design import (
    Design,
    Outline,
    checked_context,
    combined_offset,
    missing_values,
    no_complete_row,
    numeric_response,
    positive_weights,
)
from mixedmodels.distinct import Distinct, Gatherer
from mixedmodels.errors import (
    ArgumentTypeError,
    DataError,
    FormulaError,
    ResponseError,
)
from mixedmodels.expressions import Scope, State, evaluate
from mixedmodels.factors import Factor
from mixedmodels.files import File
from mixedmodels.fixed_effects import (
    Predictor,
    formula_offset,
    predictor_of,
    require_finite,
    specify,
)
from mixedmodels.formula import Formula
from mixedmodels.grouping import Grouping, crossed_factor, grouping_of, in_order
from mixedmodels.syntax import Call, Name, Node, Parens, deparse, walk
from mixedmodels.transforms import FACTOR_MAKERS, STATEFUL

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
        codes: NDArray[np.int32] = self.codes[self.distinct.numbers(table)]
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


def read_design(
    formula: str | Formula,
    path: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    missing: Literal["drop", "error"] = "drop",
    context: Mapping[str, Any] | None = None,
    batch_rows: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> FileDesign:
    """Make a design of a formula and a file.

    Parameters
    ----------
    formula : str or Formula
        ``response ~ fixed effects + (1 | group) + …``.
    path : path
        A Parquet, CSV or Arrow file.
    weights, offset : str, optional
        Columns of the file.
    missing : {"drop", "error"}, default "drop"
        Whether rows with a missing value in a column that is used are left out.
    context : mapping of str, optional
        Values that the formula may use; a function of one's own is refused, as it may need all
        rows at once.
    batch_rows : int, optional
        Rows read at a time.
    tell : callable, optional
        Told how many rows have been read.

    Returns
    -------
    FileDesign

    Raises
    ------
    FormulaError, UnknownColumnError
        If the formula cannot be understood, or names what is not there.
    ResponseError, GroupingError, DataError
        If no model can be fitted to these data.
    ArgumentError, ArgumentTypeError
        If another argument is not what it may be.
    """
    if not isinstance(formula, Formula):
        formula = Formula.parse(formula)
    context = checked_context(missing, context)
    for name, value in (("weights", weights), ("offset", offset)):
        if value is not None and not isinstance(value, str):
            raise ArgumentTypeError(f"with data in a file, {name} must be the name of a column")
    file = File.open(path)
    empty = Columns(file.schema.empty_table())
    if formula.has_dot:
        roles = [name for name in (weights, offset) if name is not None]
        formula = formula.with_columns(empty.names, roles)
    formula.require_scalar()
    return _Reader(file, formula, context, empty, batch_rows).design(weights, offset, missing, tell)


class _Reader:
    """What one reading of a file teaches."""

    def __init__(
        self,
        file: File,
        formula: Formula,
        context: Mapping[str, Any],
        empty: Columns,
        batch_rows: int | None,
    ) -> None:
        self.file, self.formula, self.context, self.empty = file, formula, context, empty
        self.batch_rows = batch_rows
        self.variables = {
            v: formula.fixed.variables[v]
            for v in sorted({v for t in formula.fixed.terms for v in t})
        }
        self.nodes = [formula.response, *formula.offsets, *self.variables.values()]
        self.state: State = {}
        for node in self.nodes:
            self._refuse_calls(node)

    def design(
        self,
        weights: str | None,
        offset: str | None,
        missing: str,
        tell: Callable[[str], None],
    ) -> FileDesign:
        """Read the file once, and put together what was learnt."""
        import pandas as pd

        formula = self.formula
        named = [name for node in self.nodes for name in self._columns_of(node)]
        roles = [name for name in (weights, offset) if name is not None]
        groups = [name for term in formula.random for name in term.group]
        used = tuple(dict.fromkeys([*named, *roles, *groups]))
        for name in used:
            self.empty.series(name)  # an unknown one has its error here
        made_of = {
            v: self._columns_of(node) for v, node in self.variables.items() if self._is_factor(node)
        }
        fixed = {v: Gatherer(names) for v, names in made_of.items()}
        random = [Gatherer(term.group) for term in formula.random]
        learners = [node for node in self.nodes if _has_state(node)]
        whole_names = list(dict.fromkeys(n for node in learners for n in self._columns_of(node)))

        n = n_total = 0
        counts: dict[str, int] = dict.fromkeys(used, 0)
        whole: list[pa.Table] = []
        sample = Sample()
        for table in self.file.batches(used, self.batch_rows):
            tell(f"reading: {n_total:,} rows")
            if whole_names:
                whole.append(table.select(whole_names))
            complete, positions, lacking = complete_rows(table, used, n_total)
            n_total += len(table)
            sample.add(complete, positions)
            for name, count in lacking.items():
                counts[name] += count
            n += len(complete)
            for gatherer in (*fixed.values(), *random):
                gatherer.add(complete)
        if n_total == 0:
            raise DataError("the data have no rows")
        if lacking := {name: count for name, count in counts.items() if count}:
            for name in self._columns_of(formula.response):
                if counts[name] == n_total:
                    raise ResponseError(f"all values of the response {name} are missing")
            if missing == "error":
                raise missing_values(lacking)
            if n == 0:
                raise no_complete_row(lacking)
        self._learn(learners, whole)

        few_rows, positions = sample.rows()
        few = self._scope(Columns(few_rows, pd.Index(positions)))
        numeric_response(formula, few)
        groupings, labels = self._groupings(random, n)
        factors: dict[int, Labels] = {}
        predictors: dict[int, Predictor] = {}
        scope = self._scope(self.empty)
        for v, node in self.variables.items():
            if v in fixed:
                distinct = fixed[v].close()
                here = self._scope(distinct.columns)
                predictors[v], factor = predictor_of(node, evaluate(node, here), None, here)
                assert isinstance(factor, Factor)
                factors[v] = Labels(distinct, factor.codes, factor.levels)
        for v, node in self.variables.items():
            if v not in fixed:
                predictors[v], _ = predictor_of(node, evaluate(node, few), None, few)
        predictors = dict(sorted(predictors.items()))
        spec = specify(formula, predictors, replace(scope, state=self.state))
        design = FileDesign(
            formula=formula,
            names=spec.names,
            groupings=groupings,
            n_total=n_total,
            spec=spec,
            response_name=deparse(formula.response),
            data_name=self.file.name,
            file=self.file,
            n=n,
            columns=used,
            factors=factors,
            labels=labels,
            weights_name=weights,
            offset_name=offset,
            sample=sample,
            batch_rows=self.batch_rows,
        )
        return design

    def _groupings(
        self, gatherers: list[Gatherer], n: int
    ) -> tuple[tuple[Grouping, ...], tuple[Labels, ...]]:
        found: dict[str, Labels] = {}
        groupings = []
        for term, gatherer in zip(self.formula.random, gatherers, strict=True):
            distinct = gatherer.close()
            factor = crossed_factor(term, distinct.columns)
            found[term.label] = Labels(distinct, factor.codes, factor.levels)
            groupings.append(grouping_of(term, factor, n))
        ordered = in_order(groupings)
        return tuple(ordered), tuple(found[g.label] for g in ordered)

    def _learn(self, learners: list[Node], whole: list[pa.Table]) -> None:
        """Let splines and the like learn from all rows of the columns they are made of."""
        if learners:
            import pyarrow as pa

            scope = self._scope(Columns(pa.concat_tables(whole)), trained=False)
            for node in learners:
                evaluate(node, scope)

    def _scope(self, columns: Columns, *, trained: bool = True) -> Scope:
        return Scope(columns, self.formula.text, self.context, self.state, trained)

    def _columns_of(self, node: Node) -> list[str]:
        names = [x.text for x in walk(node) if isinstance(x, Name)]
        known = self.empty
        return [n for n in dict.fromkeys(names) if n in known or not self._has_meaning(n)]

    def _has_meaning(self, name: str) -> bool:
        from mixedmodels.transforms import CONSTANTS

        return name in self.context or name in CONSTANTS

    def _is_factor(self, node: Node) -> bool:
        import pyarrow as pa

        match node:
            case Parens(inner):
                return self._is_factor(inner)
            case Call(function="I", arguments=((None, inner),)):
                return self._is_factor(inner)
            case Call(function=function):
                return function in FACTOR_MAKERS
            case Name(text=text) if text in self.empty:
                dtype = self.file.schema.field(text).type
                return bool(
                    pa.types.is_string(dtype)
                    or pa.types.is_large_string(dtype)
                    or pa.types.is_dictionary(dtype)
                )
        return False

    def _refuse_calls(self, node: Node) -> None:
        for call in walk(node):
            if isinstance(call, Call) and (
                callable(self.context.get(call.function)) or call.function == "lag"
            ):
                raise FormulaError(
                    f"{call.function} may need all rows at once, and a file is read in batches; "
                    "add its values to the file as a column, or read the file into a data frame"
                )


def _has_state(node: Node) -> bool:
    return any(isinstance(x, Call) and x.function in STATEFUL for x in walk(node))


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
