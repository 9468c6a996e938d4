"""The cards of the data sets that the package ships."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mixedmodels.datasets.card import Card, Column
from mixedmodels.errors import ArgumentTypeError, UnknownDatasetError

_NOTICE = "See NOTICE.md beside the data: it is apart from the licence of the code."
_PRINTED = f"A table printed in the book named above. {_NOTICE}"
_LME4 = (
    "Taken from the R package lme4 (GPL, version 2 or later); MixedModelsDatasets.jl gives "
    f"the same values under the MIT licence. {_NOTICE}"
)
_WWGBOOK = f"Taken from the R package WWGbook (GPL, version 2 or later). {_NOTICE}"
_DAVIES = (
    "O. L. Davies and P. L. Goldsmith (eds), Statistical Methods in Research and Production, "
    "4th ed., Oliver and Boyd, 1972, section "
)


def _factor(
    name: str, levels: str | int, description: str, *, ordered: bool = False, unit: str = ""
) -> Column:
    """Make a factor from its labels, or from their number where they are increasing integers."""
    labels = tuple(levels.split()) if isinstance(levels, str) else ()
    return Column(
        name,
        "ordered factor" if ordered else "factor",
        description,
        unit,
        labels,
        levels if isinstance(levels, int) else len(labels),
    )


def _number(name: str, description: str, unit: str = "") -> Column:
    return Column(name, "number", description, unit)


def _integer(name: str, description: str, unit: str = "") -> Column:
    return Column(name, "integer", description, unit)


_DYESTUFF = Card(
    name="dyestuff",
    title="Yield of dyestuff by batch",
    story=(
        "How much of the variation in the yield of a dyestuff comes from the batches of the "
        "intermediate product it is made from? Six batches of the intermediate, H-acid, were "
        "taken from the works, and the laboratory made five preparations of the dyestuff, "
        "Naphthalene Black 12B, from each: a balanced one-way classification. The batches stand "
        "for all that could have been drawn, so their effects are random."
    ),
    rows=30,
    fields=(
        _factor("Batch", "A B C D E F", "batch of the intermediate product"),
        _number("Yield", "yield of the preparation, as grams of standard colour", "g"),
    ),
    source=f"{_DAVIES}6.4.",
    terms=_PRINTED,
    example='fm1 = mm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff)\nprint(fm1)\n',
)

_DYESTUFF2 = Card(
    name="dyestuff2",
    title="Constructed yields with no batch variance",
    story=(
        "Numbers made up in the layout of the dyestuff data, so that the mean square between "
        "batches falls below the mean square within them. The estimate of the variance between "
        "batches is then zero, and the mixed model is the same as a common mean."
    ),
    rows=30,
    fields=(
        _factor("Batch", "A B C D E F", "batch"),
        _number("Yield", "constructed yield, on no particular scale"),
    ),
    source=(
        "G. E. P. Box and G. C. Tiao, Bayesian Inference in Statistical Analysis, "
        "Addison-Wesley, 1973, section 5.1.2."
    ),
    terms=_PRINTED,
    example=(
        'fm1A = mm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff2, reml=False)\n'
        "print(fm1A)  # the variance of Batch is zero\n"
    ),
)

_PENICILLIN = Card(
    name="penicillin",
    title="Variation in penicillin testing",
    story=(
        "Penicillin is assayed by how far it keeps bacteria from growing on a plate: the wider "
        "the clear zone around the sample, the more potent it is. Each of six samples was tested "
        "once on each of 24 plates, so that plate and sample are fully crossed and both sources "
        "of variation can be told apart."
    ),
    rows=144,
    fields=(
        _number("diameter", "diameter of the zone in which growth is inhibited", "mm"),
        _factor("plate", " ".join("abcdefghijklmnopqrstuvwx"), "assay plate"),
        _factor("sample", "A B C D E F", "penicillin sample"),
    ),
    source=f"{_DAVIES}6.6.",
    terms=_PRINTED,
    example=(
        'fm2 = mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin)\nprint(fm2)\n'
    ),
)

_PASTES = Card(
    name="pastes",
    title="Paste strength by batch and cask",
    story=(
        "A chemical paste is delivered in casks. Three casks were taken from each of ten "
        "deliveries and the strength of the contents of each was tested twice. Cask a of batch A "
        "has nothing to do with cask a of batch B: the labels of cask mean something only within "
        "a batch (implicit nesting). The column sample gives each of the 30 casks a label of "
        "its own; use that one."
    ),
    rows=60,
    fields=(
        _number("strength", "strength of the paste"),
        _factor("batch", "A B C D E F G H I J", "delivery the cask is from"),
        _factor("cask", "a b c", "cask within its batch"),
        _factor(
            "sample",
            " ".join(f"{batch}:{cask}" for batch in "ABCDEFGHIJ" for cask in "abc"),
            "the cask itself: batch and cask",
        ),
    ),
    source=f"{_DAVIES}6.5.",
    terms=_PRINTED,
    example='fm3 = mm.lmer("strength ~ 1 + (1 | batch) + (1 | sample)", pastes)\nprint(fm3)\n',
)

_CAKE = Card(
    name="cake",
    title="Breaking angle of chocolate cakes",
    story=(
        "Chocolate cakes were made by three recipes and baked at six temperatures; the angle at "
        "which a piece of cake breaks says how tender it is. It is a split-plot experiment: "
        "a mix of one recipe (15 replicates of each) was divided among the six temperatures. "
        "The replicates are numbered anew for each recipe, so that a mix is recipe:replicate."
    ),
    rows=270,
    fields=(
        _factor("replicate", 15, "replicate within its recipe"),
        _factor("recipe", "A B C", "recipe of the mix"),
        _factor(
            "temperature", "175 185 195 205 215 225", "baking temperature", ordered=True, unit="°F"
        ),
        _integer("angle", "angle at which the cake broke", "°"),
        _number("temp", "baking temperature, as a number", "°F"),
    ),
    source=(
        "F. E. Cook, Chocolate Cake, I. Optimum Baking Temperature, Master's thesis, Iowa State "
        "College, 1938; printed in W. G. Cochran and G. M. Cox, Experimental Designs, 2nd ed., "
        "Wiley, 1957."
    ),
    terms=_PRINTED,
    example='fm = mm.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", cake)\nprint(fm)\n',
)

_CBPP = Card(
    name="cbpp",
    title="Contagious bovine pleuropneumonia",
    story=(
        "How does contagious bovine pleuropneumonia spread within a newly infected herd? Fifteen "
        "herds of zebu cattle in Ethiopia were followed for four periods; each row counts the "
        "animals of a herd that turned serologically positive in a period, out of those in the "
        "herd at its start. Some periods of some herds were lost. Counts like these ask for a "
        "binomial model; the example stays with a linear one for the proportion."
    ),
    rows=56,
    fields=(
        _factor("herd", 15, "herd"),
        _integer("incidence", "new serological cases in the period", "animals"),
        _integer("size", "size of the herd at the start of the period", "animals"),
        _factor("period", "1 2 3 4", "period of the follow-up"),
    ),
    source=(
        "M. Lesnoff, G. Laval, P. Bonnet and others, Within-herd spread of contagious bovine "
        "pleuropneumonia in Ethiopian highlands, Preventive Veterinary Medicine 64, 2004, 27-40."
    ),
    terms=_LME4,
    example='fm = mm.lmer("I(incidence / size) ~ period + (1 | herd)", cbpp)\nprint(fm)\n',
)

_SLEEPSTUDY = Card(
    name="sleepstudy",
    title="Reaction times in a sleep deprivation study",
    story=(
        "Eighteen people were allowed three hours in bed a night, and their reaction time was "
        "tested every day; each row is the average of one person's day, over ten days. The "
        "people differ in how fast they are and in how much they slow down. (The first two "
        "days were for training and the third is the baseline, before the restriction.)"
    ),
    rows=180,
    fields=(
        _number("Reaction", "average reaction time on the day", "ms"),
        _integer("Days", "days of the study, with three hours in bed a night", "days"),
        _factor(
            "Subject",
            "308 309 310 330 331 332 333 334 335 337 349 350 351 352 369 370 371 372",
            "person",
        ),
    ),
    source=(
        "G. Belenky, N. J. Wesensten, D. R. Thorne and others, Patterns of performance "
        "degradation and restoration during sleep restriction and subsequent recovery: a sleep "
        "dose-response study, Journal of Sleep Research 12, 2003, 1-12."
    ),
    terms=_LME4,
    example='fm = mm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)\nprint(fm)\n',
)

_INSTEVAL = Card(
    name="insteval",
    title="Lecturer ratings at ETH Zürich",
    story=(
        "Students of ETH Zürich rated the lectures they had attended; each row is one student's "
        "mark for one lecture. A student rates some of the lecturers and a lecturer teaches some "
        "of the students, so that the two are partially crossed; each lecturer is of one "
        "department. The data were anonymised, and are large enough to tell fast methods from "
        "slow ones."
    ),
    rows=73421,
    fields=(
        _factor("s", 2972, "student"),
        _factor("d", 1128, "lecturer"),
        _factor(
            "studage", "2 4 6 8", "time the student has studied", ordered=True, unit="semesters"
        ),
        _factor(
            "lectage",
            "1 2 3 4 5 6",
            "time since the lecture was held",
            ordered=True,
            unit="semesters",
        ),
        _factor("service", "0 1", "1 for a lecture held for a department not the lecturer's own"),
        _factor(
            "dept", "15 5 10 12 6 7 4 8 9 14 1 3 11 2", "department, as a code; there is no 13"
        ),
        _integer("y", "rating, from 1 (poor) to 5 (very good)"),
    ),
    source="Distributed with the R package lme4, as InstEval.",
    terms=_LME4,
    example=('fm = mm.lmer("y ~ service + (1 | s) + (1 | d) + (1 | dept)", insteval)\nprint(fm)\n'),
)

_CLASSROOM = Card(
    name="classroom",
    title="Gain in mathematics, in classes in schools",
    story=(
        "How much mathematics do children learn in the first grade, and how much of it depends "
        "on their class and school? The scores of 1190 children at the end of kindergarten and "
        "their gain by the end of first grade, with what is known of them, of their teachers and "
        "of their schools: 312 classes, of one to ten children, nested in 107 schools."
    ),
    rows=1190,
    fields=(
        _factor("sex", "M F", "sex of the child"),
        _factor("minority", "N Y", "whether the child belongs to a minority"),
        _integer("mathkind", "mathematics score in kindergarten", "points"),
        _integer("mathgain", "gain in the score from kindergarten to first grade", "points"),
        _number("ses", "socio-economic status of the family, an index"),
        _number("yearstea", "teaching experience of the teacher", "years"),
        _number("mathknow", "teacher's knowledge of mathematics, an index (109 missing)"),
        _number(
            "housepov",
            "proportion of households around the school that are below the poverty level",
        ),
        _number("mathprep", "teacher's preparation in mathematics", "courses"),
        _factor("classid", 312, "class"),
        _factor("schoolid", 107, "school"),
        _factor("childid", 1190, "child"),
    ),
    source=(
        "H. C. Hill, B. Rowan and D. L. Ball, Effects of teachers' mathematical knowledge for "
        "teaching on student achievement, American Educational Research Journal 42, 2005, "
        "371-406; printed in B. T. West, K. B. Welch and A. T. Gałecki, Linear Mixed Models: "
        "A Practical Guide Using Statistical Software, Chapman and Hall/CRC, 2007."
    ),
    terms=_WWGBOOK,
    example=(
        'formula = "mathgain ~ mathkind + minority + ses + (1 | classid) + (1 | schoolid)"\n'
        "fm8 = mm.lmer(formula, classroom)\n"
        "print(fm8)\n"
    ),
)

CARDS: Mapping[str, Card] = MappingProxyType(
    {
        card.name: card
        for card in (
            _DYESTUFF,
            _DYESTUFF2,
            _PENICILLIN,
            _PASTES,
            _CAKE,
            _CBPP,
            _SLEEPSTUDY,
            _INSTEVAL,
            _CLASSROOM,
        )
    }
)


def find_card(name: str) -> Card:
    """Return the card of a data set, or say which names there are.

    Raises
    ------
    UnknownDatasetError
        If there is no data set of that name.
    ArgumentTypeError
        If `name` is not a string.
    """
    if not isinstance(name, str):
        raise ArgumentTypeError(
            f"The name of a data set is a string, not {type(name).__name__}; "
            f"one of {', '.join(CARDS)}."
        )
    if name in CARDS:
        return CARDS[name]
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), CARDS, n=2)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise UnknownDatasetError(
        f"There is no data set {name!r}.{hint} The data sets are {', '.join(CARDS)}."
    )
