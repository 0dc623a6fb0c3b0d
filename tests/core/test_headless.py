"""One readable line per fact; nothing from runs or models can touch the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import imagined
import msgspec
import pytest
from story import E0, Story

from core import events as ev
from core import headless, virtual
from core import log as logs
from core.feed import Update
from core.fold import fold
from core.headless import show, waiting
from core.settings import load
from core.state import State
from core.telling import line, progress


def last_line(story: Story) -> str:
    return line(story.facts[-1], story.state)


def test_a_finished_run_is_shown_against_its_parent() -> None:
    story = Story().score(E0, 2.5)
    assert last_line(story) == "e0-1 finished: val_bpb 2.5000 in 10.0 s"
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.4)
    assert last_line(story) == "e1-1 finished: val_bpb 2.4000 (−0.1000) in 10.0 s"


def test_a_crash_shows_its_reason_and_the_end_of_its_log() -> None:
    story = Story()
    run = story.start(E0)
    story.wait(2).tell(ev.RunEnded, run=run, outcome="crashed", reason="RuntimeError: no", tail="line one\nline two")
    assert last_line(story) == "e0-1 crashed after 2.0 s: RuntimeError: no | line one | line two"


@pytest.mark.parametrize(
    "text", ["\x1b]0;owned\x07title", "\x1b[2Jclear", "a\rb", "two\nlines", "\x9b31mred", "‮reversed"]
)
def test_untrusted_text_loses_its_control_characters(text: str) -> None:
    story = Story().tell(ev.NoteAdded, by="ada", text=text)
    story.tell(ev.WavePlanned, wave="w1", parent=E0, reason=text)
    for fact in story.facts[-2:]:
        shown = line(fact, story.state)
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "‮" for c in shown)


def test_every_fact_has_a_line_or_is_covered_by_the_progress_line() -> None:
    story = Story().score(E0, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"}, factors={"DEPTH": ("2", "4")})
    story.score(name, 2.3, 2.3).judge(name, "kept").move(name).tell(ev.ResearchPaused, by="a", reason="r")
    story.tell(ev.StopRequested, by="a").tell(ev.EngineStopped, reason="done")
    silent = {type(fact).__name__ for fact in story.facts if not line(fact, story.state)}
    assert silent == {"RunRequested", "RunStarted"}


def test_progress_names_what_runs_and_how_far_it_is() -> None:
    story = Story().score(E0, 2.5).tell(ev.LimitsSet, max_experiments=24)
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    assert progress(story.state) == "running e1-1 starting | 0/24 experiments done · best 2.5000 (e0)"
    story.tell(ev.RunProgressed, run=run, step=3, fraction=0.42)
    assert progress(story.state).startswith("running e1-1 42%")


def test_what_happened_before_this_engine_is_not_printed_again() -> None:
    story, said = Story().score(E0, 2.5, 2.6), list[str]()
    before = fold(State(), story.facts[:-1])

    async def updates() -> AsyncIterator[Update]:
        yield Update(story.facts[-1:], story.state)

    asyncio.run(show(updates(), said.append, state=before))
    assert [text.split("  ")[1] for text in said] == ["e0-2 finished: val_bpb 2.6000 in 10.0 s"]


def test_a_fleet_is_told_again_only_when_it_is_another() -> None:
    story = Story().fleet(H100=2)
    taken = (*story.gpus[:1], msgspec.structs.replace(story.gpus[1], held_by="ben"))
    story.tell(ev.FleetSeen, gpus=taken).fleet(H100=3)

    async def updates() -> AsyncIterator[Update]:
        yield Update(tuple(story.facts), story.state)

    said = list[str]()
    asyncio.run(show(updates(), said.append))
    assert [text.partition("runs go to ")[2] for text in said if "runs go to" in text][-2:] == ["2 × H100", "3 × H100"]
    assert sum("2 × H100" in text for text in said) == 1


def test_a_paused_session_says_who_paused_it_and_what_goes_on_with_it() -> None:
    story = Story()
    assert waiting(story.state) == ""
    story.tell(ev.ResearchPaused, by="ada\x1b[2J", reason="lunch")
    said = waiting(story.state)
    assert said.startswith("paused by ada since ")
    assert said.endswith(" (lunch): `autoresearch-tui resume` goes on")
    assert waiting(story.tell(ev.ResearchResumed, by="ada").state) == ""


def test_no_ui_on_a_paused_session_says_so_at_its_start(tmp_path: Path) -> None:
    folder, said = imagined.workspace(tmp_path / "work"), list[str]()
    imagined.campaign(folder, fleet="H100:2", max_experiments=1)
    file = imagined.file_of(folder)
    logs.append_all(file, [ev.ResearchPaused(at=imagined.state_of(folder).at, by="ada", reason="")])
    chosen = load(folder, {}, {"executor": "simulator", "speed": "max", "fleet": "H100:2", "for": "1s"})
    virtual.run(headless.run(folder, chosen, "0", said.append))
    assert sum("paused by ada since" in text for text in said) == 1


def test_what_of_the_fleet_cannot_be_seen_is_told_with_it() -> None:
    story = Story(gpus=2, gpu_type="H100")
    story.tell(ev.FleetSeen, gpus=story.gpus, unseen="the cluster does not show pods of other namespaces")
    assert last_line(story) == "runs go to 2 × H100; the cluster does not show pods of other namespaces"
    assert story.state.unseen
    story.tell(ev.FleetSeen, gpus=story.gpus)
    assert last_line(story) == "runs go to 2 × H100"
