"""One program, one model, one file, one process: the stages of a fit, told as they are reached.

Each line written is a stage with the seconds since the import ended; the last is ``done``. The
task is ``fit`` (read, fit, print, all conditional means as arrays; of ours also the exact optimum,
where the model asks for it), ``summary`` (the same without that), ``evaluation`` (the criterion
once or twice, where a fit is out of reach) or ``parts`` (of ours: what comes before the fit).
"""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.large.models import LARGE, LargeModel
from benchmarks.worker import peak_megabytes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Tell = Callable[..., None]


def ours(model: LargeModel, path: str, task: str, tell: Tell) -> None:
    import mixedmodels as mm

    tell("import", version=mm.__version__)
    if task == "parts":
        mm.plan(model.formula, path)
        tell("planned")  # read, summed, planned
        return
    fm = mm.lmer(model.formula, path, progress=False)
    tell("fitted")
    text = io.StringIO()
    print(fm, file=text)
    tell("printed")
    effects = {factor: frame.to_numpy() for factor, frame in fm.ranef().items()}
    tell(
        "done",
        objective=float(fm.objective),
        objective_error=float(fm.optimum.objective_error),
        plan=str(fm.plan),
        method=fm.plan.method,
        evaluations=len(fm.iterations),
        levels={factor: len(values) for factor, values in effects.items()},
        text=text.getvalue(),
    )
    if model.exact and task == "fit":
        fm = fm.update(method="hybrid")
        tell("exact", objective=float(fm.objective), plan=str(fm.plan))


def mixedlm(model: LargeModel, path: str, task: str, tell: Tell) -> None:
    import mixedlm as ml
    import numpy as np

    tell("import", version=ml.__version__)
    frame = read(model, path)
    tell("read")
    if task == "evaluation":
        criterion = ml.mkLmerDevfun(ml.lFormula(model.rival_formula, frame))
        tell("prepared")
        for _ in range(2):
            criterion(np.ones(len(model.groups)))
            tell("evaluated")
        return
    fm = ml.lmer(model.rival_formula, frame)
    tell("fitted", evaluations=int(fm.function_evals))
    text = str(fm)
    effects = {group: effect["(Intercept)"] for group, effect in fm.ranef().items()}
    tell(
        "done",
        objective=float(fm.deviance),
        levels={group: len(values) for group, values in effects.items()},
        text=text,
    )


def gpboost(model: LargeModel, path: str, task: str, tell: Tell) -> None:
    """Fit by maximum likelihood, which is all it has."""
    import gpboost as gp
    import numpy as np

    tell("import", version=gp.__version__)
    frame = read(model, path)
    y = frame[model.response].to_numpy(float)
    X = fixed_effects(model, frame)
    groups = np.column_stack([frame[group] for group in model.groups])
    del frame
    tell("read")
    fitted = gp.GPModel(
        group_data=groups, likelihood="gaussian", matrix_inversion_method="iterative"
    )
    tell("prepared")
    if task == "evaluation":
        for _ in range(2):
            fitted.neg_log_likelihood(cov_pars=np.ones(1 + len(model.groups)), y=y)
            tell("evaluated")
        return
    fitted.fit(y=y, X=X)
    tell("fitted")
    fitted.summary(std_err=False)  # with standard errors it takes longer than the fit
    tell("printed")
    fitted.predict_training_data_random_effects().to_numpy()
    tell("done", objective=2 * float(fitted.get_current_neg_log_likelihood()))


def read(model: LargeModel, path: str) -> pd.DataFrame:
    """Read the columns of the model, grouping factors as integers: the form rivals read fastest."""
    import pandas as pd

    frame = pd.read_parquet(path)
    for group in model.groups:
        if frame[group].dtype.kind != "i":
            frame[group] = pd.factorize(frame[group])[0]
    return frame


def fixed_effects(model: LargeModel, frame: pd.DataFrame) -> np.ndarray:
    import formulaic

    columns = formulaic.Formula(model.fixed).get_model_matrix(frame)
    return columns.to_numpy(float)


PROGRAMS: dict[str, Callable[[LargeModel, str, str, Tell], None]] = {
    "mixedmodels": ours,
    "mixedlm": mixedlm,
    "gpboost": gpboost,
}


def main(program: str, model: str, path: str, task: str) -> None:
    # A library may print to standard output, which carries the stages: it gets standard error.
    stages = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    start = perf_counter()

    def tell(stage: str, **values: Any) -> None:
        nonlocal start
        taken = {"at": perf_counter() - start, "megabytes": peak_megabytes()}
        print(json.dumps({"stage": stage, **taken, **values}), file=stages)
        if stage == "import":
            start = perf_counter()

    PROGRAMS[program](LARGE[model], path, task, tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
