"""A session's file that is removed under a window: the window says so, and begins nothing in its place."""

from __future__ import annotations

from pathlib import Path

import imagined
import pytest

from tui.preferences import preferences
from tui.widgets import condition
from tui.window import LiveRoom


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = imagined.workspace(tmp_path / "work")
    imagined.campaign(folder, fleet="H100:2", max_experiments=1)
    return folder


async def test_a_window_says_that_its_file_is_gone_and_starts_no_engine_on_an_empty_one(folder: Path) -> None:
    chosen = preferences({"XDG_CONFIG_HOME": str(folder.parent)})
    room = LiveRoom(folder, {}, read_only=True, chosen=chosen)  # else it starts an engine as it opens
    file = imagined.file_of(folder)
    async with room.run_test(size=(120, 40)) as pilot:
        while not room.moment.state.ended or room.moment.loading is not None:
            await pilot.pause(0.02)
        assert not room.moment.is_gone
        file.unlink()
        room._check_engine()
        room.show_now()
        assert room.moment.is_gone
        said = condition.pieces(room.moment, room.looks.glyphs, room.keys)[0]
        assert "the session's file is gone" in str(said)
        assert "engine down" not in str(said)
        room.start_engine()
        await pilot.pause()
        assert [note.message for note in room._notifications if "file is gone" in note.message]
        assert not room.workers._workers or all(worker.name != "engine" for worker in room.workers)
    assert not file.exists()
