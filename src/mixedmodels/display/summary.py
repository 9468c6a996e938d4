"""The printed form of a fitted model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixedmodels.display.document import BLANK_LINE, Document, Paragraph, Printed
from mixedmodels.display.numbers import (
    format_coefficients,
    format_pvalue,
    format_real,
    round_decimal,
    zap_small,
)
from mixedmodels.display.tables import Table

_WIDTH = 80

#: The blank after an operator between terms, outside of parentheses.
_TERM_END = re.compile(r"(?<= [+-]) (?![^()]*\))")


@dataclass(frozen=True, slots=True)
class VarianceComponent:
    """One row of the random effects.

    Parameters
    ----------
    group : str
        The grouping factor, or ``Residual``.
    name : str
        The random effect, such as ``(Intercept)``; empty for the residual.
    variance, sd : float
        Its variance and standard deviation.
    """

    group: str
    name: str
    variance: float
    sd: float


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One row of the fixed effects.

    Parameters
    ----------
    name : str
        The name of the column of X.
    estimate, standard_error, t_value : float
        NaN, all three, where the column was redundant and has been dropped.
    df, p_value : float, default NaN
        Degrees of freedom and two-sided probability of t, if they were asked for.
    """

    name: str
    estimate: float
    standard_error: float
    t_value: float
    df: float = math.nan
    p_value: float = math.nan


@dataclass(frozen=True, repr=False)
class ModelSummary(Printed):
    """What is printed of a linear mixed model, as plain values.

    Parameters
    ----------
    reml : bool
        Whether the model was fitted by REML, not by maximum likelihood.
    formula : str
        The text of the formula.
    data_name : str or None
        The name of the data, if it is known.
    objective : float
        The REML criterion, or the deviance (minus twice the log-likelihood), at the optimum.
    aic, bic : float
        Information criteria; printed for maximum likelihood.
    components : tuple of VarianceComponent
        The variance components in the order of the terms, the residual last.
    nobs : int
        Number of observations used.
    ngroups : mapping of str to int
        Number of levels of every grouping factor.
    coefficients : tuple of Coefficient
        The fixed effects.
    dropped_rows : int, default 0
        Rows left out for missing values.
    notes : tuple of str, optional
        More to say, below the rest.
    method : str, optional
        Where degrees of freedom of the coefficients are from; they are printed if it is given.

    Examples
    --------
    >>> summary = ModelSummary(
    ...     reml=True, formula="Yield ~ 1 + (1 | Batch)", data_name="dyestuff",
    ...     objective=319.65427684, aic=325.6543, bic=329.8579,
    ...     components=(VarianceComponent("Batch", "(Intercept)", 1764.05, 42.0006),
    ...                 VarianceComponent("Residual", "", 2451.25, 49.5101)),
    ...     nobs=30, ngroups={"Batch": 6},
    ...     coefficients=(Coefficient("(Intercept)", 1527.5, 19.383412, 78.804496),),
    ... )
    >>> print(summary)
    Linear mixed model fit by REML
    Formula: Yield ~ 1 + (1 | Batch)
       Data: dyestuff
    <BLANKLINE>
    REML criterion at convergence: 319.6543
    <BLANKLINE>
    Random effects:
     Groups   Name        Variance Std.Dev.
     Batch    (Intercept) 1764     42.00
     Residual             2451     49.51
    Number of obs: 30, groups: Batch, 6
    <BLANKLINE>
    Fixed effects:
                Estimate Std. Error t value
    (Intercept)  1527.50      19.38    78.8
    """

    reml: bool
    formula: str
    data_name: str | None
    objective: float
    aic: float
    bic: float
    components: tuple[VarianceComponent, ...]
    nobs: int
    ngroups: Mapping[str, int]
    coefficients: tuple[Coefficient, ...]
    dropped_rows: int = 0
    notes: tuple[str, ...] = ()
    method: str = ""

    @property
    def loglik(self) -> float:
        """The log-likelihood, restricted for REML."""
        return -self.objective / 2

    @property
    def title(self) -> str:
        """The first line: what was fitted, and by which criterion."""
        criterion = "REML" if self.reml else "maximum likelihood"
        tests = f". t-tests use {self.method}" if self.method else ""
        return f"Linear mixed model fit by {criterion}{tests}"

    @property
    def all_notes(self) -> tuple[str, ...]:
        """What the reader must know of the fit, then `notes`."""
        boundary = [
            f"boundary (singular) fit: the variance of {c.group} is estimated as zero"
            for c in self.components
            if c.variance == 0
        ]
        if boundary:
            these, they, it = (
                ("this term", "it", "it") if len(boundary) == 1 else ("these terms", "they", "them")
            )
            boundary.append(
                f"without {these} every estimate is the same; "
                f"{they} may stay if the design asks for {it}"
            )
        redundant = [c.name for c in self.coefficients if math.isnan(c.estimate)]
        return (
            *boundary,
            *(_rows_note(self.dropped_rows) if self.dropped_rows else ()),
            *(_columns_note(redundant) if redundant else ()),
            *self.notes,
        )

    def document(self) -> Document:
        """Lay out the printed form as paragraphs and tables."""
        head = [self.title, *_wrap_formula(self.formula)]
        if self.data_name is not None:
            head.append(f"   Data: {self.data_name}")
        parts = [
            Paragraph(tuple(head)),
            self._criterion(),
            self.random_effects(),
            self.fixed_effects() if self.coefficients else Paragraph(("No fixed effects",)),
        ]
        if self.all_notes:
            parts.append(Paragraph(self.all_notes))
        blocks = [block for part in parts for block in (BLANK_LINE, part)]
        return Document(tuple(blocks[1:]))

    def _criterion(self) -> Paragraph | Table:
        if self.reml:
            (value,) = format_real([round_decimal(self.objective, 4)])
            return Paragraph((f"REML criterion at convergence: {value}",))
        values = (self.aic, self.bic, self.loglik, self.objective)
        texts = format_real([round_decimal(value, 4) for value in values])
        return Table(("AIC", "BIC", "logLik", "deviance"), (tuple(texts),))

    def random_effects(self) -> Table:
        """Tabulate the variance components, with the numbers of observations and levels.

        Returns
        -------
        Table
            One row a component.
        """
        variances = format_real([c.variance for c in self.components], digits=4)
        sds = format_real([c.sd for c in self.components], digits=4)
        rows = zip(self.components, variances, sds, strict=True)
        groups = "; ".join(f"{name}, {levels}" for name, levels in self.ngroups.items())
        return Table(
            # R sets this table in by a blank.
            headers=(" Groups", "Name", "Variance", "Std.Dev."),
            rows=tuple((f" {c.group}", c.name, variance, sd) for c, variance, sd in rows),
            align="llnn",
            title="Random effects:",
            notes=(f"Number of obs: {self.nobs}, groups: {groups}",),
        )

    def fixed_effects(self) -> Table:
        """Tabulate the fixed effects.

        Returns
        -------
        Table
            One row a coefficient.
        """
        columns = coefficient_columns(
            [c.estimate for c in self.coefficients],
            [c.standard_error for c in self.coefficients],
            [c.t_value for c in self.coefficients],
            [c.df for c in self.coefficients] if self.method else None,
            [c.p_value for c in self.coefficients],
        )
        return Table(
            headers=tuple(columns),
            rows=tuple(zip(*columns.values(), strict=True)),
            labels=tuple(c.name for c in self.coefficients),
            title="Fixed effects:",
        )


def coefficient_columns(
    estimates: Sequence[float],
    standard_errors: Sequence[float],
    t_values: Sequence[float],
    dfs: Sequence[float] | None,
    p_values: Sequence[float],
) -> dict[str, list[str]]:
    """Format the columns of a table of coefficients; with p-values where there are `dfs`."""
    formatted = format_coefficients(estimates, standard_errors, t_values)
    columns = {
        "Estimate": formatted.estimates,
        "Std. Error": formatted.standard_errors,
        "t value": formatted.statistics,
    }
    if dfs is None:
        return columns
    return {
        "Estimate": columns["Estimate"],
        "Std. Error": columns["Std. Error"],
        "df": format_real(zap_small(dfs, 4), 4),
        "t value": columns["t value"],
        "Pr(>|t|)": format_pvalue(p_values, 3),
    }


def _wrap_formula(formula: str) -> list[str]:
    """Break a long formula after the operators between its terms."""
    first, *rest = _TERM_END.split(f"Formula: {formula}")
    lines = [first]
    for piece in rest:
        longer = f"{lines[-1]} {piece}"
        if len(longer) <= _WIDTH:
            lines[-1] = longer
        else:
            lines.append("    " + piece)
    return lines


def _rows_note(count: int) -> tuple[str]:
    rows, were = ("row", "was") if count == 1 else ("rows", "were")
    return (f"{count} {rows} with missing values {were} dropped",)


def _columns_note(names: list[str]) -> tuple[str]:
    columns, were = ("column", "was") if len(names) == 1 else ("columns", "were")
    return (f"{len(names)} redundant fixed-effects {columns} {were} dropped: {', '.join(names)}",)
