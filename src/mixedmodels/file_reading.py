"""Formula and file → FileDesign: what one reading of the rows teaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from mixedmodels.columns import Columns
from mixedmodels.design import (
    checked_context,
    missing_values,
    no_complete_row,
    numeric_response,
)
from mixedmodels.distinct import Gatherer
from mixedmodels.errors import (
    ArgumentTypeError,
    DataError,
    FormulaError,
    ResponseError,
)
from mixedmodels.expressions import Scope, State, evaluate
from mixedmodels.factors import Factor
from mixedmodels.file_design import FileDesign, Labels, Sample, complete_rows
from mixedmodels.files import File
from mixedmodels.fixed_effects import (
    Predictor,
    predictor_of,
    specify,
)
from mixedmodels.formula import Formula
from mixedmodels.grouping import Grouping, crossed_factor, grouping_of, in_order
from mixedmodels.syntax import Call, Name, Node, Parens, deparse, walk
from mixedmodels.transforms import FACTOR_MAKERS, STATEFUL

if TYPE_CHECKING:
    import pyarrow as pa


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
