"""Tests of the fixed effects: against R's packages, dense algebra and theory."""

import csv
import warnings
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import designs
import mixedmodels as mm
from mixedmodels import _core
from mixedmodels.inference import degrees_of_freedom
from mixedmodels.inference import derivatives as exact
from mixedmodels.inference.hypotheses import parse

KNOWN = Path(__file__).parent / "known"


@cache
def known():
    """Answers of lmerTest and pbkrtest: (model, what) → frame; and model → formula, data, REML."""
    models, answers = {}, {}
    with (KNOWN / "fixed_effects.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            value = float(row["value"].replace("NA", "nan"))
            if row["what"] == "formula":
                models[row["model"]] = (row["row"], row["column"], bool(value))
            else:
                table = answers.setdefault((row["model"], row["what"]), {})
                table.setdefault(row["row"], {})[row["column"]] = value
    return models, {key: pd.DataFrame(t).T for key, t in answers.items()}


@cache
def fitted(name):
    """Fit a model of the known answers."""
    formula, data, reml = known()[0][name]
    made_up = KNOWN / f"{data}.csv"
    frame = pd.read_csv(made_up) if made_up.exists() else mm.datasets.load(data)
    if name == "sums":
        for factor in ("treatment", "condition"):
            formula = formula.replace(factor, f"C({factor}, contr.sum)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.errors.RankDeficientWarning)
        return mm.lmer(formula, frame, reml=reml, weights="w" if name == "weighted" else None)


def asked(*whats):
    """Pairs of a model and what is known of it."""
    return [key for key in known()[1] if key[1] in whats]


def close(ours, theirs, rtol):
    np.testing.assert_allclose(ours, theirs.to_numpy(float), rtol=rtol, atol=1e-12)


def df_tolerance(name, ddf):
    """lmerTest's finite differences lose digits, most of them where a covariate is far away."""
    return 1e-7 if ddf == "kenward-roger" else 1e-4 if name == "far" else 1e-7


# -- known answers -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ddf"), asked("satterthwaite", "kenward-roger"))
def test_coefficients_are_those_of_lmertest(name, ddf):
    theirs = known()[1][name, ddf]
    frame = pd.DataFrame(
        [c.estimate, c.standard_error, c.df, c.t_value, c.p_value]
        for c in fitted(name).summary(ddf).coefficients
    ).dropna()
    close(frame[0], theirs["Estimate"], 1e-6)
    close(frame[1], theirs["Std. Error"], 1e-7)
    close(frame[2], theirs["df"], df_tolerance(name, ddf))
    close(frame[4], theirs["Pr(>|t|)"], 1e-5)


@pytest.mark.parametrize(
    ("name", "what"),
    asked(
        "satterthwaite I",
        "satterthwaite II",
        "satterthwaite III",
        "kenward-roger III",
        "satterthwaite drop1",
    ),
)
def test_terms_are_those_of_lmertest(name, what):
    ddf, kind = what.split()
    fm, theirs = fitted(name), known()[1][name, what]
    table = (fm.drop1(ddf=ddf) if kind == "drop1" else fm.anova(kind, ddf=ddf)).to_frame()
    if name != "sums":  # where the factors' names differ
        assert list(table.index) == list(theirs.index)
    close(table["sum_sq"], theirs["Sum Sq"], 1e-6)
    close(table["mean_sq"], theirs["Mean Sq"], 1e-6)
    close(table["num_df"], theirs["NumDF"], 0)
    close(table["den_df"], theirs["DenDF"], df_tolerance(name, ddf))
    close(table["f_value"], theirs["F value"], 1e-6)
    close(table["p_value"], theirs["Pr(>F)"], 1e-5)


@pytest.mark.parametrize(("name", "what"), asked("lrt drop1"))
def test_deletions_are_those_of_lme4(name, what):
    theirs, ours = known()[1][name, what], fitted(name).drop1("LRT").to_frame()
    close(ours["npar"].iloc[1:].astype(float), theirs["npar"].iloc[1:], 0)
    close(ours["aic"], theirs["AIC"], 1e-8)
    close(ours["lrt"].iloc[1:], theirs["LRT"].iloc[1:], 1e-5)
    close(ours["p_value"].iloc[1:], theirs["Pr(Chi)"].iloc[1:], 1e-5)


@pytest.mark.parametrize(("name", "what"), asked("kenward-roger vcov"))
def test_adjusted_covariance_is_that_of_pbkrtest(name, what):
    close(fitted(name).vcov("kenward-roger"), known()[1][name, what], 1e-6)


@pytest.mark.parametrize(("name", "what"), asked("satterthwaite joint", "kenward-roger joint"))
def test_joint_hypotheses(name, what):
    ddf = what.split()[0]
    fm, (_, theirs) = fitted(name), next(known()[1][name, what].iterrows())
    names = [fm.design.names[j] for j in fm.cross_products.structure.kept][1:3]
    test = fm.test(names, ddf=ddf)
    if ddf == "satterthwaite":
        theirs = theirs[["F value", "NumDF", "DenDF", "Pr(>F)"]]
    else:
        theirs = theirs[["stat", "ndf", "ddf", "p.value"]]
    close(
        [test.f_value, test.num_df, test.den_df, test.p_value],
        theirs,
        1e-4 if name == "far" else 1e-6,
    )


@pytest.mark.parametrize(("name", "what"), asked("satterthwaite difference"))
def test_difference_of_two_coefficients(name, what):
    fm, theirs = fitted(name), known()[1][name, what].iloc[0]
    a, b = [fm.design.names[j] for j in fm.cross_products.structure.kept][1:3]
    (ours,) = fm.test(f"{a} = {b}").to_frame().to_numpy()
    theirs = theirs[["Estimate", "Std. Error", "df", "t value", "Pr(>|t|)"]]
    close(ours, theirs, df_tolerance(name, "satterthwaite"))


# -- derivatives -------------------------------------------------------------------------------


def dense_derivatives(fm, gamma, sigma2):
    """The derivatives from V itself."""
    structure = fm.cross_products.structure
    w = np.ones(fm.nobs) if fm.design.weights is None else fm.design.weights
    Z, ends = fm.Zt.toarray().T, np.cumsum([0, *fm.cross_products.levels])
    K = [Z[:, a:b] @ Z[:, a:b].T for a, b in pairwise(ends)]
    K.append(np.diag(1 / w))
    variances = sigma2 * np.append(gamma, 1)
    Vi = np.linalg.inv(np.einsum("t,tij->ij", variances, K))
    Q = fm.X[:, structure.kept] @ np.linalg.inv(structure.R)
    C = np.linalg.inv(Q.T @ Vi @ Q)
    P = Vi - Vi @ Q @ C @ Q.T @ Vi
    Py = P @ fm.design.y
    return {
        "variances": variances,
        "covariance": C,
        "slopes": np.array([Q.T @ Vi @ a @ Vi @ Q for a in K]),
        "curvatures": np.array([[Q.T @ Vi @ a @ Vi @ b @ Vi @ Q for b in K] for a in K]),
        "average": np.array([[Py @ a @ P @ b @ Py for b in K] for a in K]),
        "traces": np.array([[np.trace(Vi @ a @ Vi @ b) for b in K] for a in K]),
        "projected_traces": np.array([[np.trace(P @ a @ P @ b) for b in K] for a in K]),
    }


def simulated(seed, weighted=True):
    _, formula, data, reml = designs.simulate(seed)
    random = np.random.RandomState(seed)
    weights = random.uniform(0.5, 2.0, len(data)) if weighted and seed % 2 else None
    return mm.lmer(formula, data, reml=reml, weights=weights), random


@pytest.mark.parametrize("dense", [True, False], ids=["inverse", "conjugate gradients"])
@pytest.mark.parametrize("seed", range(15))
def test_derivatives_are_those_of_dense_algebra(seed, dense, monkeypatch):
    fm, random = simulated(seed)
    if not dense:
        monkeypatch.setattr(exact, "MOST_TRAILING", -1)
    for gamma in (fm.theta**2, random.uniform(0, 2, len(fm.theta)), np.zeros(len(fm.theta))):
        ours = exact.derivatives(fm.cross_products, gamma, fm.sigma**2)
        for name, theirs in dense_derivatives(fm, gamma, fm.sigma**2).items():
            if not dense and "traces" in name:
                assert getattr(ours, name) is None
                continue
            scale = np.abs(theirs).max()
            np.testing.assert_allclose(getattr(ours, name), theirs, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("seed", range(10))
def test_hessian_is_the_second_difference_of_the_criterion(seed):
    fm, _ = simulated(seed)
    nu = fm.nobs - fm.reml * fm.cross_products.rank

    def criterion(variances):
        *ours, sigma2 = variances
        gamma = np.array(ours) / sigma2
        found = _core.evaluate(fm.cross_products.response, fm.plan.core, gamma, fm.reml, False)
        r2 = found["r2"]
        profiled = nu * (1 + np.log(2 * np.pi * r2 / nu))
        return found["objective"] - profiled + nu * np.log(2 * np.pi * sigma2) + r2 / sigma2

    at = fm.sigma**2 * np.append(np.maximum(fm.theta**2, 0.3), 1.0)
    gamma = at[:-1] / at[-1]
    hessian = exact.derivatives(fm.cross_products, gamma, at[-1]).hessian(fm.reml)
    steps = np.diag(3e-4 * at)
    for s, t in np.ndindex(hessian.shape):
        a, b = steps[s], steps[t]
        corners = [criterion(at + i * a + j * b) for i, j in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
        second = (corners[0] - corners[1] - corners[2] + corners[3]) / 4
        want = hessian[s, t] * steps[s, s] * steps[t, t]
        size = np.sqrt(abs(hessian[s, s] * hessian[t, t])) * steps[s, s] * steps[t, t]
        assert second == pytest.approx(want, abs=2e-4 * size)


def test_kenward_roger_of_a_weighted_fit_is_that_of_dense_algebra():
    fm = fitted("weighted")  # pbkrtest does not know of weights
    found = dense_derivatives(fm, fm.theta**2, fm.sigma**2)
    C, A, curves = found["covariance"], found["slopes"], found["curvatures"]
    W = 2 * np.linalg.inv(found["projected_traces"])
    inner = sum(W[s, t] * (curves[s, t] - A[s] @ C @ A[t]) for s, t in np.ndindex(W.shape))
    R = np.linalg.inv(fm.cross_products.structure.R)
    adjusted = R @ (C + 2 * C @ inner @ C) @ R.T
    np.testing.assert_allclose(fm.vcov("kenward-roger"), adjusted, rtol=1e-8, atol=1e-10)


# -- identities --------------------------------------------------------------------------------


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_balanced_designs_have_the_degrees_of_freedom_of_the_analysis_of_variance(fit, load, ddf):
    fm1 = fit("dyestuff", "Yield ~ 1 + (1 | Batch)", "REML")
    assert fm1.test("(Intercept)", ddf=ddf).dfs == pytest.approx([5])
    assert fm1.vcov(ddf).to_numpy() == pytest.approx(fm1.vcov().to_numpy())
    # Split plots: recipes are compared between replicates, temperatures within.
    fm = fit("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", "REML")
    cake = load("cake")
    plots = cake.groupby(["recipe", "replicate"], observed=True)["angle"].mean()
    means = plots.groupby("recipe", observed=True).mean()
    between = 15 * np.var(means, ddof=1) / plots.groupby("recipe", observed=True).var().mean()
    for kind in "I", "II", "III":
        table = fm.anova(kind, ddf=ddf).to_frame()
        assert table["den_df"].tolist() == pytest.approx([42, 210, 210])
        assert table["f_value"]["recipe"] == pytest.approx(between)


@pytest.mark.parametrize(("ratio", "ddf"), [(1e3, "satterthwaite"), (1e4, "kenward-roger")])
def test_where_variances_are_large_comparisons_are_made_within(ratio, ddf):
    random = np.random.RandomState(0)
    a, b = np.divmod(np.arange(30), 5)
    data = pd.DataFrame({"a": a, "b": b, "x": random.normal(size=30)})
    data["y"] = ratio * (random.normal(size=6)[a] + random.normal(size=5)[b])
    data["y"] += random.normal(size=30)
    fm = mm.lmer("y ~ x + (1 | a) + (1 | b)", data)
    # As if both were fixed: 30 - 1 - 5 - 4 - 1.
    assert fm.test("x", ddf=ddf).dfs == pytest.approx([19], rel=1e-2)


def test_type_three_does_not_depend_on_the_contrasts():
    fm = fitted("crossed")
    data = fm.design.data
    want = fm.anova().to_frame()
    for coding in ("contr.sum", "contr.helmert", "contr.SAS", "contr.poly"):
        factors = " * ".join(f"C({factor}, {coding})" for factor in ("treatment", "condition"))
        other = mm.lmer(f"y ~ {factors} + x + (1 | subject) + (1 | item)", data)
        np.testing.assert_allclose(other.anova().to_frame(), want, rtol=1e-5)


def test_type_three_of_terms_without_their_margins():
    """Where R's contrasts do not span the levels, a term is what its columns are."""
    data = pd.read_csv(KNOWN / "unbalanced.csv")
    fm = mm.lmer("y ~ log(w):condition + condition:treatment + (1 | subject)", data)
    table = fm.anova().to_frame()
    for own, row in zip((slice(1, 3), slice(3, 7)), table.itertuples(), strict=True):
        want = fm.test(list(fm.design.names[own]))
        assert (row.num_df, row.den_df) == (want.num_df, pytest.approx(want.den_df, rel=1e-3))
        assert row.f_value == pytest.approx(want.f_value)
    alone = mm.lmer("y ~ x:treatment + (1 | subject)", data).anova().to_frame()
    assert alone["den_df"].tolist() == pytest.approx([75.462], abs=1e-3)  # lmerTest's


def test_nested_terms_are_averaged_over_what_they_contain():
    data = pd.read_csv(KNOWN / "unbalanced.csv")
    nested = mm.lmer("y ~ treatment / condition + x + (1 | subject)", data).anova().to_frame()
    crossed = mm.lmer("y ~ treatment * condition + x + (1 | subject)", data).anova().to_frame()
    columns = ["num_df", "den_df", "f_value"]
    np.testing.assert_allclose(
        nested.loc["treatment", columns].astype(float),
        crossed.loc["treatment", columns].astype(float),
    )


def test_empty_cells_leave_type_three_as_sas_defines_it():
    fm = fitted("empty")
    assert "aa3:bb2" in str(fm.anova())
    assert fm.anova().to_frame()["num_df"].tolist() == [2, 2, 3]


def test_tests_do_not_depend_on_the_units():
    fm = fitted("slopes")
    data = fm.design.data.assign(y=fm.design.data["y"] * 1e6, x=fm.design.data["x"] * 1e-6)
    scaled = mm.lmer(fm.formula, data)
    for ddf in ("satterthwaite", "kenward-roger"):
        ours, theirs = (m.anova(ddf=ddf).to_frame().iloc[:, 2:] for m in (fm, scaled))
        np.testing.assert_allclose(theirs, ours, rtol=1e-5)


def test_one_row_is_a_t_test_and_dependent_rows_count_once():
    fm = fitted("crossed")
    for ddf in ("satterthwaite", "kenward-roger", "normal", "residual"):
        t = fm.test("treatmentB", ddf=ddf)
        assert t.f_value == pytest.approx(t.t_values[0] ** 2)
        assert t.p_value == pytest.approx(t.p_values[0])
        assert (t.num_df, t.den_df) == (1, pytest.approx(t.dfs[0]))
        twice = fm.test(["treatmentB", "2 treatmentB = 0", "x"], ddf=ddf)
        once = fm.test(["treatmentB", "x"], ddf=ddf)
        assert twice.num_df == 2
        assert twice.f_value == pytest.approx(once.f_value)


def test_normal_and_residual_references():
    from scipy.stats import f, norm

    fm = fitted("crossed")
    t = fm.test("x = 0.1", ddf="normal")
    assert t.dfs == (np.inf,)
    assert t.p_values[0] == pytest.approx(2 * norm.sf(abs(t.t_values[0])))
    joint = fm.test(["treatmentB", "treatmentC"], ddf="residual")
    assert joint.den_df == fm.nobs - len(fm.beta)
    assert joint.p_value == pytest.approx(f.sf(joint.f_value, 2, joint.den_df))


def test_kenward_roger_refits_maximum_likelihood_by_reml():
    ml = fitted("ml")
    ours = ml.test("x", ddf="kenward-roger")
    assert ours.to_frame().equals(fitted("crossed").test("x", ddf="kenward-roger").to_frame())
    assert "refitted by REML" in str(ours)
    assert "refitted by REML" in str(ml.summary("kenward-roger"))


def test_singular_fits_say_how_the_zero_is_treated():
    fm = fitted("singular")
    assert "variance of item is estimated as zero, and taken as known" in str(fm.test("x"))
    smaller = fm.update("~ . - (1 | item)")
    assert fm.test("x").dfs[0] == pytest.approx(smaller.test("x").dfs[0], rel=1e-5)
    assert "counted as uncertain" in str(fm.anova(ddf="kenward-roger"))


def test_all_variances_zero_leave_the_residual_degrees_of_freedom(fit):
    fm = fit("dyestuff2", "Yield ~ 1 + (1 | Batch)", "REML")
    assert fm.test("(Intercept)").dfs == pytest.approx([29])


# -- where the inverse is too large ------------------------------------------------------------


def test_beyond_the_limit_the_average_information_serves(monkeypatch, load):
    formula = "y ~ service + (1 | s) + (1 | d)"
    data = load("insteval").iloc[:6000]
    fm = mm.lmer(formula, data)
    want = fm.test("service1").dfs[0]
    monkeypatch.setattr(exact, "MOST_TRAILING", 10)
    monkeypatch.setattr(degrees_of_freedom, "MOST_TRAILING", 10)
    beyond = mm.lmer(formula, data)
    found = beyond.test("service1")
    assert found.dfs[0] == pytest.approx(want, rel=0.05)
    assert found.dfs[0] != want
    assert "average information" in str(found)
    with pytest.raises(mm.errors.FitTooLargeError, match="satterthwaite"):
        beyond.test("service1", ddf="kenward-roger")


def test_iterative_fits_have_tests(load):
    formula, data = "y ~ service + (1 | s) + (1 | d)", load("insteval").iloc[:6000]
    ours, theirs = (
        mm.lmer(formula, data, method=m, seed=1).test("service1") for m in ("iterative", "auto")
    )
    assert ours.estimates == pytest.approx(theirs.estimates, rel=1e-2)
    assert ours.dfs == pytest.approx(theirs.dfs, rel=5e-2)


def test_fits_of_files_have_the_same_tests(tmp_path):
    fm = fitted("weighted")
    fm.design.data.to_parquet(tmp_path / "u.parquet")
    filed = mm.lmer(str(fm.formula), tmp_path / "u.parquet", weights="w")
    for kind in "I", "II", "III":
        want = fm.anova(kind).to_frame()
        np.testing.assert_allclose(filed.anova(kind).to_frame(), want, rtol=1e-6)
    ours, theirs = (model.test(["x", "treatmentB"]).f_value for model in (filed, fm))
    assert ours == pytest.approx(theirs)


# -- what may be asked -------------------------------------------------------------------------

NAMES = ("(Intercept)", "a", "b", "a:b", "I(x^2)", "a-b", "d = 1")


@pytest.mark.parametrize(
    ("text", "weights", "constant"),
    [
        ("a", {"a": 1}, 0),
        ("a - b = 0", {"a": 1, "b": -1}, 0),
        ("a = b", {"a": 1, "b": -1}, 0),
        ("-a + 2*b - 0.5 a:b == 3", {"a": -1, "b": 2, "a:b": -0.5}, 3),
        ("a/2 + 1/3 b = 1 - 2", {"a": 0.5, "b": 1 / 3}, -1),
        ("2 = (Intercept) + I(x^2)", {"(Intercept)": -1, "I(x^2)": -1}, -2),
        ("a-b", {"a-b": 1}, 0),  # the name of a coefficient comes first
        ("d = 1 = 2e1", {"d = 1": 1}, 20),
        ("a + a", {"a": 2}, 0),
    ],
)
def test_equations_are_read(text, weights, constant):
    found, right = parse(text, NAMES)
    assert found == pytest.approx(weights)
    assert right == pytest.approx(constant)


@pytest.mark.parametrize(
    ("hypothesis", "words"),
    [
        ("treatmentb", "Did you mean 'treatmentB'"),
        ("treatmentB - q = 0", "no coefficient 'q'"),
        ("treatmentB = 1 = 2", "more than one ="),
        ("treatmentB * x", "cannot be read"),
        ("treatmentB x", "no coefficient 'treatmentB x'"),
        ("treatmentB 2", "no coefficient 'treatmentB 2'"),
        ("treatmentB / 0", "divides by zero"),
        ("", "no equation"),
        ("treatmentB =", "no equation"),
        ("treatmentB - treatmentB", "no coefficient with a weight"),
        ([], "matrix of a hypothesis"),
        ({}, "no coefficient"),
        ({"z": 1}, "no coefficient 'z'"),
        ({"x": np.nan}, "not finite"),
        (np.ones(3), "a column for each of the 7"),
        (["x = 1", "2 x = 3"], "contradict"),
    ],
)
def test_hypotheses_that_cannot_be_tested(hypothesis, words):
    with pytest.raises(mm.errors.ArgumentError, match=words):
        fitted("crossed").test(hypothesis)


@pytest.mark.parametrize("hypothesis", [None, 3j, {"x": "1"}, ["x", 3], object()])
def test_hypotheses_of_the_wrong_type(hypothesis):
    with pytest.raises(mm.errors.ArgumentTypeError, match=r"hypothesis|weight"):
        fitted("crossed").test(hypothesis)


def test_forms_of_a_hypothesis_agree():
    fm = fitted("crossed")
    i, j = (fm.design.names.index(name) for name in ("treatmentB", "treatmentC"))
    L = np.zeros((1, len(fm.design.names)))
    L[0, [i, j]] = 1, -1
    want = fm.test("treatmentB - treatmentC = 0.5")
    for other in (L, L[0], L.tolist(), {"treatmentB": 1, "treatmentC": -1}):
        assert fm.test(other, rhs=0.5) == want
    frame = pd.DataFrame(L, columns=fm.design.names)
    assert fm.test(frame, rhs=[0.5]) == want
    assert fm.test(frame.iloc[0, ::-1][["treatmentB", "treatmentC"]], rhs=0.5) == want
    names = np.array(["treatmentB", "treatmentC"])
    assert fm.test(names) == fm.test(pd.Index(names)) == fm.test(list(names))


def test_what_was_dropped_cannot_be_tested():
    with pytest.raises(mm.errors.ArgumentError, match="aa3:bb2 cannot be estimated"):
        fitted("empty").test("aa3:bb2")


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda fm: fm.test("x", ddf="satterthwait"), mm.errors.ArgumentError),
        (lambda fm: fm.test("x", ddf=None), mm.errors.ArgumentTypeError),
        (lambda fm: fm.test("x", rhs="a"), mm.errors.ArgumentTypeError),
        (lambda fm: fm.test("x", rhs=[1, 2]), mm.errors.ArgumentError),
        (lambda fm: fm.test("x", rhs=np.inf), mm.errors.ArgumentError),
        (lambda fm: fm.anova("IV"), mm.errors.ArgumentError),
        (lambda fm: fm.anova(True), mm.errors.ArgumentTypeError),
        (lambda fm: fm.anova(None), mm.errors.ArgumentTypeError),
        (lambda fm: fm.summary("t"), mm.errors.ArgumentError),
        (lambda fm: fm.vcov("t"), mm.errors.ArgumentError),
        (lambda fm: fm.drop1("Chisq"), mm.errors.ArgumentError),
        (lambda fm: fm.drop1(1), mm.errors.ArgumentTypeError),
    ],
)
def test_arguments_that_are_refused(ask, error):
    with pytest.raises(error):
        ask(fitted("crossed"))


def test_models_without_terms_have_empty_tables(fit):
    fm = fit("dyestuff", "Yield ~ 1 + (1 | Batch)", "REML")
    assert len(fm.anova().to_frame()) == 0
    assert len(fm.drop1().to_frame()) == 0
    assert str(fm.anova()).startswith("Type III Analysis of Variance Table")
    none = fm.update("~ 0 + (1 | Batch)")
    assert none.summary("satterthwaite").coefficients == ()


def test_the_model_prints_as_before(fit):
    fm = fit("dyestuff", "Yield ~ 1 + (1 | Batch)", "REML")
    assert str(fm) == str(fm.summary())
    assert "Pr(>|t|)" not in str(fm)
    assert "t-tests use Satterthwaite's method" in str(fm.summary("satterthwaite"))


def test_one_model_alone_is_given_its_terms(fit):
    fm = fit("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", "REML")
    assert str(mm.anova(fm)) == str(fm.anova())


def test_every_printed_form(fit):
    fm = fit("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", "REML")
    for value in (fm.anova(), fm.drop1(), fm.drop1("LRT"), fm.test(["recipeB", "recipeC"])):
        assert "<table>" in value._repr_html_()
        assert "---" in value.to_markdown()
        assert "tabular" in value.to_latex()


def test_deletions_are_refits(fit):
    fm = fit("cake", "angle ~ recipe + temperature + (1 | recipe:replicate)", "REML")
    table = fm.drop1("none").to_frame()
    assert list(table.index) == ["<none>", "recipe", "temperature"]
    without = fm.update("angle ~ temperature + (1 | recipe:replicate)", reml=False)
    assert table["aic"]["recipe"] == without.aic


def test_deletion_considers_redundant_columns():
    data = pd.read_csv(KNOWN / "unbalanced.csv")
    data["twice"] = 2 * data["x"] + data["year"]
    with pytest.warns(mm.errors.RankDeficientWarning):
        fm = mm.lmer("y ~ x + year + twice + condition + (1 | subject)", data)
    table = fm.drop1().to_frame()
    # Without any one of the three the other two say the same.
    assert table["num_df"].tolist() == [0, 0, 0, 1]
    assert np.isnan(table["f_value"].iloc[0])


# -- bootstrap ---------------------------------------------------------------------------------


def test_bootstrap_agrees_with_kenward_roger():
    fm = fitted("crossed")
    hypotheses = ["treatmentB = 0.8", "treatmentC - x"]
    ours, again = (fm.test(hypotheses, ddf="bootstrap", n=2000, seed=3) for _ in range(2))
    theirs = fm.test(hypotheses, ddf="kenward-roger")
    assert ours.p_values == again.p_values
    error = 4 * np.sqrt(np.array(theirs.p_values) / 2000)
    assert np.all(np.abs(np.subtract(ours.p_values, theirs.p_values)) < error + 0.01)
    assert ours.p_value == pytest.approx(theirs.p_value, abs=0.005)
    assert np.isnan(ours.dfs).all()
    assert "2,000 replicates, seed 3" in str(ours)
    one = fm.test("treatmentB", ddf="bootstrap", n=200, seed=1)
    assert one.p_value == pytest.approx(one.p_values[0])


def test_bootstrap_of_terms(fit):
    fm = fit("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", "REML")
    table = fm.anova(ddf="bootstrap", n=999, seed=1).to_frame()
    exact = fm.anova().to_frame()
    np.testing.assert_allclose(table["f_value"], exact["f_value"])
    np.testing.assert_allclose(table["p_value"], exact["p_value"], atol=0.06)
    assert table["p_value"]["temperature"] == 1 / 1000
    with pytest.raises(mm.errors.MixedModelsError, match="n must"):
        fm.anova(ddf="bootstrap", n=0)


# -- size --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_size_with_six_subjects():
    """Six subjects, treatments between them: z is far from its level, the others are near it."""
    random = np.random.default_rng(1)
    subject = np.repeat(np.arange(6), 5)[random.uniform(size=30) < 0.8]
    data = pd.DataFrame({"subject": subject, "treatment": np.where(subject % 2, "B", "A")})
    data["y"] = random.normal(size=len(data))
    fm = mm.lmer("y ~ treatment + (1 | subject)", data)
    methods = ("normal", "satterthwaite", "kenward-roger")
    rejected = np.zeros(len(methods))
    for _ in range(1000):
        y = random.normal(size=6)[subject] + random.normal(size=len(data))
        refit = fm.refit(y)
        rejected += [refit.test("treatmentB", ddf=ddf).p_value < 0.05 for ddf in methods]
    z, satterthwaite, kenward_roger = rejected / 1000
    assert z > 0.09
    assert 0.03 < satterthwaite < 0.07
    assert 0.025 < kenward_roger < 0.06
