"""X and the names of the coefficients, against R's model.matrix and against formulaic."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixedmodels.design import build_design
from mixedmodels.errors import DataError, FitTooLargeError, UnknownColumnError, UnknownLevelError

REFERENCE = json.loads((Path(__file__).parent / "reference" / "model_matrix.json").read_text())


def frame():
    data = pd.DataFrame(REFERENCE["data"])
    data["h"] = pd.Categorical(data["h"], ["lo", "mid", "hi"])
    data["g"] = pd.Categorical(data["g"], ["c", "a", "b"])
    data["o"] = pd.Categorical(data["o"], ["I", "II", "III", "IV"], ordered=True)
    data["response"] = np.arange(len(data)) ** 1.5
    data["group"] = np.arange(len(data)) % 4
    return data


DATA = frame()


def design(fixed, data=DATA, **options):
    return build_design(f"response ~ {fixed} + (1 | group)", data, **options)


@pytest.mark.parametrize("fixed", REFERENCE["matrices"])
def test_same_as_in_r(fixed):
    expected = REFERENCE["matrices"][fixed]
    made = design(fixed)
    assert made.names == tuple(expected)
    np.testing.assert_allclose(made.X, np.column_stack(list(expected.values())), atol=1e-10)
    assert made.X.flags.f_contiguous
    assert made.X.dtype == np.float64


@pytest.mark.parametrize("fixed", REFERENCE["matrices"])
def test_made_again_for_some_of_the_rows(fixed):
    made = design(fixed)
    rows = [3, 5, 1]
    again = made.spec.matrix(DATA.iloc[rows][::-1])
    np.testing.assert_allclose(again, made.X[rows[::-1]], atol=1e-12)
    np.testing.assert_allclose(made.spec.matrix(DATA), made.X, atol=1e-12)


@pytest.mark.parametrize(
    "fixed",
    [
        "1",
        "x",
        "0 + x",
        "x + z",
        "x + h",
        "h + g + x",
        "0 + h",
        "x:z",
        "x * h",
        "h * g",
        "h + x:h",
        "log(z)",
        "poly(x, 3)",
        "I(x**2)",
        "bs(x, df=5)",
        "cr(x, df=4)",
        "cc(x, df=4)",
        "cs(x, df=4, constraints='center')",
        "scale(x)",
        "standardize(x)",
        "C(h, contr.sum)",
        "C(h, contr.diff)",
        "C(h, contr.poly)",
        "C(h, contr.SAS)",
    ],
)
def test_same_as_formulaics(fixed):
    formulaic = pytest.importorskip("formulaic")
    theirs = formulaic.model_matrix(fixed, DATA)
    ours = design(fixed)
    np.testing.assert_allclose(ours.X, theirs.to_numpy(dtype=float), atol=1e-10)


@pytest.mark.parametrize("fixed", ["x + h", "log(z) * o + I(x^2)", "C(h, contr.sum)"])
def test_formulaic_is_not_imported_where_it_is_not_needed(fixed):
    program = f"""
import sys
from mixedmodels.design import build_design
data = dict(response=[1.0, 2, 4, 3], x=[1.0, 2, 3, 5], z=[1.0, 2, 1, 2], h=list("abab"),
            o=list("aabb"), group=[1, 2, 2, 1])
build_design("response ~ {fixed} + (1 | group)", data)
assert "formulaic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_polynomial_contrasts_of_many_levels_are_orthonormal():
    data = pd.DataFrame({"o": pd.Categorical(range(150), ordered=True).repeat(2)})
    data["response"] = np.sin(np.arange(300))
    data["group"] = np.arange(300) % 7
    X = design("o", data).X / np.sqrt(2)
    X[:, 0] /= np.sqrt(150)
    np.testing.assert_allclose(X.T @ X, np.eye(150), atol=1e-12)


def test_unused_levels_have_no_column():
    data = DATA.assign(h=DATA["h"].cat.add_categories("none"))
    assert design("h", data).names == ("(Intercept)", "hmid", "hhi")
    data.loc[data["h"] == "mid", "response"] = np.nan
    assert design("h", data).names == ("(Intercept)", "hhi")


def test_transforms_learn_from_all_rows_as_in_r():
    data = DATA.assign(response=DATA["response"].where(DATA["x"] < 1))
    made = design("scale(x)", data)
    mean, sd = DATA["x"].mean(), DATA["x"].std()
    np.testing.assert_allclose(made.X[:, 1], (DATA["x"][DATA["x"] < 1] - mean) / sd)
    assert made.n_dropped > 0


def test_transforms_pass_by_missing_values():
    data = DATA.assign(x=DATA["x"].where(DATA["x"] < 1))
    kept = data.dropna()
    for fixed in ("poly(x, 2)", "bs(x, df = 4)", "scale(x)", "cr(x, df = 3)"):
        np.testing.assert_allclose(design(fixed, data).X, design(fixed, kept).X, atol=1e-12)


def test_new_data_are_checked():
    spec = design("log(z) + h + l + bs(x) + offset(z)").spec
    new = DATA.iloc[:3]
    np.testing.assert_array_equal(spec.offset(new), new["z"])
    assert design("x").spec.offset(new) is None
    with pytest.raises(UnknownLevelError, match="h has 1 unknown level: huge"):
        spec.matrix(new.assign(h="huge"))
    with pytest.raises(UnknownColumnError, match="no column 'h'"):
        spec.matrix(new.drop(columns="h"))
    with pytest.raises(DataError, match=r"log\(z\) is nan in row 0"):
        spec.matrix(new.assign(z=-1.0))
    with pytest.raises(DataError, match="missing in h"):
        spec.matrix(new.assign(h=None))
    with pytest.raises(DataError, match="h was a factor and is numeric"):
        spec.matrix(new.assign(h=1.0))
    with pytest.raises(ValueError, match="extrapolation"):
        spec.matrix(new.assign(x=100.0))
    with pytest.raises(DataError, match="the offset is inf"):
        spec.offset(new.assign(z=np.inf))


def test_levels_of_new_data_may_be_few_and_in_any_order():
    made = design("h * l")
    new = DATA.iloc[[2, 0]].assign(
        h=lambda d: d["h"].astype(str), l=lambda d: d["l"].astype(object)
    )
    np.testing.assert_array_equal(made.spec.matrix(new), made.X[[2, 0]])


def test_a_factor_of_one_level_is_refused():
    with pytest.raises(DataError, match="one has the level only only"):
        design("one", DATA.assign(one="only"))


def test_a_model_matrix_that_does_not_fit_is_refused():
    n = 300_000
    data = {"response": np.sin(np.arange(n)), "group": np.arange(n) % 9, "id": np.arange(n)}
    data |= {"a": np.arange(n) % 1000, "b": np.arange(n) % 999}
    with pytest.raises(FitTooLargeError, match="300000 rows and 300000 fixed effects"):
        design("factor(id)", data)
    with pytest.raises(FitTooLargeError, match="300000 rows and 999000 fixed effects"):
        design("factor(a) * factor(b)", data)


def test_contrasts_of_ones_own():
    made = design('C(h, {"up": [-1, 0, 1]})')
    assert made.names == ("(Intercept)", 'C(h, {"up": [-1, 0, 1]})up')
    np.testing.assert_array_equal(made.X[:, 1], DATA["h"].cat.codes - 1)
    by_label = design('C(h, contr.treatment(base = "hi"))')
    assert [name[-3:] for name in by_label.names[1:]] == [")lo", "mid"]
    with pytest.raises(DataError, match="3 levels need that many rows"):
        design("C(h, [[1, 0], [0, 1]])")
    with pytest.raises(ValueError, match="matrix or a dict"):
        design("C(h, [1, 'a'])")
    with pytest.raises(ValueError, match="are no contrasts"):
        design("C(h, 3)")
    with pytest.raises(ValueError, match="no level 'no'"):
        design("C(h, contr.treatment(base = 'no'))")
