"""What an engine prints that nobody watches: a file that starts over before it gets too large, with one predecessor.

Standard output and error of a process point to it, so that a traceback ends up there too. It knows no engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

LIMIT = 2_000_000  # bytes; the file and its predecessor together hold about twice as much


def opened(path: Path, *, limit: int = LIMIT) -> int:
    """A descriptor that appends to the file, readable by its owner only; a file over the limit is put aside first."""
    if path.exists() and path.stat().st_size > limit:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def bounded(say: Callable[[str], None], path: Path, *, limit: int = LIMIT) -> Callable[[str], None]:
    """`say`, for a process whose output goes to `path`: turns the file over when it has grown too large.

    A file that cannot be turned over, on a full disk say, goes on to grow: what is printed is no reason to stop.
    """

    def saying(text: str) -> None:
        say(text)
        try:
            if os.fstat(1).st_size > limit:
                _turn(path, limit)
        except OSError:
            return

    return saying


def _turn(path: Path, limit: int) -> None:
    fresh = opened(path, limit=limit)
    for standard in (1, 2):
        os.dup2(fresh, standard)
    os.close(fresh)
