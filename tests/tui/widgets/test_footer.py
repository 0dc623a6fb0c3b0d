"""The footer: what is possible now, and where it stands."""

from __future__ import annotations

import pytest
from moments import assert_fits, moment, texts
from story import E0, Story
from tapes import crossed

from core import events as ev
from core.fold import fold
from core.state import State
from tui.actions import ACTIONS
from tui.moment import Moment, Tape
from tui.paint import plain
from tui.widgets.footer import at, footer, placed

CROSSED = fold(State(), crossed())
TAPE = Tape(position=1, length=2, at=1.0, begins=0.0, ends=2.0, playing=True, speed=1.0, idle_s=60.0)


def test_only_what_is_possible_now_is_there() -> None:
    running = plain(footer(moment(CROSSED, selected="e6"), 160))
    assert "v veto" in running
    assert "k stop run" in running
    kept = plain(footer(moment(CROSSED, selected="e4"), 160))
    assert "k stop run" not in kept
    assert "y approve" not in kept


def test_help_and_leave_stay_at_the_right() -> None:
    for cells in (30, 80, 160):
        assert texts([footer(moment(CROSSED, selected="e6"), cells)])[0].endswith("? help  q leave")


def test_the_key_that_lets_a_wave_run_is_loud_and_first() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0).tell(ev.GateSet, on=True, by="ada")
    story.wave({"DEPTH": "8"})
    spans = [span for span in footer(moment(story.state), 80) if span[0].strip()]
    assert spans[0] == (" y approve ", "warning reverse bold")


def test_a_paused_session_offers_to_resume() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0).tell(ev.ResearchPaused, by="ada")
    assert "space resume" in plain(footer(moment(story.state, mode="paused"), 120))


def test_a_wide_screen_has_more() -> None:
    assert "L lineage" not in plain(footer(moment(CROSSED), 120))
    assert "L lineage" in plain(footer(moment(CROSSED), 220))


def test_playback_has_the_keys_of_the_tape_and_none_that_change_anything() -> None:
    text = plain(footer(moment(CROSSED, mode="playback", tape=TAPE, selected="e6"), 160))
    assert "space play" in text
    assert "veto" not in text
    assert "approve" not in text


def test_remapped_keys_are_shown_as_they_are_and_lost_ones_not_at_all() -> None:
    text = plain(footer(moment(CROSSED, selected="e6"), 160, {"veto": "V", "promote": ""}))
    assert "V veto" in text
    assert "promote" not in text


@pytest.mark.parametrize("cells", [5, 16, 20, 40, 80, 120, 200])
def test_it_fits_and_every_column_is_what_is_drawn_there(cells: int) -> None:
    for shown in (Moment(), moment(CROSSED, selected="e6"), moment(CROSSED, mode="playback", tape=TAPE)):
        line = footer(shown, cells)
        assert_fits([line], cells, 1)
        for each in placed(shown, cells, {}):
            assert plain(line)[each.left :].startswith(plain(each.spans))
            assert at(shown, cells, each.left) is each.action
        assert at(shown, cells, 0) is None


def test_every_action_of_the_footer_is_in_the_table() -> None:
    shown = {each.action.id for each in placed(moment(CROSSED, selected="e6"), 400, {})}
    assert shown <= {action.id for action in ACTIONS}


def test_the_engine_of_a_session_whose_file_is_gone_cannot_be_started() -> None:
    assert "S start engine" in plain(footer(moment(CROSSED, mode="down"), 160))
    gone = plain(footer(moment(CROSSED, mode="down", is_gone=True), 160))
    assert "start engine" not in gone
    assert "veto" not in gone
