"""A fitted model in a notebook: its tables, and the shares of its variances as a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixedmodels.display.tables import escape_html

if TYPE_CHECKING:
    from mixedmodels.model import LinearMixedModel

# Okabe & Ito's colours; the residual is grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#CC79A7")
RESIDUAL = "#a8a8a8"


def notebook_html(model: LinearMixedModel) -> str:
    """Return the printed form as HTML, with the shares of the variances below."""
    return f"<div>\n{model.document()._repr_html_()}\n{share_bar(model)}\n</div>"


def share_bar(model: LinearMixedModel) -> str:
    """Draw the shares of the variances as a bar with a key, without matplotlib and its import."""
    components = model.varcorr().components
    total = sum(c.variance for c in components)
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(components) - 1)] + [RESIDUAL]
    words = [f"{c.group} {100 * c.variance / total:.1f} %" for c in components]
    bar = "".join(
        f'<div style="flex: {c.variance / total:.6f} 1 0; background: {colour}"></div>'
        for c, colour in zip(components, colours, strict=True)
    )
    key = " ".join(
        f'<span style="white-space: nowrap; margin-right: 1em"><span aria-hidden="true" '
        f'style="color: {colour}">&#9632;</span> {escape_html(word)}</span>'
        for word, colour in zip(words, colours, strict=True)
    )
    return (
        '<div style="max-width: 40em; margin: 4px 0">'
        f'<div aria-hidden="true" style="display: flex; height: 12px">{bar}</div>\n'
        f'<div style="font-size: 90%">Shares of variance: {key}</div></div>'
    )
