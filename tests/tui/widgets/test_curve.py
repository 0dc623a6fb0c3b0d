"""The loss of a run against the baseline's."""

from __future__ import annotations

from hostile import check, told
from story import E0, Story

from core.ids import ExperimentId, RunId
from tui.glyphs import ASCII
from tui.paint import Line, plain
from tui.widgets.curve import against, curve_lines


def trained() -> tuple[Story, ExperimentId, RunId]:
    story = Story()
    run = story.start(E0)
    story.progress(run, *[4.0 - 0.1 * i for i in range(20)]).finish(run, 1.0)
    (name,) = story.wave({"DEPTH": "2"})
    mine = story.start(name)
    story.progress(mine, *[3.9 - 0.1 * i for i in range(12)])
    return story, name, mine


def lines_of(story: Story, name: ExperimentId, run: RunId | None, cells: int = 64, **more: object) -> list[Line]:
    state = story.state
    return curve_lines(state, state.experiments[name], run, cells, 12, **more)  # type: ignore[arg-type]


def test_a_running_run_is_compared_with_the_baseline_where_it_is_now() -> None:
    story, name, run = trained()
    lines = lines_of(story, name, run)
    text = [plain(line) for line in lines]
    assert f"{run} loss 2.8000 at 55 %" in text[0]
    assert "e0-1" in text[0]
    assert "25% −0.100" in text[1]
    assert ("−0.100", "better") in lines[1]
    assert len(lines) == 12
    check(lines, 64)


def test_both_curves_are_drawn_with_signs_of_their_own() -> None:
    story, name, run = trained()
    roles = {role for line in lines_of(story, name, run)[2:] for text, role in line if text.strip()}
    assert {"run-running bold", "baseline"} <= roles
    ascii_lines = lines_of(story, name, run, glyphs=ASCII)
    assert "".join(plain(line) for line in ascii_lines[2:]).isascii()


def test_without_a_curve_there_is_a_sentence() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    assert plain(lines_of(story, name, None)[0]) == "e1 has not run yet."
    run = story.start(name)
    assert "has reported no loss yet" in plain(lines_of(story, name, run)[0])
    story.finish(run, 1.0)
    assert plain(lines_of(story, name, run)[0]) == "e1-1 reported no loss."


def test_it_is_compared_on_its_own_gpu_type_only() -> None:
    story = Story().fleet(H100=1, H200=1)
    base = story.start(E0)
    story.progress(base, 4.0, 3.0).finish(base, 1.0)
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name, on="H200")
    story.progress(run, 4.0, 3.0)
    state = story.state
    assert against(state, state.experiments[name], state.runs[run]) is None


def test_hostile_words_stay_in_their_lines() -> None:
    story = told()
    for cells in (24, 64, 120):
        check(lines_of(story, ExperimentId("e2"), RunId("e2-1"), cells), cells)
