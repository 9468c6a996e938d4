"""The session of Douglas Bates's slides (useR! 2010, part 2), in Python.

Each step shows the code and what it prints, in the slides' order.
"""

from __future__ import annotations

import textwrap
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from mixedmodels.datasets.session import run_session
from mixedmodels.errors import ArgumentError
from mixedmodels.writing import write_whole

DOTS_PER_INCH = 110


class Step(NamedTuple):
    """One slide: its title, why it is there, its code, and the name of the picture it makes."""

    title: str
    text: str
    code: str
    picture: str = ""


STEPS = (
    Step(
        "Accessing documentation",
        "The data sets that come with the package, and the card of one of them.",
        """\
import mixedmodels as mm
import pandas as pd
mm.datasets.list()
mm.datasets.describe("dyestuff")""",
    ),
    Step(
        "The Dyestuff data set",
        "A balanced one-way classification: five preparations from each of six batches.",
        """\
dyestuff = mm.datasets.load("dyestuff")
dyestuff["Batch"].value_counts(sort=False)
dyestuff["Yield"].describe()""",
    ),
    Step(
        "Dyestuff data plot",
        "Batches in increasing order of their mean yield; the line joins the means.",
        """\
ax = mm.plot_groups(dyestuff, "Yield", "Batch")""",
        "dyestuff",
    ),
    Step(
        "A mixed-effects model for the dyestuff yield",
        "One fixed effect, the mean yield, and one random effect for each batch.",
        """\
fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff)
print(fm1)""",
    ),
    Step(
        "Extracting information from the fitted model",
        "Estimates, conditional means of the random effects, fitted values.",
        """\
fm1.fixef()
fm1.ranef()
fm1.fitted().round(1).to_numpy()""",
    ),
    Step(
        "Conditional distributions of the random effects",
        "95% prediction intervals, in increasing order of the conditional mean.",
        """\
effects = fm1.ranef().to_frame().sort_values("condval")
effects.assign(lower=effects.condval - 1.96 * effects.condsd,
               upper=effects.condval + 1.96 * effects.condsd).round(2)""",
    ),
    Step(
        "Caterpillar plot for fm1",
        "The same intervals as a picture.",
        """\
ax = fm1.ranef().caterpillar()""",
        "fm1-caterpillar",
    ),
    Step(
        "The matrices of fm1",
        "Z', the relative covariance factor, Z'Z and its Cholesky factor.",
        """\
ax = fm1.plot("structure")""",
        "fm1-structure",
    ),
    Step(
        "Re-fitting the model for ML estimates",
        "REML and ML differ most where there are few levels.",
        """\
fm1M = fm1.update(reml=False)
print(fm1M)""",
    ),
    Step(
        "Verbose fitting",
        "Newton's method from a moment estimate: each line is an iteration.",
        """\
_ = fm1.update(verbose=True)""",
    ),
    Step(
        "Convergence",
        "The trace as a picture: near the end each iteration doubles the correct digits.",
        """\
ax = fm1.plot("convergence")""",
        "fm1-convergence",
    ),
    Step(
        "The profiled criterion of fm1",
        "A function of theta alone, with its minimum.",
        """\
ax = fm1.plot("criterion")""",
        "fm1-criterion",
    ),
    Step(
        "Plot of the Dyestuff2 data",
        "Batches that differ less than the preparations within them would lead one to expect.",
        """\
dyestuff2 = mm.datasets.load("dyestuff2")
ax = mm.plot_groups(dyestuff2, "Yield", "Batch")""",
        "dyestuff2",
    ),
    Step(
        "Estimates of variance components can be zero",
        "Data made so that batches vary less than preparations do.",
        """\
fm1A = mm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff2, reml=False)
print(fm1A)""",
    ),
    Step(
        "The profiled deviance of fm1A",
        "It rises from theta = 0 on: the minimum is at the boundary.",
        """\
ax = fm1A.plot("criterion")""",
        "fm1A-criterion",
    ),
    Step(
        "A trivial mixed-effects model is a fixed-effects model",
        "With a zero variance the likelihood is that of ordinary least squares.",
        """\
import numpy as np
residual = dyestuff2["Yield"] - dyestuff2["Yield"].mean()
n = len(residual)
-0.5 * n * (1 + np.log(2 * np.pi * (residual**2).sum() / n)), fm1A.loglik""",
    ),
    Step(
        "The Penicillin data",
        "Six samples tested on each of 24 plates: two crossed factors.",
        """\
penicillin = mm.datasets.load("penicillin")
print(pd.crosstab(penicillin["sample"], penicillin["plate"]).to_string())""",
    ),
    Step(
        "Penicillin data plot",
        "Plates in increasing order of their mean, a mark and a line for each sample.",
        """\
ax = mm.plot_groups(penicillin, "diameter", "plate", key="sample")""",
        "penicillin",
    ),
    Step(
        "Model with crossed simple random effects for Penicillin",
        "Nothing is asked about crossing: it is in the data.",
        """\
fm2 = mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin)
print(fm2)
fm2.design.relations()""",
    ),
    Step(
        "Fixed and random effects for fm2",
        "",
        """\
fm2.fixef()
fm2.ranef()""",
    ),
    Step(
        "Prediction intervals for fm2",
        "A panel for each factor, on one scale.",
        """\
ax = fm2.ranef().caterpillar()""",
        "fm2-caterpillar",
    ),
    Step(
        "The matrices of fm2",
        "Crossed factors: eliminating the plates fills the block of the samples.",
        """\
ax = fm2.plot("structure")""",
        "fm2-structure",
    ),
    Step(
        "The profiled criterion of fm2",
        "Over two values of theta, as contours.",
        """\
ax = fm2.plot("criterion")""",
        "fm2-criterion",
    ),
    Step(
        "The Pastes data",
        "Casks a, b, c repeat their labels in every batch; sample names each cask apart.",
        """\
pastes = mm.datasets.load("pastes")
pd.crosstab(pastes["cask"], pastes["batch"])
pd.crosstab(pastes["sample"], pastes["batch"]).head(6)
mm.lmer("strength ~ 1 + (1 | batch) + (1 | sample)", pastes).design.relations()""",
    ),
    Step(
        "The cross-tabulation as an image",
        "A sample occurs in one batch only: a staircase is nesting.",
        """\
ax = mm.plot_crosstab(pastes, "sample", "batch")""",
        "pastes-crosstab",
    ),
    Step(
        "Pastes data plot",
        "Samples in order of their mean within batches in order of theirs.",
        """\
ax = mm.plot_groups(pastes, "strength", "sample", within="batch")""",
        "pastes",
    ),
    Step(
        "A model with nested random effects",
        "",
        """\
fm3 = mm.lmer("strength ~ 1 + (1 | batch) + (1 | sample)", pastes)
print(fm3)""",
    ),
    Step(
        "Random effects from fm3",
        "Those of the batches are much the smaller.",
        """\
ax = fm3.ranef().caterpillar()""",
        "fm3-caterpillar",
    ),
    Step(
        "The matrices of fm3",
        "Nested factors: no fill-in at all.",
        """\
ax = fm3.plot("structure")""",
        "fm3-structure",
    ),
    Step(
        "Comparing ML fits of the full and reduced models",
        "Is there variation between batches beyond that between samples?",
        """\
fm3M = fm3.update(reml=False)
fm4M = mm.lmer("strength ~ 1 + (1 | sample)", pastes, reml=False)
mm.anova(fm4M, fm3M)""",
    ),
    Step(
        "Updated model, REML estimates",
        "",
        """\
fm4 = fm4M.update(reml=True)
print(fm4)""",
    ),
    Step(
        "Structure of the classroom data",
        "Pupils by class, and classes by school.",
        """\
classroom = mm.datasets.load("classroom")
classroom["classid"].value_counts().value_counts().sort_index().to_dict()
schools = classroom[["classid", "schoolid"]].drop_duplicates()["schoolid"]
schools.value_counts().value_counts().sort_index().to_dict()""",
    ),
    Step(
        "Twelve schools, each with 5 classrooms",
        "A panel for each school, a row for each class.",
        """\
classes = classroom.groupby("schoolid", observed=True)["classid"].nunique()
ax = mm.plot_panels(classroom, "mathgain", "classid", by="schoolid",
                    select=classes.index[classes == 5])""",
        "classroom",
    ),
    Step(
        "Simple, 'unconditional' model for the classroom data",
        "",
        """\
fm5 = mm.lmer("mathgain ~ 1 + (1 | classid) + (1 | schoolid)", classroom)
print(fm5)""",
    ),
    Step(
        "A model with fixed-effects terms",
        "",
        """\
fm6 = mm.lmer("mathgain ~ 1 + mathkind + minority + sex + ses + housepov"
              " + (1 | classid) + (1 | schoolid)", classroom)
print(fm6)""",
    ),
    Step(
        "Removing the insignificant term for sex",
        "",
        """\
fm7 = fm6.update("~ . - sex")
print(fm7)""",
    ),
    Step(
        "Removing the insignificant term for housepov",
        "",
        """\
fm8 = fm7.update("~ . - housepov")
print(fm8)""",
    ),
    Step(
        "Prediction intervals on random effects for class and school",
        "",
        """\
ax = fm8.ranef().caterpillar()""",
        "fm8-caterpillar",
    ),
    Step(
        "Normal probability plot of random effects for class",
        "With many levels, the intervals against normal quantiles.",
        """\
ax = fm8.ranef().qqmath("classid")""",
        "fm8-qqmath-classid",
    ),
    Step(
        "Normal probability plot of random effects for school",
        "",
        """\
ax = fm8.ranef().qqmath("schoolid")""",
        "fm8-qqmath-schoolid",
    ),
    Step(
        "Shares of the variance",
        "",
        """\
ax = fm8.plot("variances")""",
        "fm8-variances",
    ),
    Step(
        "Residuals of fm8",
        "Against fitted values, normal plot, scale and location, leverage.",
        """\
ax = fm8.plot()""",
        "fm8-diagnosis",
    ),
    Step(
        "A report to hand over",
        "One page with all of it.",
        """\
_ = fm8.report(folder / "fm8.html")""",
    ),
    Step(
        "Refit without random effects for class",
        "",
        """\
fm9M = fm8.update("~ . - (1 | classid)", reml=False)
print(fm9M)""",
    ),
    Step(
        "Check if random effects for class are significant",
        "",
        """\
fm8M = fm8.update(reml=False)
mm.anova(fm9M, fm8M)""",
    ),
    Step(
        "A larger data set: 73,421 ratings of lecturers by students",
        "Partially crossed factors; the time is that of the fit, from frame to result.",
        """\
insteval = mm.datasets.load("insteval")
begun = time.perf_counter()
fm10 = mm.lmer("y ~ 1 + (1 | s) + (1 | d) + (1 | dept)", insteval)
seconds = time.perf_counter() - begun
print(fm10)
fm10.plan
ax = fm10.ranef().qqmath("s")
print(f"fitted in {seconds:.2f} seconds")""",
        "fm10-qqmath-s",
    ),
)


def run(output: Path | None = None) -> None:
    """Run the session, printing each step's code and output.

    Parameters
    ----------
    output : Path, optional
        The folder to write the pictures and the report to; made if it is not there.

    Raises
    ------
    ArgumentError
        If it cannot be made.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) if output is None else _folder(output)
        names: dict[str, Any] = {"__name__": "__session__", "time": time, "folder": folder}
        for step in STEPS:
            print(f"\n{step.title}\n{'=' * len(step.title)}")
            if step.text:
                print(textwrap.fill(step.text, 88))
            print()
            run_session(step.code, names)
            if step.picture and output is not None:
                file = folder / f"{step.picture}.png"
                figure = names["ax"].figure
                write_whole(file, partial(figure.savefig, format="png", dpi=DOTS_PER_INCH))
                print(f"(drawn in {file})")


def _folder(output: Path) -> Path:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"the folder {output} cannot be made: {error}") from error
    return output
