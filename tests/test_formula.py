"""Formulas: what they stand for, how they print and update, and how they fail."""

import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.errors import (
    ArgumentTypeError,
    FormulaError,
    MixedModelsError,
    UnsupportedTermError,
)
from mixedmodels.formula import Formula
from mixedmodels.parser import parse
from mixedmodels.syntax import deparse, number_text
from mixedmodels.terms import expand

# What R's deparse() prints.
DEPARSED = {
    "f(x,2)": "f(x, 2)",
    "I(x**2)": "I(x^2)",
    "1e5": "1e+05",
    "100000": "1e+05",
    "123456": "123456",
    "1e-5": "1e-05",
    "0.0001": "1e-04",
    "1234567890123": "1234567890123",
    "2.5e3": "2500",
    "1.50": "1.5",
    "5.": "5",
    "33333.5": "33333.5",
    "1e15": "1e+15",
    "-x^2": "-x^2",
    "a%in%b": "a %in% b",
    "!a&b|c": "!a & b | c",
    "a==b": "a == b",
    "'a\"b'": '"a\\"b"',
    "`a b`": "`a b`",
    "`a\\`b`": "`a\\`b`",
    "f(x, a=TRUE,`b c`=3)": "f(x, a = TRUE, `b c` = 3)",
    "(a+b)*c": "(a + b) * c",
    "a- -b": "a - -b",
    "a/b/c": "a/b/c",
    "a^b^c": "a^b^c",
    "a %% b": "a%%b",
    "x.y + .x": "x.y + .x",
    "ä_b": "ä_b",
}

# Term labels and intercept, from R's terms().
EXPANDED = {
    "b:a + a": "a b:a 1",
    "a + b%in%a": "a a:b 1",
    "(a+b)/c": "a b a:b:c 1",
    "a/(b+c)": "a a:b a:c 1",
    "(a+b)%in%(c+d)": "a:c:d b:c:d 1",
    "a*b*c - a:b:c": "a b c a:b a:c b:c 1",
    "(a+b+c)^2": "a b c a:b a:c b:c 1",
    "(a+b+c)**2 - b": "a c a:b a:c b:c 1",
    "a^3": "a 1",
    "x - 0": "x 1",
    "0 + x + 1": "x 1",
    "-1 + 1": "1",
    "a:b:a": "a:b 1",
    "a*1": "a 1",
    "(1+a)^2": "a 1",
    "a + 0 + b": "a b 0",
    "a - (b + 1)": "a 0",
    "a - (0 + b)": "a 1",
    "(a-1)*b": "a b a:b 0",
    "(a - a:b) + b:a": "a a:b 1",
    "a/b/c": "a a:b a:b:c 1",
    "-a": "1",
    "a - a": "1",
    "a + -b": "a 1",
    "(a+b):(a+c)": "a a:c a:b b:c 1",
    "(a*b)/c": "a b a:b a:b:c 1",
    "log(a)^2 + b": "log(a) b 1",
    "a > b": "a > b 1",
}

# From R's update.formula().
UPDATED = [
    ("Yield ~ 1 + (1 | Batch)", "~ . + (1|cask)", "Yield ~ (1 | Batch) + (1 | cask)"),
    ("Yield ~ 1 + (1 | Batch)", "log(.) ~ .", "log(Yield) ~ (1 | Batch)"),
    ("Yield ~ 1 + (1 | Batch)", ". ~ . - 1", "Yield ~ (1 | Batch) - 1"),
    ("Yield ~ 1 + (1 | Batch)", "~ x + .", "Yield ~ x + (1 | Batch)"),
    ("y ~ (1 | g) + (1 | h)", ". ~ . - (1 | g)", "y ~ (1 | h)"),
    ("y ~ a*b + (1|g) + offset(w)", ". ~ . - a:b", "y ~ a + b + (1 | g) + offset(w)"),
    ("y ~ a*b + (1|g)", ". ~ . + c:a", "y ~ a + b + (1 | g) + a:b + a:c"),
    ("y ~ a*b + (1|g)", ". ~ . - b", "y ~ a + (1 | g) + a:b"),
    ("y ~ a*b + (1|g)", ". ~ . + (1|g)", "y ~ a + b + (1 | g) + a:b"),
    ("y ~ a*b + (1|g)", ". ~ . + (1|h/k)", "y ~ a + b + (1 | g) + (1 | h/k) + a:b"),
    ("y ~ a*b + (1|g)", "log(.) ~ . - (1|g) + (1|k)", "log(y) ~ a + b + (1 | k) + a:b"),
    ("y ~ 0 + x + (1|g)", ". ~ . + z", "y ~ x + (1 | g) + z - 1"),
    ("y ~ x - 1 + (1|g)", ". ~ . + 1", "y ~ x + (1 | g)"),
    ("y ~ x + (1|g)", "z ~ .", "z ~ x + (1 | g)"),
    ("y ~ poly(x,2) + (1|g)", ". ~ . - poly(x, 2)", "y ~ (1 | g)"),
    ("y ~ b:a + a + (1|g)", ". ~ . + I(3*x/100000)", "y ~ a + (1 | g) + I(3 * x/1e+05) + b:a"),
    ("y ~ (1|g) + x", ". ~ .", "y ~ (1 | g) + x"),
    ("y ~ 1 + (1|g)", ". ~ . + .", "y ~ (1 | g)"),
    ("log(y) ~ x + (1|g)", "sqrt(.) ~ .", "sqrt(log(y)) ~ x + (1 | g)"),
    ("a + b ~ (1|g)", ".^2 ~ .", "(a + b)^2 ~ (1 | g)"),
]

# Labels from lme4 (its 1.1-31 cannot evaluate the last one).
GROUPS = {
    "a:b": ["a:b"],
    "b:a": ["b:a"],
    "a/b": ["b:a", "a"],
    "a/b/c": ["c:(b:a)", "b:a", "a"],
    "a/b:c": ["b:c:a", "a"],
    "c:a:b": ["c:a:b"],
    "(a:b)": ["a:b"],
    "a:b/c": ["c:(a:b)", "a:b"],
}


@pytest.mark.parametrize(("text", "printed"), DEPARSED.items())
def test_expressions_print_as_in_r(text, printed):
    tree = parse(f"~ {text}")[1]
    assert deparse(tree) == printed
    assert parse(f"~ {printed}")[1] == tree


@pytest.mark.parametrize(("text", "expected"), EXPANDED.items())
def test_terms_expand_as_in_r(text, expected):
    fixed = expand(parse(f"~ {text}")[1], text).fixed
    assert " ".join([*fixed.labels, str(int(fixed.intercept))]) == expected


@pytest.mark.parametrize(("old", "change", "new"), UPDATED)
def test_updates_as_in_r(old, change, new):
    assert str(Formula.parse(old).update(change)) == new


@pytest.mark.parametrize(("group", "labels"), GROUPS.items())
def test_grouping_labels_as_in_lme4(group, labels):
    random = Formula.parse(f"y ~ (1 | {group})").random
    assert [term.label for term in random] == labels
    assert random[0].group == tuple(labels[0].replace("(", "").replace(")", "").split(":"))


def test_prints_as_written_with_r_spacing():
    text = "log( y )~0+x*z  +(1|recipe:replicate)+I(x**2)\n + (1 |batch/cask)"
    printed = "log(y) ~ 0 + x * z + (1 | recipe:replicate) + I(x^2) + (1 | batch/cask)"
    formula = Formula.parse(text)
    assert str(formula) == printed
    assert repr(formula) == f"Formula({printed!r})"
    assert Formula.parse(printed) == formula
    assert hash(Formula.parse(printed)) == hash(formula)
    assert pickle.loads(pickle.dumps(formula)) == formula


def test_parts():
    formula = Formula.parse("y ~ 0 + x + offset(log(n)) + (1 | g) + offset(w) + z:x")
    assert formula.fixed.labels == ("x", "x:z")
    assert not formula.fixed.intercept
    assert [deparse(offset) for offset in formula.offsets] == ["log(n)", "w"]
    (term,) = formula.random
    assert (term.label, term.group, term.text) == ("g", ("g",), "(1 | g)")
    assert term.correlated
    assert term.is_scalar


@pytest.mark.parametrize("term", ["(1 | g)", "(0 + 1 | g)", "(1 || g)", "(1 + 1 | g)"])
def test_random_intercepts_are_scalar(term):
    Formula.parse(f"y ~ x + {term}").require_scalar()


@pytest.mark.parametrize("term", ["(x | g)", "(x || g)", "(0 + x | g)", "(1 + x | g:h)", "(f | g)"])
def test_other_effects_parse_and_are_refused(term):
    formula = Formula.parse(f"y ~ x + {term}")
    assert formula.random[0].correlated == ("||" not in term)
    with pytest.raises(UnsupportedTermError) as caught:
        formula.require_scalar()
    sentence, shown, mark = str(caught.value).split("\n")
    assert sentence.startswith(f"{term} cannot be fitted yet")
    assert shown[mark.index("^") :] == term


def test_dot_is_all_other_columns():
    columns = ["y", "a", "my col", "g", "h", "w"]
    formula = Formula.parse("log(y) ~ 1 + . + (1 | g:h)")
    assert str(formula.with_columns(columns)) == "log(y) ~ 1 + a + `my col` + w + (1 | g:h)"
    assert str(formula.with_columns(columns, ["w"])) == "log(y) ~ 1 + a + `my col` + (1 | g:h)"
    squared = Formula.parse("y ~ .^2 + (1 | g/h)").with_columns(columns, ["w"])
    assert squared.fixed.labels == ("a", "`my col`", "a:`my col`")
    plain = Formula.parse("y ~ a + (1 | g)")
    assert plain.with_columns(columns) is plain
    with pytest.raises(FormulaError, match="stands for no column"):
        Formula.parse("y ~ . + (1 | g)").with_columns(["y", "g"])


def test_update_keeps_a_dot_that_is_not_known_yet():
    formula = Formula.parse("y ~ . + (1 | g)").update(". ~ . - a")
    assert formula.with_columns(["y", "a", "b", "g"]).fixed.labels == ("b",)


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("", "empty", None),
        ("   ", "empty", None),
        ("y", "no ~", 1),
        ("y ~", "ends too early", 3),
        ("~ x + (1 | g)", "no response", 0),
        ("y ~ x", "no random-effects term", None),
        ("y ~ x ~ (1 | g)", "one ~", 6),
        ("y ~ (x + (1 | g)", "ends too early", 16),
        ("y ~ x) + (1 | g)", "closes nothing", 5),
        ("y ~ x z + (1 | g)", "operator missing", 6),
        ("y ~ x + + * (1 | g)", "'*' is not expected", 10),
        ("y ~ x @ z", "no meaning", 6),
        ("y ~ x % z", "remainder of a division is %%", 6),
        ("y = x + (1 | g)", "equality is ==", 2),
        ("y ~ 9z + (1 | g)", "start with a digit", 4),
        ("y ~ `x + (1 | g)", "never closed", 4),
        ("y ~ `` + (1 | g)", "no name", 4),
        ("y ~ (a < b < c) + (1 | g)", "cannot be chained", 11),
        ("y ~ x[1] + (1 | g)", "subscripts", 5),
        ("y ~ f(x).real + (1 | g)", "attributes", 8),
        ("y ~ I(lambda x: x) + (1 | g)", "Python", 13),
        ("y ~ I([i for i in x]) + (1 | g)", "Python", 9),
        ("y ~ __import__('os') + (1 | g)", "cannot be used", 4),
        ("y ~ f(_state = 1) + (1 | g)", "cannot be given", 6),
        ("y ~ f(a = 1, a = 2) + (1 | g)", "cannot be given", 13),
        ("y ~ 2 + x + (1 | g)", "only 1 and 0", 4),
        ("y ~ x + 'a' + (1 | g)", "only 1 and 0", 8),
        ("y ~ TRUE + (1 | g)", "only 1 and 0", 4),
        ("y ~ x^1.5 + (1 | g)", "positive whole number", 6),
        ("y ~ x^0 + (1 | g)", "positive whole number", 6),
        ("y ~ x^TRUE + (1 | g)", "positive whole number", 6),
        ("y ~ x:2 + (1 | g)", "cannot be an operand", 6),
        ("y ~ x + [1, 2] + (1 | g)", "only be an argument", 8),
        ("y ~ x:offset(z) + (1 | g)", "only be added", 6),
        ("y ~ offset(x, z) + (1 | g)", "one argument", 4),
        ("y ~ x + 1 | g", "stands in parentheses", 4),
        ("y ~ x:(1 | g)", "can only be added", 6),
        ("y ~ x * (1 | g)", "can only be added", 8),
        ("y ~ x - (1 | g)", "in an update only", 8),
        ("y ~ x > 0 + (1 | g)", "part of x > 0", 12),
        ("y ~ (1 | g) + (1 | g)", "is there twice", 14),
        ("y ~ (1 | g/h) + (1 | g)", "is there twice", 16),
        ("y ~ (0 | g)", "has no effects", 4),
        ("y ~ (1 | g | h)", "one bar", 5),
        ("y ~ (offset(x) | g)", "left of the bar", 5),
        ("y ~ (1 | g:g)", "names a column twice", 9),
        ("y ~ (1 | 1)", "must be a column", 9),
        ("y ~ (1 | .)", "must be a column", 9),
        ("y ~ (1 | factor(g))", "to be added to the data", 9),
        ("y ~ (1 | g + h)", r"(1 | g) + (1 | h)", 9),
        ("y ~ (1 | g * h)", r"(1 | g) + (1 | h) + (1 | g:h)", 9),
        ("y ~ y + (1 | g)", "also among the fixed effects", None),
        (". ~ x + (1 | g)", "response cannot be the .", 0),
    ],
)
def test_what_is_no_formula_is_refused_with_its_place(text, message, at):
    with pytest.raises(FormulaError) as caught:
        Formula.parse(text)
    assert message in str(caught.value)
    assert caught.value.position == at
    if at is not None:
        shown, mark = str(caught.value).split("\n")[1:]
        assert (shown.strip(), len(mark) - 1) == (text.strip(), 4 + at)


def test_the_mark_stays_in_place_in_long_and_broken_lines():
    with pytest.raises(FormulaError) as caught:
        Formula.parse("y ~\n\tx +* z")
    assert str(caught.value).split("\n")[1:] == ["    y ~  x +* z", "            ^"]
    with pytest.raises(FormulaError) as caught:
        Formula.parse("y ~ " + "a + " * 500 + "? + " + "b + " * 500)
    shown, mark = str(caught.value).split("\n")[1:]
    assert shown[len(mark) - 1] == "?"
    assert len(shown) < 140


@pytest.mark.parametrize("text", [None, 3, b"y ~ (1 | g)", ["y ~ (1 | g)"]])
def test_a_formula_is_a_string(text):
    with pytest.raises(ArgumentTypeError, match="string"):
        Formula.parse(text)


@pytest.mark.parametrize(
    "change", ["~ . - (1 | g)", ". ~ 1", "x", "", "~ .:z", "~ . + (1 | factor(h))"]
)
def test_updates_that_make_no_formula(change):
    with pytest.raises(FormulaError):
        Formula.parse("y ~ x + (1 | g)").update(change)


@pytest.mark.parametrize(
    "inner",
    ["(" * 3000, "-" * 3000 + "x", "x" + "^x" * 3000, "f(" * 3000, "[" * 3000, "!" * 3000 + "x"],
)
def test_deep_nesting_is_an_error_and_no_crash(inner):
    with pytest.raises(FormulaError, match="nested too deeply"):
        Formula.parse(f"y ~ {inner} + (1 | g)")


def test_long_formulas():
    names = [f"x{i}" for i in range(3000)]
    formula = Formula.parse(f"y ~ {' + '.join(names)} + (1 | g)")
    assert formula.fixed.labels == tuple(names)
    assert str(formula.update(". ~ . - x0")).startswith("y ~ x1 + x2 +")
    with pytest.raises(FormulaError, match="characters"):
        Formula.parse("y ~ " + "x" * 2_000_000)
    with pytest.raises(FormulaError, match="interactions"):
        Formula.parse(f"y ~ ({' + '.join(names)})^2 + (1 | g)")


def test_parsing_again_is_cheap():
    Formula.parse("Yield ~ 1 + (1 | Batch)")
    start = time.perf_counter()
    for _ in range(1000):
        Formula.parse("Yield ~ 1 + (1 | Batch)")
    assert time.perf_counter() - start < 0.05


@pytest.mark.parametrize("name", ["héllo", "été.1", "变量", "_x", "x_1", ".x", "हिन्दी"])
def test_unicode_names_need_no_backticks(name):
    formula = Formula.parse(f"y ~ {name} + (1 | g)")
    assert formula.fixed.labels == (name,)


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 1e-300, 123456.789, 2.0**60])
def test_printed_numbers_are_exact(value):
    assert float(number_text(value)) == value


_WORDS = [
    *[
        "y",
        "x",
        "g",
        "f",
        "na",
        ".",
        "~",
        "+",
        "-",
        "*",
        "/",
        ":",
        "^",
        "**",
        "%in%",
        "|",
        "||",
        "(",
        ")",
        "(1|g)",
        "(1|g:h)",
        "(x|g)",
        "0",
        "1",
        "2.5",
        "log(",
        "poly(",
    ],
    *[
        "I(",
        "C(",
        ",",
        "=",
        "==",
        "<",
        "&",
        "!",
        "'a'",
        "[",
        "]",
        "{",
        "}",
        "TRUE",
        "NULL",
        "offset(",
        "`x`",
        "and",
        "not",
        "lambda",
        "\\",
        "@",
        "é",
        "é",
    ],
    *"\n\0\t",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join) | st.text(max_size=30))
def test_any_text_gives_a_formula_that_prints_itself_or_an_error(text):
    try:
        formula = Formula.parse(text)
    except MixedModelsError:
        return
    assert Formula.parse(str(formula)) == formula
    assert str(Formula.parse(str(formula))) == str(formula)
