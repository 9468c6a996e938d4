"""Iterative fits against exact ones: the same equations, solved without a factorisation."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def simulate(seed, n, levels, sds, *, p=1, nested=False, weighted=False):
    """Crossed factors a, b, …; the last nested in the one before, if so asked."""
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, q, n) for q in levels]
    if nested:
        codes[-1] = codes[-2] % levels[-1]
    covariates = rng.normal(size=(n, p - 1))
    data = pd.DataFrame({f"x{j}": covariates[:, j - 1] for j in range(1, p)})
    data["y"] = rng.normal(size=n) + covariates.sum(axis=1)
    for name, q, sd, code in zip("abcd", levels, sds, codes, strict=False):
        data[name] = code
        data["y"] += sd * rng.normal(size=q)[code]
    data["w"] = rng.uniform(0.5, 2.0, n) if weighted else 1.0
    fixed = " + ".join(["1", *(f"x{j}" for j in range(1, p))])
    random = " + ".join(f"(1 | {name})" for name, _ in zip("abcd", levels, strict=False))
    return f"y ~ {fixed} + {random}", data


DESIGNS = {
    "two crossed": ((6000, (900, 300), (0.8, 0.5)), {}),
    "three comparable": ((6000, (400, 390, 380), (0.8, 0.5, 0.3)), {}),
    "nested in a crossed one": ((6000, (900, 300, 20), (0.8, 0.5, 0.4)), {"nested": True}),
    "few levels last": ((5000, (700, 400, 5), (0.6, 0.5, 0.9)), {}),
    "many levels seen once": ((3000, (2500, 300), (1.0, 0.7)), {}),
    "weakly connected, large theta": ((3000, (1400, 900), (2.5, 2.0)), {}),
    "covariates": ((4000, (500, 300), (0.8, 0.5)), {"p": 12}),
    "weights": ((4000, (500, 300), (0.8, 0.5)), {"weighted": True}),
}


@pytest.fixture(scope="module", params=[(d, r) for d in DESIGNS for r in (True, False)], ids=str)
def pair(request):
    design, reml = request.param
    arguments, options = DESIGNS[design]
    formula, data = simulate(1, *arguments, **options)
    exact = mm.lmer(formula, data, reml=reml, weights="w", method="exact")
    return exact, exact.update(method="iterative", seed=3)


def test_variances_within_the_stated_error(pair):
    exact, fm = pair
    assert fm.converged
    assert fm.plan.method == "iterative"
    assert max(fm.optimum.mc_error) <= 0.01
    # A step of Newton's in standard errors: the error of theta-squared is normal, and five of its
    # own standard deviations are a bound that a right program does not meet.
    info = exact.optimum.core.information
    free = exact.theta > 0
    se = np.sqrt(2 * np.diagonal(np.linalg.inv(info[np.ix_(free, free)])))
    off = np.abs(fm.theta**2 - exact.theta**2)[free] / se
    assert np.all(off <= 5 * np.array(fm.optimum.mc_error)[free] + 1e-4)
    assert np.all(fm.theta[~free] < 0.05)


def test_what_follows_is_that_of_an_exact_fit(pair):
    exact, fm = pair
    # Everything moves by about a hundredth of a standard error of theta.
    vcov = exact.vcov().to_numpy()
    np.testing.assert_allclose(fm.beta, exact.beta, atol=0.02 * np.sqrt(np.diagonal(vcov)).max())
    np.testing.assert_allclose(fm.sigma, exact.sigma, rtol=1e-3)
    np.testing.assert_allclose(fm.vcov(), vcov, rtol=0.02, atol=1e-3 * np.abs(vcov).max())
    spread = exact.b.std()
    assert np.abs(fm.b - exact.b).max() < 0.05 * spread


def test_equations_at_the_exact_parameters(pair):
    """From the exact optimum the first gradient is zero to its Monte Carlo error."""
    exact, _ = pair
    fm = exact.update(method="iterative", start=np.maximum(exact.theta, 1e-3), seed=5)
    first = fm.optimum.iterations[0]
    assert first.decrement < 0.05


def test_criterion_within_its_error(pair):
    exact, fm = pair
    assert 0 < fm.optimum.objective_error < 5.0
    assert abs(fm.objective - exact.objective) < 5 * fm.optimum.objective_error + 1e-3


def test_more_accuracy_costs_probes():
    formula, data = simulate(2, 4000, (500, 300), (0.8, 0.5))
    loose = mm.lmer(formula, data, method="iterative", mc_error=0.05)
    tight = mm.lmer(formula, data, method="iterative", mc_error=0.002)
    assert max(tight.optimum.mc_error) <= 0.002
    assert tight.optimum.probes > loose.optimum.probes
    assert tight.optimum.objective_error < loose.optimum.objective_error


def test_a_zero_variance_among_large_factors():
    rng = np.random.default_rng(0)
    formula, data = simulate(4, 8000, (900, 500), (0.8, 0.0))
    data["c"] = rng.integers(0, 300, len(data))
    fm = mm.lmer("y ~ 1 + (1 | a) + (1 | b) + (1 | c)", data, method="iterative")
    exact = fm.update(method="exact")
    np.testing.assert_array_equal(fm.theta == 0, exact.theta == 0)
    np.testing.assert_allclose(fm.theta, exact.theta, atol=0.01)
    assert formula


def test_seeds():
    formula, data = simulate(5, 3000, (500, 300), (0.8, 0.5))
    one, again, other = (
        mm.lmer(formula, data, method="iterative", seed=seed).theta for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)


def test_printed_forms_say_what_they_rest_on():
    formula, data = simulate(6, 3000, (500, 300), (0.8, 0.5))
    fm = mm.lmer(formula, data, method="iterative")
    assert "probes: Monte Carlo error of the variances at most 0.0" in str(fm)
    assert "conjugate gradients on a Schur complement of order 300" in repr(fm.plan)
    assert "criterion estimated" in repr(fm.plan)
    with pytest.raises(mm.ArgumentError, match="no Cholesky factor"):
        _ = fm.L
    refitted = fm.refit(data["y"] * 2)
    np.testing.assert_allclose(refitted.sigma, 2 * fm.sigma, rtol=1e-6)


def test_chosen_where_a_factor_is_too_dear(monkeypatch):
    from mixedmodels.estimation import plan

    formula, data = simulate(7, 3000, (500, 300), (0.8, 0.5))
    assert mm.plan(formula, data).method == "dense"
    monkeypatch.setattr(plan, "available_memory", lambda: 1e5)
    assert mm.plan(formula, data).method == "iterative"
    with pytest.raises(mm.FitTooLargeError, match="method='iterative'"):
        mm.plan(formula, data, method="exact")


def test_an_iterative_fit_made_exact_is_the_exact_fit(pair):
    exact, fm = pair
    polished = fm.update(method="hybrid")
    assert polished.plan.method == "hybrid"
    assert polished.converged
    assert polished.objective_error == 0.0
    np.testing.assert_allclose(polished.objective, exact.objective, rtol=1e-11)
    np.testing.assert_allclose(polished.theta, exact.theta, rtol=1e-4, atol=1e-6)
    # It begins where the iterative fit has ended.
    assert len(polished.iterations) <= 4
    assert "Monte Carlo" not in str(polished)


def test_a_hybrid_fit_from_the_start():
    formula, data = simulate(3, 4000, (500, 300), (0.8, 0.5))
    fm = mm.lmer(formula, data, method="hybrid")
    exact = mm.lmer(formula, data, method="exact")
    np.testing.assert_allclose(fm.objective, exact.objective, rtol=1e-12)
    assert fm.L.shape == (800, 800)
    assert repr(fm.plan).startswith("Plan: hybrid, dense")


def test_conditional_standard_deviations_within_their_errors(pair):
    from dataclasses import replace

    exact, fm = pair
    fm = replace(fm, optimum=exact.optimum)  # the same parameters
    found = fm.ranef()
    for label, effects in exact.ranef().condsd.items():
        expected = effects["(Intercept)"].to_numpy()
        value = found.condsd[label]["(Intercept)"].to_numpy()
        error = found.condsd_error[label]["(Intercept)"].to_numpy()
        assert np.all(np.abs(value - expected) <= 6 * error + 2e-4 * expected)
        assert np.sqrt(np.mean((value - expected) ** 2)) < 0.05 * expected.mean() + 1e-12
        few = effects.index[:9]
        chosen = fm.condsd(label, list(few))
        assert list(chosen.index) == list(few)
        np.testing.assert_allclose(chosen, expected[:9], rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(exact.condsd(label, few[0]), expected[:1], rtol=1e-12)
    if exact.cross_products.levels[-1] <= 256:
        np.testing.assert_array_equal(error, 0.0)  # solved for


def test_chosen_levels_that_are_not_there():
    formula, data = simulate(6, 3000, (500, 300), (0.8, 0.5))
    fm = mm.lmer(formula, data, method="iterative")
    with pytest.raises(mm.UnknownColumnError, match="no grouping factor 'c'; it has a, b"):
        fm.condsd("c", [1])
    with pytest.raises(mm.UnknownLevelError, match="a has no level 999"):
        fm.condsd("a", [1, 999])


def test_a_criterion_by_one_factorisation(monkeypatch):
    """Where one factorisation costs little, only the estimates rest on Monte Carlo."""
    from mixedmodels.estimation import plan

    formula, data = simulate(7, 3000, (500, 300), (0.8, 0.5))
    monkeypatch.setattr(plan, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(plan, "_PATIENCE", 0.0)
    monkeypatch.setattr(plan, "_POLISHING_EVALUATIONS", 1e9)
    monkeypatch.setattr(plan, "_FACTOR_SHARE", 0.0)
    fm = mm.lmer(formula, data)
    assert fm.plan.method == "iterative"
    assert "exact, by one factorisation" in repr(fm.plan)
    assert fm.objective_error == 0.0
    assert max(fm.optimum.mc_error) > 0
    at_theta = fm.update(method="exact", start=fm.theta).iterations["objective"].iloc[0]
    np.testing.assert_allclose(fm.objective, at_theta, rtol=1e-11)
    assert fm.L.shape == (fm.u.size, fm.u.size)
    np.testing.assert_array_equal(fm.ranef().condsd_error["a"], 0.0)


def test_anova_says_when_it_rests_on_monte_carlo():
    formula, data = simulate(2, 4000, (500, 300), (0.8, 0.1), p=2)
    large = mm.lmer(formula, data, reml=False, method="iterative")
    small = mm.lmer("y ~ 1 + (1 | a) + (1 | b)", data, reml=False, method="iterative")
    table = mm.anova(small, large)
    assert any("estimated by Monte Carlo" in note for note in table.notes)
    exact = mm.anova(small.update(method="hybrid"), large.update(method="hybrid"))
    assert not any("Monte Carlo" in note for note in exact.notes)
    error = np.hypot(small.objective_error, large.objective_error)
    off = table.to_frame()["chisq"].iloc[1] - exact.to_frame()["chisq"].iloc[1]
    assert abs(off) < 5 * error


@pytest.mark.parametrize("mc_error", [0, 1, -0.1, float("nan")])
def test_accuracy_that_is_none(mc_error):
    formula, data = simulate(8, 300, (50, 30), (0.8, 0.5))
    with pytest.raises(mm.ArgumentError, match="mc_error must be between"):
        mm.lmer(formula, data, method="iterative", mc_error=mc_error)


def test_one_term_has_nothing_to_iterate():
    _, data = simulate(9, 300, (50, 30), (0.8, 0.5))
    with pytest.raises(mm.ArgumentError, match="one term"):
        mm.lmer("y ~ 1 + (1 | a)", data, method="iterative")


def test_verbose_trace(capsys):
    formula, data = simulate(10, 2000, (300, 200), (0.8, 0.5))
    mm.lmer(formula, data, method="iterative", verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    assert " — " in lines[1]


def test_any_number_of_threads_the_same_digits():
    script = """
import sys; sys.path.insert(0, "tests")
import mixedmodels as mm, test_iterative
formula, data = test_iterative.simulate(11, 30_000, (6000, 5000, 30), (0.8, 0.5, 0.3), p=3)
fm = mm.lmer(formula, data, method="iterative", mc_error=0.05)
print(fm.objective.hex(), [t.hex() for t in fm.theta], [b.hex() for b in fm.beta])
"""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    answers = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(answers) == 1
    assert "0x1" in answers.pop()


@pytest.mark.parametrize("power", [-120, -60, 60, 120])
def test_units_of_the_response_do_not_matter(power):
    formula, data = simulate(12, 2000, (300, 200), (0.8, 0.5))
    fm = mm.lmer(formula, data, method="iterative")
    scaled = fm.refit(10.0**power * data["y"])
    np.testing.assert_allclose(scaled.theta, fm.theta, rtol=1e-6)
    np.testing.assert_allclose(scaled.sigma, 10.0**power * fm.sigma, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_what_conjugate_gradients_cannot_reach_is_said(seed):
    rng = np.random.default_rng(seed)
    n = 3000
    data = pd.DataFrame({"g": rng.integers(0, 200, n), "h": rng.integers(0, 150, n)})
    y = rng.normal(size=n) + rng.normal(size=150)[data["h"]] + 1e5 * np.sin(1.7 * data["g"])
    data["y"] = y
    with pytest.warns(mm.ConvergenceWarning, match="method='exact' has more digits"):
        fm = mm.lmer("y ~ 1 + (1 | g) + (1 | h)", data, method="iterative")
    assert not fm.converged


def test_a_monte_carlo_error_that_is_not_reached_is_said():
    rng = np.random.default_rng(5)
    data = {f"v{j}": rng.normal(size=60) for j in range(50)}
    data |= {"g": rng.integers(0, 8, 60), "h": rng.integers(0, 7, 60)}
    data["y"] = rng.normal(size=60) + 0.3 * data["g"]
    formula = "y ~ " + " + ".join(f"v{j}" for j in range(50)) + " + (1 | g) + (1 | h)"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fm = mm.lmer(formula, data, method="iterative", mc_error=0.001, seed=1)
    assert fm.converged == (max(fm.optimum.mc_error) <= 0.0011)
    assert fm.converged == (not any(issubclass(w.category, mm.ConvergenceWarning) for w in said))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"seed": 2**64}, mm.ArgumentError),
        ({"seed": -1}, mm.ArgumentError),
        ({"mc_error": "a"}, mm.ArgumentTypeError),
        ({"mc_error": None}, mm.ArgumentTypeError),
    ],
)
def test_seeds_and_errors_that_are_none(options, error):
    formula, data = simulate(9, 300, (50, 30), (0.8, 0.5))
    with pytest.raises(error):
        mm.lmer(formula, data, method="iterative", **options)


def test_chosen_levels_may_be_a_set():
    formula, data = simulate(9, 300, (50, 30), (0.8, 0.5))
    fm = mm.lmer(formula, data, method="iterative")
    assert list(fm.condsd("a", {2, 1}).index) == [1, 2]
