"""Some pictures as images, against small baselines: shapes and places, not letters.

All text is hidden, the layout fixed and the picture small and grey, so that versions of matplotlib
and of fonts agree. ``python tests/test_plots_images.py`` draws the baselines anew.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import mixedmodels as mm

BASELINE = Path(__file__).parent / "baseline"
WIDTH, HEIGHT, OVERSAMPLING = 160, 120, 4
# Of 255 shades: the mean difference, and that of the worst block of four by four.
MEAN, WORST = 2.0, 48.0


def fm1():
    return mm.lmer("Yield ~ 1 + (1 | Batch)", mm.datasets.load("dyestuff"))


def fm2():
    penicillin = mm.datasets.load("penicillin")
    return mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin)


def fm10():
    return mm.lmer("y ~ 1 + (1 | s)", mm.datasets.load("insteval"))


DRAW = {
    "groups": lambda ax: mm.plot_groups(mm.datasets.load("dyestuff"), "Yield", "Batch", ax=ax),
    "bands": lambda ax: mm.plot_groups(
        mm.datasets.load("pastes"), "strength", "sample", within="batch", ax=ax
    ),
    "caterpillar": lambda ax: fm1().plot("caterpillar", ax=ax),
    "qqmath": lambda ax: fm10().plot("qqmath", ax=ax),
    "factor": lambda ax: fm2().plot("L", ax=ax),
    "criterion": lambda ax: fm1().plot("criterion", ax=ax),
    "hexagons": lambda ax: fm10().plot("residuals", ax=ax),
}


def drawn(name):
    """A picture in grey, without letters."""
    with mpl.rc_context(mpl.rcParamsDefault):
        figure = Figure(figsize=(4.0, 3.0), dpi=WIDTH * OVERSAMPLING / 4.0)
        canvas = FigureCanvasAgg(figure)
        ax = figure.add_axes((0.05, 0.05, 0.9, 0.9))
        DRAW[name](ax)
        for text in figure.findobj(Text):
            text.set_visible(False)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("L")
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def blocks(image):
    """Means of blocks of four by four shades."""
    shades = np.asarray(image, dtype=float)
    return shades.reshape(HEIGHT // 4, 4, WIDTH // 4, 4).mean(axis=(1, 3))


@pytest.mark.parametrize("name", DRAW)
def test_picture_looks_as_it_did(name):
    with Image.open(BASELINE / f"{name}.png") as image:
        expected = blocks(image.convert("L"))
    difference = np.abs(blocks(drawn(name)) - expected)
    assert difference.mean() < MEAN
    assert difference.max() < WORST


def test_a_picture_that_is_wrong_is_told_apart():
    """The tolerance is no wider than a mark: another picture of the same kind fails."""
    with Image.open(BASELINE / "caterpillar.png") as image:
        expected = blocks(image.convert("L"))
    other = fm1().refit(-fm1().design.y)
    original = DRAW["caterpillar"]
    DRAW["caterpillar"] = lambda ax: other.ranef().caterpillar(ax=ax)
    try:
        difference = np.abs(blocks(drawn("caterpillar")) - expected)
    finally:
        DRAW["caterpillar"] = original
    assert difference.max() > WORST


if __name__ == "__main__":
    for each in DRAW:
        drawn(each).save(BASELINE / f"{each}.png", optimize=True)
