"""The command line: ``mixedmodels fit``, ``mixedmodels datasets``, ``mixedmodels demo``."""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixedmodels.errors import MixedModelsError
from mixedmodels.writing import path_to_write, refuse_data, write_whole

if TYPE_CHECKING:
    from mixedmodels.model import LinearMixedModel

app = typer.Typer(
    help="Linear mixed-effects models: lme4's formulas and numbers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def fit(
    formula: Annotated[str, typer.Argument(help='Such as "Yield ~ 1 + (1 | Batch)".')],
    file: Annotated[Path, typer.Argument(help="The data: a .csv, .parquet or .arrow file.")],
    ml: Annotated[bool, typer.Option("--ml", help="Maximum likelihood instead of REML.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print each iteration.")] = False,
    ddf: Annotated[
        str | None,
        typer.Option(help="Add p-values: satterthwaite, kenward-roger or bootstrap."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ranef: Annotated[
        Path | None, typer.Option(help="Write the random effects to this CSV file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a report to this HTML file, with pictures.")
    ] = None,
) -> None:
    """Fit a model and print it."""
    from mixedmodels import lmer

    _require_writable(ranef, file, "the random effects", ())
    _require_writable(report, file, "the report", (".html", ".htm"))
    if ddf is not None:
        from mixedmodels.inference.degrees_of_freedom import require_method

        require_method(ddf)
    begun = time.perf_counter()
    model = lmer(formula, file, reml=not ml, verbose=verbose and not as_json)
    seconds = time.perf_counter() - begun
    if ranef is not None:
        effects = model.ranef().to_frame()
        write_whole(ranef, lambda part: effects.to_csv(part, index=False))
    if report is not None:
        from mixedmodels.report.page import write_report

        write_report(model, report, seconds=seconds)
    print(json.dumps(to_json(model, ddf), indent=2) if as_json else model.summary(ddf))


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="The data set to describe.")] = None,
) -> None:
    """List the data sets that come with the package, or describe one."""
    from mixedmodels import datasets as sets

    print(sets.list().to_string(index=False) if name is None else sets.describe(name))


@app.command()
def demo(
    output: Annotated[
        Path | None, typer.Option(help="Write the pictures and a report to this folder.")
    ] = None,
) -> None:
    """Run the session of Douglas Bates's slides, from dyestuff yields to lecturer ratings."""
    from mixedmodels.demo import run

    run(output)


def _require_writable(file: Path | None, data: Path, what: str, suffixes: tuple[str, ...]) -> None:
    """Refuse a file that cannot be written before anything is fitted."""
    if file is None:
        return
    refuse_data(file, data, what)
    path_to_write(file, suffixes)


def to_json(model: LinearMixedModel, ddf: str | None = None) -> dict[str, Any]:
    """Return what is printed of a model as plain values; redundant coefficients are null."""
    summary = model.summary(ddf)
    return {
        "formula": summary.formula,
        "data": summary.data_name,
        "criterion": "REML" if model.reml else "ML",
        "objective": model.objective,
        "loglik": model.loglik,
        "aic": model.aic,
        "bic": model.bic,
        "nobs": model.nobs,
        "dropped_rows": summary.dropped_rows,
        "ngroups": model.ngroups,
        "sigma": model.sigma,
        "theta": model.theta.tolist(),
        "random_effects": [
            {"group": c.group, "name": c.name, "variance": c.variance, "sd": c.sd}
            for c in summary.components
        ],
        "fixed_effects": [
            {
                "name": c.name,
                "estimate": number(c.estimate),
                "std_error": number(c.standard_error),
                "t_value": number(c.t_value),
                **({} if ddf is None else {"df": number(c.df), "p_value": number(c.p_value)}),
            }
            for c in summary.coefficients
        ],
        "singular": model.singular,
        "converged": model.converged,
    }


def number(value: float) -> float | None:
    """Return a number as JSON knows it."""
    return value if math.isfinite(value) else None


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning in one line; where in the program it arose says nothing to its user."""
    print(f"mixedmodels: {message}", file=sys.stderr)


def main() -> None:
    """Run the command line; an error of ours is one line on standard error and status 2."""
    warnings.showwarning = show_warning
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows few letters
    try:
        app(prog_name="mixedmodels")
    except MixedModelsError as error:
        print(f"mixedmodels: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        print(f"mixedmodels: {error}", file=sys.stderr)
        sys.exit(2)
