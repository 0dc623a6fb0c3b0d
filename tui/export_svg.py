"""A picture of the dashboard as SVG: `export --format svg`, at any moment of a session or recording."""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import UsageError
from core.ids import ExperimentId
from tui.reel import Reel, Size, frame, staged


async def picture(path: Path, *, size: Size = (120, 40), theme: str | None = None, at: str = "100%") -> str:
    """SVG text. `at`: a share such as "80%" or "0.8", or an experiment such as "e12": the moment of its verdict.

    Raises UsageError, RecordingError, LogError.
    """
    reel = Reel(path)
    await reel.load()
    position = _position(reel, at)
    async with staged(reel, size, theme) as pilot:
        await frame(reel, pilot, position)
        return _named(pilot.app.export_screenshot(title=f"autoresearch-tui · {path.name}", simplify=True))


def _named(svg: str) -> str:
    """With names inside that do not change from one time to the next, so that the same picture is the same file."""
    found = re.search(r"\.(terminal-\d+)-", svg)
    return svg.replace(found[1], "dashboard") if found else svg


def _position(reel: Reel, at: str) -> int:
    if at.startswith("e"):
        return reel.moment_of(ExperimentId(at))
    try:
        share = float(at.removesuffix("%")) / (100 if at.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--at {at!r} is no moment: give a share such as 80%, or an experiment such as e12.")
    return reel.place(share)
