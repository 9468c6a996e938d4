"""The test of one variance of a model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mixedmodels import _core
from mixedmodels.cross_products import cross_products
from mixedmodels.display.document import Document, Printed
from mixedmodels.display.numbers import format_pvalue, format_real, round_decimal
from mixedmodels.display.tables import Table
from mixedmodels.errors import (
    ArgumentError,
    FitTooLargeError,
    RankDeficientWarning,
    UnknownColumnError,
)
from mixedmodels.estimation.newton import minimise
from mixedmodels.estimation.plan import make_plan
from mixedmodels.inference.boundary import (
    NullDistribution,
    beside_others,
    check_arguments,
    exact,
    mixture,
    mixture_tail,
)

if TYPE_CHECKING:
    import pandas as pd

    from mixedmodels.model import LinearMixedModel

_DIGITS = 5


@dataclass(frozen=True, repr=False)
class VarianceTest(Printed):
    """A test of the hypothesis that the variance of a term is zero.

    Attributes
    ----------
    group : str
        The term.
    reml : bool
        Whether the statistic is the restricted likelihood ratio.
    sd : float
        Estimated standard deviation.
    statistic : float
        Twice the logarithm of the likelihood ratio; 0 if the estimate is zero.
    p_chisq : float
        Of the χ² distribution with one degree of freedom, which errs on the careful side.
    null : NullDistribution
        The distribution of the statistic under the hypothesis.
    """

    group: str
    reml: bool
    sd: float
    statistic: float
    p_chisq: float
    null: NullDistribution

    @property
    def p_value(self) -> float:
        """Probability of such a statistic, or a larger one, if the variance is zero."""
        return self.null.p_value

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers, unrounded, in one row.

        Returns
        -------
        DataFrame
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "sd": [self.sd],
                "statistic": [self.statistic],
                "p_value": [self.p_value],
                "p_chisq": [self.p_chisq],
                "mass_at_zero": [self.null.mass_at_zero],
                "method": [self.null.method],
                "n": [self.null.n],
                "mc_error": [self.null.mc_error],
            },
            index=pd.Index([self.group], name="group"),
        )

    def document(self) -> Document:
        """Lay out the printed form."""
        ratio = "RLRT" if self.reml else "LRT"
        p_chisq, p_value = (format_pvalue([p])[0] for p in (self.p_chisq, self.p_value))
        (sd,) = format_real([self.sd], _DIGITS - 1)
        (statistic,) = format_real([round_decimal(self.statistic, _DIGITS - 1)], _DIGITS)
        which, details = self.null.sentences
        table = Table(
            headers=("Std.Dev.", ratio, "Pr(>Chisq)", "p (boundary)"),
            rows=((sd, statistic, p_chisq, p_value),),
            labels=(self.group,),
            title=f"Is the variance of {self.group} zero?",
            notes=(f"p (boundary) by {which}", details),
        )
        return Document((table,))


def of_variance(
    model: LinearMixedModel, group: str, method: str, n: int, seed: int | None
) -> VarianceTest:
    """Test that a variance is zero; see `LinearMixedModel.test_variance`."""
    chosen_seed = check_arguments(method, n, seed)
    labels = model.cross_products.labels
    if group not in labels:
        raise UnknownColumnError(
            f"the model has no random-effects term of {group!r}; it has {', '.join(labels)}"
        )
    term = labels.index(group)
    alone = len(labels) == 1
    small = None if alone else without(model, term)
    least = at_zero(model) if small is None else small.objective
    statistic = 0.0 if model.theta[term] == 0.0 else max(0.0, least - model.objective)
    p_chisq = mixture_tail(np.array([0.0, 1.0]), statistic)
    if method == "chisq":
        null = NullDistribution("chisq", "chi2(1)", "asked for; too large", p_chisq, 0.0)
    elif small is not None:
        null = beside_others(small, model, [term], statistic, method=method, n=n, seed=chosen_seed)
    else:
        null = _of_only_term(model, statistic, method, n, chosen_seed)
    sd = float(model.sigma * model.theta[term])
    return VarianceTest(group, model.reml, sd, statistic, p_chisq, null)


def _of_only_term(
    model: LinearMixedModel, statistic: float, method: str, n: int, seed: int
) -> NullDistribution:
    if method == "bootstrap":
        raise ArgumentError(
            "without its only term the model has nothing to estimate that the statistic depends "
            "on: method='exact' is what a bootstrap comes to with more and more draws"
        )
    if method != "mixture":
        try:
            return exact(model, statistic, n, seed)
        except FitTooLargeError:
            if method == "exact":
                raise
    (levels,) = model.cross_products.levels
    return mixture(np.eye(1), statistic, 0, levels)


def at_zero(model: LinearMixedModel) -> float:
    """Compute the criterion of a model with one term where its variance is zero."""
    values = _core.evaluate(
        model.cross_products.response, model.plan.core, [0.0], model.reml, False
    )
    return float(cast("float", values["objective"]))


def without(model: LinearMixedModel, term: int) -> LinearMixedModel:
    """Fit a model again without one of its terms, by the same criterion."""
    rows = model.design.in_memory()
    groupings = (*rows.groupings[:term], *rows.groupings[term + 1 :])
    design = replace(rows, groupings=groupings)
    options = replace(model.options, start=None, method="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficientWarning)  # said when the model was fitted
        sums = cross_products(design)
    plan = make_plan(sums, mc_error=options.mc_error, seed=options.seed)
    optimum = minimise(sums, plan, model.reml)
    return replace(
        model, design=design, cross_products=sums, plan=plan, optimum=optimum, options=options
    )
