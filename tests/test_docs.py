"""The sessions in the pages: what they show is what the code prints, to the character."""

import doctest
import re
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "docs/tour.md", "docs/inference.md"]
FENCE = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
# An empty line inside an output: doctest would take it for the end of the output.
EMPTY_LINE = re.compile(r"^$(?=\n+(?!>>>)[^\n])", re.MULTILINE)
# A gradient of 1e-13 is rounding noise, another one on each processor.
NOISE = re.compile(r"\d\.\d\de-1\d")


class Checker(doctest.OutputChecker):
    """Compares outputs without noise and without spaces at the ends of lines."""

    def check_output(self, want, got, optionflags):
        got = re.sub(r" +$", "", got, flags=re.MULTILINE)
        want, got = (NOISE.sub("0.00e+00", text) for text in (want, got))
        return super().check_output(want, got, optionflags)


def sessions(page):
    """The fenced sessions of a page, each a doctest that knows its line there."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        line = text.count("\n", 0, fence.start(1))
        code = EMPTY_LINE.sub("<BLANKLINE>", fence[1])
        yield doctest.DocTestParser().get_doctest(code, {}, page, str(ROOT / page), line)


@pytest.mark.parametrize("page", PAGES)
def test_sessions_of_page(page, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # pandas cuts frames at the width of the terminal
    runner = doctest.DocTestRunner(Checker())
    report, names = StringIO(), {}
    for session in sessions(page):
        session.globs = names
        runner.run(session, out=report.write, clear_globs=False)
    assert runner.tries > 0
    assert runner.failures == 0, report.getvalue()


@pytest.mark.parametrize("page", PAGES)
def test_links_of_page_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = LINK.findall(text)
    assert links
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
