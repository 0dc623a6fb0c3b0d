"""The end of a run's log as lines: read from the run's folder where it is on this machine, else as it was recorded.

Reading takes at most the last 64 kB and only of a plain file: a run may put anything in its folder. What it wrote is
data and goes through `tui.safe`. It knows no widget.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from core.ids import RunId
from core.state import Run, State
from tui.paint import Line, line
from tui.safe import fit, wrap
from tui.safe import line as safe
from tui.terminal import COPY_LIMIT

LAST = 64 << 10  # bytes
PAGES = 8 << 20  # bytes of a log that is looked at full screen


def log_file(database: Path | None, run: RunId) -> Path | None:
    """Where the log of a run on this machine is; None in playback. Run ids are ours, so no path can hide in one."""
    if database is None or "/" in run or run.startswith("."):
        return None
    return database.parent / "runs" / run / "run.log"


def read_end(path: Path, most: int = LAST) -> str | None:
    """The last `most` bytes of a plain file as text, from a line's beginning on; None if there is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            return None
        start = max(0, about.st_size - most)
        body = os.pread(handle, most, start)
    except OSError:
        return None
    finally:
        os.close(handle)
    if start and b"\n" in body:
        body = body[body.index(b"\n") + 1 :]
    return body.decode("utf-8", "replace")


def rows_of(text: str) -> list[str]:
    """Lines as a terminal would leave them: what a carriage return has written over is gone."""
    return [row.rstrip("\r").rpartition("\r")[2] for row in text.rstrip("\n").split("\n")] if text.strip() else []


def log_lines(text: str, width: int, *, wrapped: bool = False) -> list[Line]:
    """Safe lines; one that is too long ends in an ellipsis unless it is to be `wrapped`."""
    found = []
    for row in rows_of(text):
        role = role_of(row)
        parts = wrap(row, width) or [""] if wrapped else [fit(row, width).rstrip()]
        found += [line((part, role)) for part in parts]
    return found


def copied(text: str, most: int = COPY_LIMIT) -> str:
    """The log as plain text, safe line by line: its last lines where it is more than a clipboard takes."""
    kept: list[str] = []
    for row in reversed(rows_of(text)):
        kept.append(safe(row, COPY_LIMIT))
        if (most := most - len(kept[-1].encode()) - 1) < 0:
            return "\n".join(reversed(kept[:-1]))
    return "\n".join(reversed(kept))


def role_of(row: str) -> str:
    """Errors stand out; so do the results."""
    head = row.lstrip()[:200]
    if head.startswith("Traceback") or "Error" in head.partition(":")[0]:
        return "error"
    return "bold" if head.startswith(("val_bpb", "peak_vram", "fingerprint")) else ""


def without_log(state: State, run: Run) -> str:
    """A sentence where there is nothing to read."""
    if run.result is None:
        return f"{run.id} runs elsewhere or has written nothing yet." if run.started_at else f"{run.id} is queued."
    if run.result.outcome == "finished":
        return f"{run.id} finished; its log is not recorded, only its results."
    return f"{run.id} {run.result.outcome}: {safe(run.result.reason, 300) or 'no reason was given'}."
