"""F tests of whole terms: analysis of variance tables of types I, II and III."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mixedmodels.display.document import Document, Paragraph, Printed
from mixedmodels.display.numbers import format_pvalue, format_real, zap_small
from mixedmodels.display.tables import Table
from mixedmodels.errors import ArgumentError, ArgumentTypeError
from mixedmodels.inference.degrees_of_freedom import Reference, reference_distribution
from mixedmodels.inference.term_hypotheses import TermColumns, sequential, type_three, type_two

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

Floats: TypeAlias = "NDArray[np.float64]"

_TYPES = {"I": "I", "II": "II", "III": "III", "1": "I", "2": "II", "3": "III"}
_HYPOTHESES = {"I": sequential, "II": type_two, "III": type_three}


@dataclass(frozen=True, slots=True)
class TermTest:
    """The F test of one term.

    Attributes
    ----------
    term : str
        As R writes it.
    sum_of_squares, mean_square : float
        F σ̂² numDF and F σ̂², with F not scaled: what they would be without random effects.
    num_df : int
        Number of independent hypotheses; 0 where nothing of the term can be estimated.
    den_df, f_value, p_value : float
        Missing where there is nothing to test.
    """

    term: str
    sum_of_squares: float
    mean_square: float
    num_df: int
    den_df: float
    f_value: float
    p_value: float


@dataclass(frozen=True, repr=False)
class TermTable(Printed):
    """F tests of the terms of a model.

    Attributes
    ----------
    title : str
        What is tested, and by which method.
    rows : tuple of TermTest
        A row a term.
    formula : str, optional
        The model, printed above.
    notes : tuple of str
        What the reader should know.
    """

    title: str
    rows: tuple[TermTest, ...]
    formula: str | None = None
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers, unrounded.

        Returns
        -------
        pandas.DataFrame
            One row a term: sum_sq, mean_sq, num_df, den_df, f_value, p_value.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "sum_sq": [row.sum_of_squares for row in self.rows],
                "mean_sq": [row.mean_square for row in self.rows],
                "num_df": [row.num_df for row in self.rows],
                "den_df": [row.den_df for row in self.rows],
                "f_value": [row.f_value for row in self.rows],
                "p_value": [row.p_value for row in self.rows],
            },
            index=pd.Index([row.term for row in self.rows], name="term"),
        )

    def document(self) -> Document:
        """Lay out the printed form as paragraphs and tables."""
        rows = self.rows
        columns = {
            "Sum Sq": _squares([row.sum_of_squares for row in rows]),
            "Mean Sq": _squares([row.mean_square for row in rows]),
            "NumDF": [str(row.num_df) for row in rows],
            "DenDF": format_real(zap_small([row.den_df for row in rows], 5), 5, na=""),
            "F value": format_real([round(row.f_value, 4) for row in rows], 5, na=""),
            "Pr(>F)": format_pvalue([row.p_value for row in rows], na=""),
        }
        table = Table(
            headers=tuple(columns),
            rows=tuple(zip(*columns.values(), strict=True)),
            labels=tuple(row.term for row in rows),
            title="" if self.formula else self.title,
            notes=self.notes,
        )
        if self.formula is None:
            return Document((table,))
        return Document((Paragraph((self.title, "", "Model:", self.formula)), table))


def _squares(values: list[float]) -> list[str]:
    return format_real(zap_small(values, 5), 5, na="")


def anova_table(
    model: LinearMixedModel,
    kind: Any = "III",
    ddf: Any = "satterthwaite",
    n: Any = 1000,
    seed: Any = None,
) -> TermTable:
    """Test every term of the fixed effects; see `LinearMixedModel.anova`."""
    if isinstance(kind, bool) or not isinstance(kind, str | int):
        raise ArgumentTypeError(f"type must be 'I', 'II' or 'III', not {kind!r}")
    numeral = _TYPES.get(str(kind).upper())
    if numeral is None:
        raise ArgumentError(f"type must be 'I', 'II' or 'III', not {kind!r}")
    reference = reference_distribution(model, ddf, n, seed)
    columns = TermColumns.of(model)
    title = f"Type {numeral} Analysis of Variance Table with {reference.title}"
    return TermTable(
        title, tests_of(reference, _HYPOTHESES[numeral](columns)), notes=_notes(model, reference)
    )


def tests_of(reference: Reference, hypotheses: Mapping[str, Floats]) -> tuple[TermTest, ...]:
    """Test rows of hypotheses, term by term."""
    beta, sigma2 = reference.model.beta, reference.model.sigma**2
    tests = []
    for term, L in hypotheses.items():
        if not len(L):
            tests.append(TermTest(term, np.nan, np.nan, 0, np.nan, np.nan, np.nan))
            continue
        f = reference.f_test(L, L @ beta)
        mean = f.statistic / f.scale * sigma2
        squares = mean * f.num_df
        tests.append(TermTest(term, squares, mean, f.num_df, f.den_df, f.statistic, f.p_value))
    return tuple(tests)


def _notes(model: LinearMixedModel, reference: Reference) -> tuple[str, ...]:
    dropped = [model.design.names[j] for j in model.cross_products.structure.dropped]
    if not dropped:
        return reference.notes
    return (
        f"not estimable, and left out of the hypotheses: {', '.join(dropped)}",
        *reference.notes,
    )
