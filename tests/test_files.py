"""Fits of data in files against fits of the same data in memory."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

import mixedmodels as mm
from mixedmodels import _core, files, row_sums
from mixedmodels.row_sums import first_basis

CASES = {
    "dyestuff": "Yield ~ 1 + (1 | Batch)",
    "penicillin": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    "pastes": "strength ~ 1 + (1 | batch/cask)",
    "cake": "angle ~ recipe * ordered(temperature) + poly(temp, 1) + (1 | recipe:replicate)",
    "classroom": "mathgain ~ mathkind + factor(sex) + minority + bs(log(ses + 5), df=5)"
    " + I(housepov > 0.2) + (1 | classid) + (1 | schoolid)",
    "sleep": "reaction ~ days + (1 | subject)",
}


def frame_of(name, load):
    if name == "sleep":
        rng = np.random.default_rng(1)
        frame = pd.DataFrame({"days": np.tile(np.arange(10.0), 18)})
        frame["subject"] = np.repeat([f"ß{i}:x" for i in range(18)], 10)
        frame["reaction"] = 250 + 10 * frame["days"] + rng.normal(scale=30, size=180)
        frame["reaction"] += np.repeat(rng.normal(scale=30, size=18), 10)
        frame["w"] = rng.uniform(0.5, 2.0, 180)
        frame["o"] = rng.normal(size=180)
        return frame
    frame = load(name)
    if name == "classroom":
        frame = frame.copy()
        frame["mathkind"] = frame["mathkind"].astype(float)
        frame.loc[::97, "mathkind"] = np.nan
        frame.loc[5::201, "ses"] = np.nan
    return frame


def assert_same_fit(a, b):
    """Sums differ by their order: all that is read off them by rounding, magnified a little."""
    assert_allclose(a.objective, b.objective, rtol=1e-12)
    assert_allclose(a.beta, b.beta, rtol=1e-9, atol=1e-11 * np.abs(b.beta).max())
    # Where the criterion is flat theta has half of the digits.
    assert_allclose(a.theta, b.theta, rtol=1e-8, atol=1e-12)
    assert_allclose(a.b, b.b, rtol=1e-6, atol=1e-9 * max(1.0, np.abs(b.b).max()))
    assert_allclose(a.vcov(), b.vcov(), rtol=1e-7, atol=1e-12 * np.abs(b.vcov()).to_numpy().max())
    assert (a.nobs, a.ngroups, a.design.n_dropped) == (b.nobs, b.ngroups, b.design.n_dropped)
    assert a.design.names == b.design.names
    for label, effects in a.ranef().items():
        assert list(effects.index) == list(b.ranef()[label].index)


def test_batches_of_one_row(load, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_ROWS", 1)
    frame = frame_of("sleep", load)
    frame.to_parquet(tmp_path / "d.parquet")
    assert_same_fit(mm.lmer(CASES["sleep"], tmp_path / "d.parquet"), mm.lmer(CASES["sleep"], frame))


@pytest.mark.filterwarnings("ignore:fixed-effects columns")
@pytest.mark.parametrize(
    ("kind", "rows"),
    [("parquet", 7), ("parquet", 1 << 18), ("arrow", 7), ("csv", 7), ("csv.gz", 7)],
)
@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_the_fit_of_the_frame(name, rows, kind, load, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_ROWS", rows)
    frame = frame_of(name, load)
    path = tmp_path / f"data.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "arrow":
        table = pa.Table.from_pandas(frame)
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        frame.to_csv(path, index=False)
        frame = pd.read_csv(path)
    whole, fm = mm.lmer(CASES[name], frame), mm.lmer(CASES[name], path)
    assert_same_fit(fm, whole)
    assert fm.data_name == "data"
    pd.testing.assert_series_equal(fm.fitted(), whole.fitted(), rtol=1e-9, check_index_type=False)
    pd.testing.assert_series_equal(
        fm.residuals(), whole.residuals(), rtol=1e-7, atol=1e-8, check_index_type=False
    )


def test_weights_offset_and_dot(load, tmp_path):
    frame = frame_of("sleep", load)
    frame.to_parquet(tmp_path / "sleep.parquet")
    options = {"weights": "w", "offset": "o", "reml": False}
    whole = mm.lmer("reaction ~ . + (1 | subject)", frame, **options)
    fm = mm.lmer("reaction ~ . + (1 | subject)", str(tmp_path / "sleep.parquet"), **options)
    assert_same_fit(fm, whole)
    assert_same_fit(fm.update("~ . - days"), whole.update("~ . - days"))
    assert_same_fit(fm.refit(frame["reaction"] ** 2), whole.refit(frame["reaction"] ** 2))
    table = mm.anova(fm.update("~ . - days"), fm)
    expected = mm.anova(whole.update("~ . - days"), whole)
    assert_allclose(table.to_frame()["p_value"], expected.to_frame()["p_value"], rtol=1e-9)
    assert_allclose(fm.predict(frame.head()), whole.predict(frame.head()), rtol=1e-10)
    assert_allclose(fm.X, whole.X)
    assert (fm.Zt != whole.Zt).nnz == 0
    assert fm.design.relations().equals(whole.design.relations())


def test_rows_stream_into_files(load, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_ROWS", 100)
    frame = frame_of("classroom", load)
    frame.to_parquet(tmp_path / "c.parquet")
    formula = CASES["classroom"]
    whole, fm = mm.lmer(formula, frame), mm.lmer(formula, tmp_path / "c.parquet")
    for name in ("out.parquet", "out.csv", "out.arrow"):
        path = fm.augment(to=tmp_path / name)
        read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "arrow": pd.read_feather}
        found = read[name.split(".")[1]](path)
        expected = whole.augment()
        assert list(found.columns) == list(expected.columns)
        for column in (".fitted", ".resid", ".fixed", "mathgain"):
            assert_allclose(found[column], expected[column], rtol=1e-8, atol=1e-8)
    fitted = pd.read_parquet(fm.fitted(to=tmp_path / "f.parquet"))
    assert_allclose(fitted["fitted"], whole.fitted(), rtol=1e-10)
    assert list(fitted["row"]) == list(whole.fitted().index)
    assert len(pd.read_csv(whole.residuals(to=str(tmp_path / "r.csv")))) == whole.nobs
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("c.parquet", "f.parquet", "out.arrow", "out.csv", "out.parquet", "r.csv")
    ]


def test_what_may_not_be_written(load, tmp_path):
    source = tmp_path / "d.parquet"
    frame_of("sleep", load).to_parquet(source)
    fm = mm.lmer(CASES["sleep"], source)
    (tmp_path / "folder.csv").mkdir()
    for to, message in [
        (source, "holds the data"),
        (tmp_path / "x.txt", "must end in .parquet or .csv"),
        (tmp_path / "no" / "x.csv", "create it first"),
        (tmp_path / "folder.csv", "is a folder"),
    ]:
        with pytest.raises(mm.ArgumentError, match=message):
            fm.fitted(to=to)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.parquet", "folder.csv"]


def test_a_model_outlives_its_file(load, tmp_path):
    source = tmp_path / "d.parquet"
    frame_of("sleep", load).to_parquet(source)
    fm = mm.lmer(CASES["sleep"], source)
    saved = pickle.dumps(fm)
    source.unlink()
    again = pickle.loads(saved)
    assert str(again) == str(fm)
    assert_same_fit(again.update(reml=False), fm.update(reml=False))
    with pytest.raises(mm.DataError, match=r"d\.parquet cannot be read"):
        again.fitted()


@pytest.mark.parametrize(
    ("formula", "options", "error", "message"),
    [
        ("reaction ~ dais + (1 | subject)", {}, mm.UnknownColumnError, "Did you mean 'days'"),
        ("subject ~ days + (1 | w)", {}, mm.ResponseError, "not numeric"),
        ("one ~ days + (1 | subject)", {}, mm.ResponseError, "is constant: it is 1"),
        ("reaction ~ days + (1 | one)", {}, mm.GroupingError, "one level only"),
        ("reaction ~ days + (1 | id)", {}, mm.GroupingError, "a level for each of the 180 rows"),
        ("reaction ~ (1 | subject) + (1 | again)", {}, mm.GroupingError, "in the same way"),
        ("reaction ~ subject + (1 | subject)", {}, mm.GroupingError, "fit every level"),
        ("log(o) ~ days + (1 | subject)", {}, mm.ResponseError, r"log\(o\) is nan in row"),
        ("reaction ~ log(o) + (1 | subject)", {}, mm.DataError, r"log\(o\) is nan in row"),
        ("reaction ~ label + (1 | subject)", {}, mm.DataError, "a fixed effect needs two"),
        ("reaction ~ none + (1 | subject)", {}, mm.DataError, r"missing in none \(180\)"),
        ("none ~ days + (1 | subject)", {}, mm.ResponseError, "all values of the response none"),
        ("reaction ~ lag(days) + (1 | subject)", {}, mm.FormulaError, "all rows at once"),
        ("reaction ~ f(days) + (1 | subject)", {"context": {"f": abs}}, mm.FormulaError, "batches"),
        (
            "reaction ~ (1 | subject)",
            {"weights": "o"},
            mm.ArgumentError,
            "weights must be positive",
        ),
        ("reaction ~ (1 | subject)", {"weights": [1.0]}, TypeError, "the name of a column"),
        ("reaction ~ hole + (1 | subject)", {"missing": "error"}, mm.DataError, r"hole \(1\)"),
    ],
)
@pytest.mark.parametrize("rows", [7, 1 << 18])
def test_bad_data_in_files(formula, options, error, message, rows, load, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_ROWS", rows)
    frame = frame_of("sleep", load)
    frame = frame.assign(
        one=1.0, id=range(180), again=frame["subject"] + "!", label="a", none=np.nan
    )
    frame["hole"] = frame["o"].where(frame.index != 77)
    frame.to_parquet(tmp_path / "d.parquet")
    with pytest.raises(error, match=message):
        mm.lmer(formula, tmp_path / "d.parquet", **options)


def test_rows_in_errors_are_those_of_the_file(load, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_ROWS", 50)
    frame = frame_of("sleep", load)
    frame.loc[3, "o"] = np.nan
    frame.loc[123, "days"] = np.inf
    frame.to_parquet(tmp_path / "d.parquet")
    with pytest.raises(mm.DataError, match="days is inf in row 123"):
        mm.lmer("reaction ~ days + o + (1 | subject)", tmp_path / "d.parquet")


def test_types_that_the_first_rows_do_not_tell(tmp_path):
    rng = np.random.default_rng(0)
    n = 2000
    frame = pd.DataFrame({"g": rng.integers(0, 50, n), "y": rng.normal(size=n), "x": range(n)})
    texts = frame.astype(str)
    texts.loc[n - 1, "g"] = "x50"
    texts.loc[n - 1, "x"] = "0.5"
    texts.loc[n - 2, "y"] = "NA"
    texts.to_csv(tmp_path / "d.csv", index=False)
    fm = mm.lmer("y ~ x + (1 | g)", tmp_path / "d.csv")
    assert_same_fit(fm, mm.lmer("y ~ x + (1 | g)", pd.read_csv(tmp_path / "d.csv")))
    assert (fm.ngroups, fm.nobs) == ({"g": 51}, n - 1)


def test_a_category_keeps_its_order_and_ids_may_be_huge(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_ROWS", 33)
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame({"y": rng.normal(size=n)})
    frame["size"] = pd.Categorical(
        rng.choice(["small", "medium", "large"], n), ["small", "medium", "large", "huge"]
    )
    frame["id"] = rng.integers(0, 40, n).astype(np.uint64) + np.uint64(2**64 - 50)
    frame["when"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 9, n), "D")
    frame.to_parquet(tmp_path / "d.parquet")
    formula = "y ~ size + (1 | id:size) + (1 | when)"
    assert_same_fit(mm.lmer(formula, tmp_path / "d.parquet"), mm.lmer(formula, frame))


# -- sums ----------------------------------------------------------------------------------------


def summed(design, R0, b0, batch=37):
    sums = _core.RowSums([g.nlevels for g in design.groupings], R0, b0)
    for start in range(0, design.n, batch):
        rows = slice(start, start + batch)
        codes = [np.ascontiguousarray(g.codes[rows]) for g in design.groupings]
        X = np.asfortranarray(design.X[rows])
        sums.add(codes, X, np.ascontiguousarray(design.y[rows]), None)
    return sums


def test_a_basis_that_is_far_off_is_found_out_and_made_better(load):
    frame = load("classroom").assign(
        far=lambda d: 1e6 + d["ses"], twice=lambda d: 2 * d["ses"] + 1.0
    )
    with pytest.warns(mm.RankDeficientWarning):
        fm = mm.lmer("mathgain ~ far + mathkind + twice + (1 | classid)", frame)
    design = fm.design
    p = design.X.shape[1]
    R0, b0 = np.asfortranarray(np.eye(p)), np.zeros(p)
    for readings in range(1, 7):  # noqa: B007
        sums = summed(design, R0, b0)
        if sums.sound():
            break
        R0, b0 = sums.better_R0, sums.better_b0
    assert 2 <= readings <= 4
    structure, products = sums.finish()
    expected = fm.cross_products
    assert structure.dropped == expected.structure.dropped == [3]
    assert_allclose(np.abs(structure.ZtX), np.abs(expected.structure.ZtX), atol=1e-9)
    assert_allclose(products.yty, expected.response.yty, rtol=1e-10)
    few, b = first_basis(design, design.n)
    sums = summed(design, few, b)
    assert sums.sound()
    assert sums.finish()[0].dropped == [3]
    # A redundant column that has been given a share of the response has to give it back.
    assert not summed(design, few, b + np.eye(p)[3]).sound()


def test_sums_without_their_digits_are_not_passed_over_in_silence(tmp_path, monkeypatch, load):
    frame = load("classroom")
    frame.to_parquet(tmp_path / "classroom.parquet")
    far_off = (np.asfortranarray(np.eye(2)), np.full(2, 1e5))
    monkeypatch.setattr(row_sums, "first_basis", lambda *_: far_off)
    monkeypatch.setattr(row_sums, "_MOST_READINGS", 1)
    with pytest.warns(mm.PrecisionWarning, match="centre and rescale"):
        mm.lmer("mathgain ~ mathkind + (1 | classid)", tmp_path / "classroom.parquet")


def test_large_means_cost_no_digits(tmp_path, monkeypatch):
    """A response at 1e9 with residuals of 1, and the same at 0."""
    monkeypatch.setattr(files, "BATCH_ROWS", 128)
    rng = np.random.default_rng(5)
    n = 3000
    frame = pd.DataFrame({"g": rng.integers(0, 60, n), "x": rng.integers(0, 8, n) / 8})
    frame["y"] = np.round(1024 * (rng.normal(size=n) + rng.normal(size=60)[frame["g"]])) / 1024
    frame.assign(y=frame["y"] + 2.0**30).to_parquet(tmp_path / "far.parquet")
    far = mm.lmer("y ~ x + (1 | g)", tmp_path / "far.parquet")
    near = mm.lmer("y ~ x + (1 | g)", frame)
    assert_allclose(far.objective, near.objective, rtol=1e-9)
    assert_allclose(far.theta, near.theta, rtol=1e-6)
    assert far.design.n == n


def test_only_the_first_parts_are_held(load, tmp_path):
    frame = frame_of("sleep", load)
    frame.to_parquet(tmp_path / "d.parquet")
    fm = mm.lmer(CASES["sleep"], tmp_path / "d.parquet")
    assert not any(isinstance(v, np.ndarray) and v.size == 180 for v in vars(fm.design).values())
    assert isinstance(replace(fm), mm.LinearMixedModel)


@pytest.mark.slow
def test_memory_is_that_of_the_levels(tmp_path):
    """Four million rows of twelve columns need no more than half a million, but for buffers."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("nothing here says how much memory a process has taken")
    peaks = {}
    for n in (500_000, 4_000_000):
        rng = np.random.default_rng(0)
        columns = {f"x{j}": rng.normal(size=n) for j in range(10)}
        columns |= {"g": rng.integers(0, 2000, n), "y": rng.normal(size=n)}
        path = tmp_path / f"{n}.parquet"
        pd.DataFrame(columns).to_parquet(path, row_group_size=250_000)
        script = f"""
import mixedmodels as mm
fixed = " + ".join(f"x{{j}}" for j in range(10))
fm = mm.lmer(f"y ~ {{fixed}} + (1 | g)", {str(path)!r})
assert fm.nobs == {n}
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        peaks[n] = int(run.stdout) / 1024
    # In memory the larger one's X alone would take 350 MB.
    assert peaks[4_000_000] - peaks[500_000] < 120, peaks


# -- what sceptical users found ------------------------------------------------------------------


@pytest.fixture
def file(load, tmp_path):
    path = tmp_path / "d.csv"
    frame_of("sleep", load).to_csv(path, index=False)
    return path


def test_a_refitted_model_does_not_overwrite_its_data(file):
    fm = mm.lmer(CASES["sleep"], file)
    again = fm.refit(fm.fitted() + np.sin(np.arange(fm.nobs)))
    with pytest.raises(mm.ArgumentError, match="holds the data"):
        again.augment(to=file)


def test_a_file_that_changes_while_it_is_read(file, monkeypatch):
    reads = []
    batches = files.File.batches

    def changing(self, *arguments):
        reads.append(1)
        if len(reads) == 2:
            frame = pd.read_csv(file)
            frame.assign(subject="new").to_csv(file, index=False)
        return batches(self, *arguments)

    monkeypatch.setattr(files.File, "batches", changing)
    with pytest.raises(mm.DataError, match="has changed"):
        mm.lmer(CASES["sleep"], file)


def test_a_file_that_has_changed_since_the_fit(file):
    fm = mm.lmer(CASES["sleep"], file)
    pd.read_csv(file).iloc[::-1].to_csv(file, index=False)
    os.utime(file, (1, 1))
    for ask in (fm.fitted, fm.residuals, fm.augment, lambda: fm.X):
        with pytest.raises(mm.DataError, match="has changed since it was first read"):
            ask()


def test_a_path_means_the_same_file_everywhere(file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fm = mm.lmer(CASES["sleep"], "d.csv")
    before = fm.residuals()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.array_equal(fm.residuals(), before)


def csv(path, columns):
    pd.DataFrame(columns, dtype=str).to_csv(path, index=False)
    return path


def test_ids_that_no_integer_can_hold_are_labels(tmp_path):
    ids = [str(i % 10 * 10**19 + i % 3) for i in range(60)]
    y = [str(np.sin(float(i))) for i in range(60)]
    path = csv(tmp_path / "d.csv", {"y": y, "g": ids, "u": [str(2**63 + i % 7) for i in range(60)]})
    assert mm.lmer("y ~ 1 + (1 | g)", path).ngroups == {"g": 30}
    assert mm.lmer("y ~ 1 + (1 | u)", path).ranef()["u"].index[0] == 2**63


def test_texts_that_look_like_something_else_at_first(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CSV_BLOCK_BYTES", 400)
    n = 300
    y = [str(np.sin(float(i))) for i in range(n)]
    g = ["true", "false"] * 149 + ["s0", "s1"]
    when = ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04", "2020-01-05"] * 60
    hexa = ["16", "0x10", "17"] * 100
    path = csv(tmp_path / "d.csv", {"y": y, "g": g, "when": when, "hexa": hexa})
    formula = "y ~ 1 + (1 | g) + (1 | when) + (1 | hexa)"
    fm = mm.lmer(formula, path)
    assert fm.ngroups == {"g": 4, "when": 5, "hexa": 3}
    assert_same_fit(fm, mm.lmer(formula, pd.read_csv(path, dtype={"g": str})))


def test_missing_values_are_those_of_pandas(tmp_path):
    rng = np.random.default_rng(0)
    g = rng.choice(["a", "b", "c", "None", "<NA>", "NULL"], 200).tolist()
    path = csv(tmp_path / "d.csv", {"y": rng.normal(size=200).astype(str), "g": g})
    assert mm.lmer("y ~ 1 + (1 | g)", path).nobs == pd.read_csv(path)["g"].notna().sum()


def test_letters_that_are_not_utf8(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes("y,g\n1,é\n2,à\n3,é\n".encode("latin-1"))
    with pytest.raises(mm.DataError, match="not in UTF-8"):
        mm.lmer("y ~ 1 + (1 | g)", path)


def test_minus_zero_is_zero(tmp_path):
    frame = pd.DataFrame({"y": np.sin(np.arange(60.0)), "g": np.tile([0.0, -0.0, 1.0, 2.0], 15)})
    frame.to_parquet(tmp_path / "d.parquet")
    fm = mm.lmer("y ~ 1 + (1 | g)", tmp_path / "d.parquet")
    assert fm.ngroups == {"g": 3}


def test_values_that_cannot_be_levels_or_be_written(file, tmp_path):
    table = pa.Table.from_pandas(pd.read_csv(file)).append_column("lists", pa.array([[1]] * 180))
    path = tmp_path / "lists.arrow"
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(mm.DataError, match="lists cannot be a factor"):
        mm.lmer("reaction ~ days + (1 | lists)", path)
    fm = mm.lmer(CASES["sleep"], path)
    with pytest.raises(mm.DataError, match="cannot be written"):
        fm.augment(to=tmp_path / "o.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.csv", "lists.arrow"]
    with pytest.raises(mm.ArgumentTypeError, match="by its path"):
        fm.fitted(to=3)
    path.unlink()
    with pytest.raises(mm.DataError, match="cannot be read"):
        fm.fitted(to=tmp_path / "o.csv")


def test_rows_with_labels_of_two_parts(file, tmp_path):
    frame = pd.read_csv(file).set_index(["subject", "days"], drop=False).rename_axis(["s", "d"])
    fm = mm.lmer(CASES["sleep"], frame)
    written = pd.read_csv(fm.fitted(to=tmp_path / "f.csv"))
    assert_allclose(written["fitted"], fm.fitted())
