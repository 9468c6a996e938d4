"""Data sets and fits, made once for all the tests."""

from functools import cache

import pytest

import mixedmodels as mm


@cache
def _load(name):
    return mm.datasets.load(name)


@cache
def _fit(name, formula, criterion):
    return mm.lmer(formula, _load(name), reml=criterion == "REML")


@pytest.fixture(scope="session")
def load():
    """Load a data set by its name, once."""
    return _load


@pytest.fixture(scope="session")
def fit():
    """Fit `formula` to the named data set by ``"REML"`` or ``"ML"``, once: a fit is a value."""
    return _fit
