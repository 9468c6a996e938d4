"""Reading columns: every kind of frame and of values."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mixedmodels.columns import Columns, nearest, to_pandas
from mixedmodels.errors import ArgumentTypeError, DataError, UnknownColumnError
from mixedmodels.factors import Factor, factor_of_integers, level_texts

D = Decimal


def series(values, dtype=None):
    return pd.Series(values, dtype=dtype)


def arrow(values, kind):
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


NUMERIC = {
    "int8": series([-128, 127, 3], "int8"),
    "uint64": series([1, 2, 3], "uint64"),
    "float16": series([1, 2, np.nan], "float16"),
    "longdouble": series([1, 2, 3], np.longdouble),
    "Int64": series([2, 1, None], "Int64"),
    "Float64": series([2, 1, None], "Float64"),
    "object of ints": series([3, 1, None], object),
    "object of decimals": series([D("1.5"), D(2), None], object),
    "arrow int": arrow([2, 1, None], pa.int64()),
    "arrow decimal": arrow([D("1.5"), D("2.5"), None], pa.decimal128(5, 2)),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1.0])),
    "all missing": series([None, None, None], object),
}
LOGICAL = {
    "bool": series([True, False, True]),
    "boolean": series([True, None, False], "boolean"),
    "object of bools": series([True, None, False], object),
    "arrow bool": arrow([True, False, None], pa.bool_()),
}
# Values, levels and codes as a factor.
FACTORS = {
    "str": (series(["b", None, "a"], "str"), ["a", "b"], [1, -1, 0]),
    "string": (series(["b", None, "a"], "string"), ["a", "b"], [1, -1, 0]),
    "object": (series(["b", None, "B"], object), ["B", "b"], [1, -1, 0]),
    "arrow string": (arrow(["b", None, "a"], pa.string()), ["a", "b"], [1, -1, 0]),
    "arrow categories": (
        arrow(["b", "a", None], pa.dictionary(pa.int8(), pa.string())),
        ["b", "a"],
        [0, 1, -1],
    ),
    "categories": (
        pd.Series(pd.Categorical(["b", None, "a"], ["z", "b", "a"])),
        ["z", "b", "a"],
        [1, -1, 2],
    ),
    "categories of ints": (pd.Series(pd.Categorical([3, 1, 3])), [1, 3], [1, 0, 1]),
}
GROUPING_ONLY = {
    "int": (series([10, 9, 10]), [9, 10], [1, 0, 1]),
    "int far apart": (series([10**15, -5, 10**15]), [-5, 10**15], [1, 0, 1]),
    "int8": (series([-128, 127, 3], "int8"), [-128, 3, 127], [0, 2, 1]),
    "uint64": (series([2**64 - 1, 2**64 - 3] * 2, "uint64"), [2**64 - 3, 2**64 - 1], [1, 0, 1, 0]),
    "float": (series([1.5, np.inf, np.nan]), [1.5, np.inf], [0, 1, -1]),
    "Int64": (series([2, 1, None], "Int64"), [1, 2], [1, 0, -1]),
    "bool": (series([True, False, True]), [False, True], [1, 0, 1]),
    "dates": (
        series([dt.date(2020, 1, 2), dt.date(2020, 1, 1), None], object),
        [dt.date(2020, 1, 1), dt.date(2020, 1, 2)],
        [1, 0, -1],
    ),
    "datetime": (
        pd.to_datetime(pd.Series(["2020-01-02", "2020-01-01", None])),
        [pd.Timestamp(2020, 1, 1), pd.Timestamp(2020, 1, 2)],
        [1, 0, -1],
    ),
    "tuples": (series([(1, 2), (0, 1), None], object), [(0, 1), (1, 2)], [1, 0, -1]),
    "decimals": (series([D(2), D("1.5"), None], object), [D("1.5"), D(2)], [1, 0, -1]),
}


def read(values):
    return Columns(pd.DataFrame({"v": values}))


@pytest.mark.parametrize("values", NUMERIC.values(), ids=NUMERIC)
def test_numbers(values):
    columns = read(values)
    numbers = columns.value("v")
    assert numbers.dtype == np.float64
    expected = [np.nan if pd.isna(v) else float(v) for v in values]
    np.testing.assert_array_equal(numbers, expected)
    missing = columns.missing().get("v", np.zeros(3, dtype=bool))
    np.testing.assert_array_equal(missing, np.isnan(expected))


@pytest.mark.parametrize("values", LOGICAL.values(), ids=LOGICAL)
def test_truth_values(values):
    columns = read(values)
    truth = columns.value("v")
    assert truth.dtype == np.bool_
    known = values.notna()
    np.testing.assert_array_equal(truth[known], values[known].astype(bool))
    assert columns.missing().get("v", np.zeros(1)).sum() == (~known).sum()


@pytest.mark.parametrize(("values", "levels", "codes"), FACTORS.values(), ids=FACTORS)
def test_categories(values, levels, codes):
    columns = read(values)
    factor = columns.value("v")
    assert isinstance(factor, Factor)
    assert factor.levels.tolist() == levels
    np.testing.assert_array_equal(factor.codes, codes)
    assert factor.codes.dtype == np.int32
    np.testing.assert_array_equal(columns.missing().get("v", factor.codes < 0), values.isna())


@pytest.mark.parametrize(
    ("values", "levels", "codes"), [*FACTORS.values(), *GROUPING_ONLY.values()]
)
def test_anything_that_sorts_can_be_a_factor(values, levels, codes):
    columns = read(values)
    factor = columns.factor("v")
    assert factor.levels.tolist() == levels
    np.testing.assert_array_equal(factor.codes, codes)
    np.testing.assert_array_equal(columns.missing().get("v", factor.codes < 0), values.isna())


@pytest.mark.parametrize(
    "values",
    [
        series([1, "a", None], object),
        series([1 + 1j, 2, 0]),
        pd.to_datetime(pd.Series(["2020-01-01"] * 3)),
        series([dt.date(2020, 1, 1)] * 3, object),
        pd.to_timedelta(pd.Series([1, 2, 3])),
        pd.Series(pd.period_range("2020", periods=3, freq="Y")),
        pd.Series(pd.interval_range(0, 3)),
        series([[1], [2], None], object),
        series([b"a", b"b", None], object),
    ],
)
def test_what_is_no_covariate_is_refused(values):
    with pytest.raises(DataError, match="column 'v'"):
        read(values).value("v")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (series([1, "a", None], object), "int, str"),
        (series([[1], [2], None], object), "list"),
        (series([1 + 1j, 2, 0]), "complex"),
    ],
)
def test_what_is_no_factor_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        read(values).factor("v")


def test_ordered_and_unused_levels():
    values = pd.Categorical(["b", "a", None, "b"], ["z", "b", "y", "a"], ordered=True)
    factor = read(values).factor("v")
    assert factor.ordered
    kept = factor.take(np.array([0, 1, 3]))
    assert kept.levels.tolist() == ["b", "a"]
    assert kept.codes.tolist() == [0, 1, 0]
    assert kept.ordered
    assert factor.take(np.array([1])).levels.tolist() == ["a"]
    assert factor.take(None).codes.tolist() == [0, 1, -1, 0]
    full = Factor(np.array([1, 0], dtype=np.int32), pd.Index(["a", "b"]))
    assert full.take(None) is full


def test_integers_of_narrow_and_of_wide_range_are_numbered_alike():
    rng = np.random.default_rng(1)
    narrow = rng.integers(0, 50, 200)
    wide = factor_of_integers(narrow.astype(np.int64) * 10**12 - 7)
    factor = factor_of_integers(narrow)
    np.testing.assert_array_equal(factor.codes, wide.codes)
    np.testing.assert_array_equal(factor.levels.to_numpy()[factor.codes], narrow)
    assert factor_of_integers(narrow[:0]).nlevels <= 1


def test_texts_of_levels_are_rs():
    assert level_texts(pd.Index([False, True])) == ["FALSE", "TRUE"]
    assert level_texts(pd.Index([1.0, 2.5, np.inf, 1e5])) == ["1", "2.5", "Inf", "1e+05"]
    assert level_texts(pd.Index([1, 20])) == ["1", "20"]
    assert level_texts(pd.to_datetime(pd.Index(["2020-01-02"]))) == ["2020-01-02"]


def frames():
    polars = pytest.importorskip("polars")
    data = {
        "s": ["x", None, "w"],
        "i": [3, None, 1],
        "x": [1.5, 2.5, None],
        "b": [True, None, False],
    }
    frame = polars.DataFrame(data)
    return {"polars": frame, "pyarrow": frame.to_arrow(), "dict": data}


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dict"])
def test_other_frames_read_as_pandas(library):
    data = frames()[library]
    columns = Columns(data)
    assert columns.names == ("s", "i", "x", "b")
    assert columns.n == 3
    assert columns.index.equals(pd.RangeIndex(3))
    assert columns.value("s").levels.tolist() == ["w", "x"]
    np.testing.assert_array_equal(columns.value("i"), [3, np.nan, 1])
    assert columns.factor("i").levels.tolist() == [1, 3]
    np.testing.assert_array_equal(columns.value("x"), [1.5, 2.5, np.nan])
    assert columns.value("b")[[0, 2]].tolist() == [True, False]
    missing = {name: np.flatnonzero(mask).tolist() for name, mask in columns.missing().items()}
    assert missing == {"s": [1], "i": [1], "x": [2], "b": [1]}
    assert to_pandas(data).shape == (3, 4)


def test_categories_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "e": polars.Series(["u", "v", "u"], dtype=polars.Enum(["v", "u", "w"])),
            "c": polars.Series(["z", "a", None], dtype=polars.Categorical),
        }
    )
    columns = Columns(frame)
    assert columns.value("e").levels.tolist() == ["v", "u", "w"]
    assert not columns.value("e").ordered
    assert columns.value("c").levels.tolist() == ["a", "z"]
    with pytest.raises(ArgumentTypeError, match="in memory"):
        Columns(frame.lazy())


@pytest.mark.parametrize("data", [None, 3, "x", [1], np.zeros((2, 2)), pd.Series([1])])
def test_what_is_no_data_frame_is_refused(data):
    with pytest.raises(ArgumentTypeError, match="must be a data frame"):
        Columns(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "same name: a;"),
        (pa.table([[1], [2]], names=["a", "a"]), "cannot be read"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "flatten"),
        ({"a": [1, 2], "b": [1]}, "no data frame"),
        ({"a": 1}, "no data frame"),
    ],
)
def test_broken_frames_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        Columns(data)


@pytest.mark.parametrize("name", ["", 3, None])
def test_names_that_are_no_names_matter_when_all_are_asked_for(name):
    columns = Columns(pd.DataFrame({"x": [1.0, 2.0], name: [1, 2]}))
    assert columns.value("x").tolist() == [1, 2]
    with pytest.raises(DataError, match="column 1 has"):
        assert columns.names


def test_unknown_columns_suggest_the_nearest():
    columns = Columns(pd.DataFrame(columns=["Yield", "Batch", "Cask"], index=range(2)))
    with pytest.raises(UnknownColumnError, match=r"no column 'yield'\. Did you mean 'Yield'"):
        columns.value("yield")
    assert nearest("zzz", ["a"]) == ""
    many = Columns(pd.DataFrame(columns=[f"c{i}" for i in range(20)]))
    with pytest.raises(UnknownColumnError, match="c11 and 8 more"):
        many.value("zzz")


def test_values_are_copies():
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    values = Columns(frame).value("x")
    frame.loc[0, "x"] = 9.0
    assert values.tolist() == [1.0, 2.0]
