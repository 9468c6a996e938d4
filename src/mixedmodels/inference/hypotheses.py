"""Linear hypotheses Lβ = r: what may be written for them, and their tests."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from mixedmodels.columns import nearest
from mixedmodels.display.document import Document, Paragraph, Printed
from mixedmodels.display.numbers import format_pvalue, format_real
from mixedmodels.display.summary import coefficient_columns
from mixedmodels.display.tables import Table
from mixedmodels.errors import ArgumentError, ArgumentTypeError
from mixedmodels.inference.degrees_of_freedom import reference_distribution

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.model import LinearMixedModel

Floats: TypeAlias = "NDArray[np.float64]"

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


class Row(NamedTuple):
    """One row of Lβ = r."""

    text: str
    weights: Mapping[str, float]
    rhs: float


@dataclass(frozen=True, repr=False)
class HypothesisTest(Printed):
    """A test of linear hypotheses about the fixed effects.

    Attributes
    ----------
    hypotheses : tuple of str
        What is tested, an equation a row.
    estimates, standard_errors, dfs, t_values, p_values : tuple of float
        Each row by itself: Lβ̂, its standard error, degrees of freedom, and two-sided test.
    num_df : int
        Number of independent rows.
    den_df, f_value, p_value : float
        The test of all rows together; of one row, F = t².
    method : str
        Where the degrees of freedom are from.
    notes : tuple of str
        What the reader should know.
    """

    hypotheses: tuple[str, ...]
    estimates: tuple[float, ...]
    standard_errors: tuple[float, ...]
    dfs: tuple[float, ...]
    t_values: tuple[float, ...]
    p_values: tuple[float, ...]
    num_df: int
    den_df: float
    f_value: float
    p_value: float
    method: str
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the rows' tests, unrounded.

        Returns
        -------
        pandas.DataFrame
            One row a hypothesis: estimate, std_error, df, t_value, p_value.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "estimate": self.estimates,
                "std_error": self.standard_errors,
                "df": self.dfs,
                "t_value": self.t_values,
                "p_value": self.p_values,
            },
            index=pd.Index(self.hypotheses, name="hypothesis"),
        )

    def document(self) -> Document:
        """Lay out the printed form as paragraphs and tables."""
        title = f"Linear {'hypothesis' if len(self.hypotheses) == 1 else 'hypotheses'}"
        columns = coefficient_columns(
            self.estimates, self.standard_errors, self.t_values, self.dfs, self.p_values
        )
        table = Table(
            headers=tuple(columns),
            rows=tuple(zip(*columns.values(), strict=True)),
            labels=self.hypotheses,
            title=f"{title}, tested with {self.method}:",
        )
        blocks: list[Paragraph | Table] = [table]
        if len(self.hypotheses) > 1:
            cells = (
                str(self.num_df),
                *format_real([self.den_df], 4),
                *format_real([round(self.f_value, 4)], 5),
                *format_pvalue([self.p_value]),
            )
            headers = ("NumDF", "DenDF", "F value", "Pr(>F)")
            blocks.append(Table(headers, (cells,), title="All of them together:"))
        if self.notes:
            blocks.append(Paragraph(self.notes))
        return Document(tuple(blocks))


def linear_test(
    model: LinearMixedModel,
    hypothesis: Any,
    rhs: Any = 0.0,
    ddf: Any = "satterthwaite",
    n: Any = 1000,
    seed: Any = None,
) -> HypothesisTest:
    """Test linear hypotheses; see `LinearMixedModel.test`."""
    rows = rows_of(hypothesis, rhs, model.design.names)
    L = _matrix(model, rows)
    reference = reference_distribution(model, ddf, n, seed)
    estimates = L @ reference.model.beta
    errors, dfs = reference.standard_errors(L), reference.dfs(L)
    right = np.array([row.rhs for row in rows])
    distances = estimates - right
    _require_consistent(L, right, rows)
    t_values = distances / errors
    joint = reference.f_test(L, distances)
    return HypothesisTest(
        hypotheses=tuple(row.text for row in rows),
        estimates=tuple(map(float, estimates)),
        standard_errors=tuple(map(float, errors)),
        dfs=tuple(map(float, dfs)),
        t_values=tuple(map(float, t_values)),
        p_values=tuple(map(float, reference.t_probabilities(L, t_values, dfs))),
        num_df=joint.num_df,
        den_df=joint.den_df,
        f_value=joint.statistic,
        p_value=joint.p_value,
        method=reference.title,
        notes=reference.notes,
    )


def rows_of(hypothesis: Any, rhs: Any, names: Sequence[str]) -> list[Row]:
    """Read what was given as a hypothesis.

    Parameters
    ----------
    hypothesis : str, mapping, sequence of these, or array_like
        As `LinearMixedModel.test` takes it.
    rhs : float or sequence of float
        Right-hand side of every row or of each.
    names : sequence of str
        The coefficients.

    Returns
    -------
    list of Row

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If it cannot be understood.
    """
    if getattr(hypothesis, "ndim", 0) == 1:  # a Series by its names, an array or Index of texts
        if hasattr(hypothesis, "to_dict"):
            hypothesis = hypothesis.to_dict()
        elif all(isinstance(one, str) for one in hypothesis):
            hypothesis = list(hypothesis)
    if isinstance(hypothesis, str | Mapping):
        given: list[Any] = [hypothesis]
    elif isinstance(hypothesis, list | tuple) and any(
        isinstance(one, str | Mapping) for one in hypothesis
    ):
        given = list(hypothesis)
    else:
        given = _rows_of_matrix(hypothesis, names)
    if not given:
        raise ArgumentError(
            "there is no hypothesis: give the name of a coefficient, or an equation"
        )
    return [
        _row(one, right, names) for one, right in zip(given, _sides(rhs, len(given)), strict=True)
    ]


def _sides(rhs: Any, count: int) -> Floats:
    try:
        values = np.asarray(rhs, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"rhs must be a number, or one a row; got {rhs!r}") from None
    if values.ndim > 1 or values.size not in (1, count) or not np.isfinite(values).all():
        raise ArgumentError(f"rhs must be a finite number, or one for each of {count} rows")
    return np.broadcast_to(values.ravel(), (count,))


def _rows_of_matrix(matrix: Any, names: Sequence[str]) -> list[Mapping[str, float]]:
    if (columns := getattr(matrix, "columns", None)) is not None:
        records: list[Mapping[str, float]] = matrix.to_dict("records")
        for column in columns:
            _require_known(str(column), names)
        return records
    try:
        if matrix is None or np.iscomplexobj(matrix):
            raise TypeError
        L = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            "a hypothesis is the name of a coefficient, an equation such as 'a - b = 0', a dict of "
            f"weights by name, a list of these, or a matrix of numbers; got {matrix!r}"
        ) from None
    if L.ndim != 2 or L.shape[1] != len(names) or not L.size:
        raise ArgumentError(
            f"the matrix of a hypothesis has a column for each of the {len(names)} coefficients, "
            f"{', '.join(names)}; got one of shape {L.shape}"
        )
    return [{name: w for name, w in zip(names, row, strict=True) if w} for row in L]


def _row(given: Any, rhs: float, names: Sequence[str]) -> Row:
    if isinstance(given, str):
        weights, constant = parse(given, names)
        rhs = float(rhs) + constant
    elif isinstance(given, Mapping):
        weights = {}
        for name, weight in given.items():
            _require_known(name, names)
            if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
                raise ArgumentTypeError(f"the weight of {name} must be a number, not {weight!r}")
            weights[name] = float(weight)
    else:
        raise ArgumentTypeError(
            f"each hypothesis of a list is a name, an equation or a dict of weights, not {given!r}"
        )
    weights = {name: w for name, w in weights.items() if w != 0.0}
    if not weights:
        raise ArgumentError(f"the hypothesis {given!r} names no coefficient with a weight but zero")
    if not all(map(math.isfinite, [*weights.values(), rhs])):
        raise ArgumentError(f"the hypothesis {given!r} has a number that is not finite")
    return Row(f"{_sum_of(weights)} = {rhs:.7g}", weights, float(rhs))


def _sum_of(weights: Mapping[str, float]) -> str:
    text = ""
    for name, weight in weights.items():
        sign = ("-" if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
        factor = "" if abs(weight) == 1.0 else f"{abs(weight):.4g} "
        text += f"{sign}{factor}{name}"
    return text


def parse(text: str, names: Sequence[str]) -> tuple[dict[str, float], float]:
    """Read a linear equation in the names of coefficients.

    Parameters
    ----------
    text : str
        Sums of names, each with a numeric factor or divisor perhaps, and of numbers; and ``=``
        between two of them, or a sum that is to be zero.
    names : sequence of str
        The coefficients; a name is read as a whole, whatever signs it holds.

    Returns
    -------
    weights : dict of str to float
    constant : float
        What the weighted sum is to equal.

    Raises
    ------
    ArgumentError
        If it is no such equation, or a name is unknown.

    Examples
    --------
    >>> parse("2 a:b - (Intercept) = 3", ["(Intercept)", "a", "a:b"])
    ({'a:b': 2.0, '(Intercept)': -1.0}, 3.0)
    """
    sides = [text] if text in names else _sides_of(text, names)
    if len(sides) > 2:
        raise ArgumentError(f"the hypothesis {text!r} has more than one =")
    weights: dict[str, float] = {}
    constant = 0.0
    for side, sign in zip(sides, (1.0, -1.0), strict=False):
        for name, weight in _terms(side, text, names):
            if name is None:
                constant -= sign * weight
            else:
                weights[name] = weights.get(name, 0.0) + sign * weight
    return weights, constant


def _pattern(names: Sequence[str]) -> str:
    return "|".join(map(re.escape, sorted(filter(None, names), key=len, reverse=True)))


def _sides_of(text: str, names: Sequence[str]) -> list[str]:
    """Split at the signs of equality that are not within a name."""
    sides, last = [], 0
    for match in re.finditer(rf"{_pattern(names) or '(?!)'}|==?", text):
        if match[0] in ("=", "==") and match[0] not in names:
            sides.append(text[last : match.start()])
            last = match.end()
    return [*sides, text[last:]]


def _terms(side: str, text: str, names: Sequence[str]) -> list[tuple[str | None, float]]:
    """Read one side: pairs of a name, or None for a number by itself, and its weight."""
    term = re.compile(
        rf"\s*(?P<sign>[+-])?\s*(?:(?P<number>{_NUMBER})\s*(?:/\s*(?P<over>{_NUMBER}))?\s*\*?\s*)?"
        rf"(?P<name>{_pattern(names) or '(?!)'})?(?:\s*/\s*(?P<divisor>{_NUMBER}))?\s*"
    )
    found: list[tuple[str | None, float]] = []
    at = 0
    while at < len(side) or not found:
        match = term.match(side, at)
        assert match is not None
        name, number = match["name"], match["number"]
        after = side[match.end() : match.end() + 1]
        if (
            (name is None and (number is None or match["divisor"]))
            or (found and not match["sign"])
            or (after and after not in "+-")
        ):
            _refuse(side[at:].strip(" +-"), text, names)
        weight = float(number or 1.0) * (-1.0 if match["sign"] == "-" else 1.0)
        for below in (match["over"], match["divisor"]):
            if below is not None:
                if float(below) == 0.0:
                    raise ArgumentError(f"the hypothesis {text!r} divides by zero")
                weight /= float(below)
        found.append((name, weight))
        at = match.end()
    return found


def _refuse(rest: str, text: str, names: Sequence[str]) -> None:
    word = re.split(r"\s[-+*/=]\s|\s*=", rest)[0].strip()
    word = re.sub(rf"^{_NUMBER}\s*\*?\s*", "", word)
    if not word:
        raise ArgumentError(
            f"the hypothesis {text!r} is no equation of coefficients such as 'a - b = 0'"
        )
    _require_known(word, names)
    raise ArgumentError(
        f"the hypothesis {text!r} cannot be read at {rest!r}; it may hold names, numbers that "
        "multiply or divide them, + and -, and one ="
    )


def _require_known(name: Any, names: Sequence[str]) -> None:
    if name in names:
        return
    hint = nearest(str(name), names)
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    raise ArgumentError(
        f"the model has no coefficient {name!r}. {hint}{' ' * bool(hint)}"
        f"It has {listed or 'none'}. Whole terms are tested by anova()"
    )


def _matrix(model: LinearMixedModel, rows: Sequence[Row]) -> Floats:
    """Return L by the columns that were kept; refuse those that were dropped."""
    kept = model.cross_products.structure.kept
    place = {model.design.names[j]: i for i, j in enumerate(kept)}
    L = np.zeros((len(rows), len(kept)))
    for i, row in enumerate(rows):
        for name, weight in row.weights.items():
            if name not in place:
                raise ArgumentError(
                    f"{name} cannot be estimated: its column follows from others and was dropped; "
                    "no hypothesis about it can be tested with these data"
                )
            L[i, place[name]] = weight
    return L


def _require_consistent(L: Floats, right: Floats, rows: Sequence[Row]) -> None:
    """Refuse equations that contradict each other."""
    scale = np.linalg.norm(L, axis=1)
    unit, side = L / scale[:, None], right / scale
    nearest = np.linalg.lstsq(unit, side, rcond=1e-10)[0]
    miss = np.abs(unit @ nearest - side)
    if np.any(miss > 1e-8 * max(1.0, float(np.abs(side).max()))):
        raise ArgumentError(
            "these hypotheses contradict each other: " + "; ".join(row.text for row in rows)
        )
