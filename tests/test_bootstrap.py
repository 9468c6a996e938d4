"""Simulation, refits in bulk and the bootstrap, against single fits and exact distributions."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels import _core
from mixedmodels.inference import bootstrap as bootstrap_module
from mixedmodels.inference.refits import Refitter


@pytest.fixture(scope="module")
def fm1():
    return mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))


@pytest.fixture(scope="module")
def fm4():
    return mm.lmer("strength ~ 1 + (1 | sample) + (1 | batch)", mm.datasets.load("pastes"))


@pytest.fixture(scope="module")
def heavy():
    """A weighted model with an offset, two crossed factors and a redundant column."""
    rng = np.random.default_rng(5)
    n = 240
    data = pd.DataFrame(
        {
            "g": rng.integers(0, 12, n),
            "h": rng.integers(0, 7, n),
            "x": rng.normal(size=n),
            "w": rng.uniform(0.5, 2.0, n),
            "o": rng.normal(size=n),
        }
    )
    data["x2"] = 2 * data["x"]
    data["y"] = (
        data["x"]
        + data["o"]
        + rng.normal(size=12)[data["g"]]
        + rng.normal(size=7)[data["h"]]
        + rng.normal(size=n) / np.sqrt(data["w"])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.RankDeficientWarning)
        return mm.lmer("y ~ x + x2 + (1 | g) + (1 | h)", data, weights="w", offset="o", reml=False)


class TestSimulate:
    def test_mean_and_covariance_are_those_of_the_model(self, heavy):
        m = 40_000
        Y = heavy.simulate(m, seed=1)
        W = heavy.design.weights
        Z = heavy.Zt.T.toarray() * np.repeat(heavy.theta, heavy.cross_products.levels)
        V = heavy.sigma**2 * (Z @ Z.T + np.diag(1 / W))
        sd = np.sqrt(np.diag(V))
        z = (Y.mean(axis=1) - heavy.population_mean) / (sd / np.sqrt(m))
        assert np.abs(z).max() < 5
        # A sample covariance has a standard error of sqrt((V_ij^2 + V_ii V_jj) / m).
        error = np.sqrt((V**2 + np.outer(sd, sd) ** 2) / m)
        assert np.abs((np.cov(Y) - V) / error).max() < 6

    def test_estimated_random_effects_leave_residual_variation_only(self, fm1):
        Y = fm1.simulate(20_000, seed=2, random="estimated")
        assert Y.mean(axis=1) == pytest.approx(fm1.fitted().to_numpy(), abs=5 * 49.5 / 141)
        assert Y.std(axis=1).mean() == pytest.approx(fm1.sigma, rel=0.01)

    def test_same_seed_same_responses_whatever_the_batches(self, heavy):
        from mixedmodels.inference.simulation import batches

        whole = heavy.simulate(50, seed=3)
        parts = np.concatenate(list(batches(heavy, 50, 3, size=7)), axis=1)
        assert np.array_equal(whole, parts)
        assert not np.array_equal(whole, heavy.simulate(50, seed=4))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"n": 0}, "n must be 1 or more"),
            ({"n": 2.5}, "n must be a whole number"),
            ({"n": True}, "n must be a whole number"),
            ({"seed": -1}, "seed must be a whole number"),
            ({"random": "kept"}, "random must be"),
            ({"n": 10**9}, "draw fewer at a time"),
        ],
    )
    def test_bad_arguments(self, fm1, arguments, message):
        with pytest.raises(mm.MixedModelsError, match=message):
            fm1.simulate(**arguments)


class TestRefits:
    @pytest.mark.parametrize("name", ["fm1", "fm4", "heavy"])
    def test_are_the_single_fits(self, name, request):
        model = request.getfixturevalue(name)
        Y = model.simulate(25, seed=7)
        many = model.refit(Y)
        for i, y in enumerate(Y.T):
            one = model.refit(y)
            # The criterion is flat to rounding within 1e-8 standard errors of its minimum.
            assert many.objective[i] == pytest.approx(one.objective, abs=1e-8)
            assert many.theta[i] == pytest.approx(one.theta, abs=2e-6)
            assert many.sigma[i] == pytest.approx(one.sigma, rel=1e-6)
            assert many.beta[i] == pytest.approx(one.beta, rel=1e-6, abs=1e-7)
            errors = np.sqrt(np.diag(one.vcov()))
            assert many.standard_errors[i] == pytest.approx(errors, rel=1e-5)
        assert many.converged.all()

    def test_where_a_fit_is_dear_too(self):
        """Shared first steps and an unseen last one: 1e-4 standard errors of theta at most."""
        data = mm.datasets.load("insteval")
        few = data[data["s"].astype(int) <= 700]
        model = mm.lmer("y ~ service + (1 | s) + (1 | d) + (1 | dept)", few)
        assert model.plan.core.method == "dense"
        Y = model.simulate(4, seed=1)
        refitter = Refitter(model)
        many = refitter.fit(Y)
        for i, y in enumerate(Y.T):
            one = model.refit(y)
            assert many.objective[i] == pytest.approx(one.objective, abs=1e-6)
            assert many.values[i] == pytest.approx(
                np.concatenate([one.sigma * one.theta, [one.sigma], one.beta]), rel=1e-4, abs=1e-4
            )

    def test_covariance_is_kept_if_wanted(self, heavy):
        Y = heavy.simulate(3, seed=1)
        kept = Refitter(heavy, covariance=True).fit(Y).covariance
        assert kept[1] == pytest.approx(heavy.refit(Y[:, 1]).vcov().to_numpy(), rel=1e-5)

    def test_a_frame_of_responses(self, fm1):
        frame = pd.DataFrame(fm1.simulate(3, seed=1), index=fm1.design.index)
        refits = fm1.refit(frame)
        assert len(refits) == 3
        assert list(refits.to_frame().columns) == [
            "sd[Batch]",
            "sd[Residual]",
            "(Intercept)",
            "objective",
            "singular",
            "converged",
        ]
        assert "3 responses, 0 without a fit" in repr(refits)

    def test_a_response_that_levels_fit_perfectly_has_no_fit(self, fm1):
        Y = fm1.simulate(3, seed=1)
        Y[:, 1] = fm1.design.groupings[0].codes
        refits = fm1.refit(Y)
        assert refits.converged.tolist() == [True, False, True]
        assert np.isnan(refits.sigma[1])

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda Y: Y[:-1], r"shape \(29, 2\)"),
            (lambda Y: Y[:, :0], "shape"),
            (lambda Y: Y[None], "shape"),
            (
                lambda Y: np.where(np.arange(30)[:, None] == 4, np.nan, Y),
                "position 4 of response 0",
            ),
            (lambda Y: np.column_stack([Y[:, 0], np.ones(30)]), "response 1 is constant"),
            (lambda Y: Y.astype(complex), "must be numbers"),
            (lambda Y: pd.DataFrame(Y, index=range(5, 35)), "other row labels"),
        ],
    )
    def test_bad_responses(self, fm1, spoil, message):
        with pytest.raises(mm.ResponseError, match=message):
            fm1.refit(spoil(fm1.simulate(2, seed=1)))


class TestBootstrap:
    def test_is_refits_of_simulations(self, fm4):
        b = fm4.bootstrap(200, seed=11)
        assert b.refits.values == pytest.approx(
            fm4.refit(fm4.simulate(200, seed=11)).values, rel=1e-12
        )
        assert b.names == ("sd[sample]", "sd[batch]", "sd[Residual]", "(Intercept)")
        assert len(b) == b.wanted == 200

    def test_singular_share_and_residual_variance_of_a_balanced_layout(self, fm1):
        """REML is zero where MSB < MSW, of known distributions; beta is normal."""
        m = 20_000
        b = fm1.bootstrap(m, seed=1)
        ratio = 1 + 5 * fm1.theta[0] ** 2
        share = stats.f(5, 24).cdf(1 / ratio)
        assert b.singular == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / m))
        inside = ~b.refits.singular
        F = 1 + 5 * b.refits.theta[inside, 0] ** 2
        known = stats.f(5, 24, scale=ratio)
        assert stats.kstest(F, lambda x: (known.cdf(x) - share) / (1 - share)).pvalue > 0.001
        assert b.standard_errors["(Intercept)"] == pytest.approx(
            float(np.sqrt(fm1.vcov().iloc[0, 0])), rel=0.02
        )

    def test_coverage_is_that_of_each_replicates_own_interval(self, fm1):
        b = fm1.bootstrap(300, seed=4)
        inside = 0
        for y in fm1.simulate(300, seed=4).T:
            fit = fm1.refit(y)
            half = 1.959963984540054 * np.sqrt(fit.vcov().iloc[0, 0])
            inside += abs(fit.beta[0] - fm1.beta[0]) <= half
        assert b.coverage["(Intercept)"] == pytest.approx(inside / 300, abs=1e-12)

    def test_intervals(self, fm4):
        b = fm4.bootstrap(999, seed=2)
        values = b.values
        percentile = b.confint(0.9)
        assert percentile["lower"].to_numpy() == pytest.approx(np.quantile(values, 0.05, axis=0))
        shortest = b.confint(0.9, kind="shortest")
        inside = (values >= shortest["lower"].to_numpy()) & (values <= shortest["upper"].to_numpy())
        assert (inside.mean(axis=0) >= 0.9).all()
        widths = [frame["upper"] - frame["lower"] for frame in (shortest, percentile)]
        assert (widths[0] <= widths[1] * 1.001).all()
        assert shortest.loc["sd[batch]", "lower"] == 0.0

    def test_statistics_of_ones_own(self, fm4):
        def shares(model):
            variances = np.square(np.append(model.sigma * model.theta, model.sigma))
            return {"sample": variances[0] / variances.sum()}

        b = fm4.bootstrap(40, seed=3, statistics=shares)
        values = np.square(b.refits.values[:, :3])
        assert b.to_frame()["sample"].to_numpy() == pytest.approx(
            values[:, 0] / values.sum(axis=1), abs=1e-5
        )
        assert b.estimates[-1] == shares(fm4)["sample"]
        assert fm4.bootstrap(3, seed=1, statistics=lambda m: m.theta).names[-2:] == ("t1", "t2")

    def test_statistics_that_fail_are_counted(self, fm1):
        def fragile(model):
            if model.refitted and model.theta[0] == 0:
                raise ZeroDivisionError("no variance")
            return 1.0

        b = fm1.bootstrap(300, seed=1, statistics=fragile)
        assert b.failed == int(b.refits.singular.sum()) > 0
        assert "no variance" in str(b)

    def test_interrupted_it_returns_what_it_has(self, fm1, monkeypatch):
        original, calls = bootstrap_module.Refitter.fit, []

        def fit(self, Y):
            calls.append(Y.shape[1])
            if len(calls) == 3:
                raise KeyboardInterrupt
            return original(self, Y)

        monkeypatch.setattr(bootstrap_module.Refitter, "fit", fit)
        monkeypatch.setattr(bootstrap_module, "SECONDS_OF_BATCH", 1e-3)
        with pytest.warns(mm.InterruptedWarning, match="of 1,000 replicates"):
            b = fm1.bootstrap(1000, seed=9)
        assert len(b) == sum(calls[:2])
        assert "interrupted" in str(b)
        monkeypatch.undo()
        assert b.values == pytest.approx(fm1.bootstrap(len(b), seed=9).values, rel=1e-12)

    def test_interrupted_at_once_it_has_nothing_to_return(self, fm1, monkeypatch):
        def fit(self, Y):
            raise KeyboardInterrupt

        monkeypatch.setattr(bootstrap_module.Refitter, "fit", fit)
        with pytest.raises(KeyboardInterrupt):
            fm1.bootstrap(10, seed=9)

    def test_iterative_fits_too(self):
        rng = np.random.default_rng(1)
        data = pd.DataFrame({"g": rng.integers(0, 40, 400), "h": rng.integers(0, 30, 400)})
        data["y"] = rng.normal(size=40)[data["g"]] + rng.normal(size=30)[data["h"]]
        data["y"] += rng.normal(size=400)
        model = mm.lmer("y ~ 1 + (1 | g) + (1 | h)", data, method="iterative", seed=1)
        exact = model.update(method="exact")
        b, c = (m.bootstrap(3, seed=1).refits for m in (model, exact))
        assert b.beta == pytest.approx(
            np.array([exact.refit(y).beta for y in model.simulate(3, seed=1).T]), abs=0.02
        )
        assert c.converged.all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"n": 0}, "n must be"),
            ({"statistics": "mean"}, "must be a function"),
            ({"statistics": lambda m: "a"}, "must return a number"),
            ({"statistics": lambda m: {"sd[Batch]": 1.0}}, "name of a parameter"),
        ],
    )
    def test_bad_arguments(self, fm1, arguments, message):
        with pytest.raises(mm.MixedModelsError, match=message):
            fm1.bootstrap(**{"n": 5, **arguments})

    @pytest.mark.parametrize("arguments", [{"level": 1.5}, {"level": "0.9"}, {"kind": "bca"}])
    def test_bad_intervals(self, fm1, arguments):
        with pytest.raises(mm.ArgumentError):
            fm1.bootstrap(5, seed=1).confint(**arguments)

    def test_one_replicate_prints(self, fm1):
        assert "1 replicates" in str(fm1.bootstrap(1, seed=1))
        with pytest.raises(mm.ArgumentError, match="fewer than two"):
            fm1.bootstrap(1, seed=1).confint()

    def test_picture(self, fm4):
        b = fm4.bootstrap(200, seed=1)
        assert [ax.get_xlabel() for ax in b.plot()] == list(b.names)
        ax = b.plot("sd[batch]")
        heights, edges = zip(*((p.get_height(), p.get_width()) for p in ax.patches), strict=True)
        assert np.dot(heights, edges) == pytest.approx(1.0)
        with pytest.raises(mm.UnknownColumnError, match="no parameter"):
            b.plot("sigma")


THREADS = """
import numpy as np, mixedmodels as mm
fm = mm.lmer("strength ~ 1 + (1 | sample) + (1 | batch)", mm.datasets.load("pastes"))
print(fm.bootstrap(500, seed=3).values.tobytes().hex())
"""


def test_same_digits_on_any_number_of_threads():
    digits = {
        subprocess.run(
            [sys.executable, "-c", THREADS],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(digits) == 1


def test_expected_information_is_that_of_dense_matrices(heavy):
    """tr(P K_s P K_t) - tr(P K_s) tr(P K_t) / nu, in units of the criterion."""

    gamma = heavy.theta**2
    found = _core.expected_information(
        heavy.cross_products.response, heavy.plan.core, heavy.reml, gamma
    )
    root = np.sqrt(heavy.design.weights)[:, None]
    Z = root * heavy.Zt.T.toarray()
    parts = np.split(Z, np.cumsum(heavy.cross_products.levels)[:-1], axis=1)
    V = np.eye(heavy.nobs) + sum(g * z @ z.T for g, z in zip(gamma, parts, strict=True))
    P = np.linalg.inv(V)  # of maximum likelihood
    K = [P @ z @ z.T for z in parts]
    expected = [[np.trace(a @ b) - np.trace(a) * np.trace(b) / 240 for a in K] for b in K]
    # From differences over a thousandth of gamma.
    assert found == pytest.approx(np.array(expected), rel=1e-2)
