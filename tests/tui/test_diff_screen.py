"""The diff, full screen."""

from __future__ import annotations

import pytest
from rooms import Room
from story import Story
from tapes import crossed

from core import events as ev
from core.fold import fold
from core.ids import ExperimentId
from core.patch import Change, Edit
from core.state import State
from tui.glyphs import UNICODE
from tui.moment import Moment
from tui.paint import plain
from tui.screens.diff import DiffScreen, DiffTitle, title
from tui.versions import Pair, pair


def kept_twice() -> list[ev.Known]:
    """e1 became the baseline, then e2, made from it, was tried."""
    story = Story()
    first = story.wave({"DEPTH": "8"})[0]
    story.score(first, 0.9, 0.91).judge(first, "kept").move(first)
    story.wave({"MATRIX_LR": "0.01"})
    return story.facts


def test_versions_are_the_parent_the_baseline_and_the_very_first() -> None:
    state = fold(State(), kept_twice())
    name = ExperimentId("e2")
    found = {against: pair(state, name, against) for against in ("parent", "baseline", "start")}
    assert [each.other for each in found.values() if isinstance(each, Pair)] == ["e1", "e1", "e0"]
    start = found["start"]
    assert isinstance(start, Pair)
    assert "DEPTH = 4" in start.before
    assert "DEPTH = 8" in start.after
    assert "MATRIX_LR = 0.01" in start.after


@pytest.mark.parametrize(
    ("name", "against", "said"),
    [
        (None, "parent", "No experiment is selected."),
        ("e0", "parent", "it has no parent"),
        ("e0", "start", "e0 is the first version itself"),
        ("e1", "baseline", "e1 is the present baseline itself"),
    ],
)
def test_where_nothing_can_be_compared_a_sentence_says_why(name: str | None, against: str, said: str) -> None:
    found = pair(fold(State(), kept_twice()), ExperimentId(name) if name else None, against)  # type: ignore[arg-type]
    assert isinstance(found, str)
    assert said in found
    assert found.endswith(".")


def test_a_change_that_does_not_apply_is_told() -> None:
    story = Story()
    story.wave({"DEPTH": "8"})
    story.tell(
        ev.ExperimentProposed, experiment=ExperimentId("e2"), wave="w1", parent=ExperimentId("e1"), digest="x",
        change=Change(edits=(Edit("not there", "x"),)), title="broken",
    )  # fmt: skip
    assert "cannot be made again" in str(pair(story.state, ExperimentId("e2"), "parent"))


def test_the_title_tells_verdict_result_and_what_is_compared() -> None:
    moment = Moment(state=fold(State(), crossed()), selected=ExperimentId("e4"))
    found = pair(moment.state, moment.selected, "parent")
    first, second = title(moment, found, "parent", None, 0, 100, UNICODE)
    assert plain(first).split()[:4] == ["e4", "✓", "kept", "0.9916"]
    assert plain(second).endswith("e0 → e4  against its parent ")
    assert len(plain(second)) == 100


def said(room: Room) -> str:
    return "\n".join(plain(line) for line in room.screen.query_one(DiffTitle)._lines)


@pytest.mark.asyncio
async def test_keys_jump_turn_widen_and_compare_with_another() -> None:
    before = "".join(f"x{i} = {i}\n" for i in range(100)) + 'print("val_bpb:")\n'
    story = Story(source=before)
    story.tell(ev.WavePlanned, wave="w1", parent=ExperimentId("e0"), reason="")
    edits = tuple(Edit(f"x{i} = {i}\n", f"x{i} = {i}0\n") for i in (20, 50, 90))
    story.tell(
        ev.ExperimentProposed, experiment=ExperimentId("e1"), wave="w1", parent=ExperimentId("e0"), digest="x",
        change=Change(edits=edits), title="three",
    )  # fmt: skip
    room = Room(story.facts)
    async with room.run_test(size=(120, 24)) as pilot:
        await pilot.press("d")
        screen = room.screen
        assert isinstance(screen, DiffScreen)
        view = screen.view
        assert "change 1 of 3" in said(room)
        await pilot.press("n", "n")
        assert "change 2 of 3" in said(room)
        await pilot.press("N")
        assert view.hunk == 1
        count = len(view._rows)
        await pilot.press("plus")
        assert len(view._rows) > count
        assert view.hunk == 1
        await pilot.press("minus", "home", "enter")
        assert len(view._rows) == count + 16  # 17 lines where their fold was
        await pilot.press("w")
        assert view.is_split
        await pilot.press("b", "b")
        assert "against the first version" in said(room)
        await pilot.press("right", "right", "left")
        assert view._shift == 0  # all of every line is in view
        await pilot.resize_terminal(30, 24)
        await pilot.pause()
        await pilot.press("right")
        assert view._shift == 8


@pytest.mark.asyncio
async def test_wide_terminals_show_both_versions_side_by_side() -> None:
    room = Room(kept_twice())
    async with room.run_test(size=(160, 40)) as pilot:
        await pilot.press("d")
        assert isinstance(room.screen, DiffScreen)
        assert room.screen.view.is_split
        await pilot.resize_terminal(100, 40)
        await pilot.pause()
        assert not room.screen.view.is_split


@pytest.mark.asyncio
async def test_copying_hands_the_patch_to_the_clipboard() -> None:
    room = Room(kept_twice())
    async with room.run_test(size=(100, 30)) as pilot:
        await pilot.press("d", "c")
        assert room.clipboard.startswith("--- a/train.py\n+++ b/train.py\n@@ ")
        assert "+MATRIX_LR = 0.01" in room.clipboard
