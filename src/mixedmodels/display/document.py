"""Documents: paragraphs and tables in a row, and the values that print as such."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from mixedmodels.display.tables import (
    Table,
    escape_html,
    escape_latex,
    escape_markdown,
    printable,
)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines of text that stay lines in every format.

    Parameters
    ----------
    lines : tuple of str
        The lines. Blanks in front of a line show in plain text only.
    """

    lines: tuple[str, ...]

    def to_text(self) -> str:
        """Plain text, line by line."""
        return "\n".join(map(printable, self.lines))

    def to_markdown(self) -> str:
        """One Markdown paragraph with hard line breaks."""
        return "\\\n".join(map(escape_markdown, self.lines))

    def to_latex(self) -> str:
        r"""One LaTeX paragraph, its lines broken by ``\\``."""
        return "\\noindent " + " \\\\\n".join(map(escape_latex, self.lines))

    def _repr_html_(self) -> str:
        return "<p>" + "<br />\n".join(map(escape_html, self.lines)) + "</p>"


@dataclass(frozen=True, slots=True)
class Document:
    """Paragraphs and tables.

    Parameters
    ----------
    blocks : tuple of Paragraph or Table
        The parts, in order. An empty paragraph is a blank line of the plain text, where
        parts follow each other without one otherwise.
    """

    blocks: tuple[Paragraph | Table, ...]

    def to_text(self) -> str:
        """Plain text."""
        return "\n".join(block.to_text() for block in self.blocks)

    def to_markdown(self) -> str:
        """Markdown, the parts as paragraphs."""
        return self._join("\n\n", lambda block: block.to_markdown())

    def to_latex(self) -> str:
        """LaTeX, the parts as paragraphs."""
        return self._join("\n\n", lambda block: block.to_latex())

    def _repr_html_(self) -> str:
        body = self._join("\n", lambda block: block._repr_html_())
        return f'<div class="mixedmodels">\n{body}\n</div>'

    def _join(self, separator: str, render: Callable[[Paragraph | Table], str]) -> str:
        return separator.join(render(block) for block in self.blocks if block != BLANK_LINE)


#: A blank line in plain text; nothing in the other formats.
BLANK_LINE = Paragraph(("",))


class Printed(ABC):
    """A value that prints as a document, in every format."""

    @abstractmethod
    def document(self) -> Document:
        """Lay out the printed form as paragraphs and tables."""

    def to_text(self) -> str:
        """Plain text, what ``print`` shows."""
        return self.document().to_text()

    def to_markdown(self) -> str:
        """Markdown, with pipe tables."""
        return self.document().to_markdown()

    def to_latex(self) -> str:
        """LaTeX, with tables for the package ``booktabs``."""
        return self.document().to_latex()

    def _repr_html_(self) -> str:
        return self.document()._repr_html_()

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        # At the prompt and in a notebook without HTML, the table is what one wants to see.
        return self.to_text()
