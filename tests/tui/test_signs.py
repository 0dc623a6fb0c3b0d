"""The state of an experiment as people see it."""

from __future__ import annotations

from story import E0, Story
from tapes import crossed

from core import events as ev
from core.fold import fold
from core.ids import ExperimentId
from core.state import State
from core.views import status
from tui.glyphs import ASCII, UNICODE
from tui.signs import ROLES, fraction, is_running, named, sign, word

CROSSED = fold(State(), crossed())


def said(state: State, name: str) -> str:
    return word(state, state.experiments[ExperimentId(name)])


def test_what_waits_is_told_from_what_runs() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0)
    (name,) = story.wave({"DEPTH": "8"})
    assert said(story.state, name) == "proposed"
    story.tell(ev.RunRequested, run=f"{name}-1", experiment=name, gpu_type="H100", seed=1)
    assert said(story.state, name) == "queued"
    story.tell(ev.RunStarted, run=f"{name}-1", gpu="H1000")
    assert said(story.state, name) == "running"
    assert is_running(story.state, story.state.experiments[name])
    story.tell(ev.RunEnded, run=f"{name}-1", outcome="finished", val_bpb=1.0)
    assert said(story.state, name) == "measured"
    story.tell(ev.ExperimentRetested, experiment=name, reason="noise")
    assert said(story.state, name) == "retest"


def test_status_counts_as_running_only_what_runs() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0)
    running, measured = story.wave({"DEPTH": "8"}, {"DEPTH": "6"})
    story.score(measured, 1.0).start(running)
    counted = status(story.state, now=story.at, alive=True, pid=1)["experiments"]
    assert (counted["running"], counted["measured"]) == (1, 1)


def test_a_wave_that_waits_for_approval_is_held() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0).tell(ev.GateSet, on=True, by="ada")
    (name,) = story.wave({"DEPTH": "8"})
    assert said(story.state, name) == "held"
    story.tell(ev.WaveApproved, wave="w1", by="ada")
    assert said(story.state, name) == "proposed"


def test_how_far_a_run_is_is_known_only_while_it_runs() -> None:
    far = {name: fraction(CROSSED, CROSSED.experiments[ExperimentId(name)]) for name in ("e4", "e6", "e7")}
    assert far == {"e4": None, "e6": 0.575, "e7": 0.0}


def test_every_state_has_a_glyph_of_its_own_in_both_sets() -> None:
    for glyphs in (UNICODE, ASCII):
        made = [named(each, glyphs).glyph for each in ROLES if each != "measured"]
        assert len(set(made)) == len(made)
        assert all(len(glyph) == 1 for glyph in made)


def test_a_state_of_a_newer_build_is_a_question() -> None:
    assert named("postponed", UNICODE) == ("?", "postponed", "muted")
    assert sign(CROSSED, CROSSED.experiments[ExperimentId("e4")], UNICODE) == ("✓", "kept", "kept")
