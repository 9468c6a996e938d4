"""Comparison of nested models by likelihood ratios."""
# ruff: noqa: D102 (the members of the protocols below are those of LinearMixedModel)

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from mixedmodels.display.document import Document, Paragraph, Printed
from mixedmodels.display.naming import caller_name
from mixedmodels.display.numbers import (
    format_pvalue,
    format_real,
    round_decimal,
    zap_small,
)
from mixedmodels.display.tables import Table
from mixedmodels.errors import ArgumentError, ArgumentTypeError, ComparisonError
from mixedmodels.inference.boundary import (
    Method,
    NullDistribution,
    beside_others,
    check_arguments,
)

if TYPE_CHECKING:
    import pandas as pd

    from mixedmodels.inference.term_tests import TermTable
    from mixedmodels.model import LinearMixedModel

_FloatArray = npt.NDArray[np.float64]
_Codes = npt.NDArray[np.int32]

#: How a model stands to the one in the row above.
Relation = Literal["first", "nested", "not nested", "same model"]

#: A column of X lies in the span of others if its distance to it is below this part of its norm.
_IN_SPAN = 1e-9

#: Significant digits, as R prints such tables.
_DIGITS = 5


class _Grouping(Protocol):
    @property
    def label(self) -> str: ...
    @property
    def codes(self) -> _Codes: ...


class _Design(Protocol):
    def in_memory(self) -> _Rows: ...


class _Rows(Protocol):
    @property
    def y(self) -> _FloatArray: ...
    @property
    def weights(self) -> _FloatArray | None: ...
    @property
    def offset(self) -> _FloatArray | None: ...
    @property
    def groupings(self) -> Sequence[_Grouping]: ...


class ComparableModel(Protocol):
    """What `anova` asks of a fitted model."""

    @property
    def formula(self) -> object: ...
    @property
    def data_name(self) -> str | None: ...
    @property
    def reml(self) -> bool: ...
    @property
    def nobs(self) -> int: ...
    @property
    def df(self) -> int: ...
    @property
    def loglik(self) -> float: ...
    @property
    def aic(self) -> float: ...
    @property
    def bic(self) -> float: ...
    @property
    def deviance(self) -> float: ...
    @property
    def X(self) -> _FloatArray: ...
    @property
    def objective_error(self) -> float: ...
    @property
    def design(self) -> _Design: ...
    def update(self, *, reml: bool) -> ComparableModel: ...


@dataclass(frozen=True, slots=True)
class AnovaRow:
    """One model of a comparison, tested against the model in the row above.

    Parameters
    ----------
    name, formula : str
        The model.
    df : int
        Number of parameters: fixed effects, variance components and the residual variance.
    aic, bic, loglik, deviance : float
        Its criteria, by maximum likelihood.
    relation : {"first", "nested", "not nested", "same model"}
        How the model above stands to this one; there is a test only of a nested model.
    chisq : float
        Likelihood-ratio statistic; NaN where there is no test.
    chi_df : int or None
        Number of parameters more than the model above; None in the first row.
    p_value : float
        Probability of a larger statistic under the smaller model, by the χ² distribution; NaN
        where there is no test.
    null : NullDistribution or None
        Where the models differ by variances: the distribution of the statistic if these are zero.
    """

    name: str
    formula: str
    df: int
    aic: float
    bic: float
    loglik: float
    deviance: float
    relation: Relation = "first"
    chisq: float = math.nan
    chi_df: int | None = None
    p_value: float = math.nan
    null: NullDistribution | None = None

    @property
    def p_boundary(self) -> float:
        """The p-value of `null`; NaN where there is none."""
        return math.nan if self.null is None else self.null.p_value


@dataclass(frozen=True, repr=False)
class AnovaTable(Printed):
    """Models compared by likelihood ratios, the simplest first.

    Parameters
    ----------
    rows : tuple of AnovaRow
        The models, by number of parameters.
    data_name : str or None
        The name of the data, if it is known.
    notes : tuple of str, optional
        What was refitted, and which models could not be tested against each other.
    """

    rows: tuple[AnovaRow, ...]
    data_name: str | None = None
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers, unrounded.

        Returns
        -------
        pandas.DataFrame
            One row a model, under its name; missing where there is no test.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "formula": [row.formula for row in self.rows],
                "df": [row.df for row in self.rows],
                "aic": [row.aic for row in self.rows],
                "bic": [row.bic for row in self.rows],
                "loglik": [row.loglik for row in self.rows],
                "deviance": [row.deviance for row in self.rows],
                "chisq": [row.chisq for row in self.rows],
                "chi_df": pd.array([row.chi_df for row in self.rows], dtype="Int64"),
                "p_value": [row.p_value for row in self.rows],
                "p_boundary": [row.p_boundary for row in self.rows],
                "null_distribution": [row.null and row.null.name for row in self.rows],
                "relation": [row.relation for row in self.rows],
            },
            index=pd.Index([row.name for row in self.rows], name="model"),
        )

    def document(self) -> Document:
        """Lay out the printed form as paragraphs and tables."""
        data = () if self.data_name is None else (f"Data: {self.data_name}",)
        models = tuple(f"{row.name}: {row.formula}" for row in self.rows)
        head = Paragraph((*data, "Models:", *models))
        return Document((head, self._table()))

    def _table(self) -> Table:
        rows = self.rows
        pvalues = [
            row.relation if row.relation in ("not nested", "same model") else text
            for row, text in zip(rows, format_pvalue([r.p_value for r in rows], na=""), strict=True)
        ]
        statistics = [round_decimal(row.chisq, _DIGITS - 1) for row in rows]
        columns = {
            "Df": [str(row.df) for row in rows],
            "AIC": _criterion([row.aic for row in rows]),
            "BIC": _criterion([row.bic for row in rows]),
            "logLik": _criterion([row.loglik for row in rows]),
            "deviance": _criterion([row.deviance for row in rows]),
            "Chisq": format_real(statistics, _DIGITS, na=""),
            "Chi Df": ["" if row.chi_df is None else str(row.chi_df) for row in rows],
            "Pr(>Chisq)": pvalues,
        }
        if any(row.null for row in rows):
            columns["p (boundary)"] = format_pvalue([row.p_boundary for row in rows], na="")
        return Table(
            headers=tuple(columns),
            rows=tuple(zip(*columns.values(), strict=True)),
            labels=tuple(row.name for row in rows),
            notes=self.notes,
        )


def anova(
    *models: ComparableModel,
    names: Sequence[str] | None = None,
    method: Method = "auto",
    n: int = 10_000,
    seed: int | None = None,
) -> AnovaTable | TermTable:
    """Compare nested models by likelihood-ratio tests.

    Every model is tested against the one with the next fewer parameters. Models fitted by REML
    are refitted by maximum likelihood first, as REML criteria do not compare between different
    fixed effects.

    Parameters
    ----------
    *models : LinearMixedModel
        Two models or more, in any order, fitted to the same data. One alone is given an F test of
        each of its terms: `LinearMixedModel.anova`.
    names : sequence of str, optional
        What to call the models; by default the names of the variables that hold them.
    method : {"auto", "mixture", "bootstrap", "chisq"}, default "auto"
        How to find the distribution of the statistic where models differ by variances:
        ``"mixture"``, a mixture of χ² distributions, the limit for many levels;
        ``"bootstrap"``, refits of both models to responses drawn from the smaller; ``"chisq"``,
        not at all. ``"auto"`` bootstraps where levels are few, with fewer draws where `n` would
        take more than a few seconds, and says so. (``"exact"`` is for
        `LinearMixedModel.test_variance`: a model with one term against one without any.)
    n : int, default 10_000
        Number of responses of a bootstrap.
    seed : int, optional
        Of a bootstrap; by default the same every time, and so the table.

    Returns
    -------
    AnovaTable, or TermTable of one model
        The table; where a model is not nested in the next, it says so and holds no test.

    Raises
    ------
    ArgumentTypeError
        An argument is not a fitted model.
    ArgumentError
        `names` does not fit the models, or another argument is not what it may be.
    ComparisonError
        No model, or models of different observations, responses or weights.

    Notes
    -----
    A model is nested in another if its fixed effects lie in the column space of the other's and
    each of its grouping factors divides the observations as one of the other's does; neither
    names nor codings of columns or levels matter.

    Where the models differ by a random-effects term, its variance is zero under the smaller one,
    the least that it may be. The χ² distribution is then conservative: for a single variance,
    its p-value is about twice as large as it should be. The column ``p (boundary)`` has the
    p-value of the distribution that a note below the table names.
    """
    chosen_seed = check_arguments(method, n, seed)
    for number, model in enumerate(models, start=1):
        _check_model(model, number)
    if len(models) == 1:
        return cast("LinearMixedModel", models[0]).anova()
    if len(models) < 2:
        raise ComparisonError(
            f"anova compares two models or more, and got {len(models)}; "
            "give the simpler models beside this one: anova(fm1, fm2)"
        )
    if names is None:
        # Twice the same object is twice the same name: numbers tell them apart.
        # By map, as a comprehension may be a frame of its own, in between us and the caller.
        found = list(map(caller_name, models))
        unique = [name if found.count(name) == 1 else None for name in found]
        names = [name or f"model{i}" for i, name in enumerate(unique, start=1)]
    elif (
        not isinstance(names, list | tuple)
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) != len(models)
        or len(names) != len(models)
    ):
        raise ArgumentError(f"names must be {len(models)} different texts, one a model")

    named = sorted(zip(names, models, strict=True), key=lambda pair: pair[1].df)
    first_name, first = named[0]
    for name, model in named[1:]:
        _check_same_data(first, model, first_name, name)

    fits = [(name, m.update(reml=False) if m.reml else m) for name, m in named]
    rows = [_row(*fits[0])]
    notes = []
    if refitted := [name for name, model in named if model.reml]:
        notes.append(f"Refitted by maximum likelihood instead of REML: {', '.join(refitted)}")
    for (_, small), (name, large) in pairwise(fits):
        above = rows[-1]
        row = _tested(_row(name, large), above, _relation(small, large))
        if row.relation == "nested" and method != "chisq" and (new := _new_terms(small, large)):
            more = row.df - above.df - len(new)
            null = beside_others(
                small, large, new, row.chisq, more, method=method, n=n, seed=chosen_seed
            )
            row = replace(row, null=null)
            which, details = null.sentences
            notes += [f"{name}: p (boundary) by {which}", f"{name}: {details}"]
        rows.append(row)
        if row.relation == "not nested":
            notes.append(f"{above.name} is not nested in {name}: no test, compare AIC or BIC")
        elif row.relation == "same model":
            notes.append(f"{above.name} and {name} are the same model: no test")
    if any(model.objective_error for _, model in fits):
        notes += _monte_carlo_notes(fits, rows)
    data_names = dict.fromkeys(m.data_name for _, m in named if m.data_name is not None)
    return AnovaTable(tuple(rows), ", ".join(data_names) or None, tuple(notes))


def _check_model(model: Any, number: int) -> None:
    """Refuse what has not the attributes of a fitted model."""
    needed = ("formula", "reml", "update", "nobs", "df", "loglik", "X", "design")
    if isinstance(model, type) or not all(hasattr(model, name) for name in needed):
        raise ArgumentTypeError(
            f"argument {number} of anova is a {type(model).__name__}, not a fitted model; "
            "give the values that lmer returns"
        )


def _check_same_data(first: ComparableModel, model: ComparableModel, a: str, b: str) -> None:
    """Refuse models whose likelihoods are of different observations."""
    if first.nobs != model.nobs:
        raise ComparisonError(
            f"{a} was fitted to {first.nobs} rows and {b} to {model.nobs}; drop the rows with "
            "missing values in any of their columns and fit both models to the rest"
        )
    if not np.array_equal(first.design.in_memory().y, model.design.in_memory().y):
        raise ComparisonError(
            f"{a} and {b} have different responses, or the same in different rows; "
            "fit both models to the same response and the same rows"
        )
    if not np.array_equal(_weights(first), _weights(model)):
        raise ComparisonError(
            f"{a} and {b} were fitted with different weights; fit both with the same"
        )


def _weights(model: ComparableModel) -> _FloatArray:
    weights = model.design.in_memory().weights
    return np.ones(model.nobs) if weights is None else weights


def _offset(model: ComparableModel) -> _FloatArray:
    offset = model.design.in_memory().offset
    return np.zeros(model.nobs) if offset is None else offset


def _row(name: str, model: ComparableModel) -> AnovaRow:
    return AnovaRow(
        name=name,
        formula=str(model.formula),
        df=model.df,
        aic=model.aic,
        bic=model.bic,
        loglik=model.loglik,
        deviance=model.deviance,
    )


def _tested(row: AnovaRow, above: AnovaRow, relation: Relation) -> AnovaRow:
    row = replace(row, relation=relation, chi_df=row.df - above.df)
    if relation != "nested":
        return row
    from scipy.special import chdtrc

    # Two optima can differ by rounding in the wrong direction, never by more.
    chisq = max(0.0, 2 * (row.loglik - above.loglik))
    return replace(row, chisq=chisq, p_value=float(chdtrc(row.df - above.df, chisq)))


def _monte_carlo_notes(
    fits: Sequence[tuple[str, ComparableModel]], rows: Sequence[AnovaRow]
) -> list[str]:
    """Say how far log-likelihoods estimated by Monte Carlo leave a test open."""
    from scipy.special import chdtrc

    notes = []
    for (_, small), (name, large), row in zip(fits, fits[1:], rows[1:], strict=False):
        error = math.hypot(small.objective_error, large.objective_error)
        if row.chi_df is None or math.isnan(row.chisq) or not error:
            continue
        low, high = (
            float(chdtrc(row.chi_df, max(0.0, row.chisq + shift * error))) for shift in (2, -2)
        )
        notes.append(
            f"{name}: Chisq rests on log-likelihoods estimated by Monte Carlo, with a standard "
            f"error of {error:.2g}; within two of these Pr(>Chisq) is {low:.2g} to {high:.2g}. "
            "method='hybrid' makes it exact, if a factor goes into memory"
        )
    return notes


def _relation(small: ComparableModel, large: ComparableModel) -> Relation:
    # A difference of offsets is a column with the coefficient one, which `large` must span.
    shift = _offset(small) - _offset(large)
    columns = np.column_stack([small.X, shift]) if shift.any() else small.X
    if not (_spans(large.X, columns) and _groups(large, small)):
        return "not nested"
    return "nested" if small.df < large.df else "same model"


def _spans(X: _FloatArray, columns: _FloatArray) -> bool:
    """Tell whether all of `columns` are linear combinations of those of `X`."""
    if X is columns or np.array_equal(X, columns):
        return True
    norms = np.linalg.norm(columns, axis=0)
    distances = norms
    if X.shape[1]:
        scales = np.linalg.norm(X, axis=0)
        Q, _ = np.linalg.qr(X / np.where(scales > 0, scales, 1.0))
        distances = np.linalg.norm(columns - Q @ (Q.T @ columns), axis=0)
    return bool(np.all(distances <= _IN_SPAN * norms))


def _groups(large: ComparableModel, small: ComparableModel) -> bool:
    """Tell whether every grouping of `small` is, whatever its labels, a grouping of `large`."""
    theirs = large.design.in_memory().groupings
    return all(
        any(_same_partition(g.codes, ours.codes) for g in theirs)
        for ours in small.design.in_memory().groupings
    )


def _new_terms(small: ComparableModel, large: ComparableModel) -> list[int]:
    """Find the terms of `large` that are not in `small`, which is nested in it."""
    ours = small.design.in_memory().groupings
    return [
        t
        for t, theirs in enumerate(large.design.in_memory().groupings)
        if not any(_same_partition(theirs.codes, g.codes) for g in ours)
    ]


def _same_partition(a: _Codes, b: _Codes) -> bool:
    return _is_finer(a, b) and _is_finer(b, a)


def _is_finer(fine: _Codes, coarse: _Codes) -> bool:
    """Tell whether each level of `fine` lies within one level of `coarse`."""
    level = np.empty(int(fine.max()) + 1, dtype=coarse.dtype)
    level[fine] = coarse
    return bool(np.array_equal(level[fine], coarse))


def _criterion(values: Sequence[float]) -> list[str]:
    """Format a column of criteria so that its largest shows five digits, zeros included."""
    zapped = zap_small(values, _DIGITS)
    largest = max((abs(x) for x in zapped), default=0.0)
    before = math.floor(math.log10(largest)) + 1 if largest else 1
    return format_real(zapped, _DIGITS, min_decimals=max(0, _DIGITS - before))
