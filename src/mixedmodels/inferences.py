"""What is asked of a fitted model beyond estimates: tests, intervals, predictions, influence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np

from mixedmodels.estimates import Estimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixedmodels.inference.deletions import DeletionTable
    from mixedmodels.inference.derivatives import Derivatives
    from mixedmodels.inference.hypotheses import HypothesisTest
    from mixedmodels.inference.influence import Influence
    from mixedmodels.inference.intervals import ConfidenceIntervals
    from mixedmodels.inference.profile import Profile
    from mixedmodels.inference.term_tests import TermTable
    from mixedmodels.inference.zero_variance import VarianceTest
    from mixedmodels.model import LinearMixedModel

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Inferences(Estimates):
    """The part of `LinearMixedModel` that infers: a method says what, a module says how."""

    @property
    def _model(self) -> LinearMixedModel:
        return cast("LinearMixedModel", self)

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

        return linear_test(self._model, hypothesis, rhs, ddf, n, seed)

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

        return anova_table(self._model, type, ddf, n, seed)

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

        return single_deletions(self._model, test, ddf)

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
        from mixedmodels.inference.zero_variance import of_variance

        return of_variance(self._model, group, method, n, seed)

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

        return profile(self._model, which, level=level, reml=reml)

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
            self._model,
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
            self._model,
            newdata,
            random=random,
            levels=levels,
            interval=interval,
            level=level,
            se=se,
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

        return pd.Series(leverages(self._model), index=self.design.index, name="leverage")

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

        return pd.Series(
            cooks_distances(self._model), index=self.design.index, name="cooks_distance"
        )

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

        return influence(self._model, group, levels, update_theta)
