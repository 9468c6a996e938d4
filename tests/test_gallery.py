"""The gallery: its calls draw, its pictures are there, and none of the demo's is left out."""

import ast
import re
from pathlib import Path

from mixedmodels import demo

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "gallery.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IMAGE = re.compile(r"!\[([^\]]+)\]\(img/([^)]+)\)")


def statements(code):
    """Python statements in one form."""
    return [ast.unparse(statement) for statement in ast.parse(code).body]


def test_calls_draw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, code in enumerate(FENCE.findall(TEXT)):
        names.pop("ax", None)
        exec(code, names)
        if number and "ax =" in code:
            assert names["ax"].figure.axes
    assert names["file"].stat().st_size > 100_000


def test_every_picture_is_described_and_there():
    # Those of the page on inference are beside their calls there.
    images = IMAGE.findall(TEXT) + IMAGE.findall((DOCS / "inference.md").read_text("utf-8"))
    assert {file for _, file in images} == {path.name for path in (DOCS / "img").glob("*.png")}
    assert len({words for words, _ in images}) == len(images)


def test_every_picture_of_the_demo_is_beside_its_call():
    parts = re.split(r"!\[[^\]]+\]\(img/([^)]+)\)", TEXT)
    call_of = {
        file: FENCE.findall(before)[-1]
        for before, file in zip(parts[::2], parts[1::2], strict=False)
    }
    for step in demo.STEPS:
        if step.picture:
            drawn = [s for s in statements(step.code) if s.startswith("ax =")]
            assert statements(call_of[f"{step.picture}.png"])[-1:] == drawn
