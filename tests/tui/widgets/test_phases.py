"""Phases of the research on the chart."""

from __future__ import annotations

from moments import HOSTILE
from story import E0, Story

from core import events as ev
from core.ids import WaveId
from core.patch import Change
from tui.glyphs import ASCII, UNICODE
from tui.paint import plain, width
from tui.widgets import drawing, phases
from tui.widgets.frame import Drawing
from tui.widgets.marks import Collector, Series
from tui.widgets.viewport import Viewport

EACH = 10  # experiments of a phase


def campaign(*names: str) -> Story:
    """A wave per name, an hour each."""
    story = Story().score(E0, 2.5)
    for number, name in enumerate(names):
        wave = WaveId(f"w{number + 1}")
        story.tell(ev.WavePlanned, wave=wave, parent=E0, reason="", phase=name)
        for place in range(EACH):
            each = f"e{number * EACH + place + 1}"
            story.tell(ev.ExperimentProposed, experiment=each, wave=wave, parent=E0, change=Change(), digest=each,
                       title=each)  # fmt: skip
            story.score(each, 2.4 - number / 10 + place / 100).judge(each, "discarded")  # type: ignore[arg-type]
        story.wait(3600)
    return story


def series(*names: str) -> Series:
    return Collector().of(campaign(*names).state)


def drawn(of: Series, cells: int = 80, rows: int = 16, port: Viewport | None = None) -> Drawing:
    found = drawing.drawn(of, port or Viewport(), cells, rows)
    assert found is not None
    return found


def test_a_phase_begins_where_waves_change_it_and_goes_on_where_they_name_none() -> None:
    found = series("broad sweep", "broad sweep", "", "optimizer", "").phases
    assert [(phase.name, phase.number) for phase in found] == [("broad sweep", 1), ("optimizer", 31)]
    assert found[1].at - found[0].at >= 3 * 3600
    assert series("", "").phases == ()


def test_each_has_its_name_above_a_quiet_line() -> None:
    found = drawn(series("broad sweep", "optimizer"))
    named, first = plain(found.lines[1]), plain(found.lines[2])
    assert named.split() == ["broad", "sweep", "┊optimizer"]
    at = named.index("┊")
    assert first[at] == "┊"
    assert at - found.left == round(found.column(EACH + 0.5))
    assert {role for text, role in found.lines[1] if text.strip()} == {"muted"}
    assert found.top == 2
    assert len(found.lines) == 16


def test_over_time_it_begins_when_its_wave_was_planned() -> None:
    of = series("broad sweep", "optimizer", "tuning")
    found = drawn(of, port=Viewport(axis="time"))
    assert plain(found.lines[1]).index("┊") - found.left == round(found.column(of.phases[1].at))


def test_zoomed_in_the_phase_that_goes_on_is_named_at_the_left() -> None:
    found = drawn(series("broad sweep", "optimizer"), port=Viewport(x=(14.0, 18.0)))
    assert plain(found.lines[1]).strip() == "optimizer"
    assert "┊" not in plain(found.lines[3])


def test_where_there_is_no_room_names_are_cut_then_left_out() -> None:
    of = series("consolidation", "architecture", "optimizer", "tuning")
    named = plain(drawn(of, cells=44).lines[1])
    assert "cons" in named
    assert "…" in named
    assert width(drawn(of, cells=44).lines[1]) <= 44
    assert drawn(of, cells=20).top == 1
    assert drawn(of, rows=9).top == 1


def test_many_phases_draw_no_lines_that_touch() -> None:
    of = series(*(f"phase {number}" for number in range(12)))
    frame = drawn(of, cells=30)
    assert phases.lines(frame, of, Viewport(), UNICODE) == []


def test_names_are_a_models_and_keep_to_their_cells() -> None:
    for bad in HOSTILE:
        of = series("start", bad)
        for glyphs in (UNICODE, ASCII):
            found = drawing.drawn(of, Viewport(), 60, 16, glyphs=glyphs)
            assert found is not None
            for line in found.lines:
                assert width(line) <= 60
                assert plain(line).isprintable()


def test_a_session_without_phases_has_no_lines_of_them() -> None:
    assert "┊" not in "".join(plain(line) for line in drawn(series("", "")).lines)
