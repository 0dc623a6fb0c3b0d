"""Files that a model may read: those of the workspace, as text, and logs of runs. Nothing outside, nothing hidden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.errors import PatchError
from core.ids import RunId

LARGEST = 400_000  # bytes of a file
LOG_END = 200_000  # bytes of a log, from its end


def reader(root: Path) -> Callable[[str], str]:
    """A file's text by its path from `root`; raises PatchError with what to do."""
    base = root.resolve()

    def read(name: str) -> str:
        path = (base / name).resolve() if name and "\0" not in name else base
        if not path.is_relative_to(base) or Path(name).is_absolute():
            raise PatchError(f"{name!r} is outside of the workspace; name a file in it, such as prepare.py.")
        if any(part.startswith(".") for part in path.relative_to(base).parts):
            raise PatchError(f"{name!r} is hidden; only the workspace's own files are shown.")
        if not path.is_file():
            raise PatchError(f"There is no file {name!r} in the workspace; it has {_there(base)}.")
        if path.stat().st_size > LARGEST:
            raise PatchError(f"{name!r} has more than {LARGEST:,} bytes; it is not shown.")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PatchError(f"{name!r} is not a readable text file.") from error

    return read


def log_reader(runs: Path) -> Callable[[RunId], str]:
    """The end of a run's log; "" if it is not on this machine."""

    def read(run: RunId) -> str:
        if not run or "/" in run or run.startswith("."):
            return ""
        try:
            with (runs / run / "run.log").open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - LOG_END))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    return read


def _there(base: Path) -> str:
    names = sorted(path.name for path in base.iterdir() if path.is_file() and not path.name.startswith("."))
    return ", ".join(names[:20]) or "none"
