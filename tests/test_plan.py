"""How a fit is planned: the choice of a method, its cost, its limits, and that all agree."""

import os
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

import designs
import mixedmodels as mm
from mixedmodels.estimation import plan as planning
from mixedmodels.estimation.plan import available_memory, format_bytes, format_seconds

NESTED = {"pupil": np.arange(2000) // 2, "class": np.arange(2000) // 10}
NESTED |= {"school": np.arange(2000) // 50, "y": np.sin(np.arange(2000.0))}
NESTED_FORMULA = "y ~ 1 + (1 | pupil) + (1 | class) + (1 | school)"
PENICILLIN = "diameter ~ 1 + (1 | plate) + (1 | sample)"


def test_one_term_needs_no_factorisation(load):
    plan = mm.plan("Yield ~ 1 + (1 | Batch)", load("dyestuff"))
    assert (plan.method, plan.dimension, plan.nonzeros, plan.bytes) == ("diagonal", 0, 0, 0)
    assert "one term" in plan.reason
    assert "Batch" in plan.reason


def test_crossed_factors_are_dense(load):
    plan = mm.plan(PENICILLIN, load("penicillin"))
    # Of the order of the smaller factor; its factor is a full triangle.
    assert (plan.method, plan.dimension, plan.nonzeros) == ("dense", 6, 21)
    assert plan.bytes >= 2 * 6 * 6 * 8
    assert plan.reason.endswith("dense costs less")


def test_nested_factors_are_sparse():
    plan = mm.plan(NESTED_FORMULA, NESTED)
    # A class lies in one school: its entry, and the diagonal.
    assert (plan.method, plan.dimension, plan.nonzeros) == ("sparse", 240, 200 + 240)
    assert plan.reason.endswith("sparse costs less")
    assert f"{440 / (240 * 241 / 2):.1%}" in plan.reason
    dense = mm.plan(NESTED_FORMULA, NESTED, method="dense")
    assert (dense.method, dense.nonzeros, dense.reason) == ("dense", 240 * 241 // 2, "asked for")
    assert plan.flops < dense.flops
    assert plan.bytes < dense.bytes


@pytest.mark.parametrize("method", ["dense", "sparse"])
def test_entries_foreseen_are_entries_stored(method):
    fm = mm.lmer(NESTED_FORMULA, NESTED, method=method)
    schur = fm.L[1000:, 1000:]
    assert fm.plan.nonzeros == schur.nnz


def test_printed_form(load):
    plan = mm.plan(PENICILLIN, load("penicillin"), method="sparse")
    first, *rest = repr(plan).splitlines()
    assert first == "Plan: exact, sparse"
    for part in ("order 6", "21 nonzeros", format_bytes(plan.bytes), "flops", "asked for"):
        assert part in "\n".join(rest)
    one_term = mm.plan("diameter ~ 1 + (1 | plate)", load("penicillin"))
    assert repr(one_term).splitlines() == ["Plan: exact", one_term.reason]


def test_plan_takes_the_arguments_of_the_design(load):
    data = load("penicillin").assign(w=2.0).rename(columns={"diameter": "d"})
    assert mm.plan("double(d) ~ 1 + (1 | plate)", data, context={"double": _twice})
    assert mm.plan("d ~ 1 + (1 | plate)", data, weights="w", offset="w").dimension == 0
    with pytest.raises(mm.ArgumentError, match="missing must be"):
        mm.plan("d ~ 1 + (1 | plate)", data, missing="keep")


def _twice(x):
    return 2 * x


def test_warning_of_a_plan_points_to_the_one_who_asked(load):
    data = load("penicillin").assign(x=np.arange(144.0), z=2 * np.arange(144.0))
    with pytest.warns(mm.RankDeficientWarning, match="dropped: z") as caught:
        mm.plan("diameter ~ x + z + (1 | plate)", data)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("method", ["iterate", "", "DENSE", None, ["dense"]])
def test_unknown_method(method, load):
    for ask in (mm.plan, mm.lmer):
        with pytest.raises(mm.ArgumentError, match="method must be one of auto, exact, dense"):
            ask("Yield ~ 1 + (1 | Batch)", load("dyestuff"), method=method)


@pytest.mark.parametrize("seed", [2, 9, 22, 34, 36, 46, 59])
def test_all_methods_find_the_same_fit(seed):
    design = designs.simulate(seed)
    weights = np.random.default_rng(seed).uniform(0.5, 2, len(design.data))
    fits = [
        mm.lmer(design.formula, design.data, reml=design.reml, weights=weights, method=method)
        for method in ("auto", "exact", "dense", "sparse")
    ]
    assert repr(fits[0].plan) == repr(fits[1].plan)
    for a, b in pairwise(fits):
        assert_allclose(a.objective, b.objective, rtol=1e-11)
        assert np.array_equal(a.theta == 0, b.theta == 0)
        assert_allclose(a.theta, b.theta, rtol=1e-5)
        assert_allclose(a.fixef(), b.fixef(), rtol=1e-6)
        # What is computed by two ways at the same point agrees to rounding, near optima to 1e-6.
        ours, theirs = a.ranef().to_frame(), b.ranef().to_frame()
        assert_allclose(ours["condval"], theirs["condval"], rtol=1e-5, atol=1e-7)
        assert_allclose(ours["condsd"], theirs["condsd"], rtol=1e-5, atol=1e-9)


# -- memory --------------------------------------------------------------------------------------


def test_a_fit_too_large_is_refused_with_its_size(monkeypatch, load):
    monkeypatch.setattr(planning, "available_memory", lambda: 200.0)
    with pytest.raises(mm.FitTooLargeError) as caught:
        mm.lmer(PENICILLIN, load("penicillin"), method="exact")
    assert isinstance(caught.value, MemoryError)
    # One term has nothing to store.
    assert mm.lmer("diameter ~ 1 + (1 | plate)", load("penicillin")).converged
    message = str(caught.value)
    assert message.startswith("the dense factor of the 6 levels of sample takes ")
    assert "200 bytes are free" in message
    assert "method='iterative' takes 8.45 kB" in message


def test_a_fit_that_just_fits_is_made(monkeypatch, load):
    size = mm.plan(PENICILLIN, load("penicillin")).bytes
    monkeypatch.setattr(planning, "available_memory", lambda: float(size))
    assert mm.lmer(PENICILLIN, load("penicillin")).converged
    monkeypatch.setattr(planning, "available_memory", lambda: size - 1.0)
    with pytest.raises(mm.FitTooLargeError):
        mm.lmer(PENICILLIN, load("penicillin"), method="exact")


def test_memory_is_what_the_system_says(monkeypatch, tmp_path):
    lines = tmp_path / "meminfo"
    lines.write_text("MemTotal: 2048 kB\nMemAvailable:    1000 kB\n")
    monkeypatch.setattr(planning, "open", lambda *_, **__: lines.open(), raising=False)
    assert available_memory() == 1_024_000


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="no sysconf here")
def test_memory_without_meminfo_is_that_of_the_machine(monkeypatch, tmp_path):
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 10}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    absent = tmp_path / "none"
    monkeypatch.setattr(planning, "open", lambda *_, **__: absent.open(), raising=False)
    assert available_memory() == 40960
    absent.write_text("MemTotal: 2048 kB\n")  # an old kernel does not say what is available
    assert available_memory() == 40960


@pytest.mark.parametrize("error", [ValueError, OSError, AttributeError])
def test_memory_unknown_is_no_limit(monkeypatch, error):
    def fail(*_, **__):
        raise error

    def absent(*_, **__):
        raise OSError

    monkeypatch.setattr(planning, "open", absent, raising=False)
    monkeypatch.setattr(os, "sysconf", fail, raising=False)
    assert available_memory() == np.inf


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (576, "576 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (20_869_568, "20.9 MB"),
        (999_600, "1 MB"),
        (5.2e9, "5.2 GB"),
        (1.5e12, "1.5 TB"),
        (4.2e16, "4.2e+04 TB"),
        (np.inf, "inf TB"),
    ],
)
def test_bytes_with_a_unit(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1e-6, "less than 1 ms"),
        (0.0123, "12 ms"),
        (0.349, "350 ms"),
        (0.96, "0.96 s"),
        (1.04, "1 s"),
        (28.4, "28 s"),
        (99.4, "99 s"),
        (150, "2.5 min"),
        (5960, "99 min"),
        (1e7, "2,778 h"),
    ],
)
def test_times_with_a_unit(seconds, text):
    assert format_seconds(seconds) == text
