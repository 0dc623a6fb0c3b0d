"""Every key of the action table in every state a window can be in: what it does, or the sentence that says why not.

Made from the table: an action without an entry in `DOES` fails here, and so does one that is dimmed elsewhere than
`DIMMED` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rooms import Room as StillRoom
from rooms import Still
from tapes import crossed
from textual.pilot import Pilot

from core import commands as c
from core import events as ev
from core.feed import Update
from core.fold import fold
from core.ids import ExperimentId, WaveId
from core.patch import Change
from core.player import Player
from core.recording import dump, header
from core.state import State
from themes.loader import built_in
from tui.actions import ACTIONS, BY_ID, Action, is_there, why_not
from tui.app import ControlRoom
from tui.looks import Looks
from tui.messages import WaveChosen
from tui.palette import Palette
from tui.screens import ROOMS
from tui.screens.ask import Confirm, Prompt
from tui.screens.command import CommandLine
from tui.screens.dashboard import Dashboard
from tui.screens.jump import Jump

OPERATOR = "operator"  # of windows, unless they are told otherwise
AT = crossed()[-1].at


class Told:
    """What a window said and did beyond its screen."""

    def __init__(self, *args: Any, **app: Any) -> None:
        self.told: list[str] = []
        self.left: list[int] = []
        self.engines = 0
        super().__init__(*args, **app)

    def notify(self, message: str, **_: Any) -> None:
        self.told.append(message)

    def exit(self, result: Any = None, *_: Any, **__: Any) -> None:
        self.left.append(result)

    def start_engine(self) -> None:
        self.engines += 1


class Window(Told, StillRoom):
    pass


class Playing(Told, ControlRoom):
    pass


class Reading(Still):
    """Still at the beginning of a long session."""

    async def updates(self) -> AsyncIterator[Update]:
        yield Update([], self.state, loading=0.5)


# --- the states a window can be in ------------------------------------------------------------------------------------


def _gated() -> list[ev.Fact]:
    """A wave that waits for approval, and so a deed of the operator that can be undone."""
    experiment, wave = ExperimentId("e9"), WaveId("w2")
    proposed = ev.ExperimentProposed(
        at=AT, experiment=experiment, wave=wave, parent=ExperimentId("e0"),
        change=Change(settings={"DEPTH": "6"}), digest="d9", title="deeper",
    )  # fmt: skip
    gate = ev.GateSet(at=AT, on=True, by=OPERATOR)
    return [gate, ev.WavePlanned(at=AT, wave=wave, parent=ExperimentId("e0"), reason="because"), proposed]


FACTS: dict[str, Sequence[ev.Fact]] = {
    "live": crossed(),
    "paused": [*crossed(), ev.ResearchPaused(at=AT, by="ada")],
    "gated": [*crossed(), *_gated()],
    "down": crossed(),
    "finished": [*crossed(), ev.EngineStopped(at=AT, reason="budget reached")],
    "read-only": crossed(),
    "empty": (),
    "loading": (),
}


def window(state: str) -> Window:
    app = Window(FACTS[state], alive=state not in ("down", "finished"), read_only=state == "read-only")
    if state == "loading":
        app.feed = app.still = Reading()
    return app


NOTHING = "No experiment is selected."
NO_ENGINE = "no engine"
_ALL_GPUS = {"more_gpus": "has no limit"}
_HERE = {"dashboard": "This is the dashboard already."}
_ONE_WAVE = {**_HERE, "wave_back": "w1 is the first wave.", "wave_on": "w1 is the latest wave."}
_RUNNING = {**_ONE_WAVE, "undo": "nothing", "approve": "No wave waits", "start_engine": "running", **_ALL_GPUS}
_BARE = {
    **_HERE,
    **dict.fromkeys(("veto", "veto_because", "promote", "rerun", "stop_run", "open", "diff", "log"), NOTHING),
    **dict.fromkeys(("effects", "wave_back", "wave_on"), "There is no wave yet."),
    **dict.fromkeys(("more_gpus", "fewer_gpus"), "No GPU is selected"),
    "undo": "nothing",
    "approve": "No wave waits",
}
RESEARCH = {action.id for action in ACTIONS if action.group == "research"}
DIMMED: dict[str, dict[str, str]] = {  # in which state which action says what, as a part of its sentence
    "live": _RUNNING,
    "paused": _RUNNING,
    "gated": {
        **_HERE,
        "wave_on": "w2 is the latest wave.",
        "start_engine": "running",
        "stop_run": "e9 is not running",
        "log": "e9 has not run yet",
        "rerun": "e9",
        **_ALL_GPUS,
    },
    "down": {**_ONE_WAVE, "undo": "nothing", "approve": "No wave waits", "stop_engine": NO_ENGINE, **_ALL_GPUS},
    "finished": {**_ONE_WAVE, "undo": "nothing", "approve": "No wave waits", "stop_engine": NO_ENGINE, **_ALL_GPUS},
    "read-only": _ONE_WAVE,
    "empty": {**_BARE, "start_engine": "running", "stop_engine": NO_ENGINE},
    "loading": {**_BARE, "start_engine": "running", "stop_engine": NO_ENGINE},
    "playback": {**_ONE_WAVE, **dict.fromkeys(RESEARCH - {"pause", "start_engine"}, "This is a recording")},
}

CHANGING = [action for action in ACTIONS if action.commands or any(action.id in said for said in DIMMED.values())]

# --- what every action does -------------------------------------------------------------------------------------------

Check = Callable[[Pilot[Any], Any], Awaitable[None]]


def sends(kind: type[c.Command]) -> Check:
    """After what it asks is answered: y to a question, a text to a prompt."""

    async def check(pilot: Pilot[Any], app: Any) -> None:
        if isinstance(app.screen, Confirm):
            await pilot.press("y")
        elif isinstance(app.screen, Prompt):
            await pilot.press("h", "i", "enter")
        await pilot.pause()
        assert [type(command) for command in app.still.sent] == [kind]
        assert app.still.sent[0].by == OPERATOR

    return check


def opens(screen: type) -> Check:
    async def check(_: Pilot[Any], app: Any) -> None:
        assert type(app.screen) is screen, app.screen

    return check


def focuses(name: str) -> Check:
    async def check(_: Pilot[Any], app: Any) -> None:
        assert app.focused.id == name

    return check


def holds(claim: Callable[[Any], object]) -> Check:
    async def check(pilot: Pilot[Any], app: Any) -> None:
        await pilot.pause()
        assert claim(app)

    return check


async def quiet(_: Pilot[Any], app: Any) -> None:
    """It means something on other screens; here it does no harm."""
    assert isinstance(app.screen, Dashboard)


async def toggles(_: Pilot[Any], app: Any) -> None:
    assert app.still.sent
    kind = c.Resume if app.moment.state.pause else c.Pause
    assert [type(command) for command in app.still.sent] == [kind]


DOES: dict[str, Check] = {
    "veto": sends(c.Veto), "veto_because": sends(c.Veto), "promote": sends(c.Promote), "undo": sends(c.Undo),
    "rerun": sends(c.Rerun),
    "stop_run": sends(c.StopRun), "pause": toggles, "steer": sends(c.Note), "gate": sends(c.Gate),
    "approve": sends(c.Approve), "stop_engine": sends(c.Stop), "start_engine": holds(lambda app: app.engines == 1),
    "more_gpus": sends(c.MaxGpus), "fewer_gpus": sends(c.MaxGpus),
    "open": opens(ROOMS["diff"]), "diff": opens(ROOMS["diff"]), "log": opens(ROOMS["log"]),
    "effects": opens(ROOMS["effects"]), "experiments": opens(ROOMS["experiments"]), "lineage": opens(ROOMS["lineage"]),
    "researcher": opens(ROOMS["researcher"]), "fleet": opens(ROOMS["fleet"]), "help": opens(ROOMS["help"]),
    "pane_6": opens(ROOMS["experiments"]), "dashboard": opens(Dashboard), "back": opens(Dashboard),
    "command": opens(CommandLine), "palette": opens(Palette), "jump": opens(Jump),
    "axis": quiet, "wave_back": quiet, "wave_on": quiet, "copy": quiet, "top": quiet, "bottom": quiet,
    "filter": holds(lambda app: type(app.screen) in (Dashboard, ROOMS["experiments"])),
    "zoom": holds(lambda app: app.screen.maximized is not None),
    "next_pane": holds(lambda app: app.focused.id != "wave"),
    "pane_1": focuses("fleet"), "pane_2": focuses("wave"), "pane_3": focuses("chart"), "pane_4": focuses("detail"),
    "pane_5": focuses("ticker"), "leave": holds(lambda app: app.left == [0]), "suspend": quiet,
}  # fmt: skip


PLAYS: dict[str, Callable[[Player, tuple[int, float]], bool]] = {  # with position and speed before
    "play": lambda player, before: player.playing,
    "faster": lambda player, before: player.speed > before[1],
    "slower": lambda player, before: player.speed < before[1],
    "next_event": lambda player, before: player.position == before[0] + 1,
    "previous_event": lambda player, before: player.position == before[0] - 1,
    "next_experiment": lambda player, before: player.position > before[0],
    "previous_experiment": lambda player, before: player.position < before[0],
    "next_wave": lambda player, before: player.position > before[0],
    "previous_wave": lambda player, before: player.position < before[0],
    "next_kept": lambda player, before: player.position > before[0],
    "seek": lambda player, before: player.position == 0,
}


def test_every_action_of_the_table_is_tested() -> None:
    assert set(DOES) | set(PLAYS) == set(BY_ID)
    assert set(PLAYS) == {action.id for action in ACTIONS if action.group == "playback"}
    assert set(DIMMED) == {*FACTS, "playback"}


# --- pressing them ----------------------------------------------------------------------------------------------------


async def settle(pilot: Pilot[Any], app: Any) -> None:
    """Back to the dashboard, with the wave in focus and nothing said."""
    while len(app.screen_stack) > 2:
        app.pop_screen()
        await pilot.pause()
    if app.screen.maximized:
        app.screen.minimize()
    app.screen.query_one("#wave").focus()
    app.on_wave_chosen(WaveChosen(None))
    app.told.clear()
    app.left.clear()
    app.engines = 0


async def press(pilot: Pilot[Any], app: Any, action: Action) -> None:
    await settle(pilot, app)
    if isinstance(app, Window):
        app.still.sent.clear()
    await pilot.press(action.keys[0])


def in_window(app: Any, drive: Callable[[Pilot[Any]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            app.show_now()
            await drive(pilot)

    asyncio.run(run())


@pytest.mark.parametrize("state", FACTS)
def test_a_key_does_its_action_or_says_why_not(state: str) -> None:
    app = window(state)

    async def drive(pilot: Pilot[Any]) -> None:
        for action in ACTIONS if state == "live" else CHANGING:
            if not is_there(action, app.moment):
                continue
            await press(pilot, app, action)
            expected = DIMMED[state].get(action.id)
            if expected is None:
                await DOES[action.id](pilot, app)
            else:
                assert app.still.sent == [], action.id
                said = [expected.lower() in told.lower() for told in app.told]
                assert said == [True] or (action.id == "open" and not said), (action.id, app.told)  # panes have enter

    in_window(app, drive)


@pytest.mark.parametrize("state", FACTS)
def test_what_is_dimmed_is_dimmed_for_that_reason(state: str) -> None:
    app = window(state)

    async def drive(_: Pilot[Any]) -> None:
        there = [action for action in ACTIONS if is_there(action, app.moment)]
        assert {action.id for action in there if why_not(action, app.moment)} == set(DIMMED[state])

    in_window(app, drive)


def test_a_read_only_window_has_no_key_that_sends_anything() -> None:
    app = window("read-only")

    async def drive(pilot: Pilot[Any]) -> None:
        for action in ACTIONS:
            if action.commands:
                await press(pilot, app, action)
        assert app.still.sent == []
        assert isinstance(app.screen, Dashboard)

    in_window(app, drive)


# --- playback ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def playing(tmp_path: Path) -> Playing:
    file = tmp_path / "tape.jsonl"
    facts = crossed()
    file.write_bytes(b"".join(dump(header(fold(State(), facts), "0"), facts)))
    player = Player(file, stays=True)
    player.pause()
    return Playing(player, {name: Looks(theme) for name, theme in built_in().items()}, read_only=True)


async def loaded(pilot: Pilot[Any], app: Playing, position: int) -> None:
    player = app.feed
    assert isinstance(player, Player)
    while not player.is_loaded:
        await pilot.pause(0.01)
    player.pause()
    player.seek(position)
    while player.state.seq != position:
        await pilot.pause(0.01)
    app.show_now()


def test_in_playback_commands_say_that_it_is_a_recording(playing: Playing) -> None:
    async def drive(pilot: Pilot[Any]) -> None:
        await loaded(pilot, playing, len(crossed()))
        for action in ACTIONS:
            if not is_there(action, playing.moment) or action.group == "playback":
                continue
            await press(pilot, playing, action)
            if expected := DIMMED["playback"].get(action.id):
                assert [expected in told for told in playing.told] == [True], (action.id, playing.told)
            else:
                await DOES[action.id](pilot, playing)

    in_window(playing, drive)


def test_in_playback_the_keys_of_the_tape_move_it(playing: Playing) -> None:
    async def drive(pilot: Pilot[Any]) -> None:
        player: Any = playing.feed
        for name, claim in PLAYS.items():
            await loaded(pilot, playing, 12 if name == "next_wave" else len(crossed()) // 2)
            player.speed = 5.0
            before = (player.position, player.speed)
            await press(pilot, playing, BY_ID[name])
            if name == "seek":
                await pilot.press("0", "%", "enter")
                await pilot.pause()
            assert claim(player, before), name

    in_window(playing, drive)


def test_after_a_step_to_a_verdict_the_ticker_ends_with_it(playing: Playing) -> None:
    async def drive(pilot: Pilot[Any]) -> None:
        player: Any = playing.feed
        await loaded(pilot, playing, len(crossed()) // 2)
        before = player.state.seq
        await pilot.press("greater_than_sign")
        while player.state.seq == before:
            await pilot.pause(0.01)
        await pilot.pause()
        assert isinstance(playing.moment.news[-1], ev.ExperimentJudged | ev.ExperimentVetoed)
        assert len(playing.moment.news) > 3

    in_window(playing, drive)
