"""What expressions in a formula mean, and that they can do nothing else."""

import builtins
import os

import numpy as np
import pandas as pd
import pytest

from mixedmodels.columns import Columns
from mixedmodels.errors import DataError, FormulaError, MixedModelsError, UnknownColumnError
from mixedmodels.expressions import Scope, evaluate
from mixedmodels.factors import Factor
from mixedmodels.parser import parse
from mixedmodels.transforms import FUNCTIONS

N = 12
X = np.linspace(-1.3, 1.4, N)
DATA = pd.DataFrame(
    {
        "x": X,
        "z": np.arange(1.0, N + 1),
        "i": np.arange(N) % 5,
        "b": np.arange(N) % 2 == 0,
        "f": np.array(list("abc"))[np.arange(N) % 3],
        "f2": pd.Categorical(np.array(list("cab"))[np.arange(N) % 3]),
        "date": pd.date_range("2020-01-01", periods=N),
        "na": [np.nan, *range(1, N)],
        "log": 2.0 * X,
        "np": 3.0 * X,
        "I": 4.0 * X,
        "C": 5.0 * X,
        "gr.pt": 6.0 * X,
        "my col": 7.0 * X,
        "__import__('os').system('true')": 8.0 * X,
    }
)


def value(expression, /, **context):
    text = f"~ {expression}"
    return evaluate(parse(text)[1], Scope(Columns(DATA), text, context))


Z = DATA["z"].to_numpy()
B = DATA["b"].to_numpy()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x + z * 2 - 1", X + Z * 2 - 1),
        ("-x^2", -(X**2)),
        ("x**2", X**2),
        ("2^-x", 2.0**-X),
        ("z %% 3", Z % 3),
        ("z %/% 3", Z // 3),
        ("x / z / 2", X / Z / 2),
        ("i / 2", DATA["i"].to_numpy() / 2),
        ("2^3^2 * x", 512 * X),
        ("(x > 0) * z", (X > 0) * Z),
        ("x > 0 & z < 9", (X > 0) & (Z < 9)),
        ("x > 0 and not z < 9", (X > 0) & (Z >= 9)),
        ("x > 0 or b", (X > 0) | B),
        ("x > 0 || b", (X > 0) | B),
        ("!b", ~B),
        ("!x > 0", X <= 0),
        ("b == TRUE", B),
        ("b != True", ~B),
        ("f == 'a'", DATA["f"].to_numpy() == "a"),
        ("'a' != f", DATA["f"].to_numpy() != "a"),
        ("f == f2", DATA["f"].to_numpy() == DATA["f2"].to_numpy()),
        ("f %in% c('a', 'c')", DATA["f"].isin(["a", "c"])),
        ("i %in% [0, 3]", DATA["i"].isin([0, 3])),
        ("factor(i) == 3", DATA["i"] == 3),
        ("factor(i) == '3'", DATA["i"] == 3),
        ("log(z)", np.log(Z)),
        ("log(z, 3)", np.log(Z) / np.log(3)),
        ("np.log(z)", np.log(Z)),
        ("np.sqrt(z) + sqrt(z)", 2 * np.sqrt(Z)),
        ("exp10(x)", 10**X),
        ("asin(x / 2) + arcsin(x / 2)", 2 * np.arcsin(X / 2)),
        ("atan2(x, z)", np.arctan2(X, Z)),
        ("ceiling(x) + ceil(x)", 2 * np.ceil(X)),
        ("pmin(x, z, 0)", np.minimum(X, 0)),
        ("maximum(x, 0)", np.maximum(X, 0)),
        ("where(x > 0, x, 0)", np.maximum(X, 0)),
        ("ifelse(b, 1, z)", np.where(B, 1, Z)),
        ("clip(x, 0, 1)", np.clip(X, 0, 1)),
        ("round(x + 0.05, 1)", [round(v, 1) for v in (X + 0.05).tolist()]),
        ("round(x)", np.round(X)),
        ("as.integer(x)", np.trunc(X)),
        ("as.numeric(b)", B.astype(float)),
        ("I(x)", X),
        ("center(z)", Z - Z.mean()),
        ("sin(2 * pi * x) + cos(np.pi)", np.sin(2 * np.pi * X) - 1),
        ("log + log(z)", 2 * X + np.log(Z)),
        ("np + np.exp(np)", 3 * X + np.exp(3 * X)),
        ("I + I(I)", 8 * X),
        ("C", 5 * X),
        ("gr.pt", 6 * X),
        ("`my col`", 7 * X),
        ("`__import__('os').system('true')`", 8 * X),
        ("x + 9^9^9 * 0", [np.nan] * N),
    ],
)
def test_values(text, expected):
    np.testing.assert_allclose(value(text), np.asarray(expected), rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("f", ["a", "b", "c"]),
        ("C(i)", [0, 1, 2, 3, 4]),
        ("factor(i, levels = c(4, 3, 2, 1, 0))", [4, 3, 2, 1, 0]),
        ("relevel(f, ref = 'c')", ["c", "a", "b"]),
        ("relevel(factor(i), 3)", [3, 0, 1, 2, 4]),
        ("factor(x > 0)", [False, True]),
        ("factor(C(f, contr.sum))", ["a", "b", "c"]),
        ("as.factor(b)", [False, True]),
    ],
)
def test_factors(text, levels):
    factor = value(text)
    assert factor.levels.tolist() == levels
    assert not factor.ordered


def test_ordered_and_dates():
    assert value("ordered(i)").ordered
    assert value("factor(f, ordered = TRUE)").ordered
    assert value("factor(date)").levels.equals(pd.Index(DATA["date"]))
    codes = value("factor(i, levels = [4, 3, 2, 1, 0])").codes
    np.testing.assert_array_equal(codes, 4 - DATA["i"])


def test_lag_makes_its_first_rows_missing():
    columns = Columns(DATA)
    lagged = evaluate(parse("~ lag(z, 2)")[1], Scope(columns))
    np.testing.assert_array_equal(lagged, [np.nan] * 2 + list(range(1, N - 1)))
    assert columns.missing()["lag(z, 2)"].sum() == 2
    np.testing.assert_array_equal(value("lag(z, -1)"), [*range(2, N + 1), np.nan])


def test_functions_of_ones_own():
    def double(v):
        return 2 * v

    np.testing.assert_array_equal(value("double(x) + double(3)", double=double), 2 * X + 6)
    np.testing.assert_array_equal(value("log(x)", log=double), 2 * X)
    np.testing.assert_array_equal(value("scale(x)", scale=double), 2 * X)
    np.testing.assert_array_equal(value("x * k", k=3), 3 * X)
    np.testing.assert_array_equal(value("k", k=Z), Z)
    assert value("two(x)", two=lambda v: np.column_stack([v, v])).shape == (N, 2)
    codes = value("code(f)", code=lambda v: v.codes)
    np.testing.assert_array_equal(codes, np.arange(N) % 3)
    assert isinstance(value("same(f)", same=lambda v: v), Factor)
    assert isinstance(value("same(C(f, contr.sum))", same=lambda v: v), Factor)
    assert value("text(x)", text=lambda v: pd.Series(["u", "v"] * 6)).levels.tolist() == ["u", "v"]
    knots = value("bs(x, knots = k)", k=np.array([0.5, 0.0]))
    np.testing.assert_array_equal(knots, value("bs(x, knots = c(0, 0.5))"))


def test_a_stateful_function_of_ones_own_keeps_its_state():
    formulaic = pytest.importorskip("formulaic.transforms")

    @formulaic.stateful_transform
    def shift(data, _state=None):
        return data - _state.setdefault("first", data[0])

    state = {}
    scope = Scope(Columns(DATA), "", {"shift": shift}, state)
    evaluate(parse("~ shift(z)")[1], scope)
    new = Scope(Columns(DATA.iloc[3:]), "", {"shift": shift}, state, trained=True)
    np.testing.assert_array_equal(evaluate(parse("~ shift(z)")[1], new), Z[3:] - 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("open('/etc/passwd')", "open is not a function that formulas know"),
        ("eval('1')", "not a function"),
        ("exec('1')", "not a function"),
        ("os.system('true')", "Methods and attributes"),
        ("np.load('x')", "Methods and attributes"),
        ("np.linalg.norm(x)", "Methods and attributes"),
        ("np.poly(x)", "Methods and attributes"),
        ("x.mean()", "Methods and attributes"),
        ("x.values", "attributes such as .values"),
        ("x.__class__", "attributes such as .__class__"),
        ("np.random", "attributes such as .random"),
        ("logg(x)", "Did you mean 'log'"),
        ("mine(x)", r"context={'mine': function}"),
        ("hashed(f)", "not a function"),
        ("log()", "log()"),
        ("log(x, 2, 3)", "takes from 1 to 2"),
        ("power(x)", "takes 2 arguments"),
        ("sin(x, z)", "takes 1 argument"),
        ("pmin()", "at least one"),
        ("log(x, out = z)", "out"),
        ("sin('a')", "numbers are needed, not 'a'"),
        ("log(f)", "numbers are needed, not a factor"),
        ("f + 1", "numbers are needed, not a factor"),
        ("as.numeric(f)", "not a factor"),
        ("f < 'b'", "only be compared by == and !="),
        ("f == x", "one of its levels"),
        ("poly(x, 20)", "less than the 12 distinct values"),
        ("poly(x, 1.5)", "whole number"),
        ("poly(x, 10^9)", "whole number"),
        ("bs(x, df = 10^9)", "1000000000 is too much"),
        ("bs(x, df = 2)", "df"),
        ("bs(x, knots = 100)", "between the boundaries"),
        ("bs(f)", "not a factor"),
        ("scale(poly(x, 2))", "one variable is needed"),
        ("lag(x, 100)", "whole number of rows"),
        ("factor(f, levels = c('a', 'b'))", "c are not there"),
        ("relevel(f, ref = 'z')", "the levels are a, b, c"),
        ("pi", "no value for each row"),
        ("I(3)", "no value for each row"),
        ("c(1, 2)", "no value for each row"),
        ("I('a')", "no value for each row"),
        ("contr.sum", "no value for each row"),
        ("short(x)", "gives 2 values for 12 rows"),
        ("short(f)", "no value for each row"),
        ("fails(x)", "division by zero"),
    ],
)
def test_what_cannot_be_done_is_refused(text, message):
    context = {"short": lambda v: v[:2], "fails": lambda v: 1 / 0}
    with pytest.raises(FormulaError) as caught:
        value(text, **context)
    assert message in str(caught.value)
    assert str(caught.value).rstrip().endswith("^")


def test_unknown_columns_and_wrong_kinds():
    with pytest.raises(UnknownColumnError, match=r"no column 'Z'\. Did you mean 'z'"):
        value("x + Z")
    with pytest.raises(UnknownColumnError, match="The columns are x, z, i, b, f"):
        value("qqqq")
    with pytest.raises(DataError, match="dates or times"):
        value("date")


def test_nothing_in_a_formula_or_a_column_name_is_ever_run(monkeypatch):
    def forbidden(*arguments, **keywords):
        raise AssertionError("code was run")

    for name in ("eval", "exec", "compile", "__import__"):
        if name != "__import__":
            monkeypatch.setattr(builtins, name, forbidden)
    monkeypatch.setattr(os, "system", forbidden)
    name = "__import__('os').system('true')"
    attacks = [
        f"`{name}`",
        f"I(`{name}`)",
        name,
        "(lambda: 0)()",
        "().__class__.__bases__",
        "I([x for x in ().__class__.__base__.__subclasses__()])",
        "f'{x}'",
        "x if x else os.system('true')",
        "`x`.__class__",
        "C(f, __builtins__)",
        "I(x := 3)",
        "eval(`f`)",
        "I(9**9**9**9)",
        "I(" + "9**" * 40 + "9)",
    ]
    for text in attacks:
        try:
            result = value(text)
        except MixedModelsError:
            continue
        assert "`" in text
        np.testing.assert_array_equal(result, 8 * X)


def test_known_functions_are_no_way_out():
    for name, function in FUNCTIONS.items():
        assert "__globals__" not in name
        assert callable(function)
    with pytest.raises(FormulaError):
        value("C(f, contr.treatment.__globals__)")
