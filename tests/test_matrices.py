"""Model matrices, factors and conditional moments against dense algebra made from the raw data."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import designs
import mixedmodels as mm
from mixedmodels.cross_products import cross_products
from mixedmodels.design import build_design
from mixedmodels.display.document import Printed
from mixedmodels.errors import UnknownColumnError
from mixedmodels.estimation.plan import make_plan
from mixedmodels.matrices import cholesky_factor

# A seed of `designs.simulate`, the method, and whether there are weights and an offset.
CASES = {
    "one term": (25, "auto", False),
    "one term, weighted": (40, "auto", True),
    "nested, sparse": (36, "sparse", False),
    "nested, dense, weighted": (36, "dense", True),
    "crossed, dense": (22, "dense", False),
    "partially crossed, sparse, weighted": (38, "sparse", True),
    "partially crossed, dense, weighted": (38, "dense", True),
    "three factors, dense": (34, "dense", False),
    "three factors, sparse, weighted": (34, "sparse", True),
    "all variances zero": (18, "auto", False),
}


@cache
def make(name):
    """Fit a case; and make Z, X, W, M and V densely, from the labels and numbers of the data."""
    seed, method, weighted = CASES[name]
    design, random = designs.simulate(seed), np.random.default_rng(seed)
    n = len(design.data)
    w, o = (random.uniform(0.3, 3.0, n), random.normal(size=n)) if weighted else (None, None)
    fm = mm.lmer(design.formula, design.data, reml=design.reml, method=method, weights=w, offset=o)
    Z = np.hstack(
        [
            (design.data[[g]].to_numpy() == effects.index.to_numpy()).astype(float)
            for g, effects in fm.ranef().items()
        ]
    )
    W = np.eye(n) if w is None else np.diag(w)
    covariates = [c for c in design.data if c.startswith("x")]
    sd = np.concatenate(
        [np.full(g.nlevels, t) for g, t in zip(fm.design.groupings, fm.theta, strict=True)]
    )
    return SimpleNamespace(
        fm=fm,
        y=design.data["y"].to_numpy(),
        offset=np.zeros(n) if o is None else o,
        X=np.column_stack([np.ones(n), design.data[covariates]]),
        Z=Z,
        W=W,
        theta=sd,
        M=sd[:, None] * (Z.T @ W @ Z) * sd + np.eye(Z.shape[1]),
        V=np.linalg.inv(W) + (Z * sd**2) @ Z.T,
    )


@pytest.fixture(params=CASES)
def case(request):
    return make(request.param)


def test_cases_are_what_they_are_called():
    for name in CASES:
        fm = make(name).fm
        assert np.all(fm.theta == 0) == (name == "all variances zero")
        assert "one term" not in name or fm.plan.method == "diagonal"
        assert all(fm.plan.method == word for word in ("dense", "sparse") if word in name)
    assert {make(name).fm.reml for name in CASES} == {True, False}
    assert sum(make(name).fm.singular for name in CASES) < len(CASES) / 2


# -- matrices ------------------------------------------------------------------------------------


def test_model_matrices(case):
    assert_array_equal(case.fm.X, case.X)
    assert_array_equal(case.fm.Zt.toarray(), case.Z.T)
    assert case.fm.Zt.nnz == len(case.y) * len(case.fm.theta)
    assert_array_equal(case.fm.Lambda.toarray(), np.diag(case.theta))
    assert all(map(sparse.issparse, (case.fm.Zt, case.fm.Lambda, case.fm.L)))


def test_factor_times_its_transpose(case):
    L, P = case.fm.L.toarray(), case.fm.permutation
    assert sorted(P) == list(range(len(case.M)))
    assert_array_equal(L, np.tril(L))
    assert np.all(np.diagonal(L) > 0)
    assert_allclose(L @ L.T, case.M[np.ix_(P, P)], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("theta", [0.0, 1e-8, 30.0])
def test_factor_at_another_theta(case, theta):
    fm = case.fm
    at = np.full(len(fm.theta), theta)
    L, P = cholesky_factor(fm.cross_products, fm.plan, at)
    M = theta**2 * case.Z.T @ case.W @ case.Z + np.eye(len(case.M))
    assert_allclose((L @ L.T).toarray(), M[np.ix_(P, P)], rtol=1e-12, atol=1e-11)


def test_factor_of_nested_factors_has_no_fill():
    random, row = np.random.default_rng(0), np.arange(2000)
    data = {"pupil": row // 2, "class": row // 10, "school": row // 50}
    data["y"] = sum(random.normal(size=2000)[codes] for codes in (row, *data.values()))
    fm = mm.lmer("y ~ 1 + (1 | pupil) + (1 | class) + (1 | school)", data)
    assert fm.plan.method == "sparse"
    assert not fm.singular
    # As many entries below the diagonal as N has: the elimination of nested factors adds none.
    N = (fm.Zt @ fm.Zt.T).tocoo()
    assert fm.L.nnz == np.count_nonzero(N.row >= N.col)


# -- the optimum from these matrices ---------------------------------------------------------------


def test_fixed_effects_and_their_covariance(case):
    Vi = np.linalg.inv(case.V)
    XVX = case.X.T @ Vi @ case.X
    beta = np.linalg.solve(XVX, case.X.T @ Vi @ (case.y - case.offset))
    assert_allclose(case.fm.beta, beta, rtol=1e-9, atol=1e-11)
    assert_allclose(case.fm.fixef(), beta, rtol=1e-9, atol=1e-11)
    vcov = case.fm.vcov()
    assert_allclose(vcov, case.fm.sigma**2 * np.linalg.inv(XVX), rtol=1e-9, atol=1e-12)
    assert list(vcov.index) == list(vcov.columns) == list(case.fm.fixef().index)
    errors = case.fm.tidy().query("effect == 'fixed'")["std_error"]
    assert_allclose(errors, np.sqrt(np.diagonal(vcov)), rtol=1e-12)


def test_conditional_means_solve_the_penalised_equations(case):
    fm = case.fm
    residual = case.y - case.offset - case.X @ fm.beta
    u = np.linalg.solve(case.M, case.theta * (case.Z.T @ case.W @ residual))
    assert_allclose(fm.u, u, rtol=1e-9, atol=1e-10)
    assert_array_equal(fm.b, fm.Lambda @ fm.u)
    assert_array_equal(np.concatenate([e["(Intercept)"] for e in fm.ranef().values()]), fm.b)


def test_conditional_standard_deviations(case):
    fm = case.fm
    covariance = fm.sigma**2 * case.theta[:, None] * np.linalg.inv(case.M) * case.theta
    condsd = np.concatenate([e["(Intercept)"] for e in fm.ranef().condsd.values()])
    assert_allclose(condsd, np.sqrt(np.diagonal(covariance)), rtol=1e-9, atol=1e-14)


def test_fitted_values_and_residuals(case):
    fm = case.fm
    eta = case.X @ fm.beta + case.offset
    assert_allclose(fm.population_mean, eta, rtol=1e-12)
    assert_allclose(fm.fitted(), eta + case.Z @ fm.b, rtol=1e-12)
    assert_allclose(fm.fitted() + fm.residuals(), case.y, rtol=1e-14)


def test_residual_standard_deviation(case):
    fm, p = case.fm, case.X.shape[1]
    e = case.y - case.offset - case.X @ fm.beta
    nu = len(case.y) - p * fm.reml
    assert_allclose(fm.sigma**2, e @ np.linalg.solve(case.V, e) / nu, rtol=1e-10)


def test_deviance_is_the_ml_criterion_at_theta_for_reml_too(case):
    n = len(case.y)
    e = case.y - case.offset - case.X @ case.fm.beta
    r2 = e @ np.linalg.solve(case.V, e)
    deviance = np.linalg.slogdet(case.V)[1] + n * (1 + np.log(2 * np.pi * r2 / n))
    assert_allclose(case.fm.deviance, deviance, rtol=1e-11)
    if case.fm.reml:
        logdet = np.linalg.slogdet(case.X.T @ np.linalg.solve(case.V, case.X))[1]
        nu = n - case.X.shape[1]
        reml = np.linalg.slogdet(case.V)[1] + logdet + nu * (1 + np.log(2 * np.pi * r2 / nu))
        assert_allclose(case.fm.objective, reml, rtol=1e-11)
    else:
        assert case.fm.deviance == case.fm.objective


def test_coefficients_of_a_level_are_fixed_plus_random(case):
    fm, fixed = case.fm, case.fm.fixef()
    for group, effects in fm.ranef().items():
        coef = fm.coef()[group]
        assert list(coef) == list(fixed.index)
        assert_array_equal(coef["(Intercept)"], fixed["(Intercept)"] + effects["(Intercept)"])
        assert coef.index.equals(effects.index)
        for name in fixed.index[1:]:
            assert (coef[name] == fixed[name]).all()


# -- cross-products ------------------------------------------------------------------------------

PENICILLIN = "diameter ~ 1 + (1 | plate) + (1 | sample)"


def test_cross_products_describe_themselves(load):
    sums = cross_products(build_design(PENICILLIN, load("penicillin")))
    assert (sums.n, sums.rank, sums.levels, sums.labels) == (144, 1, (24, 6), ("plate", "sample"))
    text = "CrossProducts of 144 rows: plate 24, sample 6; 144 cells; rank of X 1"
    assert repr(sums) == text


def test_cross_products_with_another_response(load):
    data = load("penicillin")
    y = data["diameter"].to_numpy()[::-1].copy()
    ours = cross_products(build_design(PENICILLIN, data)).with_response(y, "y")
    other = cross_products(build_design(PENICILLIN, data.assign(diameter=y)))
    assert_array_equal(ours.response.Zty, other.response.Zty)
    assert ours.response.yty == other.response.yty
    assert_allclose(ours.response.yty, np.sum((y - y.mean()) ** 2), rtol=1e-12)


def test_too_few_rows_for_the_fixed_effects():
    data = {"y": [1.0, 2, 4, 3], "g": list("aabb"), "x": [0.0, 1, 0, 2], "z": [1.0, 0, 0, 0]}
    data["v"] = [0.0, 0, 0, 1]
    with pytest.raises(mm.DataError, match="4 rows cannot determine 4 fixed effects"):
        mm.lmer("y ~ x + z + v + (1 | g)", data)


def test_fixed_effects_that_fit_perfectly():
    x = np.arange(12.0)
    with pytest.raises(mm.DataError, match="fixed effects fit y perfectly"):
        mm.lmer("y ~ x + (1 | g)", {"y": 2 * x + 1, "x": x, "g": list("aabbccddeeff")})


# -- what ranef, coef and varcorr return ---------------------------------------------------------


@pytest.fixture(scope="module")
def fm2():
    return mm.lmer(PENICILLIN, mm.datasets.load("penicillin"))


def test_effects_are_a_mapping_by_factor(fm2):
    effects = fm2.ranef()
    assert list(effects) == ["plate", "sample"]
    assert len(effects) == 2
    assert "plate" in effects
    assert "batch" not in effects
    assert effects["sample"].index.name == "sample"
    assert list(effects["sample"].index) == list("ABCDEF")
    for mapping in (effects, effects.condsd, fm2.coef()):
        with pytest.raises(UnknownColumnError, match=r"no grouping factor 'batch'.*plate, sample"):
            mapping["batch"]


def test_effects_as_one_frame(fm2):
    effects, frame = fm2.ranef(), fm2.ranef().to_frame()
    assert list(frame) == ["grpvar", "term", "grp", "condval", "condsd"]
    assert list(frame["grpvar"]) == ["plate"] * 24 + ["sample"] * 6
    assert set(frame["term"]) == {"(Intercept)"}
    assert list(frame.index) == list(range(30))
    sample = frame[frame["grpvar"] == "sample"].set_index("grp")
    for column, mapping in (("condval", effects), ("condsd", effects.condsd)):
        expected = mapping["sample"]["(Intercept)"]
        pd.testing.assert_series_equal(
            sample[column].loc[expected.index], expected, check_names=False
        )


def test_effects_print_every_factor_and_count_what_is_left_out(fm2):
    text = repr(fm2.ranef())
    assert text.index("plate") < text.index("sample")
    assert text.count("(Intercept)") == 2
    assert "more levels" not in text
    data = {"g": np.arange(100) % 33, "y": np.sin(np.arange(100.0))}
    text = repr(mm.lmer("y ~ 1 + (1 | g)", data).ranef())
    assert text.endswith("… and 3 more levels")
    assert [line.split()[0] for line in text.splitlines()[:-1] if line[0].isdigit()] == [
        str(level) for level in range(30)
    ]


def test_effects_as_html_are_escaped():
    data = {"<g>": list("aabbcc"), "y": [1.0, 2, 4, 3, 7, 5]}
    fm = mm.lmer("y ~ 1 + (1 | `<g>`)", data)
    for effects in (fm.ranef(), fm.coef(), fm.ranef().condsd):
        html = effects._repr_html_()
        assert "<g>" not in html
        assert "&lt;g&gt;" in html
        assert html.count("<table") == 1


@pytest.mark.parametrize("what", ["ranef", "coef"])
def test_effects_print_in_every_format(fm2, what):
    effects = getattr(fm2, what)()
    assert "| A |" in effects.to_markdown()
    assert "\\begin{tabular}" in effects.to_latex()
    assert str(effects) == repr(effects)


def test_variance_components(fm2):
    components = fm2.varcorr()
    frame = components.to_frame()
    assert list(frame) == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert list(frame["grp"]) == ["plate", "sample", "Residual"]
    assert list(frame["var1"].isna()) == [False, False, True]
    assert frame["var2"].isna().all()
    assert_allclose(frame["sdcor"], [*(fm2.theta * fm2.sigma), fm2.sigma], rtol=1e-14)
    assert_allclose(frame["vcov"], frame["sdcor"] ** 2, rtol=1e-14)
    assert isinstance(components, Printed)
    assert [line.split() for line in str(components).splitlines()] == [
        ["Groups", "Name", "Std.Dev."],
        ["plate", "(Intercept)", "0.8467"],
        ["sample", "(Intercept)", "1.9316"],
        ["Residual", "0.5499"],
    ]


def test_relative_factor_of_two_terms_is_by_blocks(fm2):
    diagonal = fm2.Lambda.diagonal()
    assert_array_equal(diagonal, np.repeat(fm2.theta, [24, 6]))


def test_plan_does_not_change_the_factored_matrix(fm2):
    def product(method):
        L, P = cholesky_factor(fm2.cross_products, make_plan(fm2.cross_products, method), fm2.theta)
        back = np.argsort(P)
        return (L @ L.T).toarray()[np.ix_(back, back)]

    assert_allclose(product("sparse"), product("dense"), rtol=1e-12, atol=1e-12)
