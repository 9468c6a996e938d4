"""What a person sees while a fit runs: the verbose trace, and a line in a terminal."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

    from mixedmodels.estimation.newton import Iteration

# Fits that end sooner than this say nothing.
SECONDS_OF_SILENCE = 2.0
# A decrement below this ends the descent of fits that take long.
LEAST_DECREMENT = 1e-8


class Progress:
    """Reports the iterations of one fit; a context manager.

    Parameters
    ----------
    labels : tuple of str
        The terms.
    criterion : str
        The name of what is minimised.
    verbose : bool
        Print a line an iteration on standard output.
    progress : bool or None
        Show a line in the terminal; None does so where standard error is one and the fit takes
        longer than two seconds.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        criterion: str,
        verbose: bool,
        progress: bool | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.labels = labels
        self._criterion = criterion
        self._verbose = verbose
        self._shown = _is_terminal() if progress is None else progress
        self._silence = SECONDS_OF_SILENCE if progress is None else 0.0
        self._clock = clock
        self._begun = clock()
        self._status: Status | None = None
        self._stage = ""
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._first: tuple[int, float] | None = None

    @property
    def wanted(self) -> bool:
        """Whether anything would be said at all."""
        return self._verbose or self._shown

    def __call__(self, iteration: Iteration) -> None:
        """Report one iteration."""
        if self._verbose:
            if iteration.number == 0:
                names = "  ".join(f"{label:>10}" for label in self.labels)
                print(
                    f"{'iteration':>9} {self._criterion:>18} {'step':>8} {'gradient':>10}"
                    f"  theta: {names}"
                )
            theta = "  ".join(
                f"{t:>{max(10, len(label))}.6f}"
                for t, label in zip(iteration.theta, self.labels, strict=True)
            )
            largest = max(abs(g) for g in iteration.projected_gradient)
            print(
                f"{iteration.number:>9} {_number(iteration.objective):>18} {iteration.step:>8.4f} "
                f"{largest:>10.2e}         {theta}",
                flush=True,
            )
        if not self._shown:
            return
        seconds = self._clock() - self._begun
        left = self._time_left(iteration, seconds)
        step = f", step {iteration.step:.2g}" if iteration.number else ""
        self._stage = (
            f"iteration {iteration.number}: {self._criterion} "
            f"{_number(iteration.objective, 4)}{step}, "
            f"to gain {iteration.decrement / 2:.1e}, {seconds:.0f} s{left}" + _next(iteration)
        )
        if seconds >= self._silence:
            self._show()

    def stage(self, text: str) -> None:
        """Say what is being done, once the silence is over.

        Parameters
        ----------
        text : str
            Such as "reading: 1,000,000 rows".
        """
        if not self._shown:
            return
        self._stage = text
        if self._clock() - self._begun >= self._silence:
            self._show()
        elif self._timer is None:
            self._timer = threading.Timer(self._silence, self._show)
            self._timer.daemon = True
            self._timer.start()

    def _time_left(self, iteration: Iteration, seconds: float) -> str:
        """Estimate it from the pace so far, the decrement being squared by each iteration."""
        if self._first is None:
            self._first = (iteration.number, seconds)
            return ""
        number, begun = self._first
        pace = (seconds - begun) / max(1, iteration.number - number)
        steps, decrement = 0, iteration.decrement
        while decrement > LEAST_DECREMENT and steps < 20:
            decrement = 0.1 * decrement if decrement > 0.1 else decrement**2
            steps += 1
        return f", {pace * steps:.0f} s left" if steps and pace * steps >= 1 else ""

    def _show(self) -> None:
        with self._lock:
            if self._status is None:
                from rich.console import Console

                self._status = Console(stderr=True).status(self._stage)
                self._status.start()
            else:
                self._status.update(self._stage)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            if self._status is not None:
                self._status.stop()


def _next(iteration: Iteration) -> str:
    """Say what follows the last iteration of a fit that has done without its criterion."""
    last = iteration.decrement <= LEAST_DECREMENT
    return "; now the criterion" if last and math.isnan(iteration.objective) else ""


def _number(objective: float, decimals: int = 6) -> str:
    """Write the criterion, which an iterative fit knows at its end only."""
    return "—" if math.isnan(objective) else f"{objective:.{decimals}f}"


def _is_terminal() -> bool:
    """Tell whether standard error is there, open, and a terminal."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False
