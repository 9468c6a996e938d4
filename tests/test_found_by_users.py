"""What people who tried to break the package have found, each as a test."""

import contextlib
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from typer.testing import CliRunner

import mixedmodels as mm
from mixedmodels import cli


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    level = np.repeat(np.arange(6), 10)
    return pd.DataFrame(
        {
            "g": [f"g{i}" for i in level],
            "level": level,
            "half": np.where(level < 3, "a", "b"),
            "third": (level % 3).astype(str),
            "x": rng.normal(size=60),
            "y": rng.normal(size=60),
        }
    )


@pytest.mark.parametrize("fixed", ["half * third", "poly(level, 5)", "factor(level)"])
@pytest.mark.parametrize("reml", [True, False])
def test_fixed_effects_that_fit_every_level_together(data, fixed, reml):
    # The REML criterion is flat in theta there: any answer would be arbitrary.
    with pytest.raises(mm.GroupingError, match="every level of"):
        mm.lmer(f"y ~ {fixed} + x + (1 | g)", data, reml=reml)


def test_fixed_effects_that_fit_all_levels_but_one_direction(data):
    assert mm.lmer("y ~ poly(level, 4) + x + (1 | g)", data).converged


def test_residuals_of_a_millionth(data):
    noise = data["y"] - data.groupby("g")["y"].transform("mean")
    fm = mm.lmer("y ~ 1 + (1 | g)", data.assign(y=data["level"] + 1e-6 * noise))
    # Balanced: the residual variance is the mean square within.
    assert fm.sigma == pytest.approx(1e-6 * np.sqrt((noise**2).sum() / 54), rel=1e-6)


def test_polynomials_beyond_what_arithmetic_can_make_orthogonal(data):
    assert mm.lmer("y ~ poly(x, 5) + (1 | g)", data).converged
    with pytest.raises(mm.FormulaError, match=r"cannot be made orthogonal.*lower degree"):
        mm.lmer("y ~ poly(x, 40) + (1 | g)", data)


def test_two_factors_of_one_name(data):
    data["g:half"] = np.arange(60) % 7
    with pytest.raises(mm.GroupingError, match="two grouping factors are called g:half"):
        mm.lmer("y ~ 1 + (1 | g:half) + (1 | `g:half`)", data.assign(g=np.arange(60) % 5))


def test_a_column_called_fitted_is_not_lost(data):
    fm = mm.lmer("y ~ `.fitted` + (1 | g)", data.rename(columns={"x": ".fitted"}))
    with pytest.raises(mm.DataError, match=r"column \.fitted already"):
        fm.augment()


def test_a_model_keeps_the_data_it_was_fitted_to(data):
    fm = mm.lmer("y ~ x + (1 | g)", data)
    expected = data["y"].copy()
    data["y"] = 0.0
    pd.testing.assert_series_equal(fm.augment()["y"], expected)
    trace = fm.iterations
    trace.iloc[:] = 0
    assert fm.iterations["objective"].iloc[-1] == fm.objective


def test_columns_of_types_that_are_neither_numbers_nor_labels(data):
    frame = pl.from_pandas(data).with_columns(
        pl.lit(1, dtype=pl.Int128).alias("wide"), pl.Series("list", [[1]] * 60)
    )
    for name in ("wide", "list"):
        with pytest.raises(mm.DataError, match=name):
            mm.lmer(f"y ~ x + (1 | {name})", frame)


@pytest.mark.parametrize("names", [[1, 2], [None, "b"], 3, "ab", ["a", "a"], ["a"]])
def test_names_of_models_are_texts(data, names):
    small, large = (mm.lmer(f"y ~ {f} + (1 | g)", data, reml=False) for f in ("1", "x"))
    with pytest.raises(mm.ArgumentError, match="names must be 2 different texts"):
        mm.anova(small, large, names=names)


@pytest.mark.parametrize("argument", [{"verbose": "x"}, {"progress": 1}, {"reml": "no"}])
def test_switches_are_true_or_false(data, argument):
    with pytest.raises(mm.ArgumentTypeError, match="must be True or False"):
        mm.lmer("y ~ x + (1 | g)", data, **argument)


@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_a_seed_is_a_whole_number(data, seed):
    with pytest.raises(mm.ArgumentError, match="seed must be a whole number"):
        mm.lmer("y ~ x + (1 | g)", data, seed=seed)


def test_weights_and_covariates_beyond_numbers(data):
    with pytest.raises(mm.ArgumentTypeError, match="weights must be numbers"):
        mm.lmer("y ~ x + (1 | g)", data, weights=np.full(60, 1 + 1j))
    with pytest.raises(mm.ArgumentError, match="between 1e-50 and 1e50"):
        mm.lmer("y ~ x + (1 | g)", data, weights=np.full(60, 1e60))
    for scale in (1e300, 1e-300):
        with pytest.raises(mm.DataError, match=r"squares of x .* units"):
            mm.lmer("y ~ x + (1 | g)", data.assign(x=scale * data["x"]))


# -- the command line ----------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_random_effects_do_not_replace_the_data_or_a_link(data, tmp_path):
    source = tmp_path / "d.csv"
    data.to_csv(source, index=False)
    before = source.read_text()
    refused = run("fit", "y ~ x + (1 | g)", source, "--ranef", source)
    assert isinstance(refused.exception, mm.ArgumentError)
    assert source.read_text() == before
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.touch()
    link.symlink_to(target)
    assert run("fit", "y ~ x + (1 | g)", source, "--ranef", link).exit_code == 0
    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == 7


def test_labels_with_leading_zeros_stay_apart(tmp_path):
    source = tmp_path / "d.csv"
    rows = [f"{g},{h},{g + i}.{i}" for h in range(3) for i, g in enumerate((1, 2, 3))]
    source.write_text(
        "\n".join(["g,h,y", *(f"0{row}" if i % 2 else row for i, row in enumerate(rows))])
    )
    fm = mm.lmer("y ~ h + (1 | g)", source)
    assert list(fm.ranef()["g"].index) == ["01", "02", "03", "1", "2", "3"]
    assert list(fm.fixef().index) == ["(Intercept)", "h"]


def test_two_columns_of_one_name_in_a_file(tmp_path):
    source = tmp_path / "d.csv"
    source.write_text("y,y,g\n1,2,a\n")
    with pytest.raises(mm.DataError, match="more than one column 'y'"):
        mm.lmer("y ~ 1 + (1 | g)", source)


def test_standard_output_that_is_full(monkeypatch, capsys):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "No space left" in capsys.readouterr().err


# -- inference -------------------------------------------------------------------------------------


def small(n=60):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"h": rng.integers(0, 6, n), "x": rng.normal(size=n)})
    return frame.assign(y=rng.normal(size=6)[frame["h"]] + rng.normal(size=n))


def test_a_factor_called_residual_is_told_from_the_residual():
    data = small()
    odd = mm.lmer("y ~ x + (1 | Residual)", data.rename(columns={"h": "Residual"}))
    plain = mm.lmer("y ~ x + (1 | h)", data)
    names = ["sd[Residual]", "sigma", "(Intercept)", "x"]
    assert odd.bootstrap(5, seed=1).confint().index.tolist() == names
    assert odd.confint("sigma").to_frame().to_numpy().tolist() == (
        plain.confint("sd[Residual]").to_frame().to_numpy().tolist()
    )


def test_a_column_called_as_a_standard_deviation_is_told_from_it():
    data = small()
    odd = mm.lmer("y ~ `sd[h]` + (1 | h)", data.rename(columns={"x": "sd[h]"}))
    names = odd.bootstrap(5, seed=1).names
    assert len(set(names)) == len(names) == 4


def test_kenward_roger_says_where_its_moments_belong_to_no_distribution():
    """Three coefficients of a polynomial, with ten rows and a variance of zero."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(20):
        data = pd.DataFrame({"h": rng.integers(0, 6, 10), "x": rng.normal(size=10)})
        data["a"], data["y"] = rng.choice(list("pqr"), 10), rng.normal(size=10)
        try:
            fm = mm.lmer("y ~ poly(x, 3) + a + (1 | h)", data)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                table = fm.anova(ddf="kenward-roger").to_frame()
        except mm.DataError:  # a fit that is perfect, or so nearly that no digits are left
            continue
        told = any(issubclass(w.category, mm.ApproximationWarning) for w in caught)
        assert told == bool(table.isna().any(axis=None))
        assert not (table.select_dtypes("number") < 0).any(axis=None)
        found += told
    assert found


def test_a_residual_that_is_next_to_nothing_is_told_of():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(8), 4), "x": rng.normal(size=32)})
    data["y"] = 1e4 * rng.normal(size=8)[data["g"]] + rng.normal(size=32)
    fm = mm.lmer("y ~ x + (1 | g)", data)
    with pytest.warns(mm.ApproximationWarning, match="of g is .* times the residual's"):
        fm.summary("satterthwaite")


@pytest.mark.filterwarnings("ignore::mixedmodels.MixedModelsWarning")
@pytest.mark.parametrize("seed", range(4))
def test_tiny_designs_end_in_an_answer_or_an_error_of_ours(seed):
    rng = np.random.default_rng(seed)
    answers = 0
    for _ in range(25):
        n = int(rng.integers(6, 12))
        data = pd.DataFrame({"g": rng.integers(0, 5, n), "h": rng.integers(0, 3, n)})
        data["f"], data["x"] = rng.choice(list("abc"), n), rng.normal(size=n)
        data["y"] = rng.normal(size=n) * 10.0 ** rng.integers(-4, 2) + rng.normal(size=5)[data["g"]]
        fixed = rng.choice(["x", "f", "x*f", "0 + f"])
        try:
            fm = mm.lmer(f"y ~ {fixed} + (1 | g) + (1 | h)", data)
        except mm.MixedModelsError:
            continue
        for ask in (
            fm.confint,
            lambda fm=fm: fm.confint(method="wald"),
            lambda fm=fm: fm.summary("kenward-roger"),
            fm.anova,
            lambda fm=fm: fm.influence("g"),
        ):
            with contextlib.suppress(mm.MixedModelsError):
                answers += bool(str(ask()))
    assert answers
