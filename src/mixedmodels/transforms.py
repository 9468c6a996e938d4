"""The functions that a formula may call.

NumPy's mathematics, R's names for them, the makers of factors, and formulaic's transforms, which
are imported when they are first called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np

from mixedmodels import contrasts
from mixedmodels.columns import Floats
from mixedmodels.contrasts import Coding
from mixedmodels.factors import Factor, factor_of, level_texts

# The most columns of a basis, such as the degree of a polynomial.
MOST_COLUMNS = 1000


@dataclass(frozen=True, eq=False)
class Coded:
    """A factor with contrasts of its own.

    Parameters
    ----------
    factor : Factor
        The factor.
    coding : callable
        Makes the contrasts of its levels.
    """

    factor: Factor
    coding: Coding


def as_numbers(value: Any) -> Any:
    """Return numbers as float64, truth values as 0 and 1; refuse all else."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "bf":
        return value.astype(np.float64) if value.dtype.kind == "b" else value
    if isinstance(value, bool | int | float):
        return np.float64(value)
    if isinstance(value, Factor | Coded):
        raise TypeError("numbers are needed, not a factor")
    raise TypeError(f"numbers are needed, not {value!r}")


def is_of_numpy(name: str) -> bool:
    """Tell whether a function is NumPy's, and so may be written ``np.log``."""
    return name in _ELEMENTWISE or name in ("log", "round", "where", "clip")


# -- arithmetic ------------------------------------------------------------------------------


def _elementwise(function: np.ufunc) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        if len(arguments) != function.nin:
            raise TypeError(f"takes {function.nin} argument{'s' * (function.nin > 1)}")
        return function(*map(as_numbers, arguments))

    return call


def _log(x: Any, base: Any = None) -> Any:
    logarithm = np.log(as_numbers(x))
    return logarithm if base is None else logarithm / np.log(as_numbers(base))


def _round(x: Any, digits: int = 0) -> Any:
    numbers = as_numbers(x)
    if not digits or np.ndim(numbers) != 1:
        return np.round(numbers, digits)
    # NumPy multiplies first, and so rounds 1.15 up although it is less than it looks.
    return np.array([round(number, digits) for number in numbers.tolist()])


def _where(condition: Any, yes: Any, no: Any) -> Any:
    return np.where(as_numbers(condition) != 0, as_numbers(yes), as_numbers(no))


def _clip(x: Any, low: Any, high: Any) -> Any:
    return np.clip(as_numbers(x), as_numbers(low), as_numbers(high))


def _extreme(function: np.ufunc) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        if not arguments:
            raise TypeError("takes at least one argument")
        return reduce(function, map(as_numbers, arguments))

    return call


def _lag(x: Any, k: int = 1) -> Floats:
    values = np.asarray(as_numbers(x))
    if not isinstance(k, int) or values.ndim != 1 or not abs(k) < len(values):
        raise ValueError("lag takes a variable and a whole number of rows")
    shifted = np.roll(values, k)
    (shifted[:k] if k > 0 else shifted[len(values) + k :])[:] = np.nan
    return shifted


def _identity(x: Any) -> Any:
    return x


def _combine(*items: Any) -> list[Any]:
    return [part for item in items for part in (item if isinstance(item, list) else [item])]


# -- factors ---------------------------------------------------------------------------------


def _factor(x: Any, *, levels: list[Any] | None = None, ordered: bool | None = None) -> Factor:
    import pandas as pd

    if isinstance(x, Coded):
        x = x.factor
    factor = x if isinstance(x, Factor) else factor_of(pd.Series(x), "the factor")
    if levels is not None:
        wanted = pd.Index(levels)
        place = np.append(wanted.get_indexer(factor.levels), -1).astype(np.int32)
        lost = [lab for lab, p in zip(level_texts(factor.levels), place, strict=False) if p < 0]
        if lost or not wanted.is_unique:
            raise ValueError(f"levels must name every level once; {', '.join(lost)} are not there")
        factor = Factor(place[factor.codes], wanted, factor.ordered)
    return factor if ordered is None else replace(factor, ordered=bool(ordered))


def _relevel(x: Any, ref: Any) -> Factor:
    factor = _factor(x)
    labels = list(factor.levels)
    base = _place(ref, labels, level_texts(factor.levels))
    return _factor(factor, levels=[labels[base], *labels[:base], *labels[base + 1 :]])


def _contrasted(
    x: Any, contr: Any = None, *, contrasts: Any = None, levels: list[Any] | None = None
) -> Factor | Coded:
    factor = _factor(x, levels=levels)
    coding = contr if contrasts is None else contrasts
    if coding is None:
        return factor
    if isinstance(coding, list | dict | np.ndarray):
        coding = _custom(coding)
    if not callable(coding):
        raise TypeError(f"{coding!r} are no contrasts; there are {', '.join(_CONTRASTS)}")
    return Coded(factor, coding)


def _place(label: Any, labels: Sequence[Any], texts: Sequence[str]) -> int:
    for i, (known, text) in enumerate(zip(labels, texts, strict=True)):
        if label in (known, text):
            return i
    raise ValueError(f"there is no level {label!r}; the levels are {', '.join(texts)}")


def _treatment(n: Any = None, base: Any = None) -> Coding:
    """Take the base by its label or, as R does, by its position; `n`, the number of levels, too."""
    if base is None:
        base = n if isinstance(n, str) else 1

    def coding(levels: Sequence[str]) -> contrasts.Contrasts:
        if isinstance(base, int) and str(base) not in levels and 1 <= base <= len(levels):
            return contrasts.treatment(levels, base - 1)
        return contrasts.treatment(levels, _place(str(base), levels, levels))

    return contrasts.by_position(coding) if isinstance(n, int) else coding


def _plain(coding: Coding) -> Callable[[], Coding]:
    def call() -> Coding:
        return coding

    return call


_custom = contrasts.custom
_CONTRASTS: dict[str, Coding] = {
    "contr.treatment": contrasts.by_position(contrasts.treatment),
    "contr.SAS": contrasts.by_position(contrasts.sas),
    "contr.sum": contrasts.deviation,
    "contr.helmert": contrasts.helmert,
    "contr.poly": contrasts.polynomial,
    "contr.diff": contrasts.difference,
}


# -- formulaic's transforms ------------------------------------------------------------------


def _formulaic(name: str, x: Any, *arguments: Any, _state: dict[str, Any], **keywords: Any) -> Any:
    """Call a transform of formulaic on the rows that have a number."""
    from formulaic.transforms import TRANSFORMS

    numbers = as_numbers(x)
    if np.ndim(numbers) != 1:
        raise ValueError("one variable is needed")
    finite = np.isfinite(numbers)
    if not finite.any():
        raise ValueError("no value is a finite number")
    largest = min(int(finite.sum()), MOST_COLUMNS)
    for argument in (*arguments, *keywords.values()):
        if not _state and isinstance(argument, int) and argument > largest:
            raise ValueError(f"{argument} is too much; at most {largest} can be")
    result = TRANSFORMS[name](numbers[finite], *arguments, _state=_state, **keywords)
    result = getattr(result, "__wrapped__", result)
    block = np.column_stack(list(result.values()) if isinstance(result, dict) else [result])
    values = np.full((len(numbers), block.shape[1]), np.nan)
    values[finite] = block
    return values if block.shape[1] > 1 else values[:, 0]


def _poly(x: Any, degree: Any = 1, raw: Any = False, *, _state: dict[str, Any]) -> Any:
    distinct = np.unique(as_numbers(x)[np.isfinite(as_numbers(x))]).size
    if not isinstance(degree, int) or degree < 1 or (not _state and degree >= distinct):
        raise ValueError(
            f"the degree must be a whole number from 1 to less than the {distinct} distinct values"
        )
    fresh = not _state
    basis = _formulaic("poly", x, degree, raw=bool(raw), _state=_state)
    if fresh and not raw and np.ndim(basis) == 2:
        present = np.asarray(basis)[np.isfinite(basis).all(axis=1)]
        if np.abs(present.T @ present - np.eye(present.shape[1])).max() > 1e-7:
            raise ValueError(
                f"cannot be made orthogonal to degree {degree}; take a lower degree, or bs()"
            )
    return basis


def _bs(x: Any, *arguments: Any, _state: dict[str, Any], **keywords: Any) -> Any:
    """Call formulaic's ``bs``, which also takes the names of arguments that R has."""
    if "intercept" in keywords:
        keywords["include_intercept"] = keywords.pop("intercept")
    if "Boundary.knots" in keywords:
        keywords["lower_bound"], keywords["upper_bound"] = keywords.pop("Boundary.knots")
    knots = keywords.get("knots")
    if knots is not None:
        numbers = as_numbers(x)
        keywords["knots"] = knots = sorted(np.ravel(knots).tolist())
        low = keywords.get("lower_bound", np.nanmin(numbers))
        high = keywords.get("upper_bound", np.nanmax(numbers))
        if not _state and knots and not low < knots[0] <= knots[-1] < high:
            raise ValueError(f"the knots must be between the boundaries, {low} and {high}")
    return _formulaic("bs", x, *arguments, _state=_state, **keywords)


FACTOR_MAKERS = {"C", "factor", "as.factor", "ordered", "relevel"}
STATEFUL = {"poly", "bs", "cr", "cs", "cc", "center", "scale", "standardize"}

_UFUNCS = (
    "sqrt cbrt square exp expm1 exp2 log2 log10 log1p abs sign floor ceil trunc rint sin cos tan "
    "sinh cosh tanh arcsin arccos arctan arcsinh arccosh arctanh arctan2 hypot power minimum "
    "maximum degrees radians"
)
_R_NAMES = {
    "ceiling": "ceil",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
}
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    name: _elementwise(getattr(np, name)) for name in _UFUNCS.split()
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **_ELEMENTWISE,
    **{name: _ELEMENTWISE[numpy_name] for name, numpy_name in _R_NAMES.items()},
    "log": _log,
    "exp10": lambda x: np.power(10.0, as_numbers(x)),
    "round": _round,
    "where": _where,
    "ifelse": _where,
    "clip": _clip,
    "pmin": _extreme(np.minimum),
    "pmax": _extreme(np.maximum),
    "lag": _lag,
    "I": _identity,
    "c": _combine,
    "as.numeric": as_numbers,
    "as.integer": _ELEMENTWISE["trunc"],
    "C": _contrasted,
    "factor": _factor,
    "as.factor": _factor,
    "ordered": partial(_factor, ordered=True),
    "relevel": _relevel,
    **{name: _plain(coding) for name, coding in _CONTRASTS.items()},
    "contr.treatment": _treatment,
    "contr.custom": _custom,
    "poly": _poly,
    "bs": _bs,
    **{name: partial(_formulaic, name) for name in ("cr", "cs", "cc", "center", "scale")},
    "standardize": partial(_formulaic, "standardize"),
}

CONSTANTS: dict[str, Any] = {"pi": np.pi, "np.pi": np.pi, "Inf": np.inf, **_CONTRASTS}
