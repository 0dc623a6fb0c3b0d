"""The tree of kept changes."""

from __future__ import annotations

import pytest
from rooms import Room
from story import E0, Story
from tapes import crossed

from core import events as ev
from core.fold import fold
from core.ids import ExperimentId
from core.patch import Change
from tui.descent import descent, parts
from tui.glyphs import UNICODE
from tui.moment import Moment
from tui.paint import plain, width
from tui.screens.diff import DiffScreen
from tui.screens.lineage import LineageScreen, Twig, step_line, twig_line, twigs


def campaign() -> Story:
    """e1 kept, then e3, a merge of e2 and another, with discarded ones between."""
    story = Story(gpu_type="H100")
    story.score(E0, 1.0, 1.001, 0.999)
    first, other = story.wave({"DEPTH": "8"}, {"DEPTH": "2"})
    story.wait(600).score(first, 0.98, 0.981).judge(first, "kept").move(first)
    story.score(other, 1.1).judge(other, "discarded")
    part, worse = story.wave({"MATRIX_LR": "0.01"}, {"MATRIX_LR": "0.9"})
    story.crash(story.start(worse)).judge(worse, "crashed")
    story.score(part, 0.97)
    story.tell(
        ev.ExperimentProposed, experiment=ExperimentId("e5"), wave="w2", parent=first, digest="m",
        change=Change(settings={"MATRIX_LR": "0.01"}), title="merge of e3", of=(part,),
    )  # fmt: skip
    story.score(ExperimentId("e5"), 0.97, 0.971).judge(ExperimentId("e5"), "kept").move(ExperimentId("e5"))
    return story


def test_each_step_has_its_gain_and_the_sum_so_far() -> None:
    first, second, third = descent(campaign().state)
    assert (first.experiment.id, first.gain, first.against) == ("e0", None, None)
    assert second.gain is not None
    assert second.gain.delta == pytest.approx(0.9805 - 1.0)
    assert third.gain is not None and third.total is not None  # noqa: PT018
    assert third.gain.delta == pytest.approx(0.9705 - 0.9805)
    assert third.total.percent == pytest.approx(-2.95)
    assert third.gain.standard_error > 0
    assert third.is_baseline
    assert not second.is_baseline


def test_what_else_was_tried_is_counted_at_the_version_it_started_from() -> None:
    first, second, _ = descent(campaign().state)
    assert (first.tried, first.counts) == (("e2",), (("discarded", 1),))
    assert dict(second.counts) == {"merged": 1, "crashed": 1}


def test_a_descent_is_made_again_only_when_what_it_is_made_from_changes() -> None:
    state = campaign().state
    later = fold(state, [ev.NoteAdded(at=1.0, by="ada", text="x")])
    assert all(one is other for one, other in zip(parts(state), parts(later), strict=True))


def test_a_merge_stands_with_its_parts_and_the_rest_is_folded() -> None:
    steps = descent(campaign().state)
    assert twigs(steps, frozenset()) == (
        Twig("step", E0), Twig("tried", E0, True), Twig("step", ExperimentId("e1")),
        Twig("tried", ExperimentId("e1"), True), Twig("step", ExperimentId("e5")),
        Twig("part", ExperimentId("e3"), True),
    )  # fmt: skip
    assert Twig("one", ExperimentId("e2"), True) in twigs(steps, frozenset({E0}))


def test_lines_tell_values_gain_origin_and_fit() -> None:
    state = campaign().state
    steps = descent(state)
    for cells in (64, 80, 120, 200):
        for step in steps:
            assert width(step_line(step, state, cells, UNICODE, is_last=step is steps[-1])) == cells
    shown = plain(step_line(steps[-1], state, 120, UNICODE, is_last=True))
    assert "★ e5" in shown
    assert "0.9805 → 0.9705" in shown
    assert "−2.95 %" in shown
    assert "def5678" in shown
    assert shown.endswith("at present")
    below = plain(
        twig_line(Twig("tried", E0), steps[0], Moment(state=state), 120, UNICODE, is_open=False, is_last=False)
    )
    assert "1 more from e0   ✗ 1 discarded" in below


@pytest.mark.asyncio
async def test_enter_unfolds_or_opens_the_diff() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("L")
        await pilot.pause()
        screen = room.screen
        assert isinstance(screen, LineageScreen)
        await pilot.press("home", "down", "enter")
        assert len(screen.table._twigs) == 10
        await pilot.press("down", "down")
        assert room.moment.selected == "e2"
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(room.screen, DiffScreen)
        await pilot.press("escape", "left")
        assert len(screen.table._twigs) == 3


@pytest.mark.asyncio
async def test_a_session_without_a_version_says_so() -> None:
    room = Room([])
    async with room.run_test(size=(80, 24)) as pilot:
        await pilot.press("L", "E", "enter", "down")
        screen = room.screen
        assert isinstance(screen, LineageScreen)
        assert "No version yet" in plain(screen.table._said)
