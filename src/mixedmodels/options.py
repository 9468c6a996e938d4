"""What is asked of `lmer` besides formula and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mixedmodels.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True)
class Options:
    """What was asked of `lmer` besides formula and data, so that `update` can ask it again."""

    reml: bool = True
    weights: Any = None
    offset: Any = None
    missing: Literal["drop", "error"] = "drop"
    start: Any = None
    method: str = "auto"
    verbose: bool = False
    progress: bool | None = None
    seed: int | None = None
    mc_error: float = 0.01
    context: Mapping[str, Callable[..., Any]] | None = None

    def __post_init__(self) -> None:
        for name in ("verbose", "progress"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_) and not (
                name == "progress" and value is None
            ):
                raise ArgumentTypeError(f"{name} must be True or False, not {value!r}")
        whole = isinstance(self.seed, int | np.integer)
        if self.seed is not None and not (whole and 0 <= self.seed < 2**64):
            raise ArgumentError(
                f"seed must be a whole number from 0 to less than 2^64; got {self.seed!r}"
            )
        if not isinstance(self.mc_error, int | float | np.number):
            raise ArgumentTypeError(f"mc_error must be a number, not {self.mc_error!r}")
        if not isinstance(self.reml, bool | np.bool_):
            raise ArgumentTypeError(f"reml must be True or False, not {self.reml!r}")
        object.__setattr__(self, "reml", bool(self.reml))
