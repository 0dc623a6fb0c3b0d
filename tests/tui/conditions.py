"""Control rooms in every condition a session can be in, by name: what a person on call may find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from rooms import Room, Still
from story import Story
from tapes import crossed

from core import events as ev
from core.feed import Update
from core.fold import fold
from core.ids import ExperimentId, WaveId
from core.patch import Change
from core.player import Player
from core.recording import dump, header
from core.state import State
from themes.loader import built_in
from tui.app import ControlRoom
from tui.looks import Looks
from tui.moment import Moment

AT = crossed()[-1].at


class Reading(Still):
    """Still at the beginning of a long session."""

    async def updates(self) -> AsyncIterator[Update]:
        yield Update([], self.state, loading=0.43)


def reading(**app: Any) -> Room:
    room = Room((), **app)
    room.feed = room.still = Reading()
    return room


def starting(**app: Any) -> Room:
    room = Room((), alive=False, **app)
    room._starting = True
    return room


def begun() -> tuple[ev.Fact, ...]:
    """An engine runs; nothing is proposed yet."""
    story = Story(gpus=2, gpu_type="H100")
    return tuple(story.facts)


def with_more(*more: ev.Known, **app: Any) -> Callable[..., Room]:
    """A room on a session, `crossed` if nothing is said, in which `more` happened last."""

    def made(facts: Sequence[ev.Fact] = crossed(), **other: Any) -> Room:
        late = facts[-1].at - AT
        return Room([*facts, *(replace(each, at=each.at + late) for each in more)], **{**app, **other})

    return made


class Removed(Room):
    """The file of its session is gone."""

    def _look(self) -> Moment:
        return replace(super()._look(), is_gone=True)


def removed(facts: Sequence[ev.Fact], **app: Any) -> Room:
    return Removed(facts, alive=False, **app)


def gate() -> list[ev.Known]:
    """A wave that waits for approval."""
    experiment, wave, parent = ExperimentId("e9"), WaveId("w2"), ExperimentId("e4")
    proposed = ev.ExperimentProposed(
        at=AT, experiment=experiment, wave=wave, parent=parent, change=Change(settings={"DEPTH": "6"}), digest="d9",
        title="DEPTH 4 → 6", hypothesis="Deeper learns more per token.",
    )  # fmt: skip
    planned = ev.WavePlanned(at=AT, wave=wave, parent=parent, reason="One step deeper from the best.")
    return [ev.GateSet(at=AT, on=True, by="ada"), planned, proposed]


LOST = ev.ExecutorLost(at=AT - 200, reason="the cluster's API does not answer: connection refused")
PAUSED = ev.ResearchPaused(at=AT, by="ada", reason="someone else needs the GPUs")
GAVE_UP = ev.ResearchFailed(at=AT, reason="the service refuses the key; check ANTHROPIC_API_KEY", fatal=True)
REACHED: list[ev.Known] = [
    ev.LimitsSet(at=AT, max_hours=8.0, max_experiments=8),
    ev.EngineStopped(at=AT, reason="the limit of 8 experiments is reached"),
]
STOPPED = ev.EngineStopped(at=AT, reason="stopped by ada")
CRASHED = ev.EngineStopped(at=AT, reason="the disk is full", exit_code=3)

CONDITIONS: dict[str, Callable[..., Room]] = {
    "no-session": partial(Room, (), alive=False),
    "engine-starting": starting,
    "nothing-proposed": lambda **app: Room(begun(), **app),
    "loading-43": reading,
    "engine-down": with_more(alive=False),
    "engine-failed": with_more(CRASHED, alive=False),
    "executor-lost": with_more(LOST),
    "paused": with_more(PAUSED),
    "gate-held": with_more(*gate()),
    "budget-reached": with_more(*REACHED, alive=False),
    "finished": with_more(STOPPED, alive=False),
    "researcher-gave-up": with_more(GAVE_UP),
    "read-only": with_more(read_only=True),
}


def playback(folder: Path, facts: Sequence[ev.Fact] | None = None, **app: Any) -> ControlRoom:
    """A recording, of `crossed` if nothing is said, which stands at its beginning."""
    file, facts = folder / "night.jsonl", facts or crossed()
    file.write_bytes(b"".join(dump(header(fold(State(), facts), "0"), facts)))
    player = Player(file, stays=True)
    player.pause()
    looks = {name: Looks(theme) for name, theme in built_in().items()}
    return ControlRoom(player, looks, workspace=file.name, read_only=True, **app)
