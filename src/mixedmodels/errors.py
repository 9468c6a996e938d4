"""The errors and warnings of the package.

Every error derives from `MixedModelsError` and from the built-in exception it refines, so that
both ``except mm.MixedModelsError`` and ``except ValueError`` do what they say.
"""

from __future__ import annotations

import sys
import warnings


class MixedModelsError(Exception):
    """Base of all errors raised by the package."""

    def __str__(self) -> str:
        # KeyError would print the repr of its message; a sentence reads better as it is.
        return str(self.args[0]) if self.args else ""


class FormulaError(MixedModelsError, ValueError):
    """A formula that does not parse, or that asks for something it may not.

    Parameters
    ----------
    message : str
        What is wrong and what to do.
    formula : str, optional
        The text of the formula.
    position : int, optional
        Where in `formula` the trouble starts; printed with a mark below it.
    """

    def __init__(self, message: str, formula: str | None = None, position: int | None = None):
        self.formula = formula
        self.position = position
        if formula is not None and position is not None:
            message = f"{message}\n    {formula}\n    {' ' * position}^"
        super().__init__(message)


class UnsupportedTermError(FormulaError, NotImplementedError):
    """A formula that is understood, with a term that cannot be fitted yet."""


class UnknownColumnError(MixedModelsError, KeyError):
    """A name in the formula that is not a column of the data."""


class DataError(MixedModelsError, ValueError):
    """Data that no model can be fitted to."""


class ResponseError(DataError):
    """A response that is not numeric, constant, infinite or missing altogether."""


class GroupingError(DataError):
    """A grouping factor whose variance cannot be estimated from the data."""


class ArgumentError(MixedModelsError, ValueError):
    """An argument with a value outside of what it may be."""


class ArgumentTypeError(MixedModelsError, TypeError):
    """An argument of the wrong type."""


class FitTooLargeError(MixedModelsError, MemoryError):
    """A fit that would not go into memory."""


class ComparisonError(MixedModelsError, ValueError):
    """Models that cannot be compared with each other."""


class UnknownLevelError(MixedModelsError, KeyError):
    """A level that the model has not seen."""


class UnknownDatasetError(MixedModelsError, KeyError):
    """The name of a data set that the package does not ship."""


class MixedModelsWarning(UserWarning):
    """Base of all warnings of the package."""


class RankDeficientWarning(MixedModelsWarning):
    """Columns of the fixed-effects model matrix were redundant and have been dropped."""


class ConvergenceWarning(MixedModelsWarning):
    """The optimiser stopped before it reached its tolerance."""


class PrecisionWarning(MixedModelsWarning):
    """Numbers have fewer digits than they should."""


class ApproximationWarning(MixedModelsWarning):
    """The approximation of a distribution does not hold for these data."""


class InterruptedWarning(MixedModelsWarning):
    """Work was interrupted, and what it has so far is returned."""


def warn(message: str, category: type[MixedModelsWarning]) -> None:
    """Warn the code outside of the package that led here, however many calls away it is."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        "mixedmodels."
    ):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
