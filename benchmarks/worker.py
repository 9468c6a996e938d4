"""One system, one model, one process: answers ``fit N`` and ``refit N`` with N timings,
and ``objective 1`` with the criterion that the last of them reached.

The first line it writes tells how long the import took; every later line answers one line read.
``worker.R`` speaks the same way. The first ``fit`` is the first of a fresh process.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any


def peak_megabytes() -> float:
    """Peak resident memory of this process since it began."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def timed(call: Callable[[], Any], times: int) -> tuple[list[float], Any]:
    """Time each of several calls; the result of one is freed before the next."""
    seconds = []
    result = None
    for _ in range(times):
        result = None
        start = perf_counter()
        result = call()
        seconds.append(perf_counter() - start)
    return seconds, result


def blas() -> list[str]:
    """Tell the BLAS libraries loaded here, their kernels and threads."""
    from threadpoolctl import threadpool_info

    return [
        " ".join(str(pool.get(key, "")) for key in ("internal_api", "version", "architecture"))
        + f", {pool['num_threads']} threads"
        for pool in threadpool_info()
    ]


def main(system_name: str, model_name: str, folder: str) -> None:
    # A library may print to standard output, which carries the answers: it gets standard error.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers)

    from benchmarks.models import MODELS, NEW_RESPONSE
    from benchmarks.systems import SYSTEMS, PythonSystem

    warnings.simplefilter("ignore")
    system, model = SYSTEMS[system_name], MODELS[model_name]
    assert isinstance(system, PythonSystem)
    start = perf_counter()
    system.load()
    import_seconds = perf_counter() - start
    deferred = "matplotlib" not in sys.modules

    import pandas as pd

    frame = pd.read_pickle(Path(folder, f"{model_name}.pickle"))
    response = frame.pop(NEW_RESPONSE).to_numpy()
    data = system.prepare(model, frame)
    del frame
    gc.collect()
    answer(
        import_seconds=import_seconds,
        matplotlib_deferred=deferred,
        versions=system.versions(),
        megabytes=peak_megabytes(),
    )

    fitted = refit = result = None
    for line in sys.stdin:
        task, times = line.split()
        if task == "fit":
            seconds, fitted = timed(lambda: system.fit(model, data), int(times))
            result = fitted
        elif task == "refit":
            refit = refit or system.refitter(model, data, fitted, response)
            if refit is None:
                answer(seconds=[])
                continue
            seconds, result = timed(refit, int(times))
        elif task == "objective":
            answer(objective=system.objective(result))
            continue
        else:
            answer(blas=blas())
            continue
        answer(seconds=seconds, megabytes=peak_megabytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
