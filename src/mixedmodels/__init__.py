"""Linear mixed-effects models: lme4's formulas and numbers, by Newton's method.

Examples
--------
>>> import mixedmodels as mm
>>> dyestuff = mm.datasets.load("dyestuff")
>>> fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff)
>>> fm1.fixef()
(Intercept)    1527.5
Name: Estimate, dtype: float64
"""

from importlib.metadata import version as _version

from mixedmodels import datasets
from mixedmodels.errors import (
    ApproximationWarning,
    ArgumentError,
    ArgumentTypeError,
    ComparisonError,
    ConvergenceWarning,
    DataError,
    FitTooLargeError,
    FormulaError,
    GroupingError,
    InterruptedWarning,
    MixedModelsError,
    MixedModelsWarning,
    PrecisionWarning,
    RankDeficientWarning,
    ResponseError,
    UnknownColumnError,
    UnknownDatasetError,
    UnknownLevelError,
    UnsupportedTermError,
)
from mixedmodels.fitting import lmer, plan
from mixedmodels.inference.anova import anova
from mixedmodels.model import LinearMixedModel
from mixedmodels.plots.crosstab import plot_crosstab
from mixedmodels.plots.groups import plot_groups, plot_panels

__version__ = _version("mixedmodels")

__all__ = [
    "ApproximationWarning",
    "ArgumentError",
    "ArgumentTypeError",
    "ComparisonError",
    "ConvergenceWarning",
    "DataError",
    "FitTooLargeError",
    "FormulaError",
    "GroupingError",
    "InterruptedWarning",
    "LinearMixedModel",
    "MixedModelsError",
    "MixedModelsWarning",
    "PrecisionWarning",
    "RankDeficientWarning",
    "ResponseError",
    "UnknownColumnError",
    "UnknownDatasetError",
    "UnknownLevelError",
    "UnsupportedTermError",
    "anova",
    "datasets",
    "lmer",
    "plan",
    "plot_crosstab",
    "plot_groups",
    "plot_panels",
]
