"""Evaluate the expressions of a formula: ``log(y)``, ``I(x^2)``, ``poly(x, 2)``.

A formula is data, not a program. Its tree holds only columns, constants, operators and calls by
name, and this module gives each of them its meaning: there is no Python evaluation anywhere, and
no function can be reached but those of `transforms` and those passed by the user.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mixedmodels.columns import Columns, Floats, Mask, nearest, value_of
from mixedmodels.errors import FormulaError, MixedModelsError
from mixedmodels.factors import Factor, level_texts
from mixedmodels.syntax import (
    Call,
    Chain,
    Collection,
    Constant,
    Name,
    Node,
    Parens,
    Prefix,
    deparse,
    formula_error,
)
from mixedmodels.transforms import (
    CONSTANTS,
    FACTOR_MAKERS,
    FUNCTIONS,
    STATEFUL,
    Coded,
    as_numbers,
    is_of_numpy,
)

Variable: TypeAlias = "Floats | Mask | Factor | Coded"
State: TypeAlias = dict[str, dict[str, Any]]

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "%%": np.mod,
    "%/%": np.floor_divide,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}
_LOGIC: dict[str, Callable[[Any, Any], Any]] = {
    "&": np.logical_and,
    "|": np.logical_or,
    "||": np.logical_or,
}


@dataclass(frozen=True, eq=False)
class Scope:
    """What the names in an expression mean.

    Parameters
    ----------
    columns : Columns
        The data.
    text : str
        The formula, for the marks in errors.
    context : mapping
        Functions, and values, that the user has passed.
    state : dict
        What stateful transforms such as ``poly`` have learned, by the text of their calls. It is
        filled in, unless the scope is `trained`.
    trained : bool
        Whether to use the state as it is: the data are new.
    """

    columns: Columns
    text: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    state: State = field(default_factory=dict)
    trained: bool = False

    def state_of(self, call: str) -> dict[str, Any]:
        """Return the state of a call, to be read or filled in."""
        if self.trained:
            return copy.deepcopy(self.state.get(call, {}))
        return self.state.setdefault(call, {})


def evaluate(node: Node, scope: Scope) -> Variable:
    """Evaluate an expression, for all rows.

    Parameters
    ----------
    node : Node
        The expression.
    scope : Scope
        What its names mean.

    Returns
    -------
    ndarray of float (n,) or (n, k), ndarray of bool (n,), Factor or Coded

    Raises
    ------
    UnknownColumnError
        If a name is not a column.
    FormulaError
        If a function is not known or cannot do what is asked, or the value is no variable.
    DataError
        If the data are not what a function needs.
    """
    with np.errstate(all="ignore"):  # NaN and infinity are found, and named, afterwards
        value = _evaluate(node, scope)
    n = scope.columns.n
    if isinstance(value, Factor | Coded):
        factor = value.factor if isinstance(value, Coded) else value
        if factor.codes.size == n:
            return value
    if not isinstance(value, np.ndarray) or value.ndim not in (1, 2):
        raise formula_error(
            f"{deparse(node)} is no variable: it has no value for each row", scope.text, node.at
        )
    if len(value) != n or value.shape[1:] == (0,):
        shape = " by ".join(map(str, value.shape))
        raise formula_error(
            f"{deparse(node)} gives {shape} values for {n} rows", scope.text, node.at
        )
    return value


def _evaluate(node: Node, scope: Scope) -> Any:
    match node:
        case Name():
            return _look_up(node, scope)
        case Constant(value):
            return value
        case Parens(inner):
            return _evaluate(inner, scope)
        case Collection(_, items, keys):
            values = [_evaluate(item, scope) for item in items]
            return dict(zip(keys, values, strict=True)) if keys else values
    try:
        match node:
            case Call():
                return _call(node, scope)
            case Prefix(operator, operand):
                return _prefix(operator, _evaluate(operand, scope))
            case Chain(first, rest):
                value = _evaluate(first, scope)
                for operator, operand in rest:
                    value = _binary(operator, value, _evaluate(operand, scope))
                return value
    except (MixedModelsError, MemoryError):
        raise
    except Exception as error:
        # Whatever a function finds wrong with its arguments is the formula's fault.
        what = re.sub(r"^\S+\(\) ", "", str(error)) or type(error).__name__
        raise formula_error(f"{deparse(node)}: {what}", scope.text, node.at) from error
    raise formula_error(f"{deparse(node)} cannot be evaluated", scope.text, node.at)


def _look_up(node: Name, scope: Scope) -> Any:
    name, columns = node.text, scope.columns
    if name not in columns:
        if name in scope.context:
            return _from_user(scope.context[name])
        if name in CONSTANTS:
            return CONSTANTS[name]
        head, dot, attribute = name.partition(".")
        known = head in columns or head in scope.context or head == "np"
        if dot and (known or "__" in attribute):
            raise formula_error(
                f"{name} is no column, and attributes such as .{attribute} cannot be used in a "
                "formula",
                scope.text,
                node.at,
            )
    return columns.value(name)


# -- calls -----------------------------------------------------------------------------------


def _call(node: Call, scope: Scope) -> Any:
    own = scope.context.get(node.function)
    if callable(own):
        positional, keywords = _arguments(node, lambda x: _for_user(_evaluate(x, scope)))
        if getattr(own, "__is_stateful_transform__", False):  # formulaic's mark
            keywords["_state"] = scope.state_of(deparse(node))
        return _from_user(own(*positional, **keywords))
    name = node.function.removeprefix("np.")
    if name not in FUNCTIONS or (name != node.function and not is_of_numpy(name)):
        raise _unknown_function(node, scope)
    read = _evaluate_as_factor if name in FACTOR_MAKERS else _evaluate
    positional, keywords = _arguments(node, lambda x: read(x, scope))
    if name in STATEFUL:
        keywords["_state"] = scope.state_of(deparse(node))
    result = FUNCTIONS[name](*positional, **keywords)
    if name == "lag":  # its first rows have nothing before them: as good as missing
        scope.columns.note_missing(deparse(node), np.isnan(result))
    return result


def _arguments(node: Call, read: Callable[[Node], Any]) -> tuple[list[Any], dict[str, Any]]:
    values = [(key, read(value)) for key, value in node.arguments]
    positional = [value for key, value in values if key is None]
    return positional, {key: value for key, value in values if key is not None}


def _evaluate_as_factor(node: Node, scope: Scope) -> Any:
    if isinstance(node, Name) and node.text in scope.columns:
        # Any column can be a factor, and keeps its own labels as one.
        return scope.columns.factor(node.text)
    return _evaluate(node, scope)


def _unknown_function(node: Call, scope: Scope) -> FormulaError:
    name = node.function
    message = f"{name} is not a function that formulas know."
    if suggestion := nearest(name, [*scope.context, *FUNCTIONS]):
        message += f" {suggestion}"
    if name.isidentifier():
        message += f" A function of your own is passed as context={{{name!r}: function}}."
    else:
        message += " Methods and attributes cannot be used in a formula."
    return formula_error(message, scope.text, node.at)


def _for_user(value: Any) -> Any:
    factor = value.factor if isinstance(value, Coded) else value
    if not isinstance(factor, Factor):
        return value
    import pandas as pd

    return pd.Categorical.from_codes(factor.codes, factor.levels, ordered=factor.ordered)


def _from_user(value: Any) -> Any:
    """Take in what the user's function returned, or a value that the user passed."""
    if value is None or isinstance(value, bool | int | float | str | Factor | Coded):
        return value
    array = np.asarray(value)
    if array.ndim == 2 and array.dtype.kind in "iuf":
        return array.astype(np.float64)
    if array.ndim == 0:
        return array.item()
    import pandas as pd

    return value_of(pd.Series(value), "the result of a function")[0]


# -- operators -------------------------------------------------------------------------------


def _prefix(operator: str, value: Any) -> Any:
    if operator == "!":
        return np.logical_not(_truth(value))
    numbers = as_numbers(value)
    return _scalar(-numbers if operator == "-" else numbers)


def _binary(operator: str, left: Any, right: Any) -> Any:
    if operator in _ARITHMETIC:
        return _scalar(_ARITHMETIC[operator](as_numbers(left), as_numbers(right)))
    if operator in _LOGIC:
        return _LOGIC[operator](_truth(left), _truth(right))
    left, right = (x.factor if isinstance(x, Coded) else x for x in (left, right))
    if operator == "%in%":
        choices = right if isinstance(right, list) else [right]
        return reduce(or_, [_compare("==", left, choice) for choice in choices])
    if operator in _COMPARISONS:
        return _compare(operator, left, right)
    raise ValueError(f"{operator} has no meaning here")


def _compare(operator: str, left: Any, right: Any) -> Any:
    if not isinstance(left, Factor) and not isinstance(right, Factor):
        return _COMPARISONS[operator](as_numbers(left), as_numbers(right))
    if operator not in ("==", "!="):
        raise ValueError("levels of factors can only be compared by == and !=")
    if not isinstance(left, Factor):
        left, right = right, left
    if isinstance(right, Factor):
        place = np.append(left.levels.get_indexer(right.levels), -1)
        equal = left.codes == place[right.codes]
    elif np.ndim(right) == 0:
        texts = level_texts(left.levels)
        is_it = [right in pair for pair in zip(left.levels, texts, strict=True)]
        equal = np.array([*is_it, False])[left.codes]
    else:
        raise ValueError("a factor can be compared with one of its levels or with a factor")
    return equal if operator == "==" else ~equal


def _truth(value: Any) -> NDArray[np.bool_]:
    truth: NDArray[np.bool_] = np.asarray(as_numbers(value)) != 0
    return truth


def _scalar(value: Any) -> Any:
    """Turn a number back into a Python one, whole if it can be: it may become a degree."""
    if np.ndim(value):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
