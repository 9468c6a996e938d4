"""The command line, in the same process by typer's runner and by `main`, and once as a program."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import mixedmodels as mm
from mixedmodels import cli, demo

FORMULA = "Yield ~ 1 + (1 | Batch)"


@pytest.fixture
def folder(tmp_path, monkeypatch, load):
    """Work in a folder with the dyestuff data, a redundant column in one of the files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    data = load("dyestuff")
    data.to_csv("dyestuff.csv", index=False)
    data.to_parquet("dyestuff.parquet")
    x = np.sqrt(np.arange(30.0))
    data.assign(x=x, z=2 * x).to_csv("redundant.csv", index=False)
    return tmp_path


def run(*arguments):
    """Run a command that succeeds; its standard output."""
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


@pytest.fixture
def fails(monkeypatch, capsys):
    """Run `main` on arguments that fail; its standard error, and nothing on the output."""

    def run_main(*arguments):
        monkeypatch.setattr(sys, "argv", ["mixedmodels", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return run_main


# -- fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["dyestuff.csv", "dyestuff.parquet"])
def test_fit_prints_the_model(folder, file):
    expected = str(mm.lmer(FORMULA, mm.datasets.load("dyestuff")))
    assert "Data: dyestuff" in expected
    assert run("fit", FORMULA, file) == expected + "\n"


def test_file_names_are_known_by_their_ending_in_any_case(folder):
    (folder / "dyestuff.csv").rename("YIELDS.CSV")
    assert "   Data: YIELDS\n" in run("fit", FORMULA, "YIELDS.CSV")


def test_fit_by_maximum_likelihood(folder):
    lines = run("fit", FORMULA, "dyestuff.csv", "--ml").splitlines()
    assert ["333.3271", "337.5307", "-163.6635", "327.3271"] in [line.split() for line in lines]


def test_verbose_prints_the_iterations_first(folder):
    lines = run("fit", FORMULA, "dyestuff.csv", "--verbose").splitlines()
    start = lines.index("Linear mixed model fit by REML")
    assert lines[0].split()[:3] == ["iteration", "REML", "criterion"]
    assert [line.split()[0] for line in lines[1:start]] == [str(i) for i in range(start - 1)]


def test_json(folder, load):
    found = json.loads(run("fit", FORMULA, "dyestuff.csv", "--json", "--verbose"))
    fm = mm.lmer(FORMULA, "dyestuff.csv")
    assert found == {
        "formula": FORMULA,
        "data": "dyestuff",
        "criterion": "REML",
        "objective": fm.objective,
        "loglik": fm.loglik,
        "aic": fm.aic,
        "bic": fm.bic,
        "nobs": 30,
        "dropped_rows": 0,
        "ngroups": {"Batch": 6},
        "sigma": fm.sigma,
        "theta": list(fm.theta),
        "random_effects": [
            {
                "group": "Batch",
                "name": "(Intercept)",
                "variance": (fm.theta[0] * fm.sigma) ** 2,
                "sd": fm.theta[0] * fm.sigma,
            },
            {"group": "Residual", "name": "", "variance": fm.sigma**2, "sd": fm.sigma},
        ],
        "fixed_effects": [
            {
                "name": "(Intercept)",
                "estimate": fm.beta[0],
                "std_error": pytest.approx(fm.vcov().to_numpy()[0, 0] ** 0.5),
                "t_value": pytest.approx(fm.beta[0] / fm.vcov().to_numpy()[0, 0] ** 0.5),
            }
        ],
        "singular": False,
        "converged": True,
    }


def test_p_values_if_a_method_is_named(folder, fails):
    command = ("fit", FORMULA, "dyestuff.csv", "--ddf", "satterthwaite")
    assert "(Intercept)  1527.50      19.38  5    78.8 6.23e-09" in run(*command)
    (found,) = json.loads(run(*command, "--json"))["fixed_effects"]
    # One-way and balanced: F = 78.8² has 1 and 5 degrees of freedom.
    assert found["df"] == pytest.approx(5.0)
    assert found["p_value"] == pytest.approx(6.23e-9, rel=1e-3)
    assert "ddf must be one of" in fails("fit", FORMULA, "dyestuff.csv", "--ddf", "exact")


@pytest.mark.filterwarnings("ignore::mixedmodels.RankDeficientWarning")
def test_json_of_a_redundant_column_is_null(folder):
    text = run("fit", "Yield ~ x + z + (1 | Batch)", "redundant.csv", "--json")
    *_, x, z = json.loads(text, parse_constant=pytest.fail)["fixed_effects"]
    assert z == {"name": "z", "estimate": None, "std_error": None, "t_value": None}
    assert all(isinstance(x[key], float) for key in ("estimate", "std_error", "t_value"))


def test_json_tells_of_zero_variances_and_dropped_rows(folder, load):
    data = load("dyestuff2").copy()
    data.loc[3, "Yield"] = np.nan
    data.to_csv("holes.csv", index=False)
    found = json.loads(run("fit", FORMULA, "holes.csv", "--json", "--ml"))
    assert (found["criterion"], found["nobs"], found["dropped_rows"]) == ("ML", 29, 1)
    assert found["singular"] is True
    assert found["theta"] == [0.0]


# -- --ranef -------------------------------------------------------------------------------------


def test_ranef_writes_the_random_effects(folder, load):
    run("fit", FORMULA, "dyestuff.csv", "--ranef", "effects.csv")
    expected = mm.lmer(FORMULA, load("dyestuff")).ranef().to_frame()
    pd.testing.assert_frame_equal(pd.read_csv("effects.csv"), expected, check_dtype=False)
    assert not list(folder.glob("*.part"))


def test_ranef_replaces_a_file(folder):
    (folder / "effects.csv").write_text("old\n" * 1000)
    run("fit", FORMULA, "dyestuff.csv", "--ranef", str(folder / "effects.csv"))
    assert len((folder / "effects.csv").read_text().splitlines()) == 7


def test_ranef_into_a_folder_that_is_not_there_is_refused_before_the_fit(
    folder, fails, monkeypatch
):
    monkeypatch.setattr(mm, "lmer", lambda *_, **__: pytest.fail("fitted"))
    err = fails("fit", FORMULA, "dyestuff.csv", "--ranef", "no/effects.csv")
    assert err == "mixedmodels: the folder of no/effects.csv does not exist; create it first\n"


def test_ranef_that_is_a_folder(folder, fails):
    (folder / "effects.csv").mkdir()
    err = fails("fit", FORMULA, "dyestuff.csv", "--ranef", "effects.csv")
    assert err.startswith("mixedmodels: effects.csv is a folder; ")
    assert len(err.splitlines()) == 1
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("old", [None, "what was there\n"])
def test_ranef_is_written_whole_or_not_at_all(folder, fails, monkeypatch, old):
    def full(frame, file, **_):
        file.write_text("grpvar,term")
        raise OSError(28, "No space left on device")

    target = folder / "effects.csv"
    if old is not None:
        target.write_text(old)
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    err = fails("fit", FORMULA, "dyestuff.csv", "--ranef", "effects.csv")
    assert "cannot be written" in err
    assert "No space left" in err
    assert target.exists() == (old is not None)
    assert old is None or target.read_text() == old
    assert not list(folder.glob("*.part"))


# -- errors: one line, and status 2 --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "there is no file none.csv"),
        ("none.parquet", None, "there is no file none.parquet"),
        ("data.xlsx", b"", "data.xlsx must be a file of one of the kinds .parquet, .csv"),
        ("data", b"", "data must be a file of one of the kinds .parquet, .csv"),
        ("empty.csv", b"", "empty.csv cannot be read"),
        ("ragged.csv", b"Yield,Batch\n1,A\n2,B,3\n", "ragged.csv cannot be read"),
        ("bytes.csv", b"\xff\xfe\x00Yield\n", "bytes.csv is not in UTF-8"),
        ("short.parquet", b"PAR1", "short.parquet cannot be read"),
        ("broken.parquet", b"PAR1" + 100 * b"x" + b"PAR1", "broken.parquet cannot be read"),
        ("head.csv", b"Yield,Batch\n", "the data have no rows"),
        ("words.csv", b"Yield,Batch\na,A\nb,A\nc,B\n", "the response Yield is not numeric"),
        ("other.csv", b"yeld,Batch\n1,A\n2,A\n3,B\n", "no column 'Yield'. Did you mean 'yeld'?"),
    ],
)
def test_files_that_do_not_do(folder, fails, name, content, message):
    if content is not None:
        (folder / name).write_bytes(content)
    err = fails("fit", FORMULA, name)
    assert err.startswith("mixedmodels: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_folder_is_no_file(folder, fails):
    (folder / "folder.csv").mkdir()
    assert fails("fit", FORMULA, "folder.csv") == "mixedmodels: there is no file folder.csv\n"


def test_an_unknown_column(folder, fails):
    err = fails("fit", "Yeld ~ 1 + (1 | Batch)", "dyestuff.csv")
    assert err == "mixedmodels: the data have no column 'Yeld'. Did you mean 'Yield'?\n"


def test_a_formula_that_does_not_parse_is_marked(folder, fails):
    first, formula, mark = fails("fit", "Yield ~ 1 + (1 | Batch", "dyestuff.csv").splitlines()
    assert first.startswith("mixedmodels: ")
    assert formula == "    Yield ~ 1 + (1 | Batch"
    assert mark.strip() == "^"


@pytest.mark.parametrize("arguments", [["fit"], ["fit", FORMULA], ["nothing"], ["fit", "--no"]])
def test_wrong_usage(fails, arguments):
    assert fails(*arguments).startswith("Usage: ")


def test_main_succeeds(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mixedmodels", "fit", FORMULA, "dyestuff.csv"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    assert "REML criterion at convergence: 319.6543" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_error(monkeypatch, capsys):
    def gone(**_):
        raise BrokenPipeError

    monkeypatch.setattr(cli, "app", gone)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr() == ("", "")


def test_a_warning_is_one_line(folder):
    """As a program: within pytest, warnings go elsewhere."""
    command = [sys.executable, "-c", "from mixedmodels.cli import main; main()", "fit"]
    done = subprocess.run(
        [*command, "Yield ~ x + z + (1 | Batch)", "redundant.csv", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["nobs"] == 30
    assert done.stderr.startswith("mixedmodels: ")
    assert done.stderr.endswith("were dropped: z\n")
    assert len(done.stderr.splitlines()) == 1


# -- datasets and demo ---------------------------------------------------------------------------


def test_datasets_lists_them():
    lines = run("datasets").splitlines()
    assert lines[0].split() == ["name", "title", "rows"]
    names = [line.split()[0] for line in lines[1:]]
    assert names == list(mm.datasets.list()["name"])
    assert lines[1].endswith(" 30")


def test_datasets_describes_one():
    assert run("datasets", "pastes") == f"{mm.datasets.describe('pastes')}\n"


def test_an_unknown_data_set(fails):
    err = fails("datasets", "paste")
    assert err.startswith("mixedmodels: There is no data set 'paste'. Did you mean 'pastes'?")
    assert len(err.splitlines()) == 1


def test_no_command_prints_the_help():
    result = CliRunner().invoke(cli.app, [])
    for command in ("fit", "datasets", "demo"):
        assert re.search(rf"\b{command}\b", result.output)


def test_demo_runs_the_session_of_the_slides():
    text = run("demo")
    titles = [step.title for step in demo.STEPS]
    positions = [text.index(f"\n{title}\n{'=' * len(title)}\n") for title in titles]
    assert positions == sorted(positions)
    for step in demo.STEPS:
        for line in step.code.splitlines():
            assert f">>> {line}\n" in text or f"... {line}\n" in text
    for number in (
        *("319.6543", "163.6635", "-81.436518", "330.8606", "246.9907", "247.6484"),
        *("0.5234", "11768.76", "11378.06", "11381.46", "11389.22", "0.0005415", "73421"),
    ):
        assert number in text
    assert re.search(r"fitted in \d+\.\d\d seconds\n$", text)
