"""The report: its parts, what it escapes, where it is written; and in a browser."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import mixedmodels as mm
from mixedmodels import cli
from mixedmodels.report.code import reproducing_code
from mixedmodels.report.page import report

FM1 = ("dyestuff", "Yield ~ 1 + (1 | Batch)", "REML")
FM1A = ("dyestuff2", "Yield ~ 1 + (1 | Batch)", "ML")
FM8 = (
    "classroom",
    "mathgain ~ mathkind + minority + ses + (1 | classid) + (1 | schoolid)",
    "REML",
)
SECTIONS = ["summary", "variances", "fixed", "random", "diagnosis", "computation", "code"]
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Elements with attributes and text; fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag):
        return [(attributes, text) for name, attributes, text in self.elements if name == tag]


@pytest.fixture(scope="module")
def text(fit):
    return report(fit(*FM8))


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


# -- parts ---------------------------------------------------------------------------------------


def test_page_has_its_sections_in_order_under_one_heading(page):
    assert [a["id"] for a, _ in page.all("section")] == SECTIONS
    assert [text for _, text in page.all("h1")] == ["Linear mixed model fit by REML"]
    assert len(page.all("h2")) == len(SECTIONS)
    assert [a["href"] for a, _ in page.all("a")] == [f"#{name}" for name in SECTIONS]
    assert page.all("html")[0][0]["lang"] == "en"
    ids = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for attributes, _ in page.all("section"):
        assert attributes["aria-labelledby"] in ids


def test_page_needs_nothing_else(text):
    bare = re.sub(r'"data:image/svg\+xml;base64,[^"]*"', '""', text)
    assert "http:" not in bare
    assert "https:" not in bare
    assert "<script" not in bare
    assert "<link" not in bare
    assert "url(" not in bare
    assert "default-src 'none'" in bare


def test_pictures_are_whole_and_described(page):
    images = [attributes for attributes, _ in page.all("img")]
    assert len(images) == 6
    for image in images:
        kind, data = image["src"].split(",", 1)
        assert kind == "data:image/svg+xml;base64"
        picture = ElementTree.fromstring(base64.b64decode(data))
        assert picture.tag.endswith("svg")
        assert not [e for e in picture.iter() if e.tag.endswith(("}text", "}script"))]
        assert len(image["alt"]) > 20
    assert "classid 9.3%, schoolid 8.4%, Residual 82.3%" in images[0]["alt"]
    assert "classid: 312 levels, conditional means from" in images[1]["alt"]
    assert len(page.all("figcaption")) == 6


def test_tables_have_captions_and_headers_with_scopes(page):
    assert len(page.all("table")) == len(page.all("caption")) == 4
    assert {a["scope"] for a, _ in page.all("th")} == {"col", "row"}


def test_fixed_effects_have_wald_intervals(fit, page):
    cells = [text for _, text in page.all("td")]
    fm = fit(*FM8)
    tidy = fm.tidy().iloc[:4]
    lower = tidy["estimate"] - 1.959963985 * tidy["std_error"]
    upper = tidy["estimate"] + 1.959963985 * tidy["std_error"]
    for low, high in zip(lower, upper, strict=True):
        assert f"{low:.4f}" in cells
        assert f"{high:.4f}" in cells


def test_computation_has_plan_iterations_and_time_if_known(text, fit):
    assert "Plan: exact, sparse\nL of order 419 with " in text
    assert "Schur complement of order 107" in text
    assert "Converged after 7 iterations." in text
    assert "Converged after 4 iterations; the fit took 12.3 ms" in report(fit(*FM1), seconds=0.0123)


def test_notes_of_the_fit_are_on_the_page(fit):
    text = report(fit(*FM1A))
    assert "the variance of Batch is estimated as zero" in text
    assert "fit by maximum likelihood" in text


def test_labels_are_escaped_wherever_they_are():
    evil = '<script>alert("x")</script>'
    rng = np.random.default_rng(1)
    group = f"a{evil}&$x"
    data = pd.DataFrame(
        {
            group: np.repeat([f"{evil}{i}" for i in range(6)], 5),
            "y": rng.normal(size=30) + np.repeat(rng.normal(size=6), 5) * 3,
            "x<b>": rng.normal(size=30),
        }
    )
    fm = mm.lmer(f"y ~ `x<b>` + (1 | `{group}`)", data)
    text = report(fm)
    assert "<script" not in text
    assert "x<b>" not in text
    parsed = Page(text)
    assert any(evil in words for _, words in parsed.all("code"))
    assert len(parsed.all("img")) == 4
    assert "<script" not in fm._repr_html_()
    ElementTree.fromstring(fm._repr_html_().replace("&#9632;", ""))


def test_letters_that_the_font_has_not_got_are_no_warning():
    data = pd.DataFrame({"y": [1.0, 2, 4, 3, 7, 8], "群": list("金金木木水水")})
    assert "levels of 群" in report(mm.lmer("y ~ 1 + (1 | 群)", data))


def test_iterative_fits_have_a_report_that_says_what_is_missing(load):
    fm = mm.lmer(
        "diameter ~ 1 + (1 | plate) + (1 | sample)", load("penicillin"), method="iterative"
    )
    text = report(fm)
    assert [a["id"] for a, _ in Page(text).all("section")] == SECTIONS
    assert "Plan: iterative" in text


def test_model_without_fixed_effects(load):
    data = load("dyestuff")
    fm = mm.lmer("Yield ~ 0 + (1 | Batch)", data)
    assert "<p>The model has none.</p>" in report(fm)


# -- the code at its end -------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"reml": False}, {"method": "iterative", "seed": 3}])
def test_code_fits_the_model_again(changes, load):
    penicillin = load("penicillin")
    fm = mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin, **changes)
    code = reproducing_code(fm)
    assert 'penicillin = mm.datasets.load("penicillin")' in code
    names = {}
    exec(code.replace("print(fm)\n", ""), names)
    assert names["fm"].objective == fm.objective
    assert names["fm"].reml == fm.reml


def test_code_says_what_the_data_were_where_it_cannot_load_them(load):
    data = load("dyestuff").assign(Yield=lambda d: d["Yield"] + 1)
    w = np.ones(30)
    code = reproducing_code(mm.lmer("Yield ~ 1 + (1 | Batch)", data, weights=w))
    assert "load(" not in code
    assert "# data: a data frame of 30 rows, with 'Batch'" in code
    assert "data, weights=weights)" in code
    compile(code, "code", "exec")


def test_code_of_a_refitted_model_says_so(fit):
    fm = fit(*FM1)
    assert "fm = fm.refit(y)" in reproducing_code(fm.refit(fm.design.y + 1))


# -- writing -------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """Make reports quickly, where it is only asked whether and where they are written."""
    monkeypatch.setattr("mixedmodels.report.page.report", lambda *_, **__: "<!DOCTYPE html> é")


def test_report_is_the_text_of_the_file(fit, tmp_path):
    file = tmp_path / "fm1.html"
    fit(*FM1).report(file)
    assert file.read_text(encoding="utf-8") == report(fit(*FM1))


@pytest.mark.usefixtures("short")
def test_report_is_written_whole_and_over_an_older_one(fit, tmp_path):
    file = tmp_path / "fm1.html"
    file.write_text("older")
    assert fit(*FM1).report(file) == file
    assert file.read_text(encoding="utf-8") == "<!DOCTYPE html> é"
    assert [path.name for path in tmp_path.iterdir()] == ["fm1.html"]
    link = tmp_path / "link.html"
    link.symlink_to(file)
    file.write_text("older")
    fit(*FM1).report(str(link))
    assert link.is_symlink()
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.usefixtures("short")
def test_what_cannot_be_written_is_refused_and_nothing_left(fit, tmp_path, monkeypatch):
    fm = fit(*FM1)
    for bad, words in [
        (tmp_path / "no" / "fm.html", "does not exist"),
        (tmp_path, "must end in .html"),
        (tmp_path / "fm.pdf", "must end in .html"),
        ("", "not the name of a file"),
        ("a\0.html", "not the name of a file"),
    ]:
        with pytest.raises(mm.ArgumentError, match=words):
            fm.report(bad)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(mm.ArgumentError, match="is a folder"):
        fm.report(tmp_path / "folder.html")
    with (tmp_path / "open").open("w") as stream, pytest.raises(mm.ArgumentTypeError, match="path"):
        fm.report(stream)
    with pytest.raises(mm.ArgumentTypeError, match="path"):
        fm.report(stream)  # closed
    with pytest.raises(mm.ArgumentError, match="cannot be written"):
        fm.report(tmp_path / f"{'x' * 300}.html")
    kept = tmp_path / "kept.html"
    kept.write_text("kept")

    def full(path, *_, **__):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(mm.ArgumentError, match="No space left"):
        fm.report(kept)
    monkeypatch.undo()
    assert kept.read_text() == "kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.html", "kept.html", "open"]


def test_command_line_writes_a_report(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load("dyestuff").to_csv("yields.csv", index=False)
    arguments = ["fit", FM1[1], "yields.csv", "--report", "fm1.html"]
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    text = (tmp_path / "fm1.html").read_text(encoding="utf-8")
    assert re.search(r"the fit took [\d.]+ m?s", text)
    assert f"yields = &#x27;{tmp_path / 'yields.csv'}&#x27;" in text
    for bad in ("yields.csv", "fm1.pdf", "no/fm1.html"):
        with pytest.raises(mm.ArgumentError):
            CliRunner().invoke(
                cli.app, ["fit", FM1[1], "yields.csv", "--report", bad], catch_exceptions=False
            )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fm1.html", "yields.csv"]


# -- in a notebook -------------------------------------------------------------------------------


def test_notebook_shows_the_tables_and_the_shares(fit):
    html = fit(*FM8)._repr_html_()
    assert html.count("<table>") == 2
    for text in ("classid 9.3 %", "schoolid 8.4 %", "Residual 82.3 %"):
        assert text in html
    shares = [float(share) for share in re.findall(r"flex: ([\d.]+) 1 0", html)]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert "<script" not in html


# -- in a browser --------------------------------------------------------------------------------

PROBE = """
<script>
window.onload = () => {
  const all = (css) => [...document.querySelectorAll(css)];
  const seen = (e) => e.getBoundingClientRect().height > 0;
  const out = {
    title: document.title,
    sections: all("main section").filter(seen).map((e) => e.id),
    images: all("img").map((e) => [e.complete, e.naturalWidth, e.getBoundingClientRect().width]),
    tables: all("table").filter(seen).length,
    wide: document.documentElement.scrollWidth,
    view: document.documentElement.clientWidth,
    requests: performance.getEntriesByType("resource").map((e) => e.name)
      .filter((name) => !name.startsWith("data:")),
    ink: getComputedStyle(document.body).color,
    paper: getComputedStyle(document.body).backgroundColor,
  };
  const pre = document.createElement("pre");
  pre.id = "probe";
  pre.textContent = JSON.stringify(out);
  document.body.append(pre);
};
</script>
"""


def browser():
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(browser() is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [500, 1200])
def test_a_browser_shows_the_page(width, text, tmp_path):
    policy = re.search(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>\n", text)
    assert policy
    probed = text.replace(policy[0], "").replace("</body>", PROBE + "</body>")
    file = tmp_path / "probed.html"
    file.write_text(probed, encoding="utf-8")
    done = subprocess.run(
        [
            *(browser(), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"),
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (found,) = re.findall(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    seen = json.loads(found.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    assert seen["title"].startswith("Linear mixed model fit by REML: mathgain ~")
    assert seen["sections"] == SECTIONS
    assert len(seen["images"]) == 6
    for complete, natural, shown in seen["images"]:
        assert complete
        assert natural > 300
        assert shown > 300
    assert seen["tables"] == 4
    assert seen["wide"] <= seen["view"]  # nothing to scroll sideways but within a table
    assert seen["requests"] == []
    assert seen["ink"] != seen["paper"]
