"""Models with one term fewer, compared with the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixedmodels.display.document import Document, Paragraph, Printed
from mixedmodels.display.numbers import format_pvalue, format_real, zap_small
from mixedmodels.display.tables import Table
from mixedmodels.errors import ArgumentError, ArgumentTypeError, ComparisonError
from mixedmodels.inference.degrees_of_freedom import reference_distribution
from mixedmodels.inference.term_hypotheses import TermColumns, deleted
from mixedmodels.inference.term_tests import TermTable, tests_of

if TYPE_CHECKING:
    import pandas as pd

    from mixedmodels.model import LinearMixedModel

_TESTS = ("F", "LRT", "none")


@dataclass(frozen=True, slots=True)
class Deletion:
    """The model without one term, fitted by maximum likelihood.

    Attributes
    ----------
    term : str
        What is left out; ``<none>`` for the model itself.
    n_parameters : int or None
        Number of parameters less than the model has.
    aic : float
        Akaike's criterion of the fit without the term.
    statistic, p_value : float
        Likelihood-ratio statistic and its χ² probability; NaN where there is no test.
    """

    term: str
    n_parameters: int | None
    aic: float
    statistic: float
    p_value: float


@dataclass(frozen=True, repr=False)
class DeletionTable(Printed):
    """A model compared with those without one of its terms, by maximum likelihood.

    Attributes
    ----------
    formula : str
        The whole model.
    rows : tuple of Deletion
        The whole model first.
    tested : bool
        Whether likelihood ratios are shown.
    notes : tuple of str
        What the reader should know.
    """

    formula: str
    rows: tuple[Deletion, ...]
    tested: bool
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers, unrounded.

        Returns
        -------
        pandas.DataFrame
            One row a term: npar, aic, and lrt and p_value if they were asked for.
        """
        import pandas as pd

        columns: dict[str, Any] = {
            "npar": pd.array([row.n_parameters for row in self.rows], dtype="Int64"),
            "aic": [row.aic for row in self.rows],
        }
        if self.tested:
            columns["lrt"] = [row.statistic for row in self.rows]
            columns["p_value"] = [row.p_value for row in self.rows]
        return pd.DataFrame(columns, index=pd.Index([r.term for r in self.rows], name="term"))

    def document(self) -> Document:
        """Lay out the printed form as paragraphs and tables."""
        rows = self.rows
        columns = {
            "npar": ["" if row.n_parameters is None else str(row.n_parameters) for row in rows],
            "AIC": format_real(zap_small([row.aic for row in rows], 5), 5),
        }
        if self.tested:
            statistics = [row.statistic for row in rows]
            columns["LRT"] = format_real(zap_small(statistics, 5), 5, na="")
            columns["Pr(Chi)"] = format_pvalue([row.p_value for row in rows], na="")
        table = Table(
            headers=tuple(columns),
            rows=tuple(zip(*columns.values(), strict=True)),
            labels=tuple(row.term for row in rows),
            notes=self.notes,
        )
        head = Paragraph(("Single term deletions", "", "Model:", self.formula))
        return Document((head, table))


def single_deletions(
    model: LinearMixedModel, test: Any = "F", ddf: Any = "satterthwaite"
) -> TermTable | DeletionTable:
    """Leave out each term that is part of no other; see `LinearMixedModel.drop1`."""
    if not isinstance(test, str):
        raise ArgumentTypeError(f"test must be 'F', 'LRT' or 'none', not {test!r}")
    if test not in _TESTS:
        raise ArgumentError(f"test must be 'F', 'LRT' or 'none', not {test!r}")
    sets = [frozenset(term) for term in model.formula.fixed.terms]
    droppable = [t for t, term in enumerate(sets) if not any(term < other for other in sets)]
    if test != "F":
        return _refits(model, droppable, tested=test == "LRT")
    reference = reference_distribution(model, ddf)
    terms = TermColumns.of(model)
    return TermTable(
        f"Single term deletions using {reference.title}:",
        tests_of(reference, {terms.labels[t]: deleted(terms, t) for t in droppable}),
        formula=str(model.formula),
        notes=reference.notes,
    )


def _refits(model: LinearMixedModel, droppable: list[int], tested: bool) -> DeletionTable:
    from scipy.special import chdtrc

    whole = model.update(reml=False) if model.reml else model
    rows = [Deletion("<none>", None, whole.aic, math.nan, math.nan)]
    for t in droppable:
        label = model.formula.fixed.labels[t]
        part = whole.update(f"~ . - {label}")
        if part.nobs != whole.nobs:
            raise ComparisonError(
                f"without {label} there are {part.nobs} rows without missing values, and with it "
                f"{whole.nobs}; drop the others from the data first"
            )
        df = whole.df - part.df
        statistic = max(0.0, part.objective - whole.objective) if tested and df else math.nan
        p_value = float(chdtrc(df, statistic)) if tested and df else math.nan
        rows.append(Deletion(label, df, part.aic, statistic, p_value))
    notes: tuple[str, ...] = ()
    if model.reml:
        notes += ("fitted by maximum likelihood instead of REML",)
    if whole.objective_error:
        notes += (
            f"each deviance has a Monte Carlo standard error of about {whole.objective_error:.2g}",
        )
    return DeletionTable(str(model.formula), tuple(rows), tested, notes)
