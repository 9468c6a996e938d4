"""The fitted model, and all that is read off it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from mixedmodels import _core
from mixedmodels.cross_products import CrossProducts, cross_products
from mixedmodels.design import Design, Outline
from mixedmodels.display.document import Document
from mixedmodels.display.naming import caller_name
from mixedmodels.display.summary import ModelSummary
from mixedmodels.errors import (
    ArgumentError,
    ArgumentTypeError,
    RankDeficientWarning,
)
from mixedmodels.estimates import Estimates
from mixedmodels.estimation.newton import Optimum
from mixedmodels.estimation.plan import Plan, make_plan
from mixedmodels.files import is_path, write_frames
from mixedmodels.formula import Formula
from mixedmodels.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.inference.bootstrap import Bootstrap
    from mixedmodels.inference.deletions import DeletionTable
    from mixedmodels.inference.derivatives import Derivatives
    from mixedmodels.inference.hypotheses import HypothesisTest
    from mixedmodels.inference.influence import Influence
    from mixedmodels.inference.intervals import ConfidenceIntervals
    from mixedmodels.inference.profile import Profile
    from mixedmodels.inference.refits import Refits
    from mixedmodels.inference.term_tests import TermTable
    from mixedmodels.inference.variance_test import VarianceTest

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class LinearMixedModel(Estimates):
    """A fitted linear mixed-effects model, y = Xβ + Zb + ε with b ~ N(0, σ²ΛΛ').

    Made by `lmer`. It is a value: nothing that is asked of it changes it.

    Attributes
    ----------
    design : Outline
        Response, model matrix and grouping factors; a `Design` where the rows are in memory.
    cross_products : CrossProducts
        Their sums, from which it was fitted.
    plan : Plan
        How the criterion was evaluated.
    optimum : Optimum
        Where the criterion is least, and how it was found.
    options : Options
        What was asked of `lmer`.
    data_name : str or None
        The name of the data, as printed.
    refitted : bool
        Whether the response is that of a `refit` rather than the data's.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # The core's sums hold on to the rows, and are made again from them if these are here.
        rows_are_here = isinstance(self.design, Design)
        sums = None if rows_are_here else self.cross_products.response.state()
        state = (self.design, sums, self.plan, self.options, self.optimum)
        return _rebuild, (*state, self.data_name, self.refitted)

    # -- other fits --------------------------------------------------------------------------

    def update(
        self, formula: str | Formula | None = None, *, data: Any = None, **changes: Any
    ) -> LinearMixedModel:
        """Fit again with another formula, other data or other arguments.

        Parameters
        ----------
        formula : str, optional
            A change of the formula, in which ``.`` stands for what was there: ``"~ . + (1 | g)"``.
        data : data frame, optional
            Other data.
        **changes
            Arguments of `lmer`, such as ``reml=False``.

        Returns
        -------
        LinearMixedModel

        Raises
        ------
        ArgumentTypeError
            If `lmer` has no such argument.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm4 = mm.lmer("strength ~ 1 + (1 | sample)", mm.datasets.load("pastes"))
        >>> str(fm4.update("~ . + (1 | batch)").formula)
        'strength ~ (1 | sample) + (1 | batch)'
        """
        from mixedmodels.fitting import fit, optimise

        unknown = sorted(set(changes) - set(Options.__dataclass_fields__))
        if unknown:
            raise ArgumentTypeError(
                f"lmer has no argument {', '.join(unknown)}; it has formula, data, "
                + ", ".join(Options.__dataclass_fields__)
            )
        options = replace(self.options, **changes)
        same_design = not (
            {"weights", "offset", "missing", "context"} & set(changes)
            or formula is not None
            or data is not None
        )
        if same_design:
            chosen = make_plan(
                self.cross_products, options.method, mc_error=options.mc_error, seed=options.seed
            )
            # An iterative fit of the same criterion is where an exact one begins.
            polished = self.optimum.probes and chosen.method != "iterative"
            near = self.theta if polished and not {"reml", "start"} & set(changes) else None
            optimum = optimise(self.cross_products, chosen, options, near=near)
            return replace(self, plan=chosen, optimum=optimum, options=options)
        if formula is not None and "start" not in changes:
            options = replace(options, start=None)  # it was for other terms
        new = self.formula if formula is None else self.formula.update(str(formula))
        model = fit(new, self.design.data if data is None else data, options)
        if data is not None:
            name = None if is_path(data) else caller_name(data)
            return replace(model, data_name=name or model.data_name)
        model = replace(model, data_name=self.data_name)
        if not self.refitted:
            return model
        if model.design.response_name != self.design.response_name or not np.array_equal(
            model.design.index, self.design.index
        ):
            raise ArgumentError(
                "the model was refitted to another response, which this update cannot keep; "
                "pass the data with that response"
            )
        from mixedmodels.inference.refits import refit_one

        return refit_one(model, self.design.in_memory().y)

    @overload
    def refit(self, y: Sequence[float] | pd.Series) -> LinearMixedModel: ...

    @overload
    def refit(self, y: pd.DataFrame) -> Refits: ...

    @overload
    def refit(self, y: NDArray[Any]) -> Any: ...

    def refit(self, y: Any) -> Any:
        """Fit the same model to another response, or to many.

        Parameters
        ----------
        y : array_like (n,) or (n, m)
            One finite number for each row used; a column for each response.

        Returns
        -------
        LinearMixedModel
            Of one response.
        Refits
            Of a matrix: parameters, objective and convergence of all fits, which the threads
            share.

        Raises
        ------
        ResponseError
            If `y` has another length, or is not finite or constant.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> bool(abs(fm1.refit(2 * fm1.design.y).sigma - 2 * fm1.sigma) < 1e-9)
        True
        >>> fm1.refit(fm1.simulate(1000, seed=1))
        Refits to 1000 responses, 0 without a fit
        """
        from mixedmodels.inference.refits import refit

        return refit(self, y)

    def simulate(
        self,
        n: int = 1,
        seed: int | None = None,
        *,
        random: Literal["new", "estimated"] = "new",
    ) -> Floats:
        """Draw responses from the model, as if its estimates were the truth.

        Parameters
        ----------
        n : int, default 1
            Number of responses.
        seed : int, optional
            The same seed draws the same responses, on any number of threads.
        random : {"new", "estimated"}
            Draw new random effects for every response, or keep their conditional means and draw
            residuals only.

        Returns
        -------
        ndarray (nobs, n)
            A column a response.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If an argument is not what it may be.
        FitTooLargeError
            If they would not go into memory.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.simulate(1000, seed=1).shape
        (30, 1000)
        """
        from mixedmodels.inference.simulation import simulate

        return simulate(self, n, seed, random)

    def bootstrap(
        self,
        n: int = 1000,
        seed: int | None = None,
        *,
        statistics: Callable[[LinearMixedModel], Any] | None = None,
        progress: bool | None = None,
    ) -> Bootstrap:
        """Draw responses from the model and fit it to each: the parametric bootstrap.

        Parameters
        ----------
        n : int, default 1000
            Number of replicates.
        seed : int, optional
            As for `simulate`, whose responses these are.
        statistics : callable, optional
            Computes from a fitted model what else to keep: a number, an array, or a dict of
            numbers. The model is then made anew for each replicate, which takes longer.
        progress : bool, optional
            Show a line in the terminal; by default if it takes over two seconds.

        Returns
        -------
        Bootstrap
            Prints bias, standard errors and intervals; has all replicates.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If an argument is not what it may be.

        Warns
        -----
        InterruptedWarning
            If it was interrupted; the replicates so far are returned.

        Notes
        -----
        Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, section 6.5.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> b = fm1.bootstrap(2000, seed=1)
        >>> b.confint().loc["sd[Residual]"].round(1)
        lower    35.5
        upper    63.0
        Name: sd[Residual], dtype: float64
        """
        from mixedmodels.inference.bootstrap import bootstrap

        return bootstrap(self, n, seed, statistics, progress)

    # -- tests of fixed effects ----------------------------------------------------------------

    @cached_property
    def variance_derivatives(self) -> Derivatives:
        """Exact derivatives of the criterion and of the covariance of β̂ in the variances."""
        from mixedmodels.inference.derivatives import derivatives

        return derivatives(self.cross_products, self.theta**2, self.sigma**2)

    def test(
        self,
        hypothesis: Any,
        *,
        rhs: Any = 0.0,
        ddf: str = "satterthwaite",
        n: int = 1000,
        seed: int | None = None,
    ) -> HypothesisTest:
        """Test linear hypotheses about the fixed effects, one or several together.

        Parameters
        ----------
        hypothesis : str, dict, list of these, or array_like
            The name of a coefficient, an equation of some (``"a - b = 0"``, ``"2 a + b/2 = 1"``),
            weights by name; a list of such, tested together; or a matrix with a column for each
            coefficient and a row for each hypothesis.
        rhs : float or sequence of float, default 0
            What the weighted sums are to equal, in all rows or each.
        ddf : {"satterthwaite", "kenward-roger", "normal", "residual", "bootstrap"}
            Where the degrees of freedom are from. Kenward-Roger also adjusts the standard errors;
            a fit by maximum likelihood is refitted by REML for it. The bootstrap has none, and
            counts the replicates with a larger statistic.
        n, seed : int, optional
            Number of replicates of the bootstrap, and what they are drawn from.

        Returns
        -------
        HypothesisTest
            Estimates, standard errors, df, t and p of each row; F of all together.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If a name is unknown, its column redundant, or the hypothesis cannot be understood.
        FitTooLargeError
            If Kenward-Roger needs an inverse that would be too large.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> cake = mm.datasets.load("cake")
        >>> fm = mm.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", cake)
        >>> fm.test("recipeB = recipeC")
        Linear hypothesis, tested with Satterthwaite's method:
                              Estimate Std. Error df t value Pr(>|t|)
        recipeB - recipeC = 0  0.04444    2.45625 42   0.018    0.986
        """
        from mixedmodels.inference.hypotheses import linear_test

        return linear_test(self, hypothesis, rhs, ddf, n, seed)

    def anova(
        self,
        type: str | int = "III",  # noqa: A002 (R's name of it)
        *,
        ddf: str = "satterthwaite",
        n: int = 1000,
        seed: int | None = None,
    ) -> TermTable:
        """Test each term of the fixed effects by an F test.

        Parameters
        ----------
        type : {"III", "II", "I"} or {3, 2, 1}
            The hypotheses. I: the term adds nothing to those before it. II: nothing to those that
            do not contain it. III: it is zero on the average over the levels of the terms that
            contain it, with equal weights; whatever the contrasts.
        ddf : {"satterthwaite", "kenward-roger", "normal", "residual", "bootstrap"}
            Where the denominator's degrees of freedom are from.
        n, seed : int, optional
            Number of replicates of the bootstrap, and what they are drawn from.

        Returns
        -------
        TermTable

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If there is no such type or method.
        FitTooLargeError
            If Kenward-Roger needs an inverse that would be too large.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> cake = mm.datasets.load("cake")
        >>> mm.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", cake).anova("II")
        Type II Analysis of Variance Table with Satterthwaite's method
                     Sum Sq Mean Sq NumDF  DenDF F value Pr(>F)
        recipe         4.00    2.00     2 254.02  0.0957 0.9088
        temp        1966.71 1966.71     1 222.00 94.1632 <2e-16
        recipe:temp    1.74    0.87     2 222.00  0.0417 0.9592
        """
        from mixedmodels.inference.term_tests import anova_table

        return anova_table(self, type, ddf, n, seed)

    def drop1(self, test: str = "F", *, ddf: str = "satterthwaite") -> TermTable | DeletionTable:
        """Compare the model with those without one of its terms.

        Only terms that are part of no other are left out.

        Parameters
        ----------
        test : {"F", "LRT", "none"}
            F tests in this fit; or likelihood ratios of refits by maximum likelihood, with AIC; or
            AIC alone.
        ddf : {"satterthwaite", "kenward-roger", "normal", "residual"}
            Where the degrees of freedom of F are from.

        Returns
        -------
        TermTable or DeletionTable

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If there is no such test or method.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> cake = mm.datasets.load("cake")
        >>> mm.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", cake).drop1("LRT")
        Single term deletions
        <BLANKLINE>
        Model:
        angle ~ recipe + temp + (1 | recipe:replicate)
               npar    AIC    LRT Pr(Chi)
        <none>      1708.2
        recipe    2 1704.7  0.530  0.7672
        temp      1 1785.7 79.531  <2e-16
        fitted by maximum likelihood instead of REML
        """
        from mixedmodels.inference.deletions import single_deletions

        return single_deletions(self, test, ddf)

    # -- tests of variances --------------------------------------------------------------------

    def test_variance(
        self,
        group: str,
        *,
        method: Literal["auto", "chisq", "exact", "mixture", "bootstrap"] = "auto",
        n: int = 10_000,
        seed: int | None = None,
    ) -> VarianceTest:
        """Test the hypothesis that the variance of a term is zero.

        The statistic is twice the logarithm of the likelihood ratio of this model and the one
        without the term; of the restricted likelihoods if this model was fitted by REML. A
        variance cannot be negative, so that the statistic is zero in about half of all data sets
        of the hypothesis, and a χ² distribution gives p-values that are too large.

        Parameters
        ----------
        group : str
            The term, by its grouping factor.
        method : {"auto", "exact", "mixture", "bootstrap", "chisq"}, default "auto"
            How to find the distribution under the hypothesis. ``"exact"`` for the only term of a
            model, in samples of any size; ``"mixture"``, a mixture of χ² distributions, the limit
            for many levels; ``"bootstrap"``, refits to responses drawn from the model without
            the term; ``"chisq"``, the plain χ² distribution. ``"auto"`` is exact where it can
            be; beside other terms a bootstrap where levels are few, with fewer draws where `n`
            would take more than a few seconds; a mixture elsewhere. What was chosen, and why, is
            printed.
        n : int, default 10_000
            Number of simulations, where there are any.
        seed : int, optional
            Of the simulations; by default the same every time.

        Returns
        -------
        VarianceTest

        Raises
        ------
        UnknownColumnError
            If the model has no such term.
        ArgumentError, ArgumentTypeError
            If another argument is not what it may be, or the method does not go with the model.
        ComparisonError
            If a bootstrap was asked for of a model that was fitted iteratively.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> test = fm1.test_variance("Batch")
        >>> round(test.statistic, 4), round(test.p_value, 5), round(test.p_chisq, 5)
        (6.369, 0.0044, 0.01161)
        """
        from mixedmodels.inference.variance_test import of_variance

        return of_variance(self, group, method, n, seed)

    # -- profiles and intervals ----------------------------------------------------------------

    def profile(
        self,
        which: str | Sequence[str] | None = None,
        *,
        level: float = 0.99,
        reml: bool | None = None,
    ) -> Profile:
        """Profile the likelihood: how much it falls as one parameter moves from its estimate.

        With the parameter held, all others are where the criterion is least; ζ is the root of its
        rise, negative below the estimate (Bates & Watts 1988, section 6.1).

        Parameters
        ----------
        which : str or list of str, optional
            Parameters, all by default: standard deviations, ``sd[Batch]`` and ``sd[Residual]``
            or ``Batch`` and ``Residual`` for short, and the names of the coefficients.
        level : float, default 0.99
            The highest level of confidence that intervals will be asked for.
        reml : bool, optional
            The criterion for standard deviations; the model's own by default. Coefficients are
            profiled by maximum likelihood, as REML's criterion is no likelihood of theirs;
            ``reml=False`` does so for all, as lme4 does.

        Returns
        -------
        Profile
            Prints how far the profiles go; ``confint()``, ``plot()``, ``to_frame()``.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If the fit is iterative, or an argument is out of range.
        UnknownColumnError
            If the model has no such parameter.

        Warns
        -----
        ConvergenceWarning
            If the profiles meet a criterion below the fit's, or end early.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> dyestuff = mm.datasets.load("dyestuff")
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff, reml=False)
        >>> print(fm1.profile().confint())
        95 % confidence intervals (profile likelihood):
                     Estimate  2.5 % 97.5 %
        sd[Batch]      37.260 12.197 84.063
        sd[Residual]   49.510 38.230 67.658
        (Intercept)    1527.5 1486.5 1568.5
        """
        from mixedmodels.inference.profiling import profile

        return profile(self, which, level=level, reml=reml)

    def confint(
        self,
        parameters: str | Sequence[str] | None = None,
        *,
        level: float = 0.95,
        method: Literal["profile", "wald", "bootstrap"] = "profile",
        scale: Literal["sd", "log", "variance"] = "sd",
        reml: bool | None = None,
        n: int = 1000,
        seed: int | None = None,
    ) -> ConfidenceIntervals:
        """Compute confidence intervals of the parameters.

        Parameters
        ----------
        parameters : str or list of str, optional
            As in `profile`; all by default.
        level : float, default 0.95
            The confidence level.
        method : {"profile", "wald", "bootstrap"}
            Where the profiled criterion has risen by the square of the normal quantile; estimates
            plus or minus that many standard errors, of log σ for variance components; or
            percentiles of a parametric bootstrap.
        scale : {"sd", "log", "variance"}
            What is said of the variance components: σ, log σ or σ².
        reml : bool, optional
            Of profiles, as in `profile`.
        n, seed : int, optional
            Of the bootstrap.

        Returns
        -------
        ConfidenceIntervals
            Prints as a table; ``to_frame()``.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If an argument is out of range, or the fit is iterative and to be profiled.
        UnknownColumnError
            If the model has no such parameter.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> print(fm1.confint(["Batch", "Residual"], scale="log"))
        95 % confidence intervals (profile likelihood):
                     Estimate  2.5 % 97.5 %
        sd[Batch]      3.7377 2.7509 4.6158
        sd[Residual]   3.9022 3.6436 4.2145
        variance components as log σ
        """
        from mixedmodels.inference.intervals import confint

        return confint(
            self,
            parameters,
            level=level,
            method=method,
            scale=scale,
            reml=reml,
            n=n,
            seed=seed,
        )

    # -- predictions and influence -------------------------------------------------------------

    @overload
    def predict(
        self,
        newdata: Any = None,
        *,
        random: bool | Sequence[str] = True,
        levels: Literal["error", "population", "missing"] = "error",
        interval: None = None,
        level: float = 0.95,
        se: Literal[False] = False,
    ) -> pd.Series: ...

    @overload
    def predict(
        self,
        newdata: Any = None,
        *,
        random: bool | Sequence[str] = True,
        levels: Literal["error", "population", "missing"] = "error",
        interval: Literal["confidence", "prediction"] | None = None,
        level: float = 0.95,
        se: bool = False,
    ) -> pd.Series | pd.DataFrame: ...

    def predict(
        self,
        newdata: Any = None,
        *,
        random: bool | Sequence[str] = True,
        levels: Literal["error", "population", "missing"] = "error",
        interval: Literal["confidence", "prediction"] | None = None,
        level: float = 0.95,
        se: bool = False,
    ) -> pd.Series | pd.DataFrame:
        """Predict the response, with standard errors and intervals if asked for.

        Parameters
        ----------
        newdata : data frame, optional
            Rows to predict for; the rows of the fit by default.
        random : bool or list of str, default True
            Add the random effects of each row's levels; otherwise predict for the population. A
            list names the grouping factors whose random effects to add.
        levels : {"error", "population", "missing"}, default "error"
            What to do with levels that the model has not seen: raise an error; take their random
            effect as zero, with its whole variance as the uncertainty; or leave the row's
            prediction missing (NaN).
        interval : {"confidence", "prediction"}, optional
            ``"confidence"``: of the mean response, of the levels of each row that are predicted
            for. ``"prediction"``: of a new observation; factors that `random` leaves out are new
            levels then, and a row has the weight 1 unless the model's weights are a column that
            `newdata` has too.
        level : float, default 0.95
            Coverage of the interval.
        se : bool, default False
            Whether to return standard errors.

        Returns
        -------
        Series (n,)
            By row; or, with `interval` or `se`,
        DataFrame (n, …)
            Columns ``prediction``, ``se``, and with an interval ``lower`` and ``upper``. ``se`` is
            the standard deviation of the error of what is predicted: of the mean, or of a new
            observation with ``interval="prediction"``.

        Raises
        ------
        UnknownLevelError
            If a level is new and `levels` is ``"error"``.
        UnknownColumnError
            If a column is not there, or `random` names what is no grouping factor.
        DataError
            If a value is missing.
        ArgumentError, ArgumentTypeError
            If an argument is not what it may be, or the model was fitted with an offset that is
            not a column.
        FitTooLargeError
            If standard errors would take too long.

        Notes
        -----
        The error is that of x'β̂ + z'b̂ about x'β + z'b, from the joint inverse of the mixed-model
        equations (Henderson 1975, *Biometrics* 31:423). Intervals are by normal quantiles. The
        variances are taken as known: with few levels the intervals are too short.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.predict({"Batch": ["A", "Z"]}, levels="population").round(2)
        0    1509.89
        1    1527.50
        Name: prediction, dtype: float64
        >>> new = {"Batch": ["A", "Z"]}
        >>> fm1.predict(new, levels="population", interval="confidence").round(1)
           prediction    se   lower   upper
        0      1509.9  20.0  1470.6  1549.2
        1      1527.5  46.3  1436.8  1618.2
        """
        from mixedmodels.inference.prediction import predict

        return predict(
            self, newdata, random=random, levels=levels, interval=interval, level=level, se=se
        )

    def leverage(self) -> pd.Series:
        """Leverage of each row: the derivative of its fitted value by its response.

        Returns
        -------
        Series (n,)
            By row used; `hatvalues` in R. Their sum is the effective number of parameters.

        Raises
        ------
        FitTooLargeError
            If it would take too long.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> round(float(fm1.leverage().sum()), 3)
        4.913
        """
        import pandas as pd

        from mixedmodels.inference.leverage import leverages

        return pd.Series(leverages(self), index=self.design.index, name="leverage")

    def cooks_distance(self) -> pd.Series:
        """Cook's distance of each row, from its residual and leverage.

        (r/(1 − h))² h/(pσ̂²) with r the residual times the root of the weight, as lme4's
        ``cooks.distance`` has it. It is (‖Δŷ‖² + ‖Δu‖²)/(pσ̂²), how far the fitted values and the
        spherical random effects move if the row is left out at the estimated θ. `influence` has the
        distance of the fixed effects alone, for levels and for rows.

        Returns
        -------
        Series (n,)
            By row used; missing where the leverage is 1, the row being fitted whatever it is.

        Raises
        ------
        ArgumentError
            If the model has no fixed effects.
        FitTooLargeError
            If it would take too long.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.cooks_distance().nlargest(2).round(3)
        17    0.784
        4     0.470
        Name: cooks_distance, dtype: float64
        """
        import pandas as pd

        from mixedmodels.inference.leverage import cooks_distances

        return pd.Series(cooks_distances(self), index=self.design.index, name="cooks_distance")

    def influence(
        self, group: str | None = None, *, levels: Any = None, update_theta: bool = True
    ) -> Influence:
        """Estimate the model without each level of a factor, one at a time.

        The rows of a level are subtracted from the cross-products, and a few Newton steps lead
        from the optimum of all rows to that of the others: nothing is read or fitted anew.

        Parameters
        ----------
        group : str, optional
            The grouping factor, or ``"obs"`` to leave out single rows. Need not be given if the
            model has one factor.
        levels : label or list of labels, optional
            Some of its levels; all by default.
        update_theta : bool, default True
            Whether to estimate the variances again; otherwise θ is held, and only β and σ are:
            that takes less time.

        Returns
        -------
        Influence
            Prints the levels by decreasing Cook's distance; ``to_frame()`` has all numbers.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If an argument is not what it may be, the model has no fixed effects, or the fit is
            iterative, without a factor.
        UnknownColumnError, UnknownLevelError
            If the model has no such factor, or the factor no such level.
        FitTooLargeError
            If it would take more than ten minutes.

        Notes
        -----
        Cook's distance is (β₋ − β̂)'V̂⁻¹(β₋ − β̂)/p (Cook 1977, *Technometrics* 19:15), with V̂ the
        covariance of β̂ in the fit to all rows (Christensen, Pearson & Johnson 1992,
        *Technometrics* 34:38). lme4's multiplies it by (m − p)/m for m levels.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> print(fm1.influence("Batch", levels=["E", "F"]))
        Influence of leaving out each level of Batch; standard deviations estimated again
        Below the names of fixed effects: their change, in standard errors
          Rows Cook's D CovRatio (Intercept) sd Batch sd Residual
        E    5   0.5596   0.6606      -0.920    27.44       49.41
        F    5   0.3520   0.9720       0.602    35.72       52.43
        """
        from mixedmodels.inference.influence import influence

        return influence(self, group, levels, update_theta)

    # -- frames ------------------------------------------------------------------------------

    def tidy(self) -> pd.DataFrame:
        """One row for each parameter: effect, group, term, estimate, std_error, statistic."""
        from mixedmodels.display.broom import tidy

        return tidy(self)

    def glance(self) -> pd.DataFrame:
        """One row that describes the fit: nobs, sigma, logLik, AIC, BIC, criterion, deviance."""
        from mixedmodels.display.broom import glance

        return glance(self)

    @overload
    def augment(self) -> pd.DataFrame: ...

    @overload
    def augment(self, *, to: str | Path) -> Path: ...

    def augment(self, *, to: str | Path | None = None) -> pd.DataFrame | Path:
        """Return the rows used of the data, with .fitted, .resid and .fixed.

        Parameters
        ----------
        to : path, optional
            A Parquet, CSV or Arrow file to write them to, batch by batch.

        Returns
        -------
        DataFrame
            Or the path of the file.
        """
        import pandas as pd

        from mixedmodels.display.broom import augmented

        pieces = (augmented(self, piece) for piece in self.design.pieces(all_columns=True))
        if to is None:
            return pd.concat(list(pieces))
        return write_frames(pieces, to, self.design.path)

    # -- pictures ----------------------------------------------------------------------------

    def plot(self, kind: str = "diagnosis", *, group: str | None = None, ax: Any = None) -> Any:
        """Draw a picture of the model.

        Parameters
        ----------
        kind : str, default "diagnosis"
            What to draw. Of the residuals: ``"residuals"`` (against fitted values), ``"normal"``,
            ``"scale-location"``, ``"leverage"``, or ``"diagnosis"``, all four. Of the random
            effects: ``"caterpillar"``, ``"qqmath"`` and ``"variances"``. Of the fit:
            ``"criterion"`` (over θ) and ``"convergence"``. Of profiles, as `Profile.plot` draws
            them: ``"zeta"``, ``"density"`` and ``"pairs"``. Of Cook's distances: ``"cooks"`` (of
            rows) and ``"influence"`` (of leaving out levels). Of the matrices: ``"Zt"``,
            ``"Lambda"``, ``"ZtZ"``, ``"L"``, or ``"structure"``, all four.
        group : str, optional
            The grouping factor, for ``"caterpillar"``, ``"qqmath"`` and ``"criterion"``, all by
            default; and for ``"influence"``.
        ax : Axes, or one for each panel, optional
            Where to draw. By default on a new figure, unknown to pyplot: ``ax.figure``.

        Returns
        -------
        Axes, or tuple of Axes
            One for each panel.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If there is no such picture, of this model or at all, or `ax` does not fit.
        UnknownColumnError
            If the model has no such factor.
        FitTooLargeError
            If it would take too long to compute.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> ax = fm1.plot("residuals")
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('Fitted value (g)', 'Residual (g)')
        >>> ax.figure.savefig("residuals.pdf")  # doctest: +SKIP
        """
        from mixedmodels.plots.kinds import plot

        return plot(self, kind, group, ax)

    def report(self, file: Any) -> Path:
        """Write the model as a page of HTML that needs nothing else, to be handed over.

        Summary, variance components, fixed effects with Wald intervals, random effects,
        diagnosis, how it was computed, and the code that fits it again.

        Parameters
        ----------
        file : path
            Where to, ending in ``.html``. It is there whole or not at all.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If the file cannot be written.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> fm1.report("fm1.html")  # doctest: +SKIP
        PosixPath('fm1.html')
        """
        from mixedmodels.report.page import write_report

        return write_report(self, file)

    # -- printed form ------------------------------------------------------------------------

    def summary(self, ddf: str | None = None) -> ModelSummary:
        """Return the printed form as a value.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "normal", "residual"}, optional
            Add degrees of freedom and p-values to the fixed effects, by this method. Of
            Kenward-Roger's the standard errors are adjusted too.

        Returns
        -------
        ModelSummary

        Examples
        --------
        >>> import mixedmodels as mm
        >>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))
        >>> print(fm1.summary("satterthwaite").fixed_effects())
        Fixed effects:
                    Estimate Std. Error df t value Pr(>|t|)
        (Intercept)  1527.50      19.38  5    78.8 6.23e-09
        """
        from mixedmodels.inference.coefficients import summarise

        return summarise(self, ddf)

    def document(self) -> Document:
        """Lay out the printed form."""
        return self.summary().document()

    def _repr_html_(self) -> str:
        from mixedmodels.report.notebook import notebook_html

        return notebook_html(self)


def _rebuild(
    design: Outline,
    state: bytes | None,
    plan: Plan,
    options: Options,
    optimum: Optimum,
    data_name: str | None,
    refitted: bool,
) -> LinearMixedModel:
    """Make a model again of what was pickled."""
    if state is not None:
        structure, response = _core.restore_sums(state)
        labels = tuple(g.label for g in design.groupings)
        sums = CrossProducts(structure, response, labels)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankDeficientWarning)  # said when it was fitted
            sums = cross_products(design)
    return LinearMixedModel(design, sums, plan, optimum, options, data_name, refitted)
