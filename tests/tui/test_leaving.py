"""What is left on the terminal when the control room is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from themes.loader import built_in
from tui.looks import Looks
from tui.preferences import Preferences
from tui.window import LiveRoom


@pytest.mark.parametrize(("alive", "begin"), [(True, "Research goes on"), (False, "No engine runs")])
async def test_q_leaves_one_line_that_says_how_to_come_back(alive: bool, begin: str, tmp_path: Path) -> None:
    folder = tmp_path / "my gpt"
    chosen: Any = Preferences(looks={name: Looks(theme) for name, theme in built_in().items()}, theme="night")
    app = LiveRoom(folder, {}, read_only=True, chosen=chosen)
    app._alive = alive
    app._check_engine = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
        await pilot.pause()
    assert app.farewell.startswith(f"{begin}; `autoresearch-tui -C '{folder}'`")
