"""Snapshots: pictures of screens as SVG, kept beside the tests and compared as text.

`UPDATE_SNAPSHOTS=1 pytest tests/tui` writes them anew; look at the difference in git, and at the pictures in a browser.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from textual.app import App

FOLDER = Path(__file__).parent / "snapshots"


def picture(app: App[object]) -> str:
    """What is on the screen, without the names that Rich draws by lot."""
    return re.sub(r"terminal-\d+", "terminal", app.export_screenshot(title=""))


def check(app: App[object], name: str) -> None:
    """Fails where the screen differs from the picture that was kept; the new one lies beside it as `.new.svg`."""
    path, seen = FOLDER / f"{name}.svg", picture(app)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(seen, encoding="utf-8")
        return
    if not path.exists() or path.read_text(encoding="utf-8") != seen:
        fresh = path.with_suffix(".new.svg")
        fresh.write_text(seen, encoding="utf-8")
        raise AssertionError(
            f"{name} looks different: compare {path} with {fresh.name}; UPDATE_SNAPSHOTS=1 keeps it"
        )
