"""What a wave says, as lines."""

from __future__ import annotations

import moments
import pytest
import tapes
from hostile import check, told
from story import E0, Story

from core.analysis import wave_analysis
from core.fold import fold
from core.ids import WaveId
from core.state import State
from tui.glyphs import ASCII
from tui.paint import Line, plain
from tui.widgets.effect_lines import effect_lines, parts_of

W1 = WaveId("w1")


def lines_of(state: State, cells: int = 100, **more: object) -> list[Line]:
    return effect_lines(state, W1, wave_analysis(state, state.waves[W1]), cells, **more)  # type: ignore[arg-type]


def test_effects_stand_with_size_error_and_interval() -> None:
    text = [plain(line) for line in lines_of(fold(State(), tapes.crossed()))]
    row = next(line for line in text if line.startswith("B MATRIX_LR"))
    assert "+0.0229 ± 0.0016  +0.0184 to +0.0274 **" in row
    assert row.rstrip().endswith("─")  # the interval, right of zero
    assert any("predicted best: DEPTH 8, MATRIX_LR 0.02 (not tried yet)" in line for line in text)


def test_the_grid_has_every_cell_with_glyph_and_word() -> None:
    text = [plain(line) for line in lines_of(fold(State(), tapes.crossed()))]
    rows = {line.split()[0]: line for line in text if line.strip()[:2] in ("2 ", "4 ", "8 ")}
    assert "✗ +0.0089" in rows["2"]
    assert "‼ crashed" in rows["2"]
    assert "★✓ −0.0114" in rows["4"]
    assert "e0" in rows["4"]
    assert "⊘ vetoed" in rows["4"]
    assert "☆▶ running" in rows["8"]
    assert "· proposed" in rows["8"]


@pytest.mark.parametrize("cells", [24, 40, 62, 78, 116, 200])
def test_nothing_is_wider_than_the_pane(cells: int) -> None:
    for facts in (tapes.crossed(), tapes.simulated(0.5)):
        check(lines_of(fold(State(), facts), cells), cells)


def test_a_list_of_free_edits_shows_the_best_first() -> None:
    story = Story().score(E0, 1.0, 1.01)
    names = story.wave({"DEPTH": "2"}, {"DEPTH": "8"})
    story.score(names[0], 1.2).score(names[1], 0.8)
    text = [plain(line) for line in lines_of(story.state)]
    assert [line.split()[0] for line in text if line.startswith(("e1 ", "e2 "))] == ["e2", "e1"]


def test_before_there_is_anything_there_is_a_sentence() -> None:
    assert "no wave yet" in plain(effect_lines(State(), None, None, 60)[0])
    story = Story()
    story.wave({"DEPTH": "2"})
    assert any("No result yet" in plain(line) for line in lines_of(story.state))


def test_everything_of_ours_has_an_ascii_twin() -> None:
    text = "".join(plain(line) for line in lines_of(fold(State(), tapes.crossed()), glyphs=ASCII)[5:8])
    assert set(text) <= set(map(chr, range(32, 127))) | set("−±×")


def test_hostile_words_stay_in_their_lines() -> None:
    for state in (told().state, moments.hostile()):
        for wave in state.waves.values():
            for cells in (24, 62, 120):
                check(effect_lines(state, wave.id, wave_analysis(state, wave), cells), cells)


def test_parts_change_with_a_result_and_not_with_progress() -> None:
    story = Story().score(E0, 1.0)
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    before = parts_of(story.state, story.state.waves[W1])
    story.progress(run, 4.0, 3.9)
    after = parts_of(story.state, story.state.waves[W1])
    assert all(a is b for a, b in zip(before, after, strict=True))
    story.finish(run, 0.9)
    assert any(a is not b for a, b in zip(before, parts_of(story.state, story.state.waves[W1]), strict=True))
