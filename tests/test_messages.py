"""Messages that are true: none where a model only changes its units, and those that name a term."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixedmodels as mm
from mixedmodels.estimation import newton

#: Data set, formula and covariates of the slides' models.
CLASSROOM = "mathgain ~ mathkind + minority + ses"
MODELS = {
    "dyestuff": ("dyestuff", "Yield ~ 1 + (1 | Batch)", ()),
    "dyestuff2": ("dyestuff2", "Yield ~ 1 + (1 | Batch)", ()),
    "penicillin": ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", ()),
    "pastes": ("pastes", "strength ~ 1 + (1 | sample) + (1 | batch)", ()),
    "pastes, samples": ("pastes", "strength ~ 1 + (1 | sample)", ()),
    "pastes, batches": ("pastes", "strength ~ 1 + (1 | batch)", ()),
    "classroom": (
        "classroom",
        f"{CLASSROOM} + sex + housepov + (1 | classid) + (1 | schoolid)",
        ("mathkind", "ses", "housepov"),
    ),
    "classroom, fewer": (
        "classroom",
        f"{CLASSROOM} + (1 | classid) + (1 | schoolid)",
        ("mathkind", "ses"),
    ),
    "classroom, schools": ("classroom", f"{CLASSROOM} + (1 | schoolid)", ("mathkind", "ses")),
    "insteval": ("insteval", "y ~ 1 + (1 | s) + (1 | d) + (1 | dept)", ()),
}
#: Among so few students of insteval departments do not differ.
SINGULAR = {"dyestuff2", "insteval"}

UNITS = {
    "y × 1e6": ("y", 1e6, 0.0),
    "y / 1e6": ("y", 1e-6, 0.0),
    "y + 1e6": ("y", 1.0, 1e6),
    "y × -1": ("y", -1.0, 0.0),
    "x × 1e6": ("x", 1e6, 0.0),
    "x / 1e6": ("x", 1e-6, 0.0),
    "x + 1e6": ("x", 1.0, 1e6),
}


def data_of(name):
    dataset, formula, covariates = MODELS[name]
    data = mm.datasets.load(dataset)
    if dataset == "insteval":  # a small part has all that matters: crossed, unbalanced, many levels
        data = data[data["s"].astype(int) <= 60]
    return data, formula, covariates


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_units_raise_no_alarm(name, reml):
    data, formula, covariates = data_of(name)
    response = formula.split()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fm = mm.lmer(formula, data, reml=reml)
        notes = fm.summary().all_notes
        for what, factor, shift in UNITS.values():
            columns = [response] if what == "y" else covariates
            other = data.assign(**{c: shift + factor * data[c] for c in columns})
            refit = mm.lmer(formula, other, reml=reml)
            assert refit.converged
            assert_allclose(refit.theta, fm.theta, rtol=1e-8, atol=0)
            assert refit.singular == fm.singular == (name in SINGULAR)
            assert refit.summary().all_notes == notes
    assert bool(notes) == fm.singular


def test_singular_fits_name_their_terms():
    fm = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff2"))
    assert str(fm).splitlines()[-2:] == [
        "boundary (singular) fit: the variance of Batch is estimated as zero",
        "without this term every estimate is the same; it may stay if the design asks for it",
    ]


def test_without_the_terms_at_zero_every_estimate_is_the_same():
    data = mm.datasets.load("penicillin").assign(
        third=np.arange(144) % 9, fourth=np.arange(144) // 5 % 11
    )
    formula = "diameter ~ 1 + (1 | plate) + (1 | sample)"
    plain = mm.lmer(formula, data)
    fm = plain.update("~ . + (1 | third) + (1 | fourth)")
    zero = [g for g, t in zip(fm.ngroups, fm.theta, strict=True) if t == 0]
    assert zero
    rest = fm.update("~ . - " + " - ".join(f"(1 | {g})" for g in zero))
    assert_allclose(rest.objective, fm.objective, rtol=1e-12)
    assert_allclose(rest.theta, fm.theta[fm.theta > 0], rtol=1e-8)
    assert_allclose(rest.vcov(), fm.vcov(), rtol=1e-8)
    for g in zero:
        note = f"boundary (singular) fit: the variance of {g} is estimated as zero"
        assert note in fm.summary().all_notes


def almost_the_same_twice(swaps, seed):
    rng = np.random.default_rng(seed)
    a = np.repeat(np.arange(30), 4)
    b = a.copy()
    b[rng.choice(120, swaps, replace=False)] = rng.integers(0, 30, swaps)
    y = rng.normal(size=30)[a] + rng.normal(size=30)[b] + rng.normal(size=120)
    return mm.lmer("y ~ 1 + (1 | a) + (1 | b)", pd.DataFrame({"y": y, "a": a, "b": b}))


@pytest.mark.parametrize("swaps", [1, 2, 30])
@pytest.mark.parametrize("seed", range(3))
def test_terms_that_can_hardly_be_told_apart(swaps, seed):
    fm = almost_the_same_twice(swaps, seed)
    # The average information of (γ_a, γ_b), by its definition.
    Z, y, n = fm.Zt.toarray().T, fm.design.y, fm.nobs
    parts = np.split(Z, [fm.ngroups["a"]], axis=1)
    V = np.eye(n) + sum(t**2 * z @ z.T for t, z in zip(fm.theta, parts, strict=True))
    Vi = np.linalg.inv(V)
    P = Vi - Vi @ fm.X @ np.linalg.solve(fm.X.T @ Vi @ fm.X, fm.X.T @ Vi)
    r2, nu = y @ P @ y, n - 1
    e = [z.T @ (P @ y) for z in parts]
    f = [z @ e_t for z, e_t in zip(parts, e, strict=True)]
    squares = np.array([e_t @ e_t for e_t in e])
    Q = np.array([[s @ P @ t for s in f] for t in f])
    C = np.linalg.inv(nu * (Q / r2 - np.outer(squares, squares) / r2**2))
    correlation = C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])
    said = [note for note in fm.summary().all_notes if "told apart" in note]
    assert len(said) == (correlation < -0.9)
    assert swaps != 30 or not said
    for note in said:
        assert "the variances of a and b can hardly be told apart" in note
        assert f"is {correlation:.2f};" in note


def test_some_of_them_are_told():
    assert "hardly" in str(almost_the_same_twice(1, 0))


@pytest.fixture
def stopped(monkeypatch):
    monkeypatch.setattr(newton, "MOST_ITERATIONS", 1)
    data = mm.datasets.load("pastes")
    with pytest.warns(mm.ConvergenceWarning) as said:
        fm = mm.lmer("strength ~ 1 + (1 | sample) + (1 | batch)", data, start=[30.0, 1.3])
    monkeypatch.undo()
    return fm, str(said[0].message)


def test_early_end_names_the_variance_and_the_remedy(stopped):
    fm, message = stopped
    assert "could still fall by" in message
    assert "the variance of sample move by" in message
    assert "update(start=fm.theta) goes on from there" in message
    again = fm.update(start=fm.theta)
    assert again.converged
    assert again.objective < fm.objective


def test_early_end_reads_the_same_in_other_units(stopped, monkeypatch):
    monkeypatch.setattr(newton, "MOST_ITERATIONS", 1)
    data = mm.datasets.load("pastes")
    data["strength"] = 1e6 * data["strength"]
    with pytest.warns(mm.ConvergenceWarning) as said:
        mm.lmer("strength ~ 1 + (1 | sample) + (1 | batch)", data, start=[30.0, 1.3])
    assert str(said[0].message) == stopped[1]
