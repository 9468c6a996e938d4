"""The models: what is fitted, to which data, and the optimum that is known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: The column that holds the response of a refit.
NEW_RESPONSE = "new_response"
SEED = 20100720


@dataclass(frozen=True)
class Model:
    """A linear model with scalar random effects, and where its criterion is smallest."""

    name: str
    frame: Callable[[], pd.DataFrame]
    rows: int
    response: str
    covariates: tuple[str, ...]
    groups: tuple[str, ...]
    reml: float
    ml: float

    @property
    def fixed(self) -> str:
        return f"{self.response} ~ " + (" + ".join(self.covariates) or "1")

    @property
    def formula(self) -> str:
        return self.fixed + "".join(f" + (1 | {group})" for group in self.groups)

    def extends(self, other: Model) -> bool:
        """Tell whether this is the other model and more, on the same data."""
        same = (self.rows, self.response) == (other.rows, other.response)
        return same and set(other.groups) < set(self.groups)

    @property
    def columns(self) -> list[str]:
        return [self.response, *self.covariates, *self.groups]


def data_set(name: str) -> pd.DataFrame:
    import mixedmodels as mm

    frame: pd.DataFrame = mm.datasets.load(name)
    return frame


def one_factor(rows: int, levels: int) -> pd.DataFrame:
    """Many small groups: y = 1 + x/2 + b + ε, with sd(b) = 0.7 and sd(ε) = 1."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(SEED)
    codes = random.permutation(np.arange(rows, dtype=np.int64) % levels)
    x = random.normal(size=rows)
    effects = 0.7 * random.normal(size=levels)
    y = 1 + x / 2 + effects[codes] + random.normal(size=rows)
    labels = pd.Index([f"g{level}" for level in range(levels)])
    group = pd.Categorical.from_codes(codes, labels)
    return pd.DataFrame({"y": y, "x": x, "g": group})


def _shipped(
    name: str,
    rows: int,
    response: str,
    groups: tuple[str, ...],
    optima: tuple[float, float],
    *,
    data: str | None = None,
    covariates: tuple[str, ...] = (),
) -> Model:
    frame = partial(data_set, data or name)
    return Model(name, frame, rows, response, covariates, groups, *optima)


# Each pair of optima is REML and ML.
MODELS = {
    model.name: model
    for model in (
        _shipped("dyestuff", 30, "Yield", ("Batch",), (319.6542768423, 327.3270598811)),
        _shipped(
            "penicillin", 144, "diameter", ("plate", "sample"), (330.8605889911, 332.1883486685)
        ),
        _shipped("pastes", 60, "strength", ("sample", "batch"), (246.9907458535, 247.9944658624)),
        _shipped(
            "sleepstudy",
            180,
            "Reaction",
            ("Subject",),
            (1786.4650853949, 1794.0786430052),
            covariates=("Days",),
        ),
        _shipped(
            "insteval2",
            73421,
            "y",
            ("s", "d"),
            (237783.8803879801, 237777.7259800339),
            data="insteval",
        ),
        _shipped(
            "insteval3",
            73421,
            "y",
            ("s", "d", "dept"),
            (237774.8624169551, 237769.5724084471),
            data="insteval",
        ),
        Model(
            "one-factor",
            partial(one_factor, 500_000, 125_000),
            500_000,
            "y",
            ("x",),
            ("g",),
            1554392.4269726975,
            1554371.1201371371,
        ),
    )
}


def write(names: Iterable[str], folder: Path) -> None:
    """Leave each model's data in `folder`: a pickled frame for Python, a CSV for R."""
    import numpy as np

    for name in names:
        model = MODELS[name]
        frame = model.frame()[model.columns].copy()
        response = frame[model.response].to_numpy(float)
        noise = np.random.default_rng(SEED).normal(size=len(frame))
        frame[NEW_RESPONSE] = response + response.std() / 2 * noise
        frame.to_pickle(folder / f"{name}.pickle")
        frame.to_csv(folder / f"{name}.csv", index=False)


if __name__ == "__main__":  # in a process of its own: the runner imports nothing that is measured
    write(sys.argv[2:], Path(sys.argv[1]))
