"""What a window remembers, wherever somebody seeks: as much as one that saw everything from the beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from conditions import playback
from story import E0, Story
from textual.pilot import Pilot

from core import events as ev
from core.ids import RunId, WaveId
from tui import gpus
from tui.conversation import transcript
from tui.glyphs import UNICODE
from tui.memory import Memory
from tui.paint import plain


def eventful() -> tuple[ev.Fact, ...]:
    """A rejected proposal and a GPU that broke early on, and then 2,000 facts of a run's progress."""
    story = Story(gpus=2, gpu_type="H100")
    story.tell(ev.WaveAsked, slots=3)
    story.wave({"DEPTH": "8"})
    story.tell(ev.ProposalRejected, wave=WaveId("w1"), title="DEPTH 99", reason="DEPTH 99 does not fit into memory")
    broken = msgspec.structs.replace(story.gpus[1], broken=True, held_by="XID 79")
    story.wait(60).tell(ev.FleetSeen, gpus=(story.gpus[0], broken))
    run = story.start(E0)
    for step in range(2000):
        story.wait(1).tell(ev.RunProgressed, run=run, step=step, fraction=step / 2000)
    story.tell(ev.RunEnded, run=run, outcome="lost", reason="the node is gone")
    return tuple(story.facts)


async def sought(pilot: Pilot[Any], position: int) -> None:
    while not pilot.app.feed.is_loaded:  # type: ignore[attr-defined]
        await pilot.pause(0.01)
    pilot.app.feed.seek(position)  # type: ignore[attr-defined]
    while pilot.app.moment.state.seq != position:  # type: ignore[attr-defined]
        await pilot.pause(0.01)


@pytest.mark.parametrize("share", [0.0, 0.003, 0.5, 1.0])
async def test_a_window_that_sought_remembers_what_one_that_played_does(tmp_path: Path, share: float) -> None:
    facts = eventful()
    position = round(share * len(facts))
    app, played = playback(tmp_path, facts), Memory()
    played.take(facts[:position])
    async with app.run_test(size=(120, 40)) as pilot:
        await sought(pilot, len(facts) // 3)
        await sought(pilot, position)
        assert list(app.memory.fleet) == list(played.fleet)
        assert app.memory.answers == played.answers


async def test_after_a_seek_the_screens_tell_what_happened_and_why_proposals_were_rejected(tmp_path: Path) -> None:
    app = playback(tmp_path, eventful())
    async with app.run_test(size=(120, 40)) as pilot:
        await sought(pilot, len(eventful()) - 1)
        fleet = [plain(each) for each in gpus.happened(app.memory, 100, 9, UNICODE)]
        said = "\n".join(plain(each) for each in transcript(app.moment, app.memory, 100, UNICODE))
        assert [text[10:].rstrip() for text in fleet] == [
            "engine started on h with local", "fleet found: 2 H100", "H1001 broken: XID 79",
        ]  # fmt: skip
        assert "DEPTH 99 does not fit into memory" in said


def test_a_fleet_whose_beginning_is_not_known_is_not_told_as_found() -> None:
    memory = Memory()
    memory.take([ev.FleetSeen(at=0.0, gpus=()), ev.RunEnded(at=1.0, run=RunId("e0-1"), outcome="lost")])
    assert [each.text for each in memory.fleet] == ["run e0-1 was lost: nobody knows why"]
