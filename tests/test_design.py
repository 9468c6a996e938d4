"""Formula and data to Design: rows, response, grouping factors, weights, and what is refused."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.design import build_design
from mixedmodels.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    FormulaError,
    GroupingError,
    MixedModelsError,
    ResponseError,
    UnknownColumnError,
    UnknownLevelError,
    UnsupportedTermError,
)
from mixedmodels.formula import Formula

N = 24
rng = np.random.default_rng(4)
DATA = pd.DataFrame(
    {
        "y": rng.normal(size=N),
        "x": rng.normal(size=N),
        "z": rng.uniform(1, 2, N),
        "g": np.arange(N) % 4,
        "h": np.arange(N) // 4,
        "f": pd.Categorical(np.array(list("zmb"))[np.arange(N) % 3], ["z", "m", "b", "none"]),
        "s": np.array(["p", "q"])[np.arange(N) // 12],
        "id": np.arange(N),
        "one": "only",
    },
    index=[f"row {i}" for i in range(N)],
)


def design(formula, data=DATA, **options):
    return build_design(formula, data, **options)


def test_everything_has_its_place():
    made = design("log(z) ~ x + f + offset(y) + (1 | g)", weights="z", offset=DATA["x"])
    np.testing.assert_array_equal(made.y, np.log(DATA["z"]))
    assert made.names == ("(Intercept)", "x", "fm", "fb")
    assert made.X.shape == (N, 4)
    np.testing.assert_array_equal(made.weights, DATA["z"])
    np.testing.assert_array_equal(made.offset, DATA["y"] + DATA["x"])
    (grouping,) = made.groupings
    assert (grouping.label, grouping.names, grouping.nlevels) == ("g", ("g",), 4)
    np.testing.assert_array_equal(grouping.codes, DATA["g"])
    assert grouping.codes.dtype == np.int32
    assert made.rows is None
    assert (made.n_total, made.n_dropped) == (N, 0)
    assert made.index is DATA.index
    assert made.response_name == "log(z)"
    assert made.data.equals(DATA)
    assert made.data_name is None
    assert made.kept_data().equals(DATA)
    assert repr(grouping) == "Grouping(g, 4 levels)"


def test_prints_itself():
    data = DATA.assign(x=[np.nan, *DATA["x"][1:]])
    assert repr(design("y ~ x + (1 | h) + (1 | g)", data)).split("\n") == [
        "Design of y ~ x + (1 | h) + (1 | g)",
        "Number of obs: 23, groups: h, 6; g, 4",
        "Fixed effects: (Intercept), x",
        "Rows with missing values, left out: 1",
    ]
    assert "Fixed effects: none" in repr(design("y ~ 0 + (1 | g)"))


def test_takes_a_formula_and_the_name_of_the_data():
    data = DATA.copy()
    data.attrs["name"] = "trial"
    formula = Formula.parse("y ~ . + (1 | g/s)")
    made = design(formula, data[["y", "x", "f", "g", "s", "z"]], weights="z")
    assert made.data_name == "trial"
    assert str(made.formula) == "y ~ x + f + (1 | g/s)"
    assert made.formula.update(". ~ . - x").fixed.labels == ("f",)


# -- rows ------------------------------------------------------------------------------------


def with_missing():
    data = DATA.copy()
    data.loc["row 1", "x"] = np.nan
    data.loc["row 2", "f"] = np.nan
    data["g"] = data["g"].astype("Int64")
    data.loc["row 3", "g"] = None
    data.loc["row 4", "z"] = np.nan
    data.loc["row 5", "y"] = np.nan
    data.loc[data["h"] == 4, "h"] = np.nan
    return data


def test_rows_with_missing_values_in_used_columns_are_left_out():
    data = with_missing()
    made = design("y ~ x + f + (1 | g)", data, weights="z")
    assert made.n_dropped == 5
    np.testing.assert_array_equal(made.rows, [0, *range(6, N)])
    assert list(made.index) == ["row 0"] + [f"row {i}" for i in range(6, N)]
    kept = data.iloc[made.rows]
    np.testing.assert_array_equal(made.y, kept["y"])
    np.testing.assert_array_equal(made.X[:, 1], kept["x"])
    np.testing.assert_array_equal(made.weights, kept["z"])
    assert made.kept_data().equals(kept)
    assert made.groupings[0].levels.tolist() == [0, 1, 2, 3]
    assert design("y ~ 1 + (1 | g)", data).n_dropped == 2
    nested = design("y ~ 1 + (1 | h/f)", data)
    assert nested.groupings[1].levels.tolist() == [0, 1, 2, 3, 5]
    np.testing.assert_array_equal(design("z ~ 1 + (1|s)", data, offset="x").rows[:2], [0, 2])


def test_missing_weights_and_offsets_count():
    weights = np.ones(N)
    weights[7] = np.nan
    offset = np.zeros(N)
    offset[8] = np.nan
    made = design("y ~ x + (1 | g)", weights=weights, offset=offset)
    np.testing.assert_array_equal(np.setdiff1d(np.arange(N), made.rows), [7, 8])
    assert made.weights.size == made.offset.size == N - 2


def test_missing_values_can_be_an_error():
    with pytest.raises(DataError, match=r"missing in y \(1\), x \(1\), g \(1\); missing='drop'"):
        design("y ~ x + (1 | g)", with_missing(), missing="error")
    assert design("y ~ x + (1 | g)", missing="error").n_dropped == 0


def test_without_rows():
    with pytest.raises(DataError, match="no rows"):
        design("y ~ x + (1 | g)", DATA.iloc[:0])
    with pytest.raises(DataError, match=r"no row is without missing values.*x \(24\)"):
        design("y ~ x + (1 | g)", DATA.assign(x=np.nan))


def test_lagged_rows_are_left_out():
    made = design("y ~ lag(x) + (1 | g)")
    assert made.n_dropped == 1
    np.testing.assert_array_equal(made.X[:, 1], DATA["x"][:-1])


# -- response --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ("f", "not numeric: it holds categories"),
        ("when", "not numeric.*dates"),
        ("many", "not numeric"),
        ("constant", "constant: it is 3 in every row"),
        ("infinite", "is inf in row 'row 5'"),
        ("gone", "all values of the response gone are missing"),
        ("log(gone)", "all values of the response gone are missing"),
        ("log(x - 9)", r"log\(x - 9\) is nan in row 'row 0' and 23 other places"),
        ("0 * y", "constant: it is 0"),
        ("poly(x, 2)", "has 2 columns"),
        ("factor(g)", "not numeric"),
    ],
)
def test_bad_responses(response, message):
    data = DATA.assign(
        when=pd.date_range("2020", periods=N),
        many=[1j] * N,
        constant=3,
        infinite=np.where(DATA["id"] == 5, np.inf, 1.0),
        gone=np.nan,
    )
    with pytest.raises(ResponseError, match=message):
        design(f"{response} ~ x + (1 | g)", data)


def test_truth_values_are_a_response_as_in_r():
    made = design("(x > 0) ~ 1 + (1 | g)")
    np.testing.assert_array_equal(made.y, DATA["x"] > 0)
    assert made.y.dtype == np.float64


def test_values_that_are_not_finite_are_named():
    with pytest.raises(DataError, match=r"^log\(x\) is nan in row 'row \d+'"):
        design("y ~ log(x) + (1 | g)")
    with pytest.raises(DataError, match=r"^x is inf in row 'row 2';"):
        design("y ~ x + (1 | g)", DATA.assign(x=np.where(DATA["id"] == 2, np.inf, 0)))
    with pytest.raises(DataError, match="the offset is -inf"):
        design("y ~ x + offset(log(0 * z)) + (1 | g)")
    with pytest.raises(DataError, match="offset f is not numeric"):
        design("y ~ x + offset(f) + (1 | g)")
    # Where the row is left out anyway, there is nothing wrong.
    data = DATA.assign(y=DATA["y"].where(DATA["x"] > 0))
    assert design("y ~ log(x) + (1 | g)", data).n_dropped == (DATA["x"] <= 0).sum()


# -- grouping factors ------------------------------------------------------------------------

# Levels and their order from lme4, for factors a (z, m, b), b (1 to 4) and c (a, b).
NESTED = pd.DataFrame(
    [(a, b, c) for c in "ab" for b in "1234" for a in "zmb"] * 3, columns=["a", "b", "c"]
)
NESTED["a"] = pd.Categorical(NESTED["a"], ["z", "m", "b"])
NESTED["y"] = rng.normal(size=len(NESTED))
NESTED["r"] = np.repeat([1, 2, 3], 24)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("(1 | a)", {"a": "z m b"}),
        ("(1 | a:b)", {"a:b": "z:1 z:2 z:3 z:4 m:1 m:2 m:3 m:4 b:1 b:2 b:3 b:4"}),
        (
            "(1 | a/b)",
            {"b:a": "1:z 1:m 1:b 2:z 2:m 2:b 3:z 3:m 3:b 4:z 4:m 4:b", "a": "z m b"},
        ),
        (
            "(1 | c:a:b)",
            {"c:a:b": " ".join(f"{c}:{a}:{b}" for c in "ab" for a in "zmb" for b in "1234")},
        ),
        (
            "(1 | a/b/c)",
            {
                "c:(b:a)": " ".join(f"{c}:{b}:{a}" for c in "ab" for b in "1234" for a in "zmb"),
                "b:a": " ".join(f"{b}:{a}" for b in "1234" for a in "zmb"),
                "a": "z m b",
            },
        ),
        ("(1 | a) + (1 | b)", {"b": "1 2 3 4", "a": "z m b"}),
        ("(1 | a) + (1 | r)", {"a": "z m b", "r": "1 2 3"}),
        ("(1 | r) + (1 | a)", {"r": "1 2 3", "a": "z m b"}),
        ("(1 | r) + (1 | b) + (1 | a)", {"b": "1 2 3 4", "a": "z m b", "r": "1 2 3"}),
        ("(1 | c) + (1 | r) + (1 | a)", {"a": "z m b", "r": "1 2 3", "c": "a b"}),
        (
            "(1 | a) + (1 | c) + (1 | b) + (1 | r)",
            {"b": "1 2 3 4", "r": "1 2 3", "a": "z m b", "c": "a b"},
        ),
    ],
)
def test_grouping_factors_as_in_lme4(terms, expected):
    groupings = design(f"y ~ 1 + {terms}", NESTED).groupings
    found = {g.label: " ".join(map(str, g.levels)) for g in groupings}
    assert list(found.items()) == list(expected.items())
    for g in groupings:
        joined = NESTED[list(g.names)].astype(str).agg(":".join, axis=1)
        assert (g.levels.astype(str).to_numpy()[g.codes] == joined.to_numpy()).all()


def test_only_combinations_that_occur_are_levels():
    few = NESTED[(NESTED["a"] != "m") | (NESTED["b"] == "3")]
    (grouping,) = design("y ~ 1 + (1 | a:b)", few).groupings
    assert " ".join(grouping.levels) == "z:1 z:2 z:3 z:4 m:3 b:1 b:2 b:3 b:4"


def test_bad_grouping_factors():
    with pytest.raises(GroupingError, match="one has one level only, 'only'"):
        design("y ~ x + (1 | g) + (1 | one)")
    with pytest.raises(GroupingError, match="id has a level for each of the 24 rows"):
        design("y ~ x + (1 | id)")
    with pytest.raises(GroupingError, match="g:h has a level for each"):
        design("y ~ x + (1 | g:h)")
    same = DATA.assign(same=DATA["g"].map({0: "c", 1: "a", 2: "d", 3: "b"}))
    with pytest.raises(GroupingError, match="same and g divide the rows in the same way"):
        design("y ~ x + (1 | g) + (1 | h) + (1 | same)", same)
    with pytest.raises(GroupingError, match="f:s and s:f divide"):
        design("y ~ x + (1 | f:s) + (1 | s:f)")
    with pytest.raises(GroupingError, match=r"the fixed effect f fits every level .* factor f"):
        design("y ~ f + (1 | f)")
    with pytest.raises(GroupingError, match="the fixed effect f fits"):
        design("y ~ 0 + f * s + (1 | f)")
    assert design("y ~ f + (1 | f:s)").names == ("(Intercept)", "fm", "fb")
    colons = {"y": range(8), "a": ["u:v", "u"] * 4, "b": ["w", "v:w"] * 4}
    with pytest.raises(GroupingError, match="joined by colons, are not unique"):
        design("y ~ 1 + (1 | a:b)", colons)


def test_relations():
    pastes = pd.DataFrame(
        [(b, c) for b in "ABCDE" for c in "abc" for _ in range(2)], columns=["batch", "cask"]
    )
    pastes["sample"] = pastes["batch"] + pastes["cask"]
    pastes["day"] = ["mo", "tu", "mo", "we", "mo", "tu"] * 5
    pastes["y"] = np.arange(30.0) ** 2
    made = design("y ~ 1 + (1 | sample) + (1 | batch) + (1 | cask) + (1 | day)", pastes)
    rows = [tuple(row) for row in made.relations().itertuples(index=False)]
    assert rows == [
        ("sample", "batch", "nested"),
        ("sample", "cask", "nested"),
        ("sample", "day", "partially crossed"),
        ("batch", "cask", "crossed"),
        ("batch", "day", "crossed"),
        ("cask", "day", "partially crossed"),
    ]
    alone = design("y ~ 1 + (1 | batch)", pastes).relations()
    assert list(alone.columns) == ["factor", "other", "relation"]
    assert alone.empty


def test_levels_are_found_in_new_data():
    made = design("y ~ 1 + (1 | f:s) + (1 | g)")
    pairs, g = made.groupings
    rows = [20, 3, 3, 11]
    new = DATA.iloc[rows]
    np.testing.assert_array_equal(pairs.locate(new), pairs.codes[rows])
    np.testing.assert_array_equal(g.locate(new.astype({"g": float})), g.codes[rows])
    strange = new.assign(g=[0, 99, 1, 1], s=["p", None, "t", "q"])
    with pytest.raises(UnknownLevelError, match="g has 1 unknown level: 99"):
        g.locate(strange)
    np.testing.assert_array_equal(g.locate(strange, unknown="missing"), [0, -1, 1, 1])
    found = pairs.locate(strange, unknown="missing")
    np.testing.assert_array_equal(found >= 0, [True, False, False, True])
    with pytest.raises(UnknownLevelError, match="unknown level: z:t"):
        pairs.locate(strange)
    with pytest.raises(UnknownColumnError):
        pairs.locate({"f": ["z"]})


# -- weights and other arguments -------------------------------------------------------------


@pytest.mark.parametrize("role", ["weights", "offset"])
@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.ones(3), ArgumentError, "has 3 values; the data have 24 rows"),
        (np.ones((N, 1)), ArgumentError, "24 by 1"),
        (1.0, ArgumentError, "has 1 values"),
        (["a"] * N, ArgumentTypeError, "must be numbers"),
        ("nowhere", UnknownColumnError, "no column 'nowhere'"),
        ("f", DataError, "not numeric"),
        (pd.Series(np.ones(N)), ArgumentError, "other row labels"),
    ],
)
def test_vectors_that_do_not_fit(role, values, error, message):
    with pytest.raises(error, match=message):
        design("y ~ x + (1 | g)", **{role: values})


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, -np.inf])
def test_weights_are_positive_and_finite(bad):
    weights = np.ones(N)
    weights[[6, 9]] = bad
    with pytest.raises(ArgumentError, match=rf"weight 6 is {bad} \(2 such in all\)"):
        design("y ~ x + (1 | g)", weights=weights)
    data = DATA.assign(x=[np.nan, *DATA["x"][1:]])
    with pytest.raises(ArgumentError, match="weight 6 is"):
        design("y ~ x + (1 | g)", data, weights=weights)


def test_vectors_are_copied():
    weights, offset = np.ones(N), np.zeros(N)
    made = design("y ~ x + (1 | g)", weights=weights, offset=offset)
    weights[:] = offset[:] = 7
    assert made.weights.max() == 1
    assert made.offset.max() == 0


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("y ~ x + (1 | g)", None), {}, ArgumentTypeError),
        ((None, DATA), {}, ArgumentTypeError),
        (("y ~ x + (1 | g)", DATA), {"missing": "ignore"}, ArgumentError),
        (("y ~ x + (1 | g)", DATA), {"context": 3}, ArgumentTypeError),
        (("y ~ x + (1 | g)", DATA), {"context": {3: abs}}, ArgumentTypeError),
        (("y ~ x + (x | g)", DATA), {}, UnsupportedTermError),
        (("y ~ x + (1 | nowhere)", DATA), {}, UnknownColumnError),
        (("y ~ nowhere + (1 | g)", DATA), {}, UnknownColumnError),
        (("nowhere ~ x + (1 | g)", DATA), {}, UnknownColumnError),
        (("y ~ x", DATA), {}, FormulaError),
        (("y ~ . + (1 | g)", DATA.rename(columns={"x": ""})), {}, DataError),
        (("y ~ . + (1 | g)", pd.concat([DATA, DATA], axis=1)), {}, DataError),
    ],
)
def test_wrong_arguments(arguments, options, error):
    with pytest.raises(error):
        build_design(*arguments, **options)


def test_functions_of_ones_own():
    made = design("y ~ half(x) + (1 | g)", context={"half": lambda v: v / 2})
    np.testing.assert_array_equal(made.X[:, 1], DATA["x"] / 2)
    np.testing.assert_array_equal(made.spec.matrix({"x": [4.0, 8.0]}), [[1, 2], [1, 4]])


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dict"])
def test_other_frames_make_the_same_design(library):
    polars = pytest.importorskip("polars")
    plain = DATA.astype({"f": str}).reset_index(drop=True)
    frame = polars.from_pandas(plain)
    data = {"polars": frame, "pyarrow": frame.to_arrow(), "dict": frame.to_dict(as_series=False)}
    formula = "y ~ x * f + poly(z, 2) + (1 | g) + (1 | s:f)"
    ours, theirs = design(formula, data[library]), design(formula, plain)
    np.testing.assert_array_equal(ours.y, theirs.y)
    np.testing.assert_allclose(ours.X, theirs.X, atol=1e-14)
    assert ours.names == theirs.names
    for a, b in zip(ours.groupings, theirs.groupings, strict=True):
        np.testing.assert_array_equal(a.codes, b.codes)
        assert a.levels.tolist() == b.levels.tolist()
    assert list(ours.kept_data()["s"]) == list(plain["s"])
    assert ours.index.equals(pd.RangeIndex(N))


def test_plain_designs_are_quick():
    data = pd.DataFrame({"y": np.arange(30.0) ** 2, "g": pd.Categorical(list("ABCDEF") * 5)})
    build_design("y ~ 1 + (1 | g)", data)
    start = time.perf_counter()
    for _ in range(200):
        build_design("y ~ 1 + (1 | g)", data)
    assert (time.perf_counter() - start) / 200 < 2e-3  # 0.2 ms on an idle machine


_FIXED = ["x", "f", "z", "s", "g", "log(z)", "poly(x,2)", "I(x^2)", "C(f, contr.sum)", "factor(h)"]
_FIXED += ["0", "1", "(x > 0)", "scale(na)", "na", "offset(x)", ".", "nowhere", "log(x)", "(x + f)"]
_RANDOM = [
    "(1 | g)",
    "(1 | h)",
    "(1 | g) + (1 | h)",
    "(1 | s/f)",
    "(1 | id)",
    "(x | g)",
    "(1 | na)",
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(_FIXED), min_size=1, max_size=4),
    st.lists(st.sampled_from(["+", "*", ":", "-", "/", "^"]), min_size=4, max_size=4),
    st.sampled_from(_RANDOM),
)
def test_any_formula_makes_a_finite_design_or_an_error(terms, operators, random):
    text = "y ~ " + "".join(map(str.__add__, terms, operators))[:-1] + " + " + random
    data = DATA.drop(columns="one").assign(na=[np.nan, *DATA["x"][1:].round(0)])
    try:
        made = design(text, data)
    except MixedModelsError:
        return
    assert np.isfinite(made.X).all()
    assert made.X.shape == (made.y.size, len(made.names))
    kept = made.kept_data()
    if not made.n_dropped:
        np.testing.assert_allclose(made.spec.matrix(kept), made.X, atol=1e-12)
    for g in made.groupings:
        assert np.array_equal(np.unique(g.codes), np.arange(g.nlevels))
