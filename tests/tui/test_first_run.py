"""The first run: what it offers in a folder that is no workspace, and what it then does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core import settings
from core.workspace import Workspace
from tui.first_run import Choice, Survey, carry_out, survey, ways
from tui.glyphs import ASCII, UNICODE
from tui.paint import plain, width
from tui.preferences import preferences
from tui.screens.first_run import FirstRun, FirstRunApp, Ways, _listed, welcome, working

KNOWN = Survey(folder=Path("/home/ada/gpt"), cores=2, free_gb=41.3, demo=Path("/data/demo"))


def text(known: Survey, at: int = 0, cells: int = 100) -> str:
    lines = [*welcome(known, cells), *_listed(ways(known), at, cells, UNICODE)]
    assert all(width(line) <= cells for line in lines)
    return "\n".join(map(plain, lines))


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "data"


def test_it_says_what_will_be_written_and_what_runs_cost() -> None:
    said = text(KNOWN)
    for expected in ("train.py, prepare.py", "a new repository", "7 MB", "2 at a time on CPU cores", "41 GB free"):
        assert expected in said


def test_on_gpus_it_says_which_and_how_long() -> None:
    said = text(msgspec.structs.replace(KNOWN, gpus={"H100": 8}))
    assert "one run per GPU at a time on 8 H100; 5 min of training each" in said


def test_files_that_are_there_stay_and_their_fault_is_told() -> None:
    known = msgspec.structs.replace(
        KNOWN, present=("train.py", "prepare.py"), is_git=True, why="train.py is not valid Python."
    )
    said = text(known, cells=200)
    assert "train.py, prepare.py stay as they are" in said
    assert "your prepare.py is run" in said
    assert "train.py is not valid Python." in said
    assert "one commit in the repository that is there" in said


def test_missing_torch_is_a_warning_but_not_for_the_simulator() -> None:
    known = msgspec.structs.replace(KNOWN, has_torch=False)
    assert "PyTorch is not installed" in text(known, 0, 200)
    assert "PyTorch is not installed" in text(known, 1, 200)
    assert "PyTorch is not installed" not in text(known, 2, 200)


@pytest.mark.parametrize("cells", [20, 40, 76])
def test_it_fits_narrow_screens_and_hostile_folders(cells: int) -> None:
    known = msgspec.structs.replace(KNOWN, folder=Path("/home/[bold]\x1b[31m\u202e" + "漢" * 80))
    for at in range(3):
        said = text(known, at, cells)
        assert "\x1b" not in said
        assert "\u202e" not in said


def test_progress_is_lines_of_a_known_width() -> None:
    lines = working(["a" * 500, "\x1b[2J"], 61.0, 60, ASCII)
    assert all(width(line) <= 60 for line in lines)
    assert "preparing for 1m01s" in plain(lines[0])


def test_the_survey_sees_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1\n")
    known = survey(tmp_path)
    assert known.present == ("train.py",)
    assert known.why
    assert not known.is_git
    assert known.free_gb > 0
    assert known.gpus or known.cores


def test_the_simulator_is_made_in_a_folder_of_its_own(tmp_path: Path, data_folder: Path) -> None:
    told: list[str] = []
    choice = carry_out("simulator", survey(tmp_path), {"seed": "1"}, told.append)
    assert choice == Choice(data_folder / "autoresearch-tui" / "demo-simulated", {"seed": "1", "executor": "simulator"})
    assert told
    assert Workspace.open(choice.workspace)
    assert list(tmp_path.glob("*.py")) == []


def start(folder: Path, drive: Callable[[Any], Any], size: tuple[int, int] = (100, 30)) -> FirstRunApp:
    app = FirstRunApp(survey(folder), {}, preferences({}, folder=folder / "none", encoding="utf-8"))

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await drive(pilot)

    asyncio.run(run())
    return app


async def until(pilot: Any, holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        await pilot.pause(0.05)
    raise AssertionError("it did not happen within 10 s")


def test_enter_starts_what_is_chosen(tmp_path: Path) -> None:
    async def drive(pilot: Any) -> None:
        await pilot.press("3", "enter")
        await until(pilot, lambda: pilot.app.return_value is not None)

    choice = start(tmp_path, drive).return_value
    assert choice is not None
    assert choice.flags == {"executor": "simulator"}
    assert (choice.workspace / "train.py").exists()


def test_a_failure_is_one_sentence_and_another_way_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / settings.FILE).write_text("slots = 0\n")

    async def drive(pilot: Any) -> None:
        pane = pilot.app.screen.query_one(Ways)
        await pilot.press("enter")
        await until(pilot, lambda: bool(pane.error))
        assert "slots" in pane.error
        assert pane.since is None
        await pilot.press("down")
        assert (pane.at, pane.error) == (1, "")
        await pilot.press("up", "k", "j", "q")

    assert start(tmp_path, drive).return_value is None


def test_leaving_changes_nothing(tmp_path: Path) -> None:
    async def drive(pilot: Any) -> None:
        assert isinstance(pilot.app.screen, FirstRun)
        await pilot.press("escape")

    assert start(tmp_path, drive, (20, 5)).return_value is None
    assert list(tmp_path.iterdir()) == []
