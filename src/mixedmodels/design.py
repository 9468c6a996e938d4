"""Formula and data → Design: the response, X, the grouping factors, and which rows were kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mixedmodels.columns import Columns, Floats, is_pandas, to_pandas
from mixedmodels.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    ResponseError,
)
from mixedmodels.expressions import Scope, Variable, evaluate
from mixedmodels.factors import Factor, Rows
from mixedmodels.fixed_effects import (
    FixedEffects,
    fixed_effects,
    formula_offset,
    require_finite,
)
from mixedmodels.formula import Formula
from mixedmodels.grouping import (
    Grouping,
    GroupingFactor,
    groupings_of,
    refuse_absorbed,
    relation,
)
from mixedmodels.syntax import Name, deparse, walk

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Outline(ABC):
    """What is known of a design without its rows: in memory (`Design`) or in a file.

    Parameters
    ----------
    formula : Formula
        The formula, with the ``.`` written out.
    names : tuple of str
        The names of the columns of X, as R names coefficients.
    groupings : tuple of GroupingFactor
        The grouping factors in lme4's order: by decreasing number of levels.
    n_total : int
        The number of rows of the data.
    spec : FixedEffects
        Makes X, also for other data.
    response_name : str
        The response as R prints it.
    data_name : str or None
        What the data are called.
    """

    formula: Formula
    names: tuple[str, ...]
    groupings: tuple[GroupingFactor, ...]
    n_total: int
    spec: FixedEffects
    response_name: str
    data_name: str | None

    if TYPE_CHECKING:

        @property
        def n(self) -> int:
            """The number of rows used."""

        @property
        def data(self) -> Any:
            """The data, as they were passed."""

        @property
        def index(self) -> pd.Index:
            """The labels of the rows used."""

        @property
        def path(self) -> Path | None:
            """The file of the data, if they are in one."""

    @abstractmethod
    def pieces(self, *, all_columns: bool = False) -> Iterator[Design]:
        """Yield the rows, piece by piece, each a design of the same model.

        Parameters
        ----------
        all_columns : bool, default False
            Whether `data` of the pieces should have all columns, or those that the model reads.
        """

    @abstractmethod
    def few(self) -> Design:
        """Return a design of some rows from all parts of the data."""

    @abstractmethod
    def in_memory(self) -> Design:
        """Return the whole design with its rows."""

    @property
    def n_dropped(self) -> int:
        """The number of rows left out because a value is missing."""
        return self.n_total - self.n

    def kept_data(self) -> pd.DataFrame:
        """Return the rows used of the data."""
        return self.in_memory().kept_data()

    def relations(self) -> pd.DataFrame:
        """Tell how the grouping factors are related, two by two.

        A factor is nested in another if each of its levels occurs with one level of the other
        only; two are crossed if every level of one occurs with every level of the other, and
        partially crossed otherwise. This is found in the data. A factor whose labels are used
        again within the levels of another, such as casks a, b, c of every batch, is implicitly
        nested, and looks crossed: ``(1 | batch/cask)`` says that it is nested.

        Returns
        -------
        DataFrame
            One row a pair, in columns ``factor``, ``other`` and ``relation``: "nested" (factor
            in other), "crossed" or "partially crossed".

        Examples
        --------
        >>> import mixedmodels as mm
        >>> pastes = mm.datasets.load("pastes")
        >>> mm.lmer("strength ~ (1 | batch) + (1 | sample)", pastes).design.relations()
           factor  other relation
        0  sample  batch   nested
        """
        import pandas as pd

        groupings = self.in_memory().groupings
        pairs = [(a.label, b.label, relation(a, b)) for a, b in combinations(groupings, 2)]
        return pd.DataFrame(pairs, columns=["factor", "other", "relation"])

    def __repr__(self) -> str:
        groups = "; ".join(f"{g.label}, {g.nlevels}" for g in self.groupings)
        lines = [
            f"Design of {self.formula}",
            f"Number of obs: {self.n}, groups: {groups}",
            f"Fixed effects: {', '.join(self.names) or 'none'}",
        ]
        if self.n_dropped:
            lines.append(f"Rows with missing values, left out: {self.n_dropped}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Design(Outline):
    """What a linear mixed model is made of, with all rows in memory.

    Parameters
    ----------
    groupings : tuple of Grouping
        The grouping factors, with the level of each row.
    y : ndarray (n,)
        The response.
    X : ndarray (n, p)
        The model matrix of the fixed effects, in Fortran order.
    weights, offset : ndarray (n,) or None
        Prior weights and the known part of the linear predictor.
    rows : ndarray or None
        Positions of the rows used; None if all are.
    index : pandas.Index
        The labels of the rows used.
    data : data frame
        The data, as they were passed.
    path : Path or None
        The file that the rows come from.
    """

    groupings: tuple[Grouping, ...]
    y: Floats
    X: Floats
    weights: Floats | None
    offset: Floats | None
    rows: Rows
    index: pd.Index
    data: Any
    path: Path | None = None

    @property
    def n(self) -> int:
        """The number of rows used."""
        return self.y.size

    def pieces(self, *, all_columns: bool = False) -> Iterator[Design]:
        """Yield the design itself."""
        yield self

    def few(self) -> Design:
        """Return the design itself."""
        return self

    def in_memory(self) -> Design:
        """Return the design itself."""
        return self

    def kept_data(self) -> pd.DataFrame:
        """Return the rows used of the data."""
        frame = to_pandas(self.data)
        return frame if self.rows is None else frame.iloc[self.rows]


def build_design(
    formula: str | Formula,
    data: Any,
    *,
    weights: ArrayLike | str | None = None,
    offset: ArrayLike | str | None = None,
    missing: Literal["drop", "error"] = "drop",
    context: Mapping[str, Any] | None = None,
) -> Design:
    """Make a Design of a formula and data.

    Parameters
    ----------
    formula : str or Formula
        ``response ~ fixed effects + (1 | group) + …``.
    data : data frame or dict
        The columns that the formula names.
    weights : array_like or str, optional
        Prior weights, positive, one for each row; or the column that has them.
    offset : array_like or str, optional
        A known part of the linear predictor, added to the formula's offsets; or its column.
    missing : {"drop", "error"}, default "drop"
        Whether rows with a missing value in a column that is used are left out.
    context : mapping of str, optional
        Functions, and values, of your own that the formula may use.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError, UnsupportedTermError, UnknownColumnError
        If the formula cannot be understood, or names what is not there.
    ResponseError, GroupingError, DataError
        If no model can be fitted to these data.
    ArgumentError, ArgumentTypeError
        If another argument is not what it may be.

    Examples
    --------
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"]}
    >>> build_design("y ~ 1 + (1 | g)", data)
    Design of y ~ 1 + (1 | g)
    Number of obs: 4, groups: g, 2
    Fixed effects: (Intercept)
    """
    if not isinstance(formula, Formula):
        formula = Formula.parse(formula)
    context = checked_context(missing, context)
    columns = Columns(data)
    if formula.has_dot:
        roles = [name for name in (weights, offset) if isinstance(name, str)]
        formula = formula.with_columns(columns.names, roles)
    formula.require_scalar()
    if not columns.n:
        raise DataError("the data have no rows")

    scope = Scope(columns, formula.text, context)
    response = numeric_response(formula, scope)
    used = {v for term in formula.fixed.terms for v in term}
    values = {v: evaluate(formula.fixed.variables[v], scope) for v in sorted(used)}
    offsets = [formula_offset(formula, scope), _vector(offset, "offset", columns)]
    prior = _vector(weights, "weights", columns)
    for term in formula.random:
        for name in term.group:
            columns.factor(name)
    rows = _rows(formula, columns, missing)

    y = response if rows is None else response[rows]
    _check_response(response, deparse(formula.response), columns, rows)
    spec, X = fixed_effects(formula, values, rows, scope)
    groupings = groupings_of(formula, columns, rows)
    main_effects = {
        spec.predictors[v].label: value.take(rows)
        for v, value in values.items()
        if isinstance(value, Factor) and (v,) in formula.fixed.terms
    }
    refuse_absorbed(groupings, main_effects)
    y.flags.writeable = X.flags.writeable = False
    return Design(
        formula=formula,
        y=y,
        X=X,
        names=spec.names,
        groupings=groupings,
        weights=None if prior is None else positive_weights(prior, rows),
        offset=combined_offset([part for part in offsets if part is not None], columns, rows),
        rows=rows,
        n_total=columns.n,
        index=columns.index if rows is None else columns.index[rows],
        spec=spec,
        response_name=deparse(formula.response),
        data_name=_data_name(data),
        data=_kept(data),
    )


def checked_context(missing: str, context: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Check two arguments, and return the context, empty by default."""
    if missing not in ("drop", "error"):
        raise ArgumentError(f"missing must be 'drop' or 'error', not {missing!r}")
    context = {} if context is None else context
    if not isinstance(context, Mapping) or not all(isinstance(key, str) for key in context):
        raise ArgumentTypeError("context must be a dict from names to functions")
    return context


# -- rows ------------------------------------------------------------------------------------


def _rows(formula: Formula, columns: Columns, missing: str) -> Rows:
    """Positions of the rows without missing values in the columns read, or None if all are."""
    masks = columns.missing()
    if not masks:
        return None
    for node in walk(formula.response):
        if isinstance(node, Name) and node.text in masks and masks[node.text].all():
            raise ResponseError(f"all values of the response {node.text} are missing")
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    if missing == "error":
        raise missing_values(counts)
    rows = np.flatnonzero(~reduce(or_, masks.values()))
    if not rows.size:
        raise no_complete_row(counts)
    return rows


def missing_values(counts: Mapping[str, int]) -> DataError:
    """Make the error for missing values that were not to be dropped, from their counts."""
    where = ", ".join(f"{name} ({count})" for name, count in counts.items())
    return DataError(f"values are missing in {where}; missing='drop' leaves these rows out")


def no_complete_row(counts: Mapping[str, int]) -> DataError:
    """Make the error for data of which no row can be used."""
    where = ", ".join(f"{name} ({count})" for name, count in counts.items())
    return DataError(f"no row is without missing values; they are missing in {where}")


def _vector(values: ArrayLike | str | None, role: str, columns: Columns) -> Floats | None:
    """Read weights or an offset, for all rows; what is NaN in it is missing."""
    if values is None:
        return None
    if isinstance(values, str):
        column = columns.value(values)
        if isinstance(column, Factor):
            raise DataError(f"the column {values!r} of the {role} is not numeric")
        return column.astype(np.float64)
    index: Any = getattr(values, "index", None)
    if hasattr(index, "equals") and not index.equals(columns.index):
        raise ArgumentError(
            f"the {role} have other row labels than the data; pass them as a column or, if they "
            "are in the order of the rows, as an array"
        )
    try:
        if np.iscomplexobj(values):
            raise TypeError
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{role} must be numbers or the name of a column") from error
    if vector.shape != (columns.n,):
        shape = " by ".join(map(str, vector.shape)) or "1"
        raise ArgumentError(f"{role} has {shape} values; the data have {columns.n} rows")
    columns.note_missing(role, np.isnan(vector))
    return vector.copy()


def positive_weights(weights: Floats, rows: Rows) -> Floats:
    """Reduce prior weights to the rows used, and check them."""
    weights = weights if rows is None else weights[rows]
    bad = ~((weights > 0) & np.isfinite(weights))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        position = first if rows is None else int(rows[first])
        raise ArgumentError(
            f"weights must be positive and finite; weight {position} is {weights[first]} "
            f"({bad.sum()} such in all); leave out the rows that are not to count"
        )
    if weights.max() > 1e50 or weights.min() < 1e-50:
        raise ArgumentError(
            f"weights must lie between 1e-50 and 1e50; they go from {weights.min():.0e} to "
            f"{weights.max():.0e}. Only their ratios matter for theta: scale them"
        )
    return weights


def combined_offset(parts: list[Floats], columns: Columns, rows: Rows) -> Floats | None:
    """Add up offsets in the rows used, and check them."""
    if not parts:
        return None
    offset: Floats = sum(parts[1:], parts[0])
    require_finite(offset, "the offset", columns, rows)
    return offset if rows is None else offset[rows]


def _kept(data: Any) -> Any:
    """Return the data to keep: a pandas frame as a lazy copy, which the caller cannot change."""
    return data.copy(deep=False) if is_pandas(data) else data


def _data_name(data: Any) -> str | None:
    attributes = getattr(data, "attrs", None)
    name = attributes.get("name") if isinstance(attributes, Mapping) else None
    return None if name is None else str(name)


# -- response --------------------------------------------------------------------------------


def numeric_response(formula: Formula, scope: Scope) -> Floats:
    """Evaluate the response, for all rows."""
    label = deparse(formula.response)
    try:
        value: Variable = evaluate(formula.response, scope)
    except DataError as error:
        raise ResponseError(f"the response {label} is not numeric: {error}") from error
    if not isinstance(value, np.ndarray):
        raise ResponseError(f"the response {label} is not numeric: it holds categories")
    if value.ndim != 1:
        raise ResponseError(f"the response {label} has {value.shape[1]} columns; it must have one")
    return value.astype(np.float64)


def _check_response(response: Floats, label: str, columns: Columns, rows: Rows) -> None:
    require_finite(response, f"the response {label}", columns, rows, ResponseError)
    y = response if rows is None else response[rows]
    if y.size > 1 and y.min() == y.max():
        raise constant_response(label, y[0])


def constant_response(label: str, value: float) -> ResponseError:
    """Make the error for a response without variation."""
    return ResponseError(f"the response {label} is constant: it is {value + 0:g} in every row")
