"""The systems: how each of them fits a model. Nothing is imported until a worker loads it."""

from __future__ import annotations

import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from benchmarks.models import Model

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

OURS = "mixedmodels"
OURS_ONE_THREAD = "mixedmodels-1-thread"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class System:
    """A program that fits linear mixed models, as the runner sees it."""

    name: str
    distribution: str
    criterion: Literal["REML", "ML"] = "REML"
    #: Settings to run with; of several, each model has the one that is fastest for this system.
    environments: tuple[Mapping[str, str], ...] = ({},)

    def missing(self) -> str | None:
        """Say why the system cannot be run here, if so."""
        return None

    def cannot(self, model: Model) -> str | None:
        """Say why the system is not asked to fit this model, if so."""
        return None

    def command(self, model: Model, folder: Path) -> list[str]:
        """Start a worker."""
        return [sys.executable, "-m", "benchmarks.worker", self.name, model.name, str(folder)]


class PythonSystem(System, ABC):
    """A package, called in its worker as its documentation shows, with its defaults.

    Each gets the data in the form that it reads fastest; making that form is not timed.
    """

    #: What is imported, where it is not the distribution's name.
    module: ClassVar[str]

    def missing(self) -> str | None:
        return None if find_spec(self.module.split(".")[0]) else f"{self.distribution} is missing"

    def load(self) -> None:
        import_module(self.module)

    def versions(self) -> dict[str, str]:
        return {self.distribution: version(self.distribution)}

    def prepare(self, model: Model, frame: pd.DataFrame) -> Any:
        return frame

    @abstractmethod
    def fit(self, model: Model, data: Any) -> Any: ...

    def refitter(
        self, model: Model, data: Any, fitted: Any, response: np.ndarray
    ) -> Callable[[], Any] | None:
        """Make the call that fits the same model to a new response, if the system has one."""
        return None

    @abstractmethod
    def objective(self, fitted: Any) -> float:
        """Tell the criterion at the optimum found: minus twice the log-likelihood."""


def coded(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """Replace the labels of the grouping factors by integers."""
    codes = {group: frame[group].cat.codes.astype("int64") for group in model.groups}
    return frame.assign(**codes)


class MixedModels(PythonSystem):
    module = "mixedmodels"

    def fit(self, model: Model, data: Any) -> Any:
        import mixedmodels as mm

        return mm.lmer(model.formula, data)

    def refitter(
        self, model: Model, data: Any, fitted: Any, response: np.ndarray
    ) -> Callable[[], Any]:
        return lambda: fitted.refit(response)

    def objective(self, fitted: Any) -> float:
        return float(fitted.objective)


class Lme4(System):
    """R's, timed by `worker.R`. `R_BLAS` names a BLAS library to load in place of R's own."""

    def missing(self) -> str | None:
        return None if shutil.which("Rscript") else "no Rscript on this machine"

    def command(self, model: Model, folder: Path) -> list[str]:
        script = Path(__file__).with_name("worker.R")
        data = folder / f"{model.name}.csv"
        return ["Rscript", str(script), str(data), model.formula, ",".join(model.groups)]


class MixedLM(PythonSystem):
    module = "mixedlm"

    def prepare(self, model: Model, frame: pd.DataFrame) -> Any:
        return coded(model, frame)

    def fit(self, model: Model, data: Any) -> Any:
        import mixedlm

        return mixedlm.lmer(model.formula, data)

    def refitter(
        self, model: Model, data: Any, fitted: Any, response: np.ndarray
    ) -> Callable[[], Any]:
        return lambda: fitted.refit(response)

    def objective(self, fitted: Any) -> float:
        return float(fitted.deviance)


class LmePython(PythonSystem):
    module = "lme_python"

    def prepare(self, model: Model, frame: pd.DataFrame) -> Any:
        import polars as pl

        return pl.from_pandas(coded(model, frame))

    def fit(self, model: Model, data: Any) -> Any:
        import lme_python

        return lme_python.lmer(model.formula, data)

    def refitter(
        self, model: Model, data: Any, fitted: Any, response: np.ndarray
    ) -> Callable[[], Any]:
        import lme_python

        prepared = lme_python.prepare_lmer(model.formula, data)
        y = response.tolist()
        return lambda: prepared.fit(y=y)

    def objective(self, fitted: Any) -> float:
        return float(fitted.reml_criterion)


class Statsmodels(PythonSystem):
    """One factor is `groups`; several crossed ones are variance components of one whole group."""

    module = "statsmodels.formula.api"
    largest_crossed = 5_000

    def cannot(self, model: Model) -> str | None:
        if len(model.groups) > 1 and model.rows > self.largest_crossed:
            return f"crossed factors need a dense {model.rows:,} × {model.rows:,} covariance matrix"
        return None

    def fit(self, model: Model, data: Any) -> Any:
        import numpy as np
        import statsmodels.formula.api as smf

        if len(model.groups) == 1:
            problem = smf.mixedlm(model.fixed, data, groups=data[model.groups[0]])
        else:
            problem = smf.mixedlm(
                model.fixed,
                data,
                groups=np.ones(len(data)),
                re_formula="0",
                vc_formula={group: f"0 + C({group})" for group in model.groups},
            )
        return problem.fit(reml=True)

    def objective(self, fitted: Any) -> float:
        return -2 * float(fitted.llf)


class GPBoost(PythonSystem):
    """Has maximum likelihood only, and takes arrays. Two or more factors it solves iteratively."""

    module = "gpboost"

    def prepare(self, model: Model, frame: pd.DataFrame) -> Any:
        import numpy as np

        X = np.column_stack([np.ones(len(frame)), *(frame[name] for name in model.covariates)])
        groups = coded(model, frame)[list(model.groups)].to_numpy()
        return frame[model.response].to_numpy(float), X, groups

    def fit(self, model: Model, data: Any) -> Any:
        import gpboost

        y, X, groups = data
        fitted = gpboost.GPModel(group_data=groups, likelihood="gaussian")
        return fitted.fit(y=y, X=X), data

    def refitter(
        self, model: Model, data: Any, fitted: Any, response: np.ndarray
    ) -> Callable[[], Any]:
        _, X, groups = data
        return lambda: (fitted[0].fit(y=response, X=X), (response, X, groups))

    def objective(self, fitted: Any) -> float:
        """Evaluate by a Cholesky factor: with iterative solves its own value has random error."""
        import gpboost

        found, (y, X, groups) = fitted
        exact = gpboost.GPModel(
            group_data=groups, likelihood="gaussian", matrix_inversion_method="cholesky"
        )
        variances = found.get_cov_pars(format_pandas=False, std_err=False).ravel()
        rest = y - X @ found.get_coef(format_pandas=False, std_err=False).ravel()
        return 2 * float(exact.neg_log_likelihood(cov_pars=variances, y=rest))


R_BLAS = os.environ.get("R_BLAS")

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        MixedModels(OURS, "mixedmodels"),
        MixedModels(OURS_ONE_THREAD, "mixedmodels", environments=(ONE_THREAD,)),
        Lme4(
            "lme4", "lme4", environments=({**ONE_THREAD, "LD_PRELOAD": R_BLAS} if R_BLAS else {},)
        ),
        MixedLM("mixedlm", "mixedlm", environments=(ONE_THREAD, {})),
        LmePython("lme-python", "lme-python"),
        Statsmodels("statsmodels", "statsmodels"),
        GPBoost("gpboost", "gpboost", criterion="ML", environments=(ONE_THREAD, {})),
    )
}
