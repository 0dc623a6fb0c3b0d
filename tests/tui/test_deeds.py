"""One key press on several experiments: what can be done, what is said, what one `u` takes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rooms import Room
from story import E0, Story
from tapes import crossed
from textual.pilot import Pilot

from core import commands as c
from core import events as ev
from core.fold import fold
from core.ids import ExperimentId
from core.state import State
from tui.deeds import sort_out, taken_back, told
from tui.messages import Marked
from tui.screens.ask import Confirm

MIXED = frozenset(map(ExperimentId, ("e1", "e7", "e8")))  # e1 is discarded


class Window(Room):
    def __init__(self, *, facts: Sequence[ev.Fact] | None = None, **app: Any) -> None:
        super().__init__(crossed() if facts is None else facts, **app)
        self.told: list[str] = []

    def notify(self, message: str, **_: Any) -> None:
        self.told.append(message)


async def marked(pilot: Pilot[Any], app: Window) -> None:
    await pilot.pause()
    app.show_now()
    app.on_marked(Marked(MIXED))
    await pilot.pause()


async def test_of_a_mixed_list_those_that_can_be_are_vetoed_and_one_sentence_says_so() -> None:
    app = Window()
    async with app.run_test(size=(120, 40)) as pilot:
        await marked(pilot, app)
        await pilot.press("v")
        assert isinstance(app.screen, Confirm)
        await pilot.press("y")
        assert [command.experiment for command in app.still.sent if isinstance(command, c.Veto)] == ["e7", "e8"]
        assert len(app.told) == 1
        assert app.told[0].startswith("Vetoed 2 experiments; 1 could not be: e1 already finished")


async def test_one_u_takes_back_all_of_one_key_press() -> None:
    app = Window()
    async with app.run_test(size=(120, 40)) as pilot:
        await marked(pilot, app)
        await pilot.press("v", "y")
        vetoed = [
            ev.ExperimentVetoed(at=app.moment.now, experiment=ExperimentId(name), by="operator")
            for name in ("e7", "e8")
        ]
        app.moment = app.moment.__class__(**{**_fields(app.moment), "state": fold(app.moment.state, vetoed)})
        app.still.sent.clear()
        app.told.clear()
        await pilot.press("u")
        assert [type(command) for command in app.still.sent] == [c.Undo, c.Undo]
        assert app.told == ["Taking back: veto of e8, veto of e7."]


def _fields(moment: Any) -> dict[str, Any]:
    return {name: getattr(moment, name) for name in moment.__struct_fields__}


def deeds(*names: str) -> State:
    story = Story(gpus=2)
    story.score(E0, 1.0)
    made = story.wave({"DEPTH": "2"}, {"DEPTH": "3"}, {"DEPTH": "5"})
    for name in names:
        story.tell(ev.ExperimentVetoed, experiment=made[int(name)], by="ada")
    return story.state


def test_what_was_done_by_another_key_press_stays() -> None:
    state = deeds("0", "1", "2")
    assert taken_back(state, "ada", []) == ["veto of e3"]
    assert taken_back(state, "ada", [frozenset({"veto of e3", "veto of e2"})]) == ["veto of e3", "veto of e2"]
    assert taken_back(state, "ada", [frozenset({"veto of e1", "veto of e2"})]) == ["veto of e3"]
    assert taken_back(state, "bob", []) == []


def test_reasons_are_counted_and_the_first_is_told() -> None:
    state = deeds("0")
    wishes = [c.Veto(experiment=ExperimentId(name), by="ada", at=1.0) for name in ("e1", "e2", "e99")]
    possible, reasons = sort_out(state, wishes)
    assert [command.experiment for command in possible if isinstance(command, c.Veto)] == ["e2"]
    assert len(reasons) == 2
    assert told("veto", 1, reasons) == f"Vetoed 1 experiment; 2 could not be: {reasons[0]}"
    assert told("veto", 3, ()) == "Vetoed 3 experiments."


async def test_what_one_key_press_did_is_known_to_a_window_that_opens_later() -> None:
    first = Window()
    async with first.run_test(size=(120, 40)) as pilot:
        await marked(pilot, first)
        await pilot.press("v", "y")
        sent = [command for command in first.still.sent if isinstance(command, c.Veto)]
    assert len({command.id for command in sent}) == 1
    facts = list(crossed())
    for number, command in enumerate(sent):
        told, _ = c.respond(fold(State(), facts), number, c.encode(command), facts[-1].at)
        facts += told
    second = Window(facts=facts)
    async with second.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("u")
        assert [type(command) for command in second.still.sent] == [c.Undo, c.Undo]
