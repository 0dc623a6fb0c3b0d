"""Lines of input: what is typed is seen, what is too much is said, and what lies below goes on."""

from __future__ import annotations

from typing import Any

import pytest
from pictures import strips
from rooms import Room
from tapes import crossed
from textual import events
from textual.pilot import Pilot

from core import commands as c
from core import events as ev
from core.fold import fold
from core.ids import ExperimentId
from tui.messages import Marked, Selected
from tui.moment import Moment
from tui.screens.ask import LONGEST, Confirm, Prompt
from tui.screens.command import CommandLine
from tui.widgets.header import Header


class Window(Room):
    def __init__(self, **app: Any) -> None:
        super().__init__(crossed(), **app)
        self.told: list[str] = []

    def notify(self, message: str, **_: Any) -> None:
        self.told.append(message)


def seen(app: Room) -> str:
    return "\n".join(strip.text for strip in strips(app))


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_what_is_typed_for_the_researcher_is_seen(size: tuple[int, int]) -> None:
    app = Window()
    async with app.run_test(size=size) as pilot:
        await pilot.press("s", *"deeper")
        await pilot.pause()
        assert "deeper" in seen(app)


async def test_of_many_pasted_lines_the_first_is_taken_and_that_is_said() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon")
        app.post_message(events.Paste("veto e7\nveto e8\nveto e6"))
        await pilot.pause()
        await pilot.pause()
        assert isinstance(app.screen, CommandLine)
        assert "veto e7" in seen(app)
        assert app.told == ["Only the first of 3 lines was taken."]


async def test_a_megabyte_is_cut_to_a_line_and_that_is_said_once() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("s")
        for _ in range(256):
            app.post_message(events.Paste("x" * 4096))
        await pilot.pause()
        await pilot.pause()
        assert isinstance(app.screen, Prompt)
        assert len(app.screen.query_one("Input").value) == LONGEST  # type: ignore[attr-defined]
        assert app.told == ["A line holds 4,000 characters; the rest is left out."]


async def test_the_screen_below_a_question_goes_on() -> None:
    app = Window()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("s")
        app.moment = app.moment.__class__(
            **{name: getattr(app.moment, name) for name in app.moment.__struct_fields__}
            | {"state": fold(app.moment.state, [ev.ResearchFailed(at=app.moment.now, reason="no", fatal=True)])}
        )
        app._drawn_at = 0.0  # long ago
        app.show_now()
        header = app.screen_stack[-2].query_one(Header)
        assert "gave up" in str(header._lines)
        drawn, app._dirty = app._drawn_at, False
        app.show_now()
        assert app._drawn_at == drawn  # and is not drawn as often
        assert app._dirty


async def test_ctrl_c_is_a_calm_hint_and_ctrl_q_is_no_key() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+c", "ctrl+q")
        assert app.told == ["q leaves; research goes on. Q stops the engine."]
        assert app.is_running


async def test_a_key_that_is_left_out_of_a_read_only_window_says_so() -> None:
    app = Window(read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("v", "space")
        assert app.told == ["This window is read-only."] * 2
        assert app.still.sent == []


@pytest.mark.parametrize("opens", [(), ("d",)])
async def test_c_copies_the_patch_of_the_selected_experiment_also_typed_ahead(opens: tuple[str, ...]) -> None:
    app = Window()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        app.show_now()
        for key in opens:
            app.post_message(events.Key(key, key))
        app.post_message(events.Key("c", "c"))
        for _ in range(4):
            await pilot.pause()
        if opens and not app.told:  # the screen was not there yet
            await pilot.press("c")
        assert app.told[-1].startswith("Copied the patch of e6")
        assert "+" in app.clipboard


@pytest.mark.parametrize("screen", [Confirm("Sure?", "veto"), Prompt("Note"), CommandLine(Moment(), [], [])])
async def test_the_second_answer_of_a_hasty_keyboard_goes_nowhere(screen: Any) -> None:
    """Neither does it end the program, nor is it an answer to what lies below."""
    app, answers = Window(), list[object]()
    async with app.run_test(size=(80, 24)) as pilot:
        depth = len(app.screen_stack)
        app.push_screen(screen, answers.append)
        await pilot.pause()
        for answer in ("first", "second"):
            screen.dismiss(answer)
        await pilot.pause()
        assert answers == ["first"]
        assert len(app.screen_stack) == depth


# --- a veto and its reason --------------------------------------------------------------------------------------------

RUNNING, QUEUED = "e6", "e8"


async def at(pilot: Pilot[Any], name: str) -> None:
    app: Any = pilot.app
    await pilot.pause()
    app.on_selected(Selected(ExperimentId(name)))
    await pilot.pause()


def vetoes(app: Window) -> list[tuple[str, str]]:
    assert all(isinstance(command, c.Veto) for command in app.still.sent)
    return [(command.experiment, command.reason) for command in app.still.sent if isinstance(command, c.Veto)]


async def test_v_vetoes_what_is_queued_at_once_and_asks_about_what_runs() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, QUEUED)
        await pilot.press("v")
        assert vetoes(app) == [(QUEUED, "")]
        await at(pilot, RUNNING)
        await pilot.press("v")
        assert isinstance(app.screen, Confirm)
        assert "w veto, and say why" in seen(app)
        await pilot.press("y")
        await pilot.pause()
        assert vetoes(app) == [(QUEUED, ""), (RUNNING, "")]


@pytest.mark.parametrize(("keys", "name"), [("W", QUEUED), ("W", RUNNING), ("v w", RUNNING)])
async def test_a_veto_takes_a_reason_in_one_line(keys: str, name: str) -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, name)
        await pilot.press(*keys.split())
        await pilot.pause()
        assert isinstance(app.screen, Prompt)
        assert f"Veto {name}?" in seen(app)
        assert ("spent" in seen(app)) == (name == RUNNING)
        await pilot.press(*"slow", "space", *"one", "enter")
        await pilot.pause()
        assert vetoes(app) == [(name, "slow one")]


async def test_a_reason_may_be_left_out_and_escape_vetoes_nothing() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, QUEUED)
        await pilot.press("W", "x", "escape")
        assert vetoes(app) == []
        await pilot.press("W", "enter")
        await pilot.pause()
        assert vetoes(app) == [(QUEUED, "")]


async def test_a_run_is_stopped_with_a_reason_and_what_asks_without_one_takes_none() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, RUNNING)
        await pilot.press("k", "w", *"hangs", "enter")
        await pilot.pause()
        (stop,) = app.still.sent
        assert isinstance(stop, c.StopRun)
        assert stop.reason == "hangs"
        await pilot.press("Q", "w")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        assert len(app.still.sent) == 1


async def test_what_is_asked_about_is_what_is_marked() -> None:
    """The cursor goes on after a mark; one that runs is still asked about."""
    app = Window()
    async with app.run_test(size=(120, 40)) as pilot:
        await at(pilot, QUEUED)
        app.on_marked(Marked(frozenset({ExperimentId(RUNNING)})))
        await pilot.press("v")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        assert f"Veto {RUNNING}?" in seen(app)
        await pilot.press("n", "W")
        await pilot.pause()
        assert f"Veto {RUNNING}?" in seen(app)
