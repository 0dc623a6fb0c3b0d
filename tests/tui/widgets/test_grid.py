"""The wave in view: the matrix of two factors, the table of everything else, and the cursor in both."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from moments import assert_fits, hostile, moment, texts
from rooms import Room
from story import E0, Story
from tapes import crossed, simulated

from core import events as ev
from core.analysis import wave_analysis
from core.fold import fold
from core.ids import ExperimentId, WaveId
from core.state import State
from tui.glyphs import ASCII, UNICODE
from tui.moment import Moment
from tui.paint import plain
from tui.screens.ask import Confirm
from tui.widgets.grid_cells import role_of, told
from tui.widgets.wave_items import items
from tui.widgets.wave_view import edge, grid, heading, moved, nothing, under, view

CROSSED = fold(State(), crossed())
SIMULATED = fold(State(), simulated(1.0))


def drawn(shown: Moment, cells: int = 50, height: int = 19, **more: Any) -> list[str]:
    v = view(shown, cells, height, UNICODE, **more)
    assert v is not None
    return texts(grid(v))


def row_of(lines: list[str], start: str) -> str:
    return next(text for text in lines if text.startswith(start))


def test_a_two_factor_wave_is_a_matrix_with_its_levels() -> None:
    lines = drawn(moment(CROSSED))
    assert row_of(lines, "DEPTH").split() == ["DEPTH", "0.02", "0.04", "0.08"]
    assert row_of(lines, "2 ").split() == ["2", "✗", "+0.0089", "✗", "+0.0025", "‼", "crashed"]
    assert row_of(lines, "4 ").split() == ["4", "✓", "−0.0114★", "•", "1.0031", "⊘", "vetoed"]
    assert row_of(lines, "8 ").split()[:4] == ["8", "▶", "57", "%"]
    assert row_of(lines, "8 ").endswith("· proposed")


def test_the_second_line_of_a_cell_names_the_experiment() -> None:
    lines = drawn(moment(CROSSED))
    below = lines[lines.index(row_of(lines, "4 ")) + 1]
    assert below.split() == ["e4", "kept", "×2", "e0", "unchanged", "e5"]


def test_the_heading_shortens_to_the_room_there_is() -> None:
    shown = moment(CROSSED)
    assert heading(shown) == "w1 · 8 experiments · full factorial 3×3 · 2 running, 5 done"
    assert heading(shown, 52) == "w1 · full factorial 3×3 · 2 running, 5 of 8 done"
    assert heading(shown, 24) == "w1 · 3×3 · 5 of 8 done"
    assert heading(moment(State())) == "Wave"


def test_colour_tells_size_and_significance() -> None:
    found = {item.id: item for item in items(CROSSED, CROSSED.waves[WaveId("w1")])}
    assert role_of(found[ExperimentId("e4")]) == "better bold on added"
    assert role_of(found[ExperimentId("e1")]) == "worse bold on removed"
    assert role_of(found[ExperimentId("e6")]) == ""
    assert role_of(found[ExperimentId("e4")]._replace(delta=-0.0001)) == "muted"


def test_within_the_noise_is_marked() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0, 1.002, 0.998)
    (name,) = story.wave({"DEPTH": "8"})
    story.score(name, 1.0003)
    assert "+0.0003≈" in " ".join(drawn(moment(story.state)))


def test_the_predicted_best_is_marked_and_said() -> None:
    analysis = wave_analysis(CROSSED, CROSSED.waves[WaveId("w1")])
    assert analysis is not None
    assert analysis.predicted is not None
    lines = drawn(moment(CROSSED), analysis=analysis)
    assert any(text.startswith("☆ expected best 0.97") for text in lines)
    chosen = [item for item in items(CROSSED, CROSSED.waves[WaveId("w1")], analysis) if item.is_predicted]
    assert [item.cell for item in chosen] == [analysis.predicted.cell]


def test_what_is_under_the_cursor_is_said_in_words() -> None:
    lines = drawn(moment(CROSSED, selected="e4"), 80)
    assert lines[-1] == "e4 ✓ kept  −0.0114 ± 0.0008, 14.2 standard errors, 2 runs"
    assert "e6-1 on H1001 for" in drawn(moment(CROSSED, selected="e6"), 80)[-1]


def test_a_wave_that_waits_says_which_key_lets_it_run() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0, 1.0).tell(ev.GateSet, on=True, by="ada")
    story.wave({"DEPTH": "8"}, {"DEPTH": "2"}, factors=None)
    for cells, height in ((36, 5), (36, 8), (50, 19)):
        assert any("‖ held: y lets it run" in text for text in drawn(moment(story.state), cells, height))
    assert any("‖ held" in text and "DEPTH" in text for text in drawn(moment(story.state)))
    assert "held: it waits for approval" in " ".join(drawn(moment(story.state, read_only=True)))


def test_a_list_is_a_table_with_what_sets_each_apart_first() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0, 1.001, 0.999)
    names = story.wave(*({"MATRIX_LR": "0.08", "DEPTH": depth} for depth in ("2", "3", "8")))
    story.score(names[0], 0.99).judge(names[0], "kept")
    story.progress(story.start(names[1]), *[3.0] * 10)
    lines = drawn(moment(story.state), 60)
    kept, running, waiting = (row_of(lines, name) for name in names)
    assert kept.split()[:5] == ["e1", "✓", "kept", "DEPTH", "2,"]
    assert kept.endswith("−0.0100★   ×1")
    assert running.split()[1:3] == ["▶", "running"]
    assert running.endswith("48 %")
    assert waiting.split()[1:3] == ["·", "proposed"]


@pytest.mark.parametrize(("mode", "said"), [("loading", "Reading"), ("down", "No wave was"), ("live", "No wave yet")])
def test_without_a_wave_one_sentence_says_why(mode: str, said: str) -> None:
    assert view(Moment(mode=mode), 50, 19, UNICODE) is None  # type: ignore[arg-type]
    assert texts(nothing(Moment(mode=mode), 50))[0].startswith(said)  # type: ignore[arg-type]


@pytest.mark.parametrize("wave", ["w1", "w2"])
def test_hostile_texts_break_nothing(wave: str) -> None:
    state = hostile()
    for selected in (None, *state.waves[WaveId(wave)].experiments):
        for cells, height in ((12, 3), (36, 8), (50, 19), (80, 30)):
            for glyphs in (UNICODE, ASCII):
                v = view(moment(state, wave=wave, selected=selected), cells, height, glyphs)
                assert v is not None
                assert_fits(grid(v), cells, height)
                assert_fits([((heading(v.moment, cells), ""),)], 200, 1)


@pytest.mark.parametrize("cells", [20, 28, 36, 44, 50, 84, 120])
@pytest.mark.parametrize("height", [3, 5, 8, 12, 19, 40])
def test_matrix_and_table_fit_any_pane(cells: int, height: int) -> None:
    for state in (CROSSED, SIMULATED):
        for wave in state.waves:
            v = view(moment(state, wave=wave, selected=state.waves[wave].experiments[-1]), cells, height, UNICODE)
            assert v is not None
            assert_fits(grid(v), cells, height)


def test_the_cursor_goes_over_cells_that_hold_an_experiment() -> None:
    v = view(moment(CROSSED, selected="e4"), 50, 19, UNICODE)
    assert v is not None
    assert moved(v, 1, 0) == "e0"
    assert moved(v, 0, -1) == "e1"
    assert moved(v, -1, 0) is None
    assert (edge(v, -1), edge(v, 1)) == ("e0", "e8")


def test_a_point_is_the_cell_that_is_drawn_there() -> None:
    for cells, height in ((36, 8), (50, 19)):
        v = view(moment(CROSSED), cells, height, UNICODE)
        assert v is not None
        lines = drawn(moment(CROSSED), cells, height)
        y, row = next((y, text) for y, text in enumerate(lines) if text.startswith("4 "))
        assert under(v, row.index("✓"), y) == "e4"
        assert under(v, row.index("⊘"), y) == "e5"
        assert under(v, 0, 0) is None


def test_a_long_wave_scrolls_with_the_cursor() -> None:
    story = Story(gpus=2, gpu_type="H100")
    names = story.wave(*({"DEPTH": str(depth)} for depth in range(10, 70)))
    assert names[0] in " ".join(drawn(moment(story.state, selected=names[0])))
    lines = drawn(moment(story.state, selected=names[-1]))
    assert row_of(lines, names[-1])
    v = view(moment(story.state, selected=names[-1]), 50, 19, UNICODE)
    assert v is not None
    y = lines.index(row_of(lines, names[-1]))
    assert under(v, 3, y) == names[-1]


def test_a_redraw_of_a_big_wave_is_cheap() -> None:
    story = Story(gpus=6, gpu_type="H100").score(E0, 1.0, 1.001)
    names = story.wave(*({"DEPTH": str(depth), "MATRIX_LR": f"0.{depth}"} for depth in range(10, 300)))
    story.start(names[0])
    shown = moment(story.state, selected=names[100])
    drawn(shown, 84, 40)
    assert min(_timed(shown) for _ in range(10)) < 0.002


def _timed(shown: Moment) -> float:
    begun = time.perf_counter()
    drawn(shown, 84, 40)
    return time.perf_counter() - begun


def test_marked_experiments_are_seen_in_the_matrix_and_in_the_table() -> None:
    chosen = frozenset(map(ExperimentId, ("e4", "e7")))
    lines = drawn(moment(CROSSED, marked=chosen))
    assert row_of(lines, "4 ").startswith("4    ▸✓ −0.0114")
    assert "▸▶  0 %" in row_of(lines, "8 ")
    listed = moment(SIMULATED)
    name = listed.state.waves[listed.wave].experiments[0]  # type: ignore[index]
    assert f"{name} " in row_of(drawn(listed), name)
    assert row_of(drawn(msgspec.structs.replace(listed, marked=frozenset({name}))), name)[5] == "▸"


async def test_m_marks_in_the_wave_and_escape_takes_all_marks_away() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("m", "right", "m")
        await pilot.pause()
        assert len(room.moment.marked) == 2
        await pilot.press("v")
        await pilot.pause()
        assert isinstance(room.screen, Confirm)
        await pilot.press("n", "escape")
        await pilot.pause()
        assert room.moment.marked == frozenset()


def test_a_row_begins_with_what_sets_its_experiment_apart() -> None:
    story = Story(gpus=2)
    same = {"DEPTH": "8", "WARMDOWN_RATIO": "0.5"}
    story.wave(
        {**same, "MATRIX_LR": "0.0401234", "TOTAL_BATCH_SIZE": "4096"},
        {**same, "MATRIX_LR": "0.0402345", "TOTAL_BATCH_SIZE": "8192"},
        {**same, "MATRIX_LR": "0.0403456", "TOTAL_BATCH_SIZE": "65536"},
        {**same, "MATRIX_LR": "0.0900001", "TOTAL_BATCH_SIZE": "16384"},
    )
    lines = drawn(moment(story.state), cells=60)
    assert "TOTAL_BATCH_SIZE 65536, MATRIX_LR" in row_of(lines, "e3")
    assert "MATRIX_LR 0.09, TOTAL" in row_of(lines, "e4")


def test_a_tall_pane_says_the_effects_the_change_and_the_reason_in_full() -> None:
    analysis = wave_analysis(CROSSED, CROSSED.waves[WaveId("w1")])
    shown = moment(CROSSED, selected=ExperimentId("e4"))
    lines = drawn(shown, cells=80, height=44, analysis=analysis)
    assert any(text.startswith("effect") and "95 % interval" in text for text in lines)
    assert any(text.startswith("e4: ") for text in lines)
    assert_fits(grid_of(shown, 80, 44, analysis), 80, 44)
    assert not any(text.startswith("effect") for text in drawn(shown, cells=50, height=19, analysis=analysis))
    assert_fits(grid_of(moment(hostile()), 80, 44, None), 80, 44)


def grid_of(shown: Moment, cells: int, height: int, analysis: Any) -> list[Any]:
    v = view(shown, cells, height, UNICODE, analysis=analysis)
    assert v is not None
    return grid(v)


def test_levels_are_told_in_full_where_the_pane_is_wide() -> None:
    long = ("(0.8, 0.9, 0.95, 0.98)", "(0.9, 0.95, 0.99, 0.999)")
    story = Story(gpus=2, source="ADAM_BETAS = (0.9, 0.95)\nDEPTH = 3\n")
    cells = [{"ADAM_BETAS": beta, "DEPTH": depth} for beta in long for depth in ("2", "4")]
    story.wave(*cells, factors={"ADAM_BETAS": long, "DEPTH": ("2", "4")})
    assert any(text.startswith(long[1]) for text in drawn(moment(story.state), cells=110))
    assert any(text.startswith("(0.9, 0.95, 0…") for text in drawn(moment(story.state), cells=50))


def test_the_line_of_a_twin_says_whose_runs_count_for_it() -> None:
    story = Story().score(E0, 2.50, 2.52, 2.51)
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.score(one, 2.4).score(other, 2.41).tell(ev.DuplicateFound, experiment=other, twin=one, reason="same")
    state = story.state
    item = next(each for each in items(state, state.waves[WaveId("w1")]) if each.id == one)
    assert "2 runs with those of e2" in plain(told(state, item, UNICODE, story.at))
