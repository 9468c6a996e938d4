"""What a person sees of a fit while it runs, the trace it leaves, and how it is interrupted."""

import io
import signal
import sys
import time
import warnings
from contextlib import redirect_stderr, suppress
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose

import designs
import mixedmodels as mm
from mixedmodels.estimation import newton
from mixedmodels.estimation.newton import Iteration, minimise
from mixedmodels.estimation.progress import SECONDS_OF_SILENCE, Progress

PENICILLIN = "diameter ~ 1 + (1 | plate) + (1 | sample)"


@pytest.fixture
def fm2(fit):
    return fit("penicillin", PENICILLIN, "REML")


# -- the trace -----------------------------------------------------------------------------------


def test_iterations_as_a_frame(fm2):
    frame = fm2.iterations
    assert list(frame) == [
        *("iteration", "evaluations", "objective", "step", "decrement"),
        *("theta[plate]", "theta[sample]", "gradient[plate]", "gradient[sample]"),
    ]
    assert list(frame["iteration"]) == list(range(len(frame)))
    assert frame["evaluations"].is_monotonic_increasing
    assert np.all(np.diff(frame["objective"]) <= 1e-9)  # it falls, but for rounding
    assert frame["step"].iloc[0] == 0
    assert (frame["step"].iloc[1:] > 0).all()
    last = frame.iloc[-1]
    assert_allclose(last[["theta[plate]", "theta[sample]"]].astype(float), fm2.theta, rtol=1e-6)
    assert_allclose(last["objective"], fm2.objective, rtol=1e-13)
    # Half the decrement is what Newton's step gains, and near the optimum it does.
    gained = frame["objective"].iloc[-3] - frame["objective"].iloc[-2]
    assert_allclose(frame["decrement"].iloc[-3] / 2, gained, rtol=0.2)


def test_gradients_of_the_trace_are_those_in_the_variance_ratios(fm2):
    frame, h = fm2.iterations, 1e-5

    def criterion(gamma):
        trace = fm2.update(start=np.sqrt(gamma)).iterations
        assert_allclose(trace.filter(like="theta").iloc[0] ** 2, gamma, rtol=1e-12)
        return trace["objective"].iloc[0]

    for row in range(3):
        gamma = frame.filter(like="theta").iloc[row].to_numpy() ** 2
        differences = [
            (criterion(gamma + step) - criterion(gamma - step)) / (2 * h) for step in h * np.eye(2)
        ]
        assert_allclose(frame.filter(like="gradient").iloc[row], differences, rtol=1e-5, atol=1e-5)


def test_printed_optimum(fm2):
    text = repr(fm2.optimum)
    assert text.startswith("Optimum: 330.860589 at theta = (1.53968, 3.51242), ")
    assert f" {len(fm2.iterations)} iterations" in text
    assert text.endswith(", converged")


def test_multipliers_of_zero_variances():
    design = designs.simulate(4)  # θ is 0 in two of three terms
    fm = mm.lmer(design.formula, design.data, reml=design.reml)
    zero, multipliers = fm.theta == 0, fm.optimum.multipliers
    assert list(zero) == [True, False, True]
    assert np.all(multipliers[zero] > 0)
    assert np.all(multipliers[~zero] == 0)
    # ∂d/∂γ, by starting a little inside: θ² = 1e-6 and 2e-6.
    for t in np.flatnonzero(zero):
        starts = [np.where(np.arange(3) == t, np.sqrt(g), fm.theta) for g in (1e-6, 2e-6)]
        low, high = (fm.update(start=s).iterations["objective"].iloc[0] for s in starts)
        assert_allclose((high - low) / 1e-6, multipliers[t], rtol=1e-3)


def test_where_a_fit_starts_does_not_matter(fm2):
    for start in ([0.0, 0.0], [1e-3, 1e3], [50, 0.01], (1.5, 3.5), np.array([1, 1])):
        again = fm2.update(start=start)
        assert again.converged
        assert_allclose(again.theta, fm2.theta, rtol=1e-6)
        assert_allclose(again.objective, fm2.objective, rtol=1e-12)
    assert len(fm2.update(start=fm2.theta).iterations) <= 2
    one = mm.lmer("diameter ~ 1 + (1 | plate)", mm.datasets.load("penicillin"), start=0.3)
    assert one.iterations["theta[plate]"].iloc[0] == pytest.approx(0.3)


@pytest.mark.parametrize("start", [1e4, 1e7, 1e8, 1e12, 1e100, 1e200])
def test_a_start_far_away_does_not_matter_either(fm2, start):
    again = fm2.update(start=[start, start])
    assert_allclose(again.objective, fm2.objective, rtol=1e-10)
    assert_allclose(again.theta, fm2.theta, rtol=1e-5)


@pytest.mark.parametrize(
    "start", [[1.0], [1, 2, 3], [[1, 2]], [np.nan, 1], [np.inf, 1], [-1, 1], 1.0, "ab", ["a", "b"]]
)
def test_a_start_that_is_none_is_refused(fm2, start):
    with pytest.raises(mm.ArgumentError, match=r"start must be 2 numbers.*theta of plate, sample"):
        fm2.update(start=start)


# -- verbose -------------------------------------------------------------------------------------


def test_verbose_prints_the_trace(load, capsys):
    fm = mm.lmer(PENICILLIN, load("penicillin"), verbose=True)
    out, err = capsys.readouterr()
    header, *lines = out.splitlines()
    words = "iteration REML criterion step gradient theta: plate sample"
    assert header.split() == words.split()
    assert err == ""
    frame = fm.iterations
    assert len(lines) == len(frame)
    for line, row in zip(lines, frame.to_dict("records"), strict=True):
        number, objective, step, gradient, *theta = map(float, line.split())
        assert number == row["iteration"]
        assert objective == pytest.approx(row["objective"], abs=5.1e-7)
        assert step == pytest.approx(row["step"], abs=5.1e-5)
        assert theta == pytest.approx([row["theta[plate]"], row["theta[sample]"]], abs=5.1e-7)
        # The larger one of ∂d/∂θ = 2θ ∂d/∂γ.
        slopes = [2 * t * row[f"gradient[{g}]"] for t, g in zip(theta, fm.ngroups, strict=True)]
        assert gradient == pytest.approx(max(map(abs, slopes)), rel=0.006)


def test_verbose_shows_no_slope_that_holds_a_variance_at_zero(load, capsys):
    fm = mm.lmer("Yield ~ 1 + (1 | Batch)", load("dyestuff2"), verbose=True)
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert fm.iterations["gradient[Batch]"].iloc[-1] > 1
    assert [float(word) for word in last[3:]] == [0.0, 0.0]


def test_verbose_names_the_criterion_and_makes_room_for_long_labels(load, capsys):
    data = load("penicillin").rename(columns={"plate": "a_label_of_many_letters"})
    mm.lmer("diameter ~ (1 | a_label_of_many_letters)", data, reml=False, verbose=True)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[1] == "deviance"
    assert {len(line) for line in lines} == {len(header)}


@pytest.mark.parametrize("seed", [46, 59])
def test_verbose_shows_the_descent_that_is_taken(seed, capsys):
    """Two designs whose first descent ends in a minimum that is not the lowest."""
    design = designs.simulate(seed)
    fm = mm.lmer(design.formula, design.data, reml=design.reml, verbose=True)
    *_, last = capsys.readouterr().out.split("iteration ")
    lines = last.splitlines()[1:]
    assert len(lines) == len(fm.iterations)
    assert float(lines[-1].split()[1]) == pytest.approx(fm.objective, abs=1e-6)


def test_a_fit_says_nothing_by_default(load, capfd):
    mm.lmer(PENICILLIN, load("penicillin"))
    assert capfd.readouterr() == ("", "")


# -- in a terminal -------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Make a terminal of standard error, within ``with terminal as shown_text:``.

    In the test itself: pytest sets standard error anew between a fixture and its test.
    """
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return redirect_stderr(Terminal())


def progress(times, *, verbose=False, wanted=None):
    """Make a Progress with a clock that reads `times`, then the last of them for ever."""
    times = list(times)
    clock = lambda: times.pop(0) if len(times) > 1 else times[0]  # noqa: E731
    return Progress(("g",), "deviance", verbose, wanted, clock)


def iteration(number):
    return Iteration(number, number + 1, 123.45678, 1.0, 0.002, (0.5,), (-0.25,))


HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # what a status does to the cursor


def test_nothing_is_shown_for_two_seconds(terminal):
    with terminal as text, progress([100.0, 100.0 + SECONDS_OF_SILENCE - 0.01]) as shown:
        assert shown.wanted
        for number in range(5):
            shown(iteration(number))
    assert text.getvalue() == ""


def test_a_line_is_shown_after_two_seconds_and_taken_away(terminal):
    assert SECONDS_OF_SILENCE == 2
    with terminal as text:
        with progress([100.0, 101.0, 102.5]) as shown:
            shown(iteration(0))
            assert text.getvalue() == ""
            shown(iteration(1))
            shown(iteration(2))
            assert text.getvalue().count(HIDE) == 1  # the line changes; no other one is made
        # It is written ten times a second, and when it ends.
        line = "iteration 2: deviance 123.4568, step 1, to gain 1.0e-03, 2 s, 2 s left"
        assert line in text.getvalue()
        assert text.getvalue().count(SHOW) == 1
        assert sys.stderr is text


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_line_goes_when_the_fit_fails(terminal, error):
    with terminal as text:
        with suppress(error), progress([0.0, 5.0]) as shown:
            shown(iteration(0))
            assert HIDE in text.getvalue()
            raise error
        assert text.getvalue().count(SHOW) == 1
        assert sys.stderr is text


def test_a_line_may_be_asked_for_at_once(terminal):
    with terminal as text, progress([0.0], wanted=True) as shown:
        shown(iteration(0))
    assert "iteration 0" in text.getvalue()


def test_a_line_may_be_declined(terminal, capsys):
    with terminal as text, progress([0.0, 99.0], wanted=False) as shown:
        assert not shown.wanted
        shown(iteration(0))
    assert text.getvalue() == capsys.readouterr().out == ""


def test_verbose_alone_prints_and_shows_no_line(terminal, capsys):
    with terminal as text, progress([0.0, 99.0], wanted=False, verbose=True) as shown:
        assert shown.wanted
        shown(iteration(0))
    assert text.getvalue() == ""
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_no_terminal_no_line():
    with redirect_stderr(io.StringIO()):
        assert not progress([0.0]).wanted


@pytest.mark.parametrize("closed", [True, False])
def test_without_a_standard_error_there_is_no_line(load, closed):
    """Programs without a console, such as those of pythonw, have none."""
    stream = None
    if closed:
        stream = io.StringIO()
        stream.close()
    with redirect_stderr(stream):
        assert mm.lmer(PENICILLIN, load("penicillin")).converged


def test_a_fit_shows_its_line(terminal, load):
    with terminal as text:
        fm = mm.lmer(PENICILLIN, load("penicillin"), progress=True)
    assert f"iteration {len(fm.iterations) - 1}: REML criterion 330.8606" in text.getvalue()
    assert text.getvalue().count(HIDE) == text.getvalue().count(SHOW) == 1
    assert fm.converged


# -- interruption --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
@pytest.mark.parametrize("when", [0, 2])
def test_an_exception_of_the_callback_passes_through_the_core(fm2, error, when):
    seen = []

    def callback(iteration):
        seen.append(iteration.number)
        if iteration.number == when:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        minimise(fm2.cross_products, fm2.plan, True, None, callback)
    assert seen == list(range(when + 1))
    # The core is as it was.
    assert minimise(fm2.cross_products, fm2.plan, True).objective == fm2.objective


def test_an_interrupt_while_printing_ends_the_fit(load, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mm.lmer(PENICILLIN, load("penicillin"), verbose=True)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_a_signal_is_heard_while_the_core_runs():
    """Without a callback the core looks for signals after each iteration; here all take long."""

    class AlarmError(Exception):
        pass

    def handler(*_):
        raise AlarmError

    random, n = np.random.default_rng(0), 20_000
    data = {"g": random.integers(0, 700, n), "h": random.integers(0, 600, n)}
    fm = mm.lmer("y ~ (1 | g) + (1 | h)", data | {"y": random.normal(size=n) + data["g"] % 7})
    fit = partial(minimise, fm.cross_products, fm.plan, True, [40.0, 40.0])
    begun = time.process_time()
    assert len(fit().iterations) > 5
    whole = time.process_time() - begun
    before = signal.signal(signal.SIGPROF, handler)
    begun = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_PROF, 0.05 * whole)
        with pytest.raises(AlarmError):
            fit()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert time.process_time() - begun < 0.7 * whole


# -- endings -------------------------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(newton, "MOST_ITERATIONS", 1)


def test_a_fit_that_does_not_converge_says_so(hurried, load):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        fm = mm.lmer(PENICILLIN, load("penicillin"))
    assert not fm.converged
    assert not fm.glance()["converged"].iloc[0]
    assert str(fm).splitlines()[-1] == "not converged: too many iterations"
    assert repr(fm.optimum).endswith("too many iterations")


def test_a_fit_that_does_not_converge_warns(hurried, load):
    with pytest.warns(mm.ConvergenceWarning):
        mm.lmer(PENICILLIN, load("penicillin"))


def test_stages_are_said_once_they_take_long(terminal):
    with terminal as text:
        with progress([100.0, 101.0, 102.5, 103.0]) as shown:
            shown.stage("reading: 1,000 rows")
            assert text.getvalue() == ""
            shown.stage("reading: 2,000 rows")
        assert "reading: 2,000 rows" in text.getvalue()
        assert text.getvalue().count(HIDE) == text.getvalue().count(SHOW) == 1


def test_a_stage_that_says_nothing_more_is_shown_when_its_time_has_come(terminal, monkeypatch):
    monkeypatch.setattr("mixedmodels.estimation.progress.SECONDS_OF_SILENCE", 0.05)
    with terminal as text:
        with progress([0.0]) as shown:
            shown.stage("planning the fit")
            time.sleep(0.5)
        assert "planning the fit" in text.getvalue()
        assert text.getvalue().count(HIDE) == text.getvalue().count(SHOW) == 1


def test_time_left_is_that_of_the_iterations_to_come():
    with progress([0.0, 10.0, 20.0], wanted=True) as shown:
        left = [shown._time_left(iteration(n), s) for n, s in ((0, 10.0), (1, 20.0))]
    # From 0.002 two squarings end below 1e-8, at ten seconds each.
    assert left == ["", ", 20 s left"]
