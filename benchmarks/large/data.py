"""The files that are fitted: parquet for Python, raw columns for R.

Run as ``python -m benchmarks.large.data``: the runner itself imports nothing that is large.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

GENERATORS = Path(__file__).parents[1] / "generators"


def parquet(design: str, folder: Path, sizes: Mapping[str, float]) -> Path:
    """Write a design's file, unless it is there and no older than the generators."""
    name = "-".join([design, *(f"{key}-{value:g}" for key, value in sizes.items())])
    path = folder / f"{name}.parquet"
    written = max(file.stat().st_mtime for file in GENERATORS.glob("*.py"))
    if not path.exists() or path.stat().st_mtime < written:
        folder.mkdir(parents=True, exist_ok=True)
        _run("parquet", design, str(path), json.dumps(dict(sizes)))
    return path


def raw_columns(path: Path, folder: Path, names: list[str]) -> None:
    """Write columns as R reads them fastest: doubles, or codes and a file of labels."""
    _run("raw", str(path), str(folder), *names)


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "benchmarks.large.data", *arguments], check=True)


def _write_parquet(design: str, path: str, sizes: str) -> None:
    from benchmarks.generators import DESIGNS

    whole = {"scale"}
    arguments = {k: v if k in whole else int(v) for k, v in json.loads(sizes).items()}
    DESIGNS[design](**arguments).write(Path(path))


def _write_raw(path: str, folder: str, *names: str) -> None:
    """Columns ending in ``*`` are factors, whatever they hold; strings always are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = []
    for name in names:
        label = name.rstrip("*")
        column = pq.read_table(path, columns=[label]).column(label)
        if name.endswith("*") or pa.types.is_string(column.type):
            coded = column.dictionary_encode().combine_chunks()
            codes = coded.indices.to_numpy().astype(np.int32) + 1
            codes.tofile(Path(folder, f"{label}.codes"))
            levels = [str(level) for level in coded.dictionary.to_pylist()]
            Path(folder, f"{label}.labels").write_text("\n".join(levels) + "\n")
            lines.append(f"{label} factor {len(codes)}")
        else:
            column.to_numpy().astype(np.float64).tofile(Path(folder, f"{label}.double"))
            lines.append(f"{label} double {len(column)}")
    Path(folder, "columns.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    {"parquet": _write_parquet, "raw": _write_raw}[sys.argv[1]](*sys.argv[2:])
