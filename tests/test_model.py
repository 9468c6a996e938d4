"""The fitted model as a value: what it says of itself, and the fits that are made from it."""

import copy
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import FrozenInstanceError
from itertools import groupby
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixedmodels as mm
from mixedmodels.formula import Formula


def rows(n=90):
    """Simulate two crossed factors and covariates, with weights and an offset."""
    random = np.random.default_rng(8)
    data = pd.DataFrame(
        {
            "g": random.choice(list("abcdefghij"), n),
            "h": random.choice(list("pqrstu"), n),
            "x": random.normal(size=n),
            "f": random.choice(["lo", "hi", "mid"], n),
            "o": random.normal(size=n),
            "w": random.uniform(0.5, 2.0, n),
        },
        index=range(100, 100 + n),
    )
    data["y"] = 3 + data["x"] + random.normal(size=n)
    for group in "gh":
        data["y"] += data.groupby(group)["x"].transform(lambda _: random.normal())
    return data


DATA = rows()
CROSSED = "y ~ x + f + (1 | g) + (1 | h)"


@pytest.fixture(scope="module")
def fm():
    return mm.lmer(CROSSED, DATA)


def assert_same(a, b, rtol=1e-7):
    """Hold two fits of one model to each other."""
    assert str(a.formula) == str(b.formula)
    assert a.reml == b.reml
    assert a.nobs == b.nobs
    assert_allclose(a.objective, b.objective, rtol=1e-11)
    assert_allclose(a.theta, b.theta, rtol=rtol)
    assert_allclose(a.fixef(), b.fixef(), rtol=rtol)
    assert_allclose(a.fitted(), b.fitted(), rtol=rtol)
    assert_allclose(a.residuals(), b.residuals(), rtol=rtol, atol=1e-7)
    assert_allclose(a.vcov(), b.vcov(), rtol=rtol, atol=1e-12)


# -- what a model says of itself -----------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
def test_numbers_that_follow_from_each_other(reml):
    fm = mm.lmer(CROSSED, DATA, reml=reml)
    assert (fm.nobs, fm.df, fm.reml) == (90, 4 + 2 + 1, reml)
    assert fm.ngroups == {"g": 10, "h": 6}
    assert fm.loglik == -fm.objective / 2
    assert_allclose(fm.aic, fm.objective + 2 * 7, rtol=1e-15)
    assert_allclose(fm.bic, fm.objective + 7 * np.log(90), rtol=1e-15)
    assert (fm.deviance == fm.objective) != reml
    assert str(fm.formula) == CROSSED
    assert_array_equal(fm.beta, fm.fixef())
    assert fm.converged
    assert not fm.singular


def test_rows_are_labelled_as_in_the_data(fm):
    for values, name in ((fm.fitted(), "fitted"), (fm.residuals(), "residual")):
        assert values.index.equals(DATA.index)
        assert values.name == name
    polars = mm.lmer(CROSSED, pl.from_pandas(DATA))
    assert list(polars.fitted().index) == list(range(90))


def test_a_model_is_a_value(fm):
    with pytest.raises(FrozenInstanceError):
        fm.data_name = "other"
    before = (fm.objective, fm.theta.copy(), fm.fitted().copy(), str(fm))
    fm.update(reml=False)
    fm.update("~ . - x")
    fm.refit(DATA["o"])
    for values in (fm.fitted(), fm.fixef(), fm.ranef()["g"], fm.coef()["g"], fm.vcov()):
        values.iloc[:] = 0.0
    assert (fm.objective, str(fm)) == (before[0], before[3])
    assert_array_equal(fm.theta, before[1])
    assert_array_equal(fm.fitted(), before[2])
    assert fm == fm
    assert fm != mm.lmer(CROSSED, DATA)
    assert len({fm, fm}) == 1


@pytest.mark.parametrize("name", ["theta", "beta", "b", "u", "X", "population_mean"])
def test_arrays_of_a_model_cannot_change_it(name):
    model = mm.lmer(CROSSED, DATA)
    kept = getattr(model, name).copy()
    with suppress(ValueError):  # a read-only array says so; a copy may be written to
        getattr(model, name)[:] = 7.0
    assert_array_equal(getattr(model, name), kept)


def test_a_model_keeps_its_response_when_the_data_change():
    y = DATA["y"].to_numpy().copy()
    data = {"y": y, "g": list(DATA["g"])}
    fm = mm.lmer("y ~ (1 | g)", data)
    again = fm.refit(y)
    kept = fm.residuals().copy()
    y[:] = 0
    assert_array_equal(fm.residuals(), kept)
    assert_array_equal(again.residuals(), kept)
    assert_array_equal(fm.update(reml=False).update(reml=True).residuals(), kept)


@pytest.mark.parametrize("reml", ["ML", 1, None, "False"])
def test_reml_is_true_or_false(fm, reml):
    for ask in (lambda **k: mm.lmer(CROSSED, DATA, **k), fm.update):
        with pytest.raises(mm.ArgumentTypeError, match="reml must be True or False"):
            ask(reml=reml)


def test_reml_may_be_a_truth_value_of_numpy(fm):
    assert mm.lmer(CROSSED, DATA, reml=np.False_).reml is False
    assert fm.update(reml=np.False_).reml is False


# -- the name of the data ------------------------------------------------------------------------


def test_name_of_the_data_is_that_of_a_variable():
    measured = DATA.copy()
    fm = mm.lmer(CROSSED, measured)
    assert fm.data_name == "measured"
    assert "\n   Data: measured\n" in str(fm)
    assert mm.lmer(CROSSED, DATA).data_name == "DATA"
    assert mm.lmer(CROSSED, DATA.copy()).data_name is None
    assert "Data:" not in str(mm.lmer(CROSSED, DATA.copy()))


def test_name_of_the_data_may_come_with_them():
    data = DATA.copy()
    data.attrs["name"] = "survey"
    assert mm.lmer(CROSSED, data.copy()).data_name == "survey"
    # The caller's name says more: a part of a frame goes by the name of the whole.
    assert mm.lmer(CROSSED, data).data_name == "data"


def test_name_of_the_data_of_an_update(fm):
    other = DATA.iloc[:60].copy()
    assert fm.update(reml=False).data_name == "DATA"
    assert fm.update("~ . - x").data_name == "DATA"
    assert fm.refit(DATA["o"]).data_name == "DATA"
    assert fm.update(data=other).data_name == "other"
    assert fm.update(data=other.copy()).data_name is None
    assert fm.update("~ . - x", data=other, reml=False).data_name == "other"


# -- update --------------------------------------------------------------------------------------


def test_update_of_the_formula(fm):
    assert_same(fm.update("~ . - f"), mm.lmer("y ~ x + (1 | g) + (1 | h)", DATA))
    assert_same(fm.update("log(y + 9) ~ ."), mm.lmer(f"log(y + 9) {CROSSED[2:]}", DATA))
    smaller = fm.update(Formula.parse("o ~ 1 + (1 | h)"))
    assert_same(smaller, mm.lmer("o ~ (1 | h)", DATA))


def test_update_of_the_criterion_uses_what_is_there(fm):
    changed = fm.update(reml=False)
    assert_same(changed, mm.lmer(CROSSED, DATA, reml=False))
    assert changed.design is fm.design
    assert changed.cross_products is fm.cross_products
    assert_same(changed.update(reml=True), fm)


def test_update_of_data_weights_and_offset(fm):
    assert_same(fm.update(data=DATA.iloc[:50]), mm.lmer(CROSSED, DATA.iloc[:50]))
    assert_same(fm.update(data=pl.from_pandas(DATA)), mm.lmer(CROSSED, DATA.reset_index()))
    weighted = fm.update(weights="w")
    assert_same(weighted, mm.lmer(CROSSED, DATA, weights=DATA["w"].to_numpy()))
    assert_same(weighted.update(weights=None), fm)
    both = weighted.update(offset="o", reml=False)
    assert_same(both, mm.lmer(CROSSED, DATA, weights="w", offset="o", reml=False))


def test_update_keeps_the_other_arguments():
    data = DATA.assign(y=DATA["y"].where(DATA["o"] < 1))
    options = {"weights": "w", "offset": "o", "context": {"half": lambda x: x / 2}}
    fm = mm.lmer("y ~ half(x) + (1 | g)", data, reml=False, **options)
    new = fm.update("~ . + (1 | h)")
    assert_same(new, mm.lmer("y ~ half(x) + (1 | g) + (1 | h)", data, reml=False, **options))
    assert new.options == fm.options
    with pytest.raises(mm.DataError, match="values are missing in y"):
        new.update(missing="error")
    square = {"context": {"half": lambda x: x**2}}
    again = mm.lmer("y ~ half(x) + (1 | g)", data, reml=False, **options | square)
    assert_same(fm.update(**square), again)


def test_update_of_start_and_method(fm):
    again = fm.update(start=[2.0, 0.5], method="sparse")
    assert_same(again, fm)
    assert again.plan.method == "sparse"
    assert again.design is fm.design
    assert_allclose(again.iterations[["theta[g]", "theta[h]"]].iloc[0].astype(float), [2.0, 0.5])


def test_update_of_nothing(fm):
    assert_same(fm.update(), fm)


def test_update_of_an_argument_that_is_none(fm):
    with pytest.raises(mm.ArgumentTypeError, match=r"no argument REML, wieghts; it has formula,"):
        fm.update(wieghts="w", REML=False)


def test_update_that_leaves_no_random_effects(fm):
    with pytest.raises(mm.FormulaError, match="no random-effects term"):
        fm.update("~ . - (1 | g) - (1 | h)")


def test_update_says_what_it_prints_as(fm, capsys):
    fm.update(verbose=True)
    assert capsys.readouterr().out.startswith("iteration")


# -- refit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("options", [{}, {"weights": "w"}, {"weights": "w", "offset": "o"}])
def test_refit_is_a_fit_of_the_other_response(options, reml):
    y = DATA["y"].to_numpy() + np.sin(np.arange(90.0))
    again = mm.lmer(CROSSED, DATA, reml=reml, **options).refit(y)
    assert_same(again, mm.lmer(CROSSED, DATA.assign(y=y), reml=reml, **options))
    assert_allclose(again.fitted() + again.residuals(), y, rtol=1e-13)


@pytest.mark.parametrize("kind", [list, tuple, np.asarray, pd.Series.to_numpy, pa.array])
def test_refit_takes_any_array(fm, kind):
    assert_same(fm.refit(kind(DATA["o"])), fm.refit(DATA["o"].to_numpy()), rtol=0)


def test_refit_of_whole_numbers(fm):
    counts = np.arange(90) % 7
    assert_allclose(fm.refit(counts).objective, fm.refit(counts.astype(float)).objective)


def test_refit_wants_the_rows_used():
    data = DATA.assign(y=DATA["y"].where(DATA["o"] < 1))
    fm, kept = mm.lmer(CROSSED, data), data["y"].notna()
    assert fm.nobs == kept.sum() < 90
    assert_same(fm.refit(2 * data["y"][kept]), mm.lmer(CROSSED, data.assign(y=2 * data["y"])))
    with pytest.raises(mm.ResponseError, match=rf"each of the {fm.nobs} rows used, .*\(90,\)"):
        fm.refit(DATA["y"])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(89), r"each of the 90 rows used, .* got an array of shape \(89,\)"),
        (1.0, "shape"),
        (np.where(np.arange(90) == 4, np.nan, np.arange(90.0)), "is nan at position 4"),
        (np.where(np.arange(90) == 7, -np.inf, np.arange(90.0)), "is -inf at position 7"),
        ([None] * 90, "nan at position 0"),
        (np.full(90, 3.5), "constant|perfectly"),
        (np.zeros(90), "constant|perfectly"),
        (1 + 2 * DATA["x"], "perfectly"),
        (["a"] * 90, "number"),
        ([[1.0], [1.0, 2.0]], "number"),
        (np.arange(90) + 1j, "number"),
    ],
)
def test_refit_of_a_response_that_does_not_do(fm, y, message):
    with pytest.raises(mm.ResponseError, match=message):
        fm.refit(y)


def test_refit_does_not_go_by_position_where_labels_differ(fm):
    """As `lmer` does for weights and offsets, it refuses rather than guesses."""
    with pytest.raises(mm.MixedModelsError, match="row labels"):
        fm.refit(DATA["y"][::-1])


def test_what_follows_a_refit_follows_its_response(fm):
    y = DATA["y"] + np.sin(np.arange(90.0))
    again = fm.refit(y)
    assert_same(again.update(reml=False), mm.lmer(CROSSED, DATA.assign(y=y), reml=False))
    frame = again.augment()
    assert_allclose(frame[".fitted"] + frame[".resid"], frame["y"], rtol=1e-13)
    # From other columns of the data, it is the response of the refit that is fitted again.
    assert_same(again.update("~ . - x"), mm.lmer("y ~ f + (1 | g) + (1 | h)", DATA.assign(y=y)))


# -- data frames of a model ----------------------------------------------------------------------


def test_tidy(fm):
    frame = fm.tidy()
    assert list(frame) == ["effect", "group", "term", "estimate", "std_error", "statistic"]
    names = ["(Intercept)", "x", "flo", "fmid"]
    assert list(frame["effect"]) == ["fixed"] * 4 + ["ran_pars"] * 3
    assert list(frame["group"].isna()) == [True] * 4 + [False] * 3
    assert list(frame["group"][4:]) == ["g", "h", "Residual"]
    assert list(frame["term"]) == [*names, *["sd__(Intercept)"] * 2, "sd__Observation"]
    sds = [*(fm.sigma * fm.theta), fm.sigma]
    assert_allclose(frame["estimate"], [*fm.beta, *sds], rtol=1e-14)
    errors = np.sqrt(np.diagonal(fm.vcov()))
    assert_allclose(frame["std_error"], [*errors, *[np.nan] * 3], rtol=1e-14)
    assert_allclose(frame["statistic"], [*(fm.beta / errors), *[np.nan] * 3], rtol=1e-14)


@pytest.mark.parametrize("reml", [True, False])
def test_glance(fm, reml):
    fm = fm.update(reml=reml)
    frame = fm.glance()
    assert frame.to_dict("records") == [
        {
            "nobs": 90,
            "sigma": fm.sigma,
            "logLik": fm.loglik,
            "AIC": fm.aic,
            "BIC": fm.bic,
            "criterion": "REML" if reml else "ML",
            "objective": fm.objective,
            "deviance": fm.deviance,
            "df": 7,
            "df_residual": 83,
            "singular": False,
            "converged": True,
        }
    ]


def test_augment(fm):
    frame = fm.augment()
    assert list(frame) == [*DATA, ".fitted", ".resid", ".fixed"]
    pd.testing.assert_frame_equal(frame[list(DATA)], DATA)
    assert_array_equal(frame[".fitted"], fm.fitted())
    assert_array_equal(frame[".resid"], fm.residuals())
    assert_array_equal(frame[".fixed"], fm.predict(random=False))
    assert ".fitted" not in DATA


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, dict])
def test_augment_of_other_frames(convert):
    data = DATA.reset_index(drop=True)
    frame = mm.lmer(CROSSED, convert(data)).augment()
    assert_allclose(frame["y"], data["y"])
    assert_allclose(frame[".fitted"] + frame[".resid"], data["y"], rtol=1e-13)


# -- printed forms -------------------------------------------------------------------------------

PRINTED = {
    "model": lambda fm: fm,
    "summary": lambda fm: fm.summary(),
    "varcorr": lambda fm: fm.varcorr(),
    "ranef": lambda fm: fm.ranef(),
    "condsd": lambda fm: fm.ranef().condsd,
    "coef": lambda fm: fm.coef(),
    "anova": lambda fm: mm.anova(fm.update("~ . - x", reml=False), fm.update(reml=False)),
}


@pytest.fixture(params=PRINTED)
def printed(request, fm):
    return PRINTED[request.param](fm)


def test_printed_as_text(printed):
    assert str(printed) == repr(printed) == printed.to_text()
    assert all(line == line.rstrip() for line in str(printed).splitlines())


def test_printed_as_html(printed):
    html = printed._repr_html_()
    tree = ElementTree.fromstring(f"<div>{html}</div>")
    tables = list(tree.iter("table"))
    assert tables
    for table in tables:
        widths = {sum(int(cell.get("colspan", 1)) for cell in row) for row in table.iter("tr")}
        assert len(widths) == 1


def test_printed_as_markdown(printed):
    blocks = groupby(printed.to_markdown().splitlines(), lambda line: line.startswith("|"))
    tables = [list(lines) for is_table, lines in blocks if is_table]
    assert tables
    for lines in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_printed_as_latex(printed):
    latex = printed.to_latex()
    begun = re.findall(r"\\begin\{(\w+)\}", latex)
    assert "tabular" in begun
    assert sorted(begun) == sorted(re.findall(r"\\end\{(\w+)\}", latex))
    assert latex.count("{") == latex.count("}")


def test_every_number_of_the_model_is_printed_once_in_each_format(fm):
    for text in (str(fm), fm.to_markdown(), fm.to_latex(), fm._repr_html_()):
        assert text.count("90, groups: g, 10; h, 6") == 1
        assert text.count(f"{fm.objective:.4f}".rstrip("0")) == 1


# -- rows and columns that are left out ----------------------------------------------------------


def test_rows_with_missing_values_are_counted():
    data = DATA.copy()
    data.loc[[103, 110], "x"] = np.nan
    data.loc[[110, 120], "g"] = None
    fm = mm.lmer(CROSSED, data)
    kept = data.drop(index=[103, 110, 120])
    assert (fm.nobs, fm.summary().dropped_rows) == (87, 3)
    assert "3 rows with missing values were dropped" in str(fm)
    assert "Number of obs: 87" in str(fm)
    assert_same(fm, mm.lmer(CROSSED, kept))
    assert fm.fitted().index.equals(kept.index)
    assert fm.augment().index.equals(kept.index)


def test_weights_and_offset_follow_the_rows_that_are_kept():
    data = DATA.assign(x=DATA["x"].where(DATA["o"] < 1))
    fm = mm.lmer(CROSSED, data, weights=data["w"].to_numpy(), offset=data["o"].to_numpy())
    assert_same(fm, mm.lmer(CROSSED, data.dropna(), weights="w", offset="o"))


@pytest.fixture
def deficient():
    data = DATA.assign(z=3 * DATA["x"] - 2, v=0.0)
    with pytest.warns(mm.RankDeficientWarning, match="dropped: z, v$") as caught:
        fm = mm.lmer("y ~ x + z + v + f + (1 | g) + (1 | h)", data)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return fm


def test_redundant_columns_show_as_missing(deficient, fm):
    names = ["(Intercept)", "x", "z", "v", "flo", "fmid"]
    assert list(deficient.fixef().index) == names
    assert list(deficient.fixef().isna()) == [name in "zv" for name in names]
    assert list(deficient.vcov()) == list(fm.vcov())
    assert deficient.X.shape == (90, 6)
    assert deficient.df == fm.df
    assert_allclose(deficient.objective, fm.objective, rtol=1e-12)
    assert_allclose(deficient.beta, fm.beta, rtol=1e-7)
    assert_allclose(deficient.fitted(), fm.fitted(), rtol=1e-7)
    assert_allclose(deficient.vcov(), fm.vcov(), rtol=1e-7)
    tidy = deficient.tidy().set_index("term")
    assert tidy.loc[["z", "v"], ["estimate", "std_error", "statistic"]].isna().all(axis=None)
    assert list(deficient.coef()["g"]) == list(fm.fixef().index)
    assert_allclose(deficient.coef()["g"], fm.coef()["g"], rtol=1e-7)


def test_redundant_columns_are_printed(deficient):
    lines = [line.split() for line in str(deficient).splitlines()]
    for name in "zv":
        assert [name, "NA", "NA", "NA"] in lines
    assert "2 redundant fixed-effects columns were dropped: z, v" in str(deficient)


def test_an_update_of_the_criterion_does_not_warn_again(deficient):
    assert not deficient.update(reml=False).reml


# -- no fixed effects ----------------------------------------------------------------------------


@pytest.fixture(params=[True, False])
def without_fixed(request):
    return mm.lmer("y ~ 0 + (1 | g)", DATA, reml=request.param)


def test_without_fixed_effects(without_fixed):
    fm, y = without_fixed, DATA["y"].to_numpy()
    Z = (DATA[["g"]].to_numpy() == np.array(list("abcdefghij"))).astype(float)
    V = np.eye(90) + fm.theta[0] ** 2 * Z @ Z.T
    r2 = y @ np.linalg.solve(V, y)
    objective = np.linalg.slogdet(V)[1] + 90 * (1 + np.log(2 * np.pi * r2 / 90))
    assert_allclose(fm.objective, objective, rtol=1e-11)
    assert_allclose(fm.deviance, objective, rtol=1e-11)
    assert_allclose(fm.sigma**2, r2 / 90, rtol=1e-10)
    assert_allclose(fm.b, fm.theta[0] ** 2 * Z.T @ np.linalg.solve(V, y), rtol=1e-9)
    assert fm.df == 2


def test_without_fixed_effects_everything_is_there(without_fixed):
    fm = without_fixed
    assert fm.X.shape == (90, 0)
    assert fm.fixef().shape == fm.beta.shape == (0,)
    assert fm.vcov().shape == (0, 0)
    assert_array_equal(fm.coef()["g"], fm.ranef()["g"])
    assert_array_equal(fm.predict(random=False), np.zeros(90))
    assert_allclose(fm.predict(DATA), fm.fitted(), rtol=1e-14)
    assert list(fm.tidy()["term"]) == ["sd__(Intercept)", "sd__Observation"]
    assert fm.glance()["df"].iloc[0] == 2
    assert (fm.augment()[".fixed"] == 0).all()
    for text in (str(fm), fm.to_markdown(), fm.to_latex(), fm._repr_html_()):
        assert "No fixed effects" in text
    assert_same(fm.refit(DATA["y"]), fm)


# -- singular fits -------------------------------------------------------------------------------


def test_a_variance_of_zero(load):
    fm = mm.lmer("Yield ~ 1 + (1 | Batch)", load("dyestuff2"))
    assert fm.singular
    assert_array_equal(fm.theta, [0.0])
    assert fm.optimum.multipliers[0] > 0
    assert fm.glance()["singular"].iloc[0]
    note = "boundary (singular) fit: the variance of Batch is estimated as zero"
    assert str(fm).splitlines()[-2] == note
    assert not fm.ranef()["Batch"].to_numpy().any()
    assert not fm.ranef().condsd["Batch"].to_numpy().any()
    assert_array_equal(fm.L.toarray(), np.eye(6))
    assert_array_equal(fm.fitted(), fm.predict(random=False))


def test_only_the_variances_of_zero_are_noted():
    data = DATA.assign(k=np.arange(90) % 5)
    noise = data["y"] - data.groupby("k")["y"].transform("mean")
    fm = mm.lmer("noise ~ 1 + (1 | g) + (1 | k)", data.assign(noise=noise))
    assert dict(zip(fm.ngroups, fm.theta > 0, strict=True)) == {"g": True, "k": False}
    assert "variance of k is estimated as zero" in str(fm)
    assert "variance of g" not in str(fm)


# -- data that leave nothing to estimate ---------------------------------------------------------


def balanced(noise):
    """Ten levels with means 1 … 10, and residuals of six rows each."""
    g = np.repeat(np.arange(10.0), 6)
    return pd.DataFrame({"g": g, "y": 1 + g + noise * np.random.default_rng(3).normal(size=60)})


@pytest.mark.parametrize("scale", [1.0, 1.7, 1e-3, 1e6])
def test_levels_that_fit_perfectly(scale):
    data = balanced(0.0)
    with pytest.raises(mm.DataError, match="levels of g fit the response perfectly"):
        mm.lmer("y ~ 1 + (1 | g)", data.assign(y=scale * data["y"]))


def test_two_factors_that_fit_perfectly(load):
    data = load("penicillin")
    y = 1.5 * data["plate"].cat.codes - data["sample"].cat.codes
    with pytest.raises(mm.DataError, match="levels of plate and sample fit the response perf"):
        mm.lmer("y ~ 1 + (1 | plate) + (1 | sample)", data.assign(y=y))


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 1e-14, 1e-15])
def test_a_fit_that_is_nearly_perfect_is_right_or_refused(noise):
    data = balanced(noise)
    within = data["y"] - data.groupby("g")["y"].transform("mean")
    mean_square = (within**2).sum() / 50
    try:
        fm = mm.lmer("y ~ 1 + (1 | g)", data)
    except (mm.DataError, mm.ConvergenceWarning):
        assert noise < 1e-4
    else:
        assert_allclose(fm.sigma**2, mean_square, rtol=1e-3)


def test_a_constant_response():
    with pytest.raises(mm.ResponseError, match="y is constant: it is 2"):
        mm.lmer("y ~ x + (1 | g)", DATA.assign(y=2))


@pytest.mark.parametrize("power", [-300, -200, -160, -100, -80, -50, 50, 80, 100, 150, 160, 300])
def test_units_far_away_are_right_or_refused(fm, power):
    scale = 10.0**power
    for ask in (lambda y: mm.lmer(CROSSED, DATA.assign(y=y)), fm.refit):
        try:
            scaled = ask(scale * DATA["y"])
        except mm.DataError:
            assert abs(power) > 50
        else:
            assert_allclose(scaled.theta, fm.theta, rtol=1e-6)
            assert_allclose(scaled.sigma, scale * fm.sigma, rtol=1e-6)
            assert_allclose(scaled.fixef(), scale * fm.fixef(), rtol=1e-6)


# -- threads and processes -----------------------------------------------------------------------


def crossed(n=30_000):
    """Make data of which the core shares the work among its threads."""
    random = np.random.default_rng(0)
    data = {"g": random.integers(0, 200, n), "h": random.integers(0, 150, n)}
    return data | {"y": random.normal(size=200)[data["g"]] + random.normal(size=n)}


def test_fits_in_several_threads_at_once():
    large, formula = crossed(), "y ~ 1 + (1 | g) + (1 | h)"

    def answer(number):
        reml = bool(number % 2)
        fm = mm.lmer(CROSSED, DATA, reml=reml) if number % 3 else mm.lmer(formula, large, reml=reml)
        return (fm.objective, *fm.theta, *fm.beta, *fm.ranef().to_frame()["condsd"])

    alone = [answer(number) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(answer, [*range(6)] * 4))
    assert together == alone * 4


def test_one_model_asked_by_several_threads(fm):
    model = fm.update(reml=False)
    questions = ("ranef", "fitted", "vcov", "tidy", "augment") * 4
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda name: repr(getattr(model, name)()), questions))
    assert answers == [repr(getattr(fm.update(reml=False), name)()) for name in questions]


FORK = """
import os, sys, multiprocessing, time, warnings
import mixedmodels as mm
sys.path.insert(0, sys.argv[1])
from test_model import crossed
if sys.argv[2] != "default":
    mm._core.set_thread_count(int(sys.argv[2]))
warnings.simplefilter("ignore")  # Python warns of forks of programs with threads
data = crossed()
def objective(_=None):
    return mm.lmer("y ~ 1 + (1 | g) + (1 | h)", data).objective
here = objective()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(objective, range(2)).get(30) == [here, here]
child = os.fork()
if child == 0:
    sys.exit(0 if objective() == here else 3)
deadline = time.monotonic() + 10
while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
    time.sleep(0.02)
if ended == (0, 0):
    os.kill(child, 9)
    os.waitpid(child, 0)
    sys.exit("the child hangs")
assert ended[1] == 0
assert objective() == here
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("threads", ["default", "2"])
def test_a_process_that_has_fitted_can_fork(threads):
    """The core's threads do not survive a fork; neither the child nor its end may wait for them."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, os.path.dirname(__file__), threads],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr


# -- copies --------------------------------------------------------------------------------------


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_of_a_model_answers_as_the_model_does(fm, duplicate):
    again = duplicate(fm)
    assert str(again) == str(fm)
    assert again.ranef().to_frame().equals(fm.ranef().to_frame())
    assert again.predict(DATA).equals(fm.predict(DATA))
    assert_same(again.update(reml=False), fm.update(reml=False))
    assert_same(again.refit(DATA["o"]), fm.refit(DATA["o"]))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("what", ["summary", "varcorr", "ranef", "coef"])
def test_a_copy_of_what_a_model_gives(fm, what, duplicate):
    value = getattr(fm, what)()
    assert repr(duplicate(value)) == repr(value)
