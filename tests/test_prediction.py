"""Predictions for new rows against what is written out by hand from the estimates."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

import mixedmodels as mm


def rows(n=80):
    """Simulate two crossed factors, covariates of every kind, and a known part."""
    random = np.random.default_rng(5)
    data = pd.DataFrame(
        {
            "g": random.choice(list("abcdefgh"), n),
            "h": random.integers(10, 15, n),
            "x": random.uniform(1, 5, n),
            "f": random.choice(["lo", "mid", "hi"], n),
            "t": random.random(n) < 0.5,
            "o": random.normal(size=n),
        },
        index=[f"row {i}" for i in range(n)],
    )
    data["y"] = 2 + data["x"] + random.normal(size=n)
    for group in (["g"], ["h"], ["f", "t"]):
        data["y"] += data.groupby(group)["x"].transform(lambda _: random.normal())
    data["f"] = pd.Categorical(data["f"], ["lo", "mid", "hi"])
    data["f"] = data["f"].cat.as_ordered()
    return data


DATA = rows()
BOTH = "y ~ x + f + (1 | g) + (1 | h)"


@pytest.fixture(scope="module")
def fm():
    return mm.lmer(BOTH, DATA)


def by_hand(fm, new, random=True):
    """β₀ + β₁x + polynomial contrasts of f + b_g + b_h."""
    beta, (root2, root6) = fm.fixef(), np.sqrt([2.0, 6.0])
    linear = new["f"].map({"lo": -1, "mid": 0, "hi": 1}).astype(float) / root2
    quadratic = new["f"].map({"lo": 1, "mid": -2, "hi": 1}).astype(float) / root6
    eta = beta["(Intercept)"] + beta["x"] * new["x"] + beta["f.L"] * linear
    eta += beta["f.Q"] * quadratic
    if random:
        for group, effects in fm.ranef().items():
            eta += effects["(Intercept)"].reindex(new[group]).fillna(0.0).to_numpy()
    return eta


# -- the rows of the fit -------------------------------------------------------------------------


def test_rows_of_the_fit(fm):
    prediction = fm.predict()
    assert prediction.name == "prediction"
    pd.testing.assert_series_equal(prediction, fm.fitted(), check_names=False)
    assert_allclose(fm.predict(random=False), fm.population_mean)
    assert_allclose(prediction, by_hand(fm, DATA), rtol=1e-12)
    assert_allclose(fm.predict(random=False), by_hand(fm, DATA, random=False), rtol=1e-12)


def test_rows_of_the_fit_as_new_rows(fm):
    for random in (True, False):
        pd.testing.assert_series_equal(
            fm.predict(DATA, random=random), fm.predict(random=random), rtol=1e-13
        )


def test_rows_left_out_of_the_fit_are_not_predicted_unless_asked():
    data = DATA.assign(y=DATA["y"].where(DATA["o"] < 1))
    fm = mm.lmer(BOTH, data)
    kept = data.index[data["y"].notna()]
    assert len(kept) < len(data)
    assert list(fm.predict().index) == list(kept)
    # What is predicted need not be known.
    everywhere = fm.predict(data)
    assert list(everywhere.index) == list(data.index)
    assert_allclose(everywhere[kept], fm.predict(), rtol=1e-13)


# -- new rows ------------------------------------------------------------------------------------


def test_order_labels_and_other_columns_of_the_rows_are_kept(fm):
    new = DATA.iloc[[40, 3, 3, 17]][["x", "f", "h", "g"]].assign(other=None, y="?")
    prediction = fm.predict(new)
    assert list(prediction.index) == ["row 40", "row 3", "row 3", "row 17"]
    assert_allclose(prediction, fm.fitted().iloc[[40, 3, 3, 17]], rtol=1e-13)


def test_one_row_of_a_dict(fm):
    new = {"x": [2.5], "f": ["mid"], "g": ["c"], "h": [12]}
    prediction = fm.predict(new)
    assert list(prediction.index) == [0]
    assert_allclose(prediction, by_hand(fm, pd.DataFrame(new)), rtol=1e-13)


def test_no_rows(fm):
    assert fm.predict(DATA.iloc[:0]).shape == (0,)
    assert fm.predict(DATA.iloc[:0], random=False).shape == (0,)


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, dict])
def test_frames_of_other_libraries(fm, convert):
    prediction = fm.predict(convert(DATA.reset_index(drop=True)))
    assert isinstance(prediction, pd.Series)
    assert list(prediction.index) == list(range(len(DATA)))
    assert_allclose(prediction, fm.fitted(), rtol=1e-13)


def test_fit_to_a_frame_of_another_library():
    fm = mm.lmer(BOTH, pl.from_pandas(DATA))
    reference = mm.lmer(BOTH, DATA.assign(f=DATA["f"].cat.as_unordered()))
    assert_allclose(fm.predict(DATA), reference.predict(), rtol=1e-12)


# -- levels --------------------------------------------------------------------------------------


def test_a_new_level_is_an_error(fm):
    new = DATA.iloc[:3].assign(g=["a", "z", "zz"])
    with pytest.raises(mm.UnknownLevelError, match="g has 2 unknown levels: z, zz"):
        fm.predict(new)


@pytest.mark.parametrize("unknown", ["z", None])
def test_a_new_or_missing_level_has_the_effect_of_the_population(fm, unknown):
    new = DATA.iloc[:6].assign(g=["a", unknown, "b", "c", unknown, "d"])
    prediction = fm.predict(new, levels="population")
    assert_allclose(prediction, by_hand(fm, new), rtol=1e-13)
    # The level of the other factor still counts.
    assert (prediction != fm.predict(new, random=False)).all()


def test_a_missing_level_is_an_error(fm):
    with pytest.raises(mm.DataError, match=r"h is missing in row 'row 2'.*levels='population'"):
        fm.predict(DATA.iloc[:5].assign(h=[10, 11, np.nan, 12, np.nan]))


def test_groups_are_not_needed_for_the_population(fm):
    new = DATA.drop(columns=["g", "h"])
    assert_allclose(fm.predict(new, random=False), by_hand(fm, new, random=False), rtol=1e-13)
    with pytest.raises(mm.UnknownColumnError, match="no column 'g'"):
        fm.predict(new)


def test_levels_are_matched_by_value(fm):
    new = DATA.iloc[:4].assign(
        g=pd.Categorical(DATA["g"].iloc[:4], list("hgfedcba")),
        h=DATA["h"].iloc[:4].astype(float),
    )
    assert_allclose(fm.predict(new), fm.fitted().iloc[:4], rtol=1e-13)


def test_levels_of_combined_factors():
    fm = mm.lmer("y ~ x + (1 | t:f)", DATA)
    assert_allclose(fm.predict(DATA.iloc[::-3]), fm.fitted().iloc[::-3], rtol=1e-13)
    data = DATA[~((DATA["f"] == "hi") & DATA["t"])]
    fm = mm.lmer("y ~ x + (1 | f:t)", data)
    new = {"x": [1.0, 1.0], "f": ["hi", "lo"], "t": [True, True]}
    with pytest.raises(mm.UnknownLevelError, match="hi:"):
        fm.predict(new)
    effect = fm.predict(new, levels="population") - fm.predict(new, random=False)
    assert effect[0] == 0
    assert effect[1] != 0


@pytest.mark.parametrize("levels", ["zero", None, True])
def test_another_wish_for_new_levels(fm, levels):
    for new in (None, DATA):
        with pytest.raises(mm.ArgumentError, match="levels must be 'error', 'population' or"):
            fm.predict(new, levels=levels)


# -- offset --------------------------------------------------------------------------------------


def test_offset_of_the_formula():
    fm = mm.lmer("y ~ x + offset(2 * o) + (1 | g)", DATA)
    new = DATA.iloc[5:9].assign(o=[0.0, 1, 2, 3])
    known = fm.predict(new.assign(o=0.0))
    assert_allclose(fm.predict(new) - known, [0, 2, 4, 6], rtol=1e-12, atol=1e-12)
    assert_allclose(fm.predict(DATA), fm.fitted(), rtol=1e-13)


def test_offset_of_a_column_and_of_the_formula_together():
    fm = mm.lmer("y ~ x + offset(o) + (1 | g)", DATA, offset="o")
    assert_allclose(fm.predict(DATA), fm.fitted(), rtol=1e-13)
    effect = fm.predict(DATA) - fm.predict(DATA.assign(o=0.0))
    assert_allclose(effect, 2 * DATA["o"], rtol=1e-10, atol=1e-13)


def test_offset_of_an_array_is_known_for_the_rows_of_the_fit_only():
    fm = mm.lmer("y ~ x + (1 | g)", DATA, offset=DATA["o"].to_numpy())
    assert_allclose(fm.predict(), mm.lmer("y ~ x + (1 | g)", DATA, offset="o").predict())
    with pytest.raises(mm.ArgumentError, match=r"array as offset.*name of a column"):
        fm.predict(DATA)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"o": np.nan}, mm.DataError, "offset o must be a finite number"),
        ({"o": np.inf}, mm.DataError, "offset o must be a finite number"),
        ({"o": "a"}, mm.DataError, "offset o must be a finite number"),
        (None, mm.UnknownColumnError, "no column 'o'"),
    ],
)
def test_offset_of_a_column_is_needed_for_new_rows(change, error, message):
    fm = mm.lmer("y ~ x + (1 | g)", DATA, offset="o")
    new = DATA.drop(columns="o") if change is None else DATA.assign(**change)
    with pytest.raises(error, match=message):
        fm.predict(new)


def test_weights_are_not_needed_for_new_rows():
    fm = mm.lmer("y ~ x + (1 | g)", DATA.assign(w=2.0), weights="w")
    assert_allclose(fm.predict(DATA), fm.fitted(), rtol=1e-13)


# -- fixed effects -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fixed",
    [
        "poly(x, 3)",
        "scale(x)",
        "bs(x, df = 4)",
        "log(x) + I(x^2)",
        "x * f + t",
        "C(f, contr.sum)",
        "0 + f:x",
        "1",
        "0",
    ],
)
def test_what_transforms_have_learned_is_kept(fixed):
    fm = mm.lmer(f"y ~ {fixed} + (1 | g)", DATA)
    # Of one row, a mean or a knot would be another.
    for row in (0, 33):
        new = DATA.iloc[[row]]
        assert_allclose(fm.predict(new), fm.fitted().iloc[[row]], rtol=1e-10)
    assert_allclose(fm.predict(DATA[::-1]), fm.fitted()[::-1], rtol=1e-10)


def test_function_of_ones_own():
    fm = mm.lmer("y ~ half(x) + (1 | g)", DATA, context={"half": lambda x: x / 2})
    assert_allclose(fm.predict(DATA.iloc[:3]), fm.fitted().iloc[:3], rtol=1e-12)


def test_response_is_predicted_as_it_was_transformed():
    fm = mm.lmer("log(y + 10) ~ x + (1 | g)", DATA)
    beta, new = fm.fixef(), {"x": [3.0], "g": ["z"]}
    expected = beta["(Intercept)"] + 3 * beta["x"]
    assert_allclose(fm.predict(new, levels="population"), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.nan}, mm.DataError, "missing in x"),
        ({"x": "many"}, mm.DataError, "x was numeric and is a factor"),
        ({"f": "huge"}, mm.UnknownLevelError, "f has 1 unknown level: huge"),
        ({"f": None}, mm.DataError, "missing in f"),
        ({"x": np.inf}, mm.DataError, "x is inf in row 'row 0'"),
    ],
)
def test_new_values_are_checked(fm, change, error, message):
    for random in (True, False):
        with pytest.raises(error, match=message):
            fm.predict(DATA.assign(**change), random=random)


def test_new_rows_that_are_no_data_frame(fm):
    for new in ([1, 2], "rows", 3):
        with pytest.raises(mm.ArgumentTypeError, match="must be a data frame"):
            fm.predict(new)
    with pytest.raises(mm.DataError, match="no data frame"):
        fm.predict({"x": [1.0], "f": ["lo", "hi"], "g": ["a"], "h": [10]})


def test_redundant_columns_take_no_part():
    data = DATA.assign(z=2 * DATA["x"] - 1)
    with pytest.warns(mm.RankDeficientWarning, match="dropped: z"):
        fm = mm.lmer("y ~ x + z + f + (1 | g)", data)
    assert np.isnan(fm.fixef()["z"])
    assert_allclose(fm.predict(data), mm.lmer("y ~ x + f + (1 | g)", data).predict(), rtol=1e-10)
    assert_allclose(fm.predict(data), fm.predict(), rtol=1e-13)


def test_a_refitted_model_predicts_its_own_response(fm):
    again = fm.refit(DATA["y"] + DATA["x"])
    assert_allclose(again.predict(DATA), again.fitted(), rtol=1e-13)
    assert_allclose(again.fixef()["x"], fm.fixef()["x"] + 1, rtol=1e-6)
