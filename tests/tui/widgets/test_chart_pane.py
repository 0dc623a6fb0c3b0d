"""The chart: what is drawn, and what keys and the mouse do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import tapes
from hostile import check, told
from rooms import Room
from story import E0, Story
from textual import events
from textual.pilot import Pilot

from core.events import Fact
from core.fold import fold
from core.ids import ExperimentId
from core.state import State
from tui.glyphs import ASCII, UNICODE, ascii_only
from tui.paint import Line, plain
from tui.widgets import drawing, frame
from tui.widgets.chart import ChartPane, empty, marked, readout
from tui.widgets.frame import Drawing
from tui.widgets.marks import Collector, Series, Step
from tui.widgets.viewport import Viewport


@pytest.fixture(scope="module")
def simulated() -> Sequence[Fact]:
    return tapes.simulated(0.5)


def campaign() -> Story:
    story = Story().score(E0, 2.50, 2.52)
    kept, worse, broken, disaster = story.wave({"DEPTH": "2"}, {"DEPTH": "8"}, {"DEPTH": "1"}, {"DEPTH": "16"})
    story.score(kept, 2.30, 2.32).judge(kept, "kept").move(kept)
    story.score(worse, 2.60).judge(worse, "discarded")
    story.crash(story.start(broken)).judge(broken, "crashed")
    return story.score(disaster, 9.0).judge(disaster, "discarded")


def series(story: Story) -> Series:
    return Collector().of(story.state)


def drawn(of: Series, port: Viewport | None = None, cells: int = 64, rows: int = 15, **more: object) -> Drawing:
    found = drawing.drawn(of, port or Viewport(), cells, rows, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def text(lines: tuple[Line, ...]) -> str:
    return "\n".join(plain(line) for line in lines)


def spans(found: Drawing, role: str) -> str:
    return "".join(text for line in found.lines[1:-2] for text, each in line if each == role)


def test_verdicts_have_their_glyphs_and_the_crash_lies_on_the_floor() -> None:
    found = drawn(series(campaign()))
    assert spans(found, "kept") == "✓"
    assert spans(found, "crashed") == "‼"
    floor = plain(found.lines[found.top + found.height - 1])
    assert floor.startswith("crash │")
    assert "‼" in floor


def test_the_best_so_far_goes_down_in_steps_and_the_best_is_a_star() -> None:
    found = drawn(series(campaign()))
    assert set(spans(found, "staircase")) <= set("─│╮╰")
    assert "─" in spans(found, "staircase")
    assert spans(found, "best bold") == "★"


def test_a_disaster_points_up_from_the_top_row_and_does_not_squeeze_the_rest() -> None:
    found = drawn(series(campaign()))
    assert "↑" in plain(found.lines[found.top])
    assert found.y[1] < 3


def test_the_legend_names_what_is_there_and_only_that() -> None:
    legend = plain(drawn(series(campaign())).lines[0])
    assert legend.startswith("✓ kept 2  • discarded 2  ‼ crashed 1")
    assert "vetoed" not in legend


def test_the_noise_band_is_two_standard_deviations_wide() -> None:
    found = drawn(series(Story().score(E0, 1.0, 1.01, 0.99, 1.02, 0.98)), Viewport(y=(0.9, 1.1)), rows=40)
    area = [y for y, line in enumerate(found.lines[1:]) if any(role == "noise" for _, role in line[2:])]
    step = Collector().of(Story().score(E0, 1.0, 1.01, 0.99, 1.02, 0.98).state).steps["cpu"][0]
    assert len(area) == pytest.approx(4 * step.sd / 0.2 * (found.height - 1), abs=1.5)


@pytest.mark.parametrize("size", [(20, 3), (30, 4), (64, 7), (64, 15), (180, 50), (16, 6)])
def test_every_line_is_as_wide_as_the_pane_and_no_wider(size: tuple[int, int]) -> None:
    of = Collector().of(fold(State(), tapes.simulated(0.5)))
    for port in (Viewport(), Viewport(axis="time"), Viewport(gpu_type="H200"), Viewport(x=(3.0, 9.0))):
        found = drawn(of, port, *size, selected="e3", readout=((" " * size[0], ""),))
        assert len(found.lines) == size[1]
        check(list(found.lines), size[0])


def test_there_is_no_chart_of_nothing_or_in_no_room() -> None:
    assert drawing.drawn(series(Story()), Viewport(), 60, 12) is None
    assert drawing.drawn(series(campaign()), Viewport(), 10, 12) is None
    assert "No result yet" in plain(empty(Story().state, 60, 9)[-1])


def test_everything_has_an_ascii_twin() -> None:
    found = drawn(series(campaign()), glyphs=ASCII)
    assert text(found.lines[1:]).isascii()
    assert ascii_only(text(found.lines)).isascii()


def test_one_gpu_type_shows_its_own_results() -> None:
    story = Story().fleet(H100=1, H200=1).score(E0, 1.0, 1.01).score(E0, 0.95, on="H200")
    of = series(story)
    assert {mark.val_bpb for mark in frame.chosen(of, Viewport(gpu_type="H200"))} == {0.95}
    assert len(frame.chosen(of, Viewport())) == 2


def test_a_click_finds_the_mark_that_is_drawn_there() -> None:
    of = series(campaign())
    found = drawn(of)
    for mark in of.marks:
        column = round(found.column(frame.position(mark, Viewport()))) + found.left
        row = found.top + found.height - 1 - round(found.row(mark.val_bpb))
        hit = drawing.nearest(of, found, Viewport(), column, row)
        assert hit is not None
        assert hit.experiment == mark.experiment
    assert drawing.nearest(of, found, Viewport(), 33, 6) is None


def test_the_cursor_names_what_is_under_it() -> None:
    story = campaign()
    mark = marked(series(story), Viewport(), "e1")  # type: ignore[arg-type]
    assert mark is not None
    said = plain(readout(story.state, mark, mark.experiment, 78))
    assert said.startswith("▸ e1 ✓ kept  2.3100 −0.2000 on cpu, 2 runs  {'DEPTH': '2'}")
    crashed = plain(readout(story.state, None, "e3", 78))  # type: ignore[arg-type]
    assert "e3 ‼ crashed  no val_bpb" in crashed


def test_hostile_words_stay_in_their_cells() -> None:
    story = told()
    of = series(story)
    for name in ("e0", "e1", "e2"):
        mark = marked(of, Viewport(), name)  # type: ignore[arg-type]
        for cells in (20, 64, 120):
            line = readout(story.state, mark, name, cells)  # type: ignore[arg-type]
            found = drawing.drawn(of, Viewport(), cells, 14, selected=name, readout=line)  # type: ignore[arg-type]
            check(list(found.lines) if found else [], cells)


async def test_keys_move_the_cursor_zoom_and_turn_the_axis() -> None:
    room = Room(campaign().facts)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("3")
        chart = room.screen.query_one(ChartPane)
        await pilot.press("home", "n")
        assert room.moment.selected == "e1"
        await pilot.press("end", "N")
        assert room.moment.selected == "e3"
        await pilot.press("right")  # unzoomed, so it moves the cursor
        assert room.moment.selected == "e4"
        await pilot.press("x")
        assert chart.port == Viewport(axis="time")
        assert "time" in str(chart.border_title)


async def test_zoom_and_pan_stay_with_the_cursor(simulated: Sequence[Fact]) -> None:
    room = Room(simulated)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("3", "home", "plus", "plus")
        chart = room.screen.query_one(ChartPane)
        assert chart.port.x is not None
        before = chart.port.x
        await pilot.press("right")
        assert chart.port.x[0] > before[0]
        await pilot.press("end")
        assert chart.port.x[1] == pytest.approx(frame.whole(chart._series, chart.port)[1])
        await pilot.press("up")
        assert chart.port.y is not None
        await pilot.press("0")
        assert chart.port.is_whole


async def test_the_mouse_selects_and_zooms(simulated: Sequence[Fact]) -> None:
    room = Room(simulated)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        chart = room.screen.query_one(ChartPane)
        found = chart._drawing
        assert found is not None
        mark = chart._series.marks[5]
        column = round(found.column(frame.position(mark, chart.port))) + found.left
        row = found.top + found.height - 1 - round(found.row(mark.val_bpb))
        await pilot.click(chart, offset=(column + 2, row + 1))  # the border and its padding
        await pilot.pause()
        assert room.moment.selected == mark.experiment
        await pilot._post_mouse_events([events.MouseScrollUp], chart, offset=(30, 5))
        assert chart.port.x is not None


def mouse(kind: type[events.MouseEvent], x: int, y: int) -> events.MouseEvent:
    """As a terminal sends it: the program finds out itself what was clicked."""
    return kind(None, x, y, 0, 0, 1, False, False, False, screen_x=x, screen_y=y)


async def dragged(pilot: Pilot[Any], path: Sequence[tuple[int, int]]) -> None:
    """The button goes down at the first place, and up at the last."""
    steps = [mouse(events.MouseDown, *path[0]), *(mouse(events.MouseMove, *each) for each in path[1:])]
    for step in (*steps, mouse(events.MouseUp, *path[-1])):
        pilot.app.post_message(step)
        await pilot.pause()


@pytest.mark.parametrize("zoomed", [True, False])
async def test_dragging_pans_and_selects_nothing(simulated: Sequence[Fact], zoomed: bool) -> None:
    room = Room(simulated)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        await pilot.press("3", "home", *(("plus", "plus") if zoomed else ()))
        chart = room.screen.query_one(ChartPane)
        await pilot.pause()
        port, selected = chart.port, room.moment.selected
        x, y = mark_on(chart, selected)
        await dragged(pilot, [(x, y), (x - 3, y), (x - 6, y)] if zoomed else [(x - 6, y), (x - 3, y), (x, y)])
        assert room.moment.selected == selected
        if zoomed:  # what was taken hold of is under the pointer still
            assert port.x is not None
            assert chart.port.x is not None
            assert chart.port.x[0] > port.x[0]
        await dragged(pilot, [mark_on(chart, selected)])  # over no cell: a click
        assert room.moment.selected != selected


def mark_on(chart: ChartPane, other_than: str | None) -> tuple[int, int]:
    """Where on the screen a mark stands alone, well within the chart."""
    found = chart._drawing
    assert found is not None
    places = {
        (round(found.column(frame.position(mark, chart.port))), found.height - 1 - round(found.row(mark.val_bpb)))
        for mark in frame.chosen(chart._series, chart.port)
        if mark.experiment != other_than
    }
    x, y = min((x, y) for x, y in places if 8 < x < found.width - 3 and 0 <= y < found.height)
    left, top = chart.content_region.offset
    return left + found.left + x, top + found.top + y


async def test_the_same_moment_again_draws_nothing(simulated: Sequence[Fact]) -> None:
    room = Room(simulated)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        chart = room.screen.query_one(ChartPane)
        before = chart._ground
        room.show_now()
        assert chart._ground is before


def test_a_step_down_turns_at_its_corner_and_ends_in_the_next_level() -> None:
    steps = [Step(ExperimentId("e0"), 0, 0.0, 1.0, 0.01, 3), Step(ExperimentId("e5"), 5, 9.0, 0.6, 0.01, 3)]
    found = Drawing((), 0, 0, 11, 6, 0, (0.0, 10.0), (0.5, 1.0))
    layers = {layer.symbol: list(layer.points) for layer in drawing.stairs(found, Viewport(), steps, UNICODE)}
    assert layers["╮"] == [(5.0, 5.0)]
    assert layers["╰"] == [(5.0, 1.0)]
    assert layers["│"] == [(5.0, 2.0), (5.0, 3.0), (5.0, 4.0)]
    assert set(layers["─"]) == {(float(x), 5.0) for x in range(6)} | {(float(x), 1.0) for x in range(5, 11)}
