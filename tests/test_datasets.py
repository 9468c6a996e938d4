"""The data sets: their values against independent facts, their cards, and the way to them."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mixedmodels as mm
from mixedmodels import datasets
from mixedmodels.datasets.cards import CARDS
from mixedmodels.datasets.session import run_session
from mixedmodels.errors import ArgumentError, ArgumentTypeError, UnknownDatasetError

# sum(seq_len(n) * as.numeric(column)), computed in R: any change of a value, of the order of the
# rows or of the levels changes it. Missing values count as zero.
WEIGHTED_SUMS = {
    "dyestuff": {"Batch": 2065, "Yield": 710095},
    "dyestuff2": {"Batch": 2065, "Yield": 2550.466},
    "penicillin": {"diameter": 237825, "plate": 171900, "sample": 36960},
    "pastes": {"strength": 109475.8, "batch": 13035, "cask": 3740, "sample": 37355},
    "cake": {
        "replicate": 383400,
        "recipe": 74250,
        "temperature": 128835,
        "angle": 1081834,
        "temp": 7324875,
    },
    "cbpp": {"herd": 16908, "incidence": 2523, "size": 23851, "period": 4006},
    "sleepstudy": {"Reaction": 4967738.2834, "Days": 74790, "Subject": 203205},
    "insteval": {
        "s": 5340047898849,
        "d": 1476558483909,
        "studage": 6947105183,
        "lectage": 7712833363,
        "service": 3869537380,
        "dept": 20186384379,
        "y": 8618410019,
    },
    "classroom": {
        "sex": 1073408,
        "minority": 1173088,
        "mathkind": 330923190,
        "mathgain": 40870424,
        "ses": -2010.98,
        "yearstea": 8957080.86,
        "mathknow": 37363.59,
        "housepov": 123148.713,
        "mathprep": 1799789.92,
        "classid": 111405591,
        "schoolid": 50183411,
        "childid": 562427915,
    },
}
ROWS = {
    "dyestuff": 30,
    "dyestuff2": 30,
    "penicillin": 144,
    "pastes": 60,
    "cake": 270,
    "cbpp": 56,
    "sleepstudy": 180,
    "insteval": 73421,
    "classroom": 1190,
}
# What the example prints: the criterion at the optimum.
CRITERIA = {
    "dyestuff": "319.6543",
    "dyestuff2": "162.873",
    "penicillin": "330.8606",
    "pastes": "246.9907",
    "cake": "1693.84",
    "cbpp": "-58.05",
    "sleepstudy": "1786.4",
    "insteval": "237733.8",
    "classroom": "11389.22",
}
DEPARTMENTS = ("15", "5", "10", "12", "6", "7", "4", "8", "9", "14", "1", "3", "11", "2")
NAMES = tuple(ROWS)


@pytest.fixture(scope="module")
def frames():
    return {name: datasets.load(name) for name in NAMES}


def numbers(column):
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy() + 1.0
    return column.fillna(0).to_numpy()


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_values_rows_and_levels_are_as_published(frames, name):
    frame = frames[name]
    assert frame.columns.to_list() == list(WEIGHTED_SUMS[name])
    assert frame.shape[0] == ROWS[name]
    weights = np.arange(1.0, len(frame) + 1)
    sums = {column: weights @ numbers(frame[column]) for column in frame}
    assert sums == pytest.approx(WEIGHTED_SUMS[name], rel=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_only_mathknow_has_missing_values(frames, name):
    missing = frames[name].isna().sum()
    assert missing[missing > 0].to_dict() == ({"mathknow": 109} if name == "classroom" else {})


def test_dyestuff_has_the_quartiles_of_its_summary(frames):
    yields = frames["dyestuff"]["Yield"]
    assert yields.iloc[:5].to_list() == [1545, 1440, 1440, 1520, 1580]
    assert yields.quantile([0, 0.25, 0.5, 0.75, 1]).to_list() == [1440, 1468.75, 1530, 1575, 1635]
    assert yields.mean() == 1527.5
    assert frames["dyestuff"]["Batch"].value_counts().to_dict() == dict.fromkeys("ABCDEF", 5)


def test_dyestuff2_has_less_variance_between_than_within_batches(frames):
    frame = frames["dyestuff2"]
    batches = frame.groupby("Batch", observed=True)["Yield"]
    assert frame["Yield"].iloc[:3].to_list() == [7.298, 3.846, 2.434]
    assert 5 * batches.mean().var() < batches.var().mean()


def test_penicillin_is_fully_crossed(frames):
    counts = pd.crosstab(frames["penicillin"]["sample"], frames["penicillin"]["plate"])
    assert counts.shape == (6, 24)
    assert (counts == 1).all(axis=None)
    assert frames["penicillin"]["diameter"].iloc[:6].to_list() == [27, 23, 26, 23, 23, 21]


def test_pastes_sample_is_batch_and_cask(frames):
    frame = frames["pastes"]
    joined = frame["batch"].astype(str) + ":" + frame["cask"].astype(str)
    assert (frame["sample"].astype(str) == joined).all()
    assert (frame["sample"].value_counts() == 2).all()
    assert frame["strength"].iloc[:5].to_list() == [62.8, 62.6, 60.1, 62.3, 62.7]


def test_cake_temperature_is_ordered_and_equals_temp(frames):
    cake = frames["cake"]
    assert cake["temperature"].cat.categories.to_list() == [
        "175",
        "185",
        "195",
        "205",
        "215",
        "225",
    ]
    assert (cake["temperature"].astype(float) == cake["temp"]).all()
    assert cake.groupby(["recipe", "replicate"], observed=True).ngroups == 45


def test_sleepstudy_has_ten_days_of_each_subject(frames):
    frame = frames["sleepstudy"]
    days = frame.groupby("Subject", observed=True)["Days"].apply(tuple)
    assert set(days) == {tuple(range(10))}
    assert days.index.to_list()[:4] == ["308", "309", "310", "330"]


def test_insteval_lecturers_are_nested_in_departments_students_are_not(frames):
    frame = frames["insteval"]
    assert (frame.groupby("d", observed=True)["dept"].nunique() == 1).all()
    assert (frame.groupby("s", observed=True)["dept"].nunique() > 1).any()
    assert frame["y"].value_counts().sort_index().to_list() == [10186, 12951, 17609, 16921, 15754]
    assert frame["dept"].cat.categories.to_list() == list(DEPARTMENTS)


def test_classroom_is_as_unbalanced_as_its_tables_say(frames):
    frame = frames["classroom"]
    students = frame["classid"].value_counts().value_counts().sort_index()
    assert students.to_dict() == dict(
        zip(range(1, 11), [42, 53, 53, 61, 39, 31, 14, 13, 4, 2], strict=True)
    )
    classes = frame.groupby("schoolid", observed=True)["classid"].nunique()
    assert classes.value_counts().sort_index().to_dict() == {
        1: 13, 2: 34, 3: 26, 4: 21, 5: 12, 9: 1
    }  # fmt: skip


def test_classroom_labels_for_sex_and_minority(frames):
    frame = frames["classroom"]
    assert frame["sex"].value_counts().to_dict() == {"F": 602, "M": 588}
    assert frame["minority"].value_counts().to_dict() == {"Y": 806, "N": 384}
    gains = frame.groupby("minority", observed=True)["mathgain"].mean()
    assert gains.to_dict() == pytest.approx({"N": 55.96875, "Y": 58.32754}, abs=1e-5)


# --- frames ------------------------------------------------------------------------------------


def test_the_ordered_factors(frames):
    ordered = {
        (name, column)
        for name, frame in frames.items()
        for column in frame.select_dtypes("category")
        if frame[column].cat.ordered
    }
    assert ordered == {("cake", "temperature"), ("insteval", "studage"), ("insteval", "lectage")}


@pytest.mark.parametrize("name", NAMES)
def test_every_level_is_a_string_and_occurs(frames, name):
    for _, column in frames[name].select_dtypes("category").items():
        assert all(isinstance(level, str) for level in column.cat.categories)
        assert column.nunique() == len(column.cat.categories)


@pytest.mark.parametrize(
    ("name", "column"),
    [("classroom", "classid"), ("classroom", "schoolid"), ("classroom", "childid"),
     ("insteval", "s"), ("insteval", "d"), ("cbpp", "herd"), ("cake", "replicate")],
)  # fmt: skip
def test_numbered_levels_are_in_numeric_order(frames, name, column):
    labels = frames[name][column].cat.categories.astype(int)
    assert labels.is_monotonic_increasing
    assert labels[0] == 1


def test_a_frame_knows_its_name_and_is_new_at_each_call():
    first, second = datasets.load("dyestuff"), datasets.load("dyestuff")
    assert first.attrs["name"] == "dyestuff"
    first.loc[0, "Yield"] = 0.0
    assert second.loc[0, "Yield"] == 1545


@pytest.mark.parametrize("name", NAMES)
def test_backends_hold_the_same_data(frames, name):
    pl = pytest.importorskip("polars")
    polars, arrow = datasets.load(name, backend="polars"), datasets.load(name, backend="pyarrow")
    assert isinstance(polars, pl.DataFrame)
    assert isinstance(arrow, pa.Table)
    assert arrow.to_pandas().equals(frames[name])
    assert (arrow.to_pandas().dtypes == frames[name].dtypes).all()
    assert polars.columns == frames[name].columns.to_list()
    for column in CARDS[name].fields:
        expected = frames[name][column.name]
        if column.is_factor:
            assert polars[column.name].dtype == pl.Enum(expected.cat.categories.to_list())
            assert (polars[column.name].to_physical().to_numpy() == expected.cat.codes).all()
        else:
            assert polars[column.name].null_count() == expected.isna().sum()
            np.testing.assert_array_equal(polars[column.name].to_numpy(), expected)


# --- cards -------------------------------------------------------------------------------------


def test_list_names_all_data_sets():
    table = datasets.list()
    assert table.columns.to_list() == ["name", "title", "rows"]
    assert dict(zip(table["name"], table["rows"], strict=True)) == ROWS
    assert table["title"].str.len().between(10, 50).all()  # pandas cuts longer ones


@pytest.mark.parametrize("name", NAMES)
def test_a_card_describes_the_columns_as_they_are(frames, name):
    card = datasets.describe(name)
    assert card.rows == len(frames[name])
    assert list(card.columns) == frames[name].columns.to_list()
    for column in card.fields:
        values = frames[name][column.name]
        if column.is_factor:
            assert column.nlevels == len(values.cat.categories)
            assert column.levels in ((), tuple(values.cat.categories))
            assert (column.kind == "ordered factor") == values.cat.ordered
        else:
            assert values.dtype == ("int64" if column.kind == "integer" else "float64")


def test_units_are_there_for_axes():
    units = {(name, c.name): c.unit for name, card in CARDS.items() for c in card.fields}
    assert units["dyestuff", "Yield"] == "g"
    assert units["dyestuff2", "Yield"] == ""
    assert units["penicillin", "diameter"] == "mm"
    assert units["sleepstudy", "Reaction"] == "ms"
    assert units["cake", "angle"] == "°"
    assert units["cake", "temp"] == units["cake", "temperature"] == "°F"


@pytest.mark.parametrize("name", NAMES)
def test_a_card_prints_what_it_knows(name):
    card = datasets.describe(name)
    text = str(card)
    assert repr(card) == text
    assert text.startswith(f"{name}: {card.title}\n")
    assert max(map(len, text.splitlines())) <= 85
    for column in card.fields:
        assert f"\n  {column.name} " in text
    for heading in ("Source", "Terms", "Example", f"Columns ({card.rows} rows)"):
        assert f"\n{heading}\n" in text
    assert "GPL" in text or "printed in the book" in text
    assert f'datasets.load("{name}")' in text


def test_a_card_as_text_shows_types_units_and_levels():
    text = str(datasets.describe("cake"))
    assert "recipe       factor, 3 levels: A, B, C\n" in text
    assert "ordered factor, 6 levels: 175 < 185 < 195 < 205 < 215 < 225 (°F)" in text
    assert "angle        integer (°)\n" in text
    assert "factor, 24 levels: a, b, c, …, x" in str(datasets.describe("penicillin"))
    assert "factor, 312 levels\n" in str(datasets.describe("classroom"))


def test_a_card_as_markdown():
    lines = datasets.describe("sleepstudy").to_markdown().splitlines()
    assert lines[0] == "### `sleepstudy`: Reaction times in a sleep deprivation study"
    assert "| Reaction | number | ms | average reaction time on the day |" in lines
    assert lines[-1] == "```"


def test_a_card_as_html_is_escaped_and_well_formed():
    from xml.etree import ElementTree

    html = datasets.describe("cake")._repr_html_()
    tree = ElementTree.fromstring(f"<div>{html}</div>")
    assert len(tree.findall("table/tr")) == 1 + 5
    assert tree.findtext("pre") == datasets.describe("cake").code


# --- examples ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_example_shows_its_code_and_the_fit(name, capsys):
    assert mm.datasets.example(name) is None
    shown = capsys.readouterr().out
    assert shown.startswith(
        f'>>> import mixedmodels as mm\n>>> {name} = mm.datasets.load("{name}")\n>>> '
    )
    assert CRITERIA[name] in shown
    assert f"Number of obs: {ROWS[name]}," in shown


@pytest.mark.parametrize("name", NAMES)
def test_an_example_uses_columns_that_are_there(name):
    texts = [
        node.value
        for node in ast.walk(ast.parse(CARDS[name].code))
        if isinstance(node, ast.Constant) and "~" in str(node.value)
    ]
    assert len(texts) == 1
    words = "".join(c if c.isalnum() else " " for c in texts[0]).split()
    assert {word for word in words if word not in {"I", "1"}} <= set(CARDS[name].columns)


def test_a_session_shows_statements_and_values(capsys):
    run_session("x = [1,\n     2]\n# their sum\nsum(x)\nNone\nprint('done')")
    assert capsys.readouterr().out.splitlines() == [
        ">>> x = [1,",
        "...      2]",
        ">>> # their sum",
        ">>> sum(x)",
        "3",
        ">>> None",
        ">>> print('done')",
        "done",
    ]


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("reach", [datasets.load, datasets.describe, datasets.example])
def test_an_unknown_name_gets_the_nearest_and_all(reach):
    with pytest.raises(UnknownDatasetError) as caught:
        reach("DyeStuf")
    message = str(caught.value)
    assert "no data set 'DyeStuf'. Did you mean 'dyestuff' or 'dyestuff2'?" in message
    assert all(name in message for name in NAMES)


def test_a_name_near_to_none_gets_the_list_only():
    with pytest.raises(UnknownDatasetError, match=r"no data set 'xyz'\. The data sets are"):
        datasets.load("xyz")


def test_a_name_that_is_no_string():
    with pytest.raises(ArgumentTypeError, match="is a string, not int"):
        datasets.load(3)


@pytest.mark.parametrize("backend", ["Pandas", "duckdb", None, ["pandas"]])
def test_an_unknown_backend(backend):
    with pytest.raises(ArgumentError, match="may be 'pandas', 'polars', 'pyarrow'"):
        datasets.load("dyestuff", backend=backend)


def test_polars_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ArgumentError, match=r"needs polars, .* `pip install polars`"):
        datasets.load("dyestuff", backend="polars")


# --- cost and terms ----------------------------------------------------------------------------


def test_the_import_is_cheap():
    # In an empty parent package, so that only what the data sets themselves ask for is seen.
    root = Path(mm.__file__).parent
    code = f"""
import sys, types
parent = sys.modules["mixedmodels"] = types.ModuleType("mixedmodels")
parent.__path__ = [{str(root)!r}]
import mixedmodels.datasets
assert mixedmodels.datasets.load
assert not {{"numpy", "pandas", "polars", "pyarrow"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_notice_names_every_data_set():
    notice = (Path(datasets.__file__).parent / "NOTICE.md").read_text(encoding="utf-8")
    rows = [line for line in notice.splitlines() if line.startswith("| ")]
    for name in NAMES:
        (row,) = [row for row in rows if row.startswith(f"| {name} |")]
        assert ("GPL" in row) == ("GPL" in CARDS[name].terms)
