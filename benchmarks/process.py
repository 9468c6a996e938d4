"""A worker seen from the runner: a process that is asked and answers, within a time limit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self


class WorkerError(Exception):
    """A worker gave no answer; says why."""


class OverTheLimitError(WorkerError):
    """A worker was ended at the time limit."""


class Worker:
    """A running worker process, asked and answering line by line."""

    def __init__(self, command: Sequence[str], settings: Mapping[str, str], limit: float) -> None:
        self.settings, self.limit = dict(settings), limit
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the worker)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **settings},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def ask(self, question: str) -> dict[str, Any]:
        """Send one line, wait for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        return self._answer()

    def greet(self) -> dict[str, Any]:
        """Wait until the system is imported and the data read."""
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self.limit, stop)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        if late.is_set():
            raise OverTheLimitError(f"> {self.limit:g} s")
        self._process.wait()
        raise WorkerError(self._last_words())

    def _last_words(self) -> str:
        self._errors.seek(0)
        return f"ended without an answer: {last_words(self._errors)}"


def last_words(written: Iterable[str]) -> str:
    """Find the line that tells most in what a dying worker wrote: an error, else the last."""
    lines = [line.strip() for line in written if line.strip()] or ["it wrote nothing"]
    telling = [
        line
        for line in lines
        if ("rror" in line or "failed" in line) and not re.match(r"\d+: |at |File ", line)
    ]
    without_folders = re.sub(r"\S*/", "", (telling or lines)[-1])
    return without_folders[:200]
