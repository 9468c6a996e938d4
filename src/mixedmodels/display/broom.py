"""A model as data frames, in the convention of R's broom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from mixedmodels.design import Design
    from mixedmodels.model import LinearMixedModel


def tidy(model: LinearMixedModel) -> pd.DataFrame:
    """Return one row for each parameter: fixed effects, then standard deviations."""
    import pandas as pd

    coefficients = model.summary().coefficients
    components = model.varcorr().components
    missing = [np.nan] * len(components)
    return pd.DataFrame(
        {
            "effect": ["fixed"] * len(coefficients) + ["ran_pars"] * len(components),
            "group": [None] * len(coefficients) + [c.group for c in components],
            "term": [c.name for c in coefficients]
            + [f"sd__{c.name or 'Observation'}" for c in components],
            "estimate": [c.estimate for c in coefficients] + [c.sd for c in components],
            "std_error": [c.standard_error for c in coefficients] + missing,
            "statistic": [c.t_value for c in coefficients] + missing,
        }
    )


def glance(model: LinearMixedModel) -> pd.DataFrame:
    """Return one row that describes the fit."""
    import pandas as pd

    return pd.DataFrame(
        {
            "nobs": [model.nobs],
            "sigma": [model.sigma],
            "logLik": [model.loglik],
            "AIC": [model.aic],
            "BIC": [model.bic],
            "criterion": ["REML" if model.reml else "ML"],
            "objective": [model.objective],
            "deviance": [model.deviance],
            "df": [model.df],
            "df_residual": [model.nobs - model.df],
            "singular": [model.singular],
            "converged": [model.converged],
        }
    )


def augmented(model: LinearMixedModel, piece: Design) -> pd.DataFrame:
    """Return the rows of a piece of the data, with fitted values and residuals."""
    frame = piece.kept_data()
    taken = [name for name in (".fitted", ".resid", ".fixed") if name in frame.columns]
    if taken:
        raise DataError(f"the data have a column {taken[0]} already; rename it")
    if model.refitted:
        frame = frame.assign(**{piece.response_name: piece.y})
    fixed = model.fixed_part(piece)
    fitted = fixed + model.random_part(piece)
    return frame.assign(**{".fitted": fitted, ".resid": piece.y - fitted, ".fixed": fixed})
