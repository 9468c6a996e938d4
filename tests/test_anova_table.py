"""Likelihood-ratio tables: the slides' digits, what is nested in what, and what is refused.

The models are stand-ins with the attributes that `anova` reads, at the optima of the slides.
"""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from mixedmodels.errors import ArgumentError, ArgumentTypeError, ComparisonError
from mixedmodels.inference.anova import anova


@dataclass(frozen=True)
class Model:
    """What `anova` reads of a fitted model."""

    formula: str
    X: np.ndarray
    design: SimpleNamespace
    deviance: float
    df: int
    data_name: str | None = None
    ml_deviance: float | None = None
    objective_error: float = 0.0
    singular: bool = False

    @property
    def plan(self):
        return SimpleNamespace(has_factor=False, seconds=0.0)  # nothing to bootstrap with

    @property
    def reml(self):
        return self.ml_deviance is not None

    @property
    def nobs(self):
        return len(self.X)

    @property
    def loglik(self):
        return -self.deviance / 2

    @property
    def aic(self):
        return self.deviance + 2 * self.df

    @property
    def bic(self):
        return self.deviance + self.df * math.log(self.nobs)

    def update(self, *, reml):
        assert not reml
        return replace(self, deviance=self.ml_deviance, ml_deviance=None)


def grouping(label, codes):
    codes = np.asarray(codes, dtype=np.int32)
    return SimpleNamespace(label=label, codes=codes, nlevels=int(codes.max()) + 1)


def model(deviance, groupings, X=None, *, n=60, y=None, weights=None, offset=None, **more):
    """A stand-in; X is the intercept unless given."""
    X = np.ones((n, 1)) if X is None else X
    y = np.random.default_rng(1).normal(size=len(X)) if y is None else y
    rows = SimpleNamespace(y=y, weights=weights, offset=offset, groupings=tuple(groupings))
    design = SimpleNamespace(y=y, groupings=rows.groupings, in_memory=lambda: rows)
    df = X.shape[1] + len(groupings) + 1
    more = {"formula": "y ~ ...", **more}
    return Model(X=X, design=design, deviance=deviance, df=df, **more)


SAMPLE = grouping("sample", np.repeat(np.arange(30), 2))
BATCH = grouping("batch", np.repeat(np.arange(10), 6))


@pytest.fixture
def pastes():
    small = model(
        248.4016998043, [SAMPLE], formula="strength ~ 1 + (1 | sample)", data_name="pastes"
    )
    large = model(
        247.9944658624,
        [SAMPLE, BATCH],
        formula="strength ~ 1 + (1 | batch) + (1 | sample)",
        data_name="pastes",
    )
    return small, large


@pytest.fixture
def classroom():
    n = 1190
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    school = grouping("schoolid", np.arange(n) % 107)
    classes = grouping("classid", np.arange(n) % 312)
    fixed = "mathgain ~ mathkind + minority + ses"
    small = model(
        11403.49899029, [school], X, formula=f"{fixed} + (1 | schoolid)", data_name="classroom"
    )
    large = model(
        11391.53199326,
        [classes, school],
        X,
        formula=f"{fixed} + (1 | classid) + (1 | schoolid)",
        data_name="classroom",
    )
    return small, large


# --- the slides ----------------------------------------------------------------------------------


def test_pastes_table_of_the_slides(pastes):
    fm4M, fm3M = pastes
    # R of today prints the log-likelihoods -124.2 and -124.0; the slides have two decimals.
    assert (
        str(anova(fm4M, fm3M))
        == """\
Data: pastes
Models:
fm4M: strength ~ 1 + (1 | sample)
fm3M: strength ~ 1 + (1 | batch) + (1 | sample)
     Df    AIC    BIC  logLik deviance  Chisq Chi Df Pr(>Chisq) p (boundary)
fm4M  3 254.40 260.69 -124.20   248.40
fm3M  4 255.99 264.37 -124.00   247.99 0.4072      1     0.5234       0.2617
fm3M: p (boundary) by 0.5 chi2(0) + 0.5 chi2(1) (the limit for many levels; there are 10, and \
method='bootstrap' is nearer the truth)
fm3M: a statistic of zero has probability 0.50"""
    )


def test_classroom_table_of_the_slides(classroom):
    fm9M, fm8M = classroom
    assert (
        str(anova(fm9M, fm8M))
        == """\
Data: classroom
Models:
fm9M: mathgain ~ mathkind + minority + ses + (1 | schoolid)
fm8M: mathgain ~ mathkind + minority + ses + (1 | classid) + (1 | schoolid)
     Df   AIC   BIC  logLik deviance  Chisq Chi Df Pr(>Chisq) p (boundary)
fm9M  6 11416 11446 -5701.7    11404
fm8M  7 11406 11441 -5695.8    11392 11.967      1  0.0005415    0.0002708
fm8M: p (boundary) by 0.5 chi2(0) + 0.5 chi2(1) (the limit for many levels)
fm8M: a statistic of zero has probability 0.50"""
    )


def test_without_the_boundary_the_table_is_that_of_the_slides_alone(classroom):
    fm9M, fm8M = classroom
    assert (
        str(anova(fm9M, fm8M, method="chisq"))
        == """\
Data: classroom
Models:
fm9M: mathgain ~ mathkind + minority + ses + (1 | schoolid)
fm8M: mathgain ~ mathkind + minority + ses + (1 | classid) + (1 | schoolid)
     Df   AIC   BIC  logLik deviance  Chisq Chi Df Pr(>Chisq)
fm9M  6 11416 11446 -5701.7    11404
fm8M  7 11406 11441 -5695.8    11392 11.967      1  0.0005415"""
    )


def test_order_of_the_arguments_does_not_matter(pastes):
    fm4M, fm3M = pastes
    assert str(anova(fm3M, fm4M)) == str(anova(fm4M, fm3M))


def test_frame_holds_the_unrounded_numbers(pastes):
    frame = anova(*pastes, names=["small", "large"]).to_frame()
    assert list(frame.index) == ["small", "large"]
    assert list(frame.df) == [3, 4]
    assert frame.chisq["large"] == pytest.approx(248.4016998043 - 247.9944658624, abs=1e-12)
    # P(X > c) = erfc(sqrt(c / 2)) for one degree of freedom.
    expected = math.erfc(math.sqrt(frame.chisq["large"] / 2))
    assert frame.p_value["large"] == pytest.approx(expected, rel=1e-12)
    assert frame.loc["small", ["chisq", "p_value"]].isna().all()
    assert frame.chi_df["small"] is pd.NA
    assert frame.chi_df["large"] == 1
    assert list(frame.relation) == ["first", "nested"]


def test_other_formats(pastes):
    table = anova(*pastes, names=["fm_4", "fm_3"])
    assert r"| -124.00 | 247.99 | 0.4072 | 1 | 0.5234 | 0.2617 |" in table.to_markdown()
    assert r"fm\_4 & 3 & 254.40 & 260.69 & $-$124.20 & 248.40 &  &  &  &  \\" in table.to_latex()
    html = ElementTree.fromstring(table._repr_html_())
    assert [th.text for th in html.iter("th")][-2:] == ["fm_4", "fm_3"]


def test_reml_fits_are_refitted_and_named():
    fm3 = model(246.9907, [SAMPLE, BATCH], ml_deviance=247.9944658624)
    fm4 = model(248.4016998043, [SAMPLE])
    table = anova(fm3, fm4)
    assert table.rows[1].deviance == 247.9944658624
    assert table.notes[0] == "Refitted by maximum likelihood instead of REML: fm3"
    assert table.notes[0] in str(table).split("\n")


def test_three_models_are_tested_in_turn():
    X = np.column_stack([np.ones(60), np.arange(60.0)])
    a, b, c = model(110.0, [SAMPLE]), model(105.0, [SAMPLE], X), model(98.0, [SAMPLE, BATCH], X)
    rows = anova(c, a, b).rows
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert [row.chisq for row in rows[1:]] == [5.0, 7.0]
    assert [row.relation for row in rows] == ["first", "nested", "nested"]


def test_a_larger_model_that_fits_worse_by_rounding_has_a_statistic_of_zero():
    small, large = model(100.0, [SAMPLE]), model(100.0 + 1e-9, [SAMPLE, BATCH])
    row = anova(small, large).rows[1]
    assert (row.chisq, row.p_value) == (0.0, 1.0)


# --- names ---------------------------------------------------------------------------------------


def test_models_without_a_variable_are_numbered():
    models = [model(110.0, [SAMPLE]), model(105.0, [SAMPLE, BATCH])]
    assert [row.name for row in anova(*models).rows] == ["model1", "model2"]


def test_one_object_twice_gets_two_names():
    fit = model(110.0, [SAMPLE])
    assert [row.name for row in anova(fit, fit).rows] == ["model1", "model2"]


def test_unknown_data_is_left_out():
    small, large = model(110.0, [SAMPLE]), model(105.0, [SAMPLE, BATCH])
    assert str(anova(small, large)).startswith("Models:\n")


@pytest.mark.parametrize("names", [["a"], ["a", "a"], "ab"])
def test_names_must_fit(pastes, names):
    with pytest.raises(ArgumentError, match="2 different texts"):
        anova(*pastes, names=names)


# --- nested or not -------------------------------------------------------------------------------


def relation(*models):
    return anova(*models).rows[-1].relation


def test_fixed_effects_are_compared_by_their_column_space():
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(2, 60))
    one = np.ones(60)
    small = model(110.0, [SAMPLE], np.column_stack([one, x + z]))
    large = model(105.0, [SAMPLE], np.column_stack([1e6 * (one + x), x - z, z - 3 * one]))
    assert relation(small, large) == "nested"
    other = model(105.0, [SAMPLE], np.column_stack([one, x, rng.normal(size=60)]))
    assert relation(small, other) == "not nested"


def test_a_covariate_far_from_zero_is_not_taken_for_the_intercept():
    year = 2000.0 + np.arange(60) % 4
    other = 1e6 + np.random.default_rng(4).normal(size=60)
    small = model(110.0, [SAMPLE], np.column_stack([np.ones(60), other]))
    large = model(105.0, [SAMPLE], np.column_stack([np.ones(60), year, year**2]))
    assert relation(small, large) == "not nested"


def test_no_fixed_effects_are_nested_in_any():
    small = model(110.0, [SAMPLE], np.empty((60, 0)))
    assert relation(small, model(105.0, [SAMPLE])) == "nested"
    assert relation(model(110.0, [BATCH]), model(1.0, [SAMPLE, BATCH], np.empty((60, 0)))) == (
        "not nested"
    )


def test_groupings_are_compared_as_partitions_not_by_name():
    relabelled = grouping("renamed", 29 - SAMPLE.codes)
    same_name = grouping("sample", np.roll(SAMPLE.codes, 1))
    small = model(110.0, [SAMPLE])
    assert relation(small, model(105.0, [relabelled, BATCH])) == "nested"
    assert relation(small, model(105.0, [same_name, BATCH])) == "not nested"


def test_a_coarser_or_finer_grouping_is_another():
    finer = grouping("finer", np.arange(60) // 2 * 2 + (np.arange(60) == 1))
    other = grouping("other", np.arange(60) % 7)
    assert relation(model(110.0, [SAMPLE]), model(105.0, [finer, other])) == "not nested"
    assert relation(model(110.0, [BATCH]), model(105.0, [SAMPLE, other])) == "not nested"


def test_not_nested_has_no_test_and_says_so():
    X = np.column_stack([np.ones(60), np.arange(60.0)])
    fm_batch, fm_time = model(110.0, [BATCH]), model(100.0, [SAMPLE], X)
    table = anova(fm_batch, fm_time)
    row = table.rows[1]
    assert math.isnan(row.p_value)
    assert math.isnan(row.chisq)
    assert row.chi_df == 1
    assert str(table).split("\n")[-2:] == [
        "fm_time   4 108.00 116.38 -50.000   100.00            1 not nested",
        "fm_batch is not nested in fm_time: no test, compare AIC or BIC",
    ]


def test_equal_degrees_of_freedom_have_no_test():
    a, b = model(110.0, [SAMPLE]), model(105.0, [BATCH])
    row = anova(a, b).rows[1]
    assert (row.relation, row.chi_df) == ("not nested", 0)
    assert math.isnan(row.p_value)


def test_the_same_model_in_other_words():
    x = np.arange(60.0)
    a = model(110.0, [SAMPLE], np.column_stack([np.ones(60), x]))
    b = model(110.0, [SAMPLE], np.column_stack([np.ones(60) - x, x + 2]))
    table = anova(a, b)
    assert table.rows[1].relation == "same model"
    assert math.isnan(table.rows[1].p_value)
    assert table.notes == ("a and b are the same model: no test",)


def test_an_offset_is_a_coefficient_of_one():
    x = np.arange(60.0)
    small = model(110.0, [SAMPLE], offset=x)
    spanning = model(105.0, [SAMPLE], np.column_stack([np.ones(60), x]))
    assert relation(small, spanning) == "nested"
    assert relation(small, model(105.0, [SAMPLE, BATCH])) == "not nested"
    assert relation(small, model(105.0, [SAMPLE, BATCH], offset=x)) == "nested"


# --- what is refused -----------------------------------------------------------------------------


def test_no_model():
    with pytest.raises(ComparisonError, match="two models or more, and got 0"):
        anova()


@pytest.mark.parametrize("thing", ["y ~ x", None, pd.DataFrame(), Model])
def test_not_a_model(thing):
    with pytest.raises(ArgumentTypeError, match=r"argument 2 of anova is a \w+, not a fitted"):
        anova(model(110.0, [SAMPLE]), thing)


def test_different_numbers_of_rows():
    a, b = model(110.0, [SAMPLE]), model(105.0, [grouping("g", np.arange(50) % 5)], n=50)
    with pytest.raises(ComparisonError, match=r"a was fitted to 60 rows and b to 50.*missing"):
        anova(a, b)


def test_different_responses():
    a = model(110.0, [SAMPLE])
    b = model(105.0, [SAMPLE, BATCH], y=np.exp(a.design.y))
    with pytest.raises(ComparisonError, match="a and b have different responses"):
        anova(a, b)


def test_different_weights():
    weights = np.linspace(1, 2, 60)
    a, b = model(110.0, [SAMPLE]), model(105.0, [SAMPLE, BATCH], weights=weights)
    with pytest.raises(ComparisonError, match="different weights"):
        anova(a, b)
    assert relation(a, model(105.0, [SAMPLE, BATCH], weights=np.ones(60))) == "nested"
