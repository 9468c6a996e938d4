"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mixedmodels.errors import ArgumentError, ArgumentTypeError


def path_to_write(file: Any, suffixes: tuple[str, ...] = ()) -> Path:
    """Check, before any work is done, that a file can be written, as far as one can tell.

    Parameters
    ----------
    file : path
        Where to.
    suffixes : tuple of str, optional
        How its name may end; in any way if there are none.

    Raises
    ------
    ArgumentTypeError
        If it is not a path.
    ArgumentError
        If its folder is not there, it is a folder itself, or its name ends otherwise.
    """
    if not isinstance(file, str | os.PathLike) or isinstance(file, bytes):
        raise ArgumentTypeError(f"a file is given by its path, not by a {type(file).__name__}")
    path = Path(file).expanduser()
    if not path.name or "\0" in str(path):
        raise ArgumentError(f"{str(file)!r} is not the name of a file")
    if suffixes and path.suffix.lower() not in suffixes:
        raise ArgumentError(f"the name of {path} must end in {' or '.join(suffixes)}")
    if os.path.isdir(path):  # never raises, unlike the method
        raise ArgumentError(f"{path} is a folder; give the name of a file in it")
    if not os.path.isdir(path.absolute().parent):
        raise ArgumentError(f"the folder of {path} does not exist; create it first")
    return path


def refuse_data(file: Path, data: Path | None, what: str) -> None:
    """Raise if a file to write `what` to is the one that holds the data."""
    if data is not None and file.exists() and data.exists() and file.samefile(data):
        raise ArgumentError(f"{file} holds the data; write {what} to another file")


def write_whole(file: Path, write: Callable[[Path], Any]) -> None:
    """Write beside a file and then take its place, so that it is never there in part.

    Parameters
    ----------
    file : Path
        The file.
    write : callable
        Writes to the path that it is given.

    Raises
    ------
    ArgumentError
        If it cannot be written; nothing is left behind.
    """
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        if file.is_symlink() or (file.exists() and not file.is_file()):
            part = file  # a link, pipe or device is written into, never replaced
        write(part)
        if part != file:
            part.replace(file)
    except OSError as error:
        raise ArgumentError(f"{file} cannot be written: {error}") from error
    finally:
        if part != file:
            with suppress(OSError):
                part.unlink(missing_ok=True)
