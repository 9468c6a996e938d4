"""The designs of the large benchmarks: exact sizes, the structure promised, the same each time."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.generators import DESIGNS, Table, grades, ratings, worker_firm
from benchmarks.generators import achievement as draw_achievement
from benchmarks.generators.draws import counts, cover, draw_within
from benchmarks.generators.table import Coded
from benchmarks.large.models import LARGE, LargeModel

import mixedmodels as mm
from mixedmodels.design import build_design

#: Levels of the grouping factors at a hundredth of the size, and the rows.
SMALL = {
    "grades": ({"id": 547, "instr": 79, "dept": 2}, 16_854),
    "achievement": ({"student": 18_768, "teacher": 475}, 52_120),
    "ratings": ({"userId": 1_625, "movieId": 590}, 250_001),
    "worker_firm": ({"worker": 14_000, "firm": 1_000}, 84_000),
    "nested": ({"a": 100, "b": 1_000, "c": 10_000}, 100_000),
}


@pytest.mark.parametrize("model", LARGE.values(), ids=LARGE)
def test_the_models_read_columns_that_the_designs_have(model: LargeModel) -> None:
    frame = pa.concat_tables(DESIGNS[model.design](scale=0.01).batches()).to_pandas()
    assert mm.plan(model.formula, frame).dimension > 0
    assert {model.response, *model.groups} <= set(frame.columns)


def codes(table: Table, name: str) -> np.ndarray:
    column = table.columns[name]
    assert isinstance(column, Coded)
    return column.codes


@pytest.mark.parametrize("name", DESIGNS)
def test_every_level_occurs_and_the_file_has_them(name: str, tmp_path: Path) -> None:
    levels, rows = SMALL[name]
    path = tmp_path / "small.parquet"
    DESIGNS[name](scale=0.01).write(path)
    assert [file.name for file in tmp_path.iterdir()] == ["small.parquet"]
    frame = pq.read_table(path).to_pandas()
    assert len(frame) == rows
    assert {factor: frame[factor].nunique() for factor in levels} == levels
    assert not frame.isna().any().any()


@pytest.mark.parametrize("name", DESIGNS)
def test_the_seed_alone_decides(name: str) -> None:
    first, again, other = (DESIGNS[name](scale=0.01, seed=seed) for seed in (3, 3, 4))
    response = list(first.columns)[-1]
    for column in first.columns:
        one, two = first.columns[column], again.columns[column]
        np.testing.assert_array_equal(*(getattr(c, "codes", c) for c in (one, two)))
    assert not np.array_equal(first.columns[response], other.columns[response])


def test_no_user_rates_a_movie_twice_even_where_many_are_rated() -> None:
    table = ratings(rows=20_000, users=200, movies=250)
    pairs = codes(table, "userId").astype(int) * 250 + codes(table, "movieId")
    assert len(np.unique(pairs)) == 20_000
    stars = np.asarray(table.columns["rating"])
    assert set(np.unique(2 * stars)) <= set(range(1, 11))


def test_movies_are_long_tailed() -> None:
    found = np.sort(np.bincount(codes(ratings(scale=0.05), "movieId")))
    assert found[-len(found) // 10 :].sum() > 0.5 * found.sum()
    assert np.median(found) < 0.3 * found.mean()


def test_instructors_teach_in_one_department_or_two() -> None:
    table = grades(scale=0.1)
    pairs = np.unique(codes(table, "instr").astype(int) * 100 + codes(table, "dept"))
    departments = np.bincount(pairs // 100)
    assert set(departments) == {1, 2}
    assert 0.02 < np.mean(departments == 2) < 0.1


def test_the_grades_have_the_stated_standard_deviations() -> None:
    table = grades(scale=0.2)
    y = np.asarray(table.columns["gr_pt"])
    # Within student, instructor and department only the residual is left: 0.635.
    cell = np.unique(
        codes(table, "id").astype(int) * 10_000 + codes(table, "instr"), return_inverse=True
    )[1]
    dept = codes(table, "dept")
    cell = np.unique(cell.astype(int) * 100 + dept, return_inverse=True)[1]
    n = np.bincount(cell)
    means = np.bincount(cell, y) / n
    within = ((y - means[cell]) ** 2).sum() / (n - 1).sum()
    assert np.sqrt(within) == pytest.approx(0.635, rel=0.05)
    # Two courses of one student under different instructors share the student's variance.
    student = codes(table, "id")
    count = np.bincount(student)
    total = np.bincount(student, y - y.mean())
    squares = np.bincount(student, (y - y.mean()) ** 2)
    products = ((total**2 - squares).sum()) / (count * (count - 1)).sum()
    assert products > 0.2


def test_eight_in_a_hundred_workers_move_a_year() -> None:
    table = worker_firm(workers=20_000, firms=500)
    firm = codes(table, "firm").reshape(6, 20_000)
    assert np.mean(firm[1:] != firm[:-1]) == pytest.approx(0.08, abs=0.005)
    assert np.bincount(codes(table, "worker")).tolist() == [6] * 20_000
    sizes = np.sort(np.bincount(firm[0]))
    assert sizes[-1] > 20 * np.median(sizes)


def test_students_move_and_the_fixed_effects_have_29_columns() -> None:
    table = draw_achievement(scale=0.02)
    student, year = codes(table, "student"), codes(table, "year")
    grade = codes(table, "grade")
    order = np.lexsort((year, student))
    same = np.diff(student[order]) == 0
    assert set(np.diff(year[order])[same]) == {1}
    assert set(np.diff(grade[order])[same]) == {1}
    frame = pa.concat_tables(table.batches()).to_pandas()
    X = build_design(LARGE["achievement"].formula, frame).X
    assert X.shape[1] == np.linalg.matrix_rank(X) == 29
    # A school is told by its share of poverty.
    poverty = np.asarray(table.columns["poverty"])[order]
    assert np.mean((np.diff(poverty) != 0)[same]) == pytest.approx(0.085, abs=0.02)


def test_counts_keep_their_total_and_bounds() -> None:
    random = np.random.default_rng(0)
    found = counts(random, 1_000, random.pareto(0.5, 200), least=1, most=20)
    assert (found.sum(), found.min() >= 1, found.max()) == (1_000, True, 20)
    with pytest.raises(ValueError, match="10 cannot be shared out among 11 levels"):
        counts(random, 10, np.ones(11))


def test_cover_takes_only_from_levels_with_others() -> None:
    random = np.random.default_rng(0)
    covered = cover(random, np.array([0, 0, 0, 4, 4, 2], dtype=np.int32), 5)
    assert np.bincount(covered, minlength=5).min() == 1
    with pytest.raises(ValueError, match="too few"):
        cover(random, np.array([0, 0, 1], dtype=np.int32), 4)


def test_children_are_of_their_parents_and_in_proportion() -> None:
    random = np.random.default_rng(0)
    parent_of = np.array([0, 0, 1, 2, 2, 2], dtype=np.int32)
    parents = np.repeat(np.arange(3, dtype=np.int32), 30_000)
    found = draw_within(random, parents, parent_of, np.array([1.0, 3, 5, 1, 1, 2]))
    np.testing.assert_array_equal(parent_of[found], parents)
    share = np.bincount(found) / 30_000
    np.testing.assert_allclose(share, [0.25, 0.75, 1, 0.25, 0.25, 0.5], atol=0.015)
