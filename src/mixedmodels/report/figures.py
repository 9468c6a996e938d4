"""The pictures of a report: drawn, embedded and described in words."""

from __future__ import annotations

import warnings
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from mixedmodels.errors import MixedModelsError
from mixedmodels.plots.canvas import Drawn, Panels, figure_of
from mixedmodels.plots.variances import shares

if TYPE_CHECKING:
    from mixedmodels.model import LinearMixedModel

# Factors of more levels are drawn as normal probability plots too.
MANY_LEVELS = 40


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Parameters
    ----------
    caption : str
        What is below it.
    description : str
        What it shows, for those who do not see it.
    source : str
        The picture as a data URI; empty if it could not be drawn, which `description` explains.
    """

    caption: str
    description: str
    source: str


def variance_picture(model: LinearMixedModel) -> Picture:
    """Draw the variance components."""
    parts = ", ".join(f"{name} {share:.1%}" for name, share in shares(model).items())
    return _picture(
        lambda: model.plot("variances"),
        "Variance components and their shares of the sum.",
        f"Bar chart of the variances. Shares of their sum: {parts}.",
    )


def random_effect_pictures(model: LinearMixedModel) -> list[Picture]:
    """Draw caterpillars, and normal probability plots where levels are many."""
    effects = model.ranef()

    def caterpillars() -> Drawn:
        return effects.caterpillar()  # type: ignore[no-any-return]

    pictures = [
        _picture(
            caterpillars,
            "95 % prediction intervals of the random effects given the data and the estimates, in "
            "increasing order of the conditional mean.",
            lambda: "Caterpillar plots. " + " ".join(_spread(model, name) for name in effects),
        )
    ]
    many = [name for name in effects if len(effects[name]) > MANY_LEVELS]
    for name in many:

        def quantiles(name: str = name) -> Drawn:
            return effects.qqmath(name)  # type: ignore[no-any-return]

        pictures.append(
            _picture(
                quantiles,
                f"The intervals of {name} against standard normal quantiles.",
                f"Normal probability plot of the random effects of {name}; those of a normal "
                "distribution lie along a line.",
            )
        )
    return pictures


def diagnosis_picture(model: LinearMixedModel) -> Picture:
    """Draw the residuals in four ways."""
    scaled = model.residuals().to_numpy() / model.sigma
    return _picture(
        lambda: model.plot("diagnosis"),
        "Residuals against fitted values; normal plot of the residuals; root of their size against "
        "fitted values; residuals against leverage. Lines in the first and third are local means.",
        "Four plots of the residuals. In residual standard deviations they go from "
        f"{scaled.min():.1f} to {scaled.max():.1f}; "
        f"{np.mean(np.abs(scaled) > 2):.1%} are beyond 2.",
    )


def convergence_picture(model: LinearMixedModel) -> Picture:
    """Draw the iterations."""
    return _picture(
        lambda: model.plot("convergence"),
        "The decrease of the criterion still to come, and θ, by iteration.",
        f"Convergence in {len(model.iterations) - 1} iterations.",
    )


# -- parts -----------------------------------------------------------------------------------


def _picture(
    draw: Callable[[], Drawn], caption: str, description: str | Callable[[], str]
) -> Picture:
    try:
        with warnings.catch_warnings():
            # A letter that the font has not got is drawn as a box; the tables have it.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            source = _embedded(draw())
        words = description if isinstance(description, str) else description()
    except MixedModelsError as error:
        return Picture(caption, f"Not drawn: {error}.", "")
    return Picture(caption, words, source)


def _embedded(drawn: Drawn) -> str:
    """Return a figure as a data URI; letters are outlines, so that no font is needed."""
    figure = figure_of(drawn[0] if isinstance(drawn, Panels) else drawn)
    buffer = BytesIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "mixedmodels"}):
        figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None})
    return "data:image/svg+xml;base64," + b64encode(buffer.getvalue()).decode("ascii")


def _spread(model: LinearMixedModel, name: str) -> str:
    """Say in numbers what a caterpillar shows."""
    effects = model.ranef()
    means = effects[name]["(Intercept)"].to_numpy()
    sds = effects.condsd[name]["(Intercept)"].to_numpy()
    apart = np.count_nonzero(np.abs(means) > 1.959964 * sds)
    return (
        f"{name}: {means.size:,} levels, conditional means from {means.min():.4g} to "
        f"{means.max():.4g}; the intervals of {apart:,} do not cover zero."
    )
