"""The report: a fitted model as one page that needs nothing else, no network either."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import date
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from mixedmodels.display.numbers import format_coefficients, format_real
from mixedmodels.display.tables import Table, escape_html
from mixedmodels.plots.labels import unit_of_response
from mixedmodels.plots.variances import shares
from mixedmodels.report.code import reproducing_code
from mixedmodels.report.figures import (
    Picture,
    convergence_picture,
    diagnosis_picture,
    random_effect_pictures,
    variance_picture,
)
from mixedmodels.writing import path_to_write, write_whole

if TYPE_CHECKING:
    from mixedmodels.model import LinearMixedModel

SUFFIXES = (".html", ".htm")
NORMAL_975 = 1.959963984540054


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Parameters
    ----------
    name : str
        Its anchor.
    title : str
        Its heading.
    body : str
        Its HTML.
    """

    name: str
    title: str
    body: str

    @property
    def html(self) -> str:
        """The section with its heading."""
        return (
            f'<section id="{self.name}" aria-labelledby="{self.name}-title">\n'
            f'<h2 id="{self.name}-title">{escape(self.title)}</h2>\n{self.body}\n</section>'
        )


def write_report(
    model: LinearMixedModel, file: Any, *, load: str | None = None, seconds: float | None = None
) -> Path:
    """Write the report of a model to a file, whole or not at all.

    Parameters
    ----------
    model : LinearMixedModel
        The model.
    file : path
        Where to, ending in ``.html``.
    load : str, optional
        The expression that reads the data, for the code at its end.
    seconds : float, optional
        How long the fit took, if it is known.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If the file cannot be written, or is not named as a page.
    """
    path = path_to_write(file, SUFFIXES)
    text = report(model, load=load, seconds=seconds)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return path


def report(
    model: LinearMixedModel, *, load: str | None = None, seconds: float | None = None
) -> str:
    """Return the page as text."""
    from mixedmodels import __version__

    summary = model.summary()
    sections = (
        _summary(model),
        _variances(model),
        _fixed(model),
        _random(model),
        Section("diagnosis", "Diagnosis", _figure(diagnosis_picture(model))),
        _computation(model, seconds),
        _code(model, load),
    )
    groups = ", ".join(f"{count:,} levels of {name}" for name, count in model.ngroups.items())
    data = "" if model.data_name is None else f"Data: {model.data_name}. "
    page = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return page.substitute(
        version=escape_html(__version__),
        title=escape_html(f"{summary.title}: {summary.formula}"),
        heading=escape_html(summary.title),
        formula=escape_html(summary.formula),
        sentence=escape_html(f"{data}{model.nobs:,} observations, {groups}."),
        contents="".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in sections),
        sections="\n".join(section.html for section in sections),
        footer=escape_html(
            f"Made on {date.today().isoformat()} by mixedmodels {__version__} "
            f"with Python {platform.python_version()}."
        ),
    )


# -- sections --------------------------------------------------------------------------------


def _summary(model: LinearMixedModel) -> Section:
    facts = [
        ("REML criterion" if model.reml else "Deviance", f"{model.objective:.4f}"),
        ("Log-likelihood" + " (restricted)" * model.reml, f"{model.loglik:.4f}"),
        ("AIC", f"{model.aic:.4f}"),
        ("BIC", f"{model.bic:.4f}"),
        ("Parameters", str(model.df)),
        ("Observations", f"{model.nobs:,}"),
        *((f"Levels of {name}", f"{count:,}") for name, count in model.ngroups.items()),
    ]
    table = Table(
        headers=("value",),
        rows=tuple((value,) for _, value in facts),
        labels=tuple(name for name, _ in facts),
        title="The fit:",
    )
    notes = "\n".join(
        f'<p class="note">{escape_html(text)}.</p>' for text in model.summary().all_notes
    )
    return Section("summary", "Summary", "\n".join(filter(None, [notes, _wide(table)])))


def _variances(model: LinearMixedModel) -> Section:
    components = model.varcorr().components
    unit = unit_of_response(model)
    title = "Variances and standard deviations" + (f", the latter in {unit}:" if unit else ":")
    table = Table(
        headers=("Variance", "Std. dev.", "Share"),
        rows=tuple(
            zip(
                format_real([c.variance for c in components], digits=4),
                format_real([c.sd for c in components], digits=4),
                [f"{share:.1%}".replace("%", " %") for share in shares(model).values()],
                strict=True,
            )
        ),
        labels=tuple(f"{c.group} {c.name}".strip() for c in components),
        title=title,
    )
    return Section(
        "variances", "Variance components", _wide(table) + _figure(variance_picture(model))
    )


def _fixed(model: LinearMixedModel) -> Section:
    coefficients = model.summary().coefficients
    if not coefficients:
        return Section("fixed", "Fixed effects", "<p>The model has none.</p>")
    estimates = [c.estimate for c in coefficients]
    errors = [c.standard_error for c in coefficients]
    columns = format_coefficients(estimates, errors, [c.t_value for c in coefficients])
    limits = format_coefficients(
        [e - NORMAL_975 * s for e, s in zip(estimates, errors, strict=True)],
        [e + NORMAL_975 * s for e, s in zip(estimates, errors, strict=True)],
        estimates,
    )
    rows = zip(
        columns.estimates,
        columns.standard_errors,
        columns.statistics,
        limits.estimates,
        limits.standard_errors,
        strict=True,
    )
    table = Table(
        headers=("Estimate", "Std. error", "t value", "Lower limit", "Upper limit"),
        rows=tuple(rows),
        labels=tuple(c.name for c in coefficients),
        title="Coefficients with 95 % Wald intervals:",
        notes=(
            "The intervals are the estimates ± 1.96 standard errors; they take the variances as "
            "known, and are too narrow where levels are few.",
        ),
    )
    return Section("fixed", "Fixed effects", _wide(table))


def _random(model: LinearMixedModel) -> Section:
    figures = "\n".join(map(_figure, random_effect_pictures(model)))
    return Section("random", "Random effects", figures)


def _computation(model: LinearMixedModel, seconds: float | None) -> Section:
    trace = model.iterations
    labels = model.cross_products.labels
    table = Table(
        headers=("Criterion", *(f"θ of {label}" for label in labels)),
        rows=tuple(
            zip(
                [f"{value:.6f}" for value in trace["objective"]],
                *([f"{t:.6f}" for t in trace[f"theta[{label}]"]] for label in labels),
                strict=True,
            )
        ),
        labels=tuple(str(number) for number in trace["iteration"]),
        title="Iterations:",
    )
    plan = "\n".join(map(escape_html, repr(model.plan).splitlines()))
    end = "Converged" if model.converged else "Not converged"
    said = f"{end} after {len(trace) - 1} iterations"
    if seconds is not None:
        said += f"; the fit took {_duration(seconds)}, from the data frame to the result"
    return Section(
        "computation",
        "How it was computed",
        f"<pre>{plan}</pre>\n<p>{escape_html(said)}.</p>\n"
        + _wide(table)
        + _figure(convergence_picture(model)),
    )


def _code(model: LinearMixedModel, load: str | None) -> Section:
    code = escape(reproducing_code(model, load))
    return Section("code", "The code that makes it", f"<pre><code>{code}</code></pre>")


# -- parts -----------------------------------------------------------------------------------


def _figure(picture: Picture) -> str:
    if not picture.source:
        return f'<p class="note">{escape_html(picture.description)}</p>'
    return (
        f'<figure>\n<img alt="{escape_html(picture.description)}" src="{picture.source}">\n'
        f"<figcaption>{escape_html(picture.caption)}</figcaption>\n</figure>"
    )


def _wide(table: Table) -> str:
    """Return a table that scrolls by itself where the page is narrow."""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape_html(table.title)}">'
        f"{table._repr_html_()}</div>"
    )


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
