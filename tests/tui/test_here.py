"""Every key of the action table on every screen: what the footer offers does something there, and no key is silent."""

from __future__ import annotations

from typing import Any

import pytest
from pictures import strips
from rooms import Room
from story import E0, Story
from tapes import crossed
from textual.pilot import Pilot

from core import events as ev
from tui.actions import ACTIONS, is_there, why_not
from tui.here import NAMES
from tui.screens import ROOMS
from tui.screens.dashboard import Dashboard
from tui.terminal import COPY_LIMIT
from tui.widgets.footer import Footer, placed
from tui.widgets.logtail import copied
from tui.widgets.reader import Reader

SILENT = {"top", "bottom", "leave", "suspend"}  # at the first row already; ends the program; not in a test


class Window(Room):
    def __init__(self, *args: Any, **app: Any) -> None:
        self.told: list[str] = []
        super().__init__(*args, **app)

    def notify(self, message: str, **_: Any) -> None:
        self.told.append(message)

    def exit(self, *_: Any, **__: Any) -> None:
        pass


def offered(app: Any) -> set[str]:
    """Ids of the actions in the footer of the screen on top, as if it were endless."""
    footer: Footer = app.screen.query_one(Footer)
    return {each.action.id for each in placed(footer.moment, 1000, app.keys, footer._taken)}


def seen(app: Any) -> tuple[Any, ...]:
    """What a person could notice of a key."""
    return (
        [type(screen) for screen in app.screen_stack], app.focused, [strip.text for strip in strips(app)],
        len(app.still.sent), app.clipboard, getattr(app.screen, "maximized", None),
    )  # fmt: skip


async def on(pilot: Pilot[Any], screen: str) -> None:
    """A fresh screen of that kind above the dashboard, and nothing said yet."""
    app: Any = pilot.app
    while len(app.screen_stack) > 2:
        app.pop_screen()
        await pilot.pause()
    if app.screen.maximized:
        app.screen.minimize()
    app.screen.query_one("#wave").focus()
    if screen != "dashboard":
        app.push_screen(ROOMS[screen]())
    await pilot.pause()
    app.show_now()
    await pilot.pause()
    app.told.clear()
    app.still.sent.clear()
    app._clipboard = ""


def test_screens_are_named_by_the_actions_that_open_them() -> None:
    assert {kind().place for kind in ROOMS.values()} == set(NAMES) == set(ROOMS) - {"pane_6"}


@pytest.mark.parametrize("screen", NAMES)
async def test_every_key_does_something_or_says_why_not_and_those_in_the_footer_do(screen: str) -> None:
    app = Window(crossed())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for action in ACTIONS:
            if not is_there(action, app.moment) or action.id in SILENT:
                continue
            await on(pilot, screen)
            taken = app.screen.query_one(Footer)._taken
            key = next((key for key in action.keys if key not in taken), "")  # others move or scroll
            if not key or (action.id, screen) == ("pane_2", "dashboard"):  # it has the focus already
                continue
            before, is_offered, reason = seen(app), action.id in offered(app), why_not(action, app._look())
            await pilot.press(key)
            await pilot.pause()
            assert not any("nothing to do here" in told for told in app.told), (action.id, app.told)
            assert app.told or seen(app) != before, f"{action.id} does nothing on {screen}, and does not say why"
            if is_offered:
                assert not reason
                assert not any(told in ("There is nothing to open here.", reason) for told in app.told), action.id


@pytest.mark.parametrize(
    ("screen", "gone"),
    [
        ("help", {"open"}), ("log", {"open"}), ("researcher", {"open", "wave_back"}), ("effects", {"open", "effects"}),
        ("diff", {"diff", "log"}), ("fleet", {"axis", "zoom", "fleet"}), ("lineage", {"log", "axis"}),
    ],
)  # fmt: skip
async def test_the_footer_leaves_out_what_means_nothing_on_its_screen(screen: str, gone: set[str]) -> None:
    app = Window(crossed())
    async with app.run_test(size=(200, 40)) as pilot:
        await on(pilot, "dashboard")
        assert gone - {"wave_back"} <= offered(app) | {"fleet"}
        await on(pilot, screen)
        assert not gone & offered(app)


async def test_the_footer_shows_the_key_that_reaches_the_table() -> None:
    """`k` moves up in lists, so that ctrl+k stops a run there; in a line of input letters are letters."""
    app = Window(crossed())
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("3")
        await pilot.pause()
        app.show_now()
        await pilot.pause()

        def footer() -> str:
            return strips(app)[-1].text

        assert " k stop run" in footer()
        await pilot.press("t")
        await pilot.pause()
        assert "ctrl+k stop run" in footer()
        await pilot.press("slash")
        await pilot.pause()
        assert footer().split() == ["esc", "back", "ctrl+p", "palette", "ctrl+o", "jump"]
        await pilot.press("v")
        assert app.still.sent == []
        await pilot.press("escape")
        await pilot.pause()
        assert "ctrl+k stop run" in footer()


async def test_over_a_log_searching_and_copying_come_first() -> None:
    app = Window(crossed())
    async with app.run_test(size=(80, 24)) as pilot:
        await on(pilot, "log")
        assert strips(app)[-1].text.startswith(" / search  c copy  v veto ")


async def test_the_dashboards_panes_are_a_key_away_from_every_screen() -> None:
    app = Window(crossed())
    async with app.run_test(size=(120, 40)) as pilot:
        for screen in NAMES:
            for number, pane in enumerate(("fleet", "wave", "chart", "detail", "ticker"), start=1):
                await on(pilot, screen)
                await pilot.press(str(number))
                await pilot.pause()
                assert isinstance(app.screen, Dashboard)
                assert app.focused is not None
                assert app.focused.id == pane


async def test_a_click_on_open_in_the_footer_opens() -> None:
    app = Window(crossed())
    async with app.run_test(size=(120, 40)) as pilot:
        for pane in ("2", "3", "4"):
            await on(pilot, "dashboard")
            await pilot.press(pane)
            await app.run_action("do('open')")
            await pilot.pause()
            assert isinstance(app.screen, ROOMS["diff"]), pane


# --- copying ----------------------------------------------------------------------------------------------------------

ERROR = "Traceback (most recent call last):\n  File train.py\x1b[31m, line 3\n" + "x" * 300 + "\nRuntimeError: no"


def crashed() -> Story:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0)
    (name,) = story.wave({"DEPTH": "8"})
    run = story.start(name)
    story.tell(ev.RunEnded, run=run, outcome="crashed", reason="RuntimeError: no", tail=ERROR)
    return story.judge(name, "crashed")


@pytest.mark.parametrize("keys", ["l", "4 right right"])
async def test_an_error_is_copied_out_of_a_log_whole(keys: str) -> None:
    app = Window(crashed().facts)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.show_now()
        await pilot.press(*keys.split(), "c")
        await pilot.pause()
        assert app.clipboard.splitlines() == [*ERROR.replace("\x1b[31m", "").splitlines()]
        assert any(told.startswith("Copied ") and told.endswith(": 4 lines.") for told in app.told)


@pytest.mark.parametrize(
    ("screen", "holds"),
    [
        ("log", "e6-1"), ("effects", "DEPTH"), ("researcher", "full factorial"), ("fleet", "H100"),
        ("experiments", "e4"), ("help", "Veto the selected"), ("diff", "--- a/train.py"),
    ],
)  # fmt: skip
async def test_copy_takes_what_the_screen_shows(screen: str, holds: str) -> None:
    app = Window(crossed())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await on(pilot, screen)
        await pilot.press("c")
        await pilot.pause()
        assert holds in app.clipboard
        assert any(told.startswith("Copied ") for told in app.told), app.told


async def test_marked_experiments_are_copied_alone() -> None:
    app = Window(crossed())
    async with app.run_test(size=(120, 40)) as pilot:
        await on(pilot, "experiments")
        await pilot.press("home", "m", "m", "c")
        await pilot.pause()
        assert len(app.clipboard.splitlines()) == 3  # with the titles of the columns
        assert "Copied 2 experiments: 3 lines." in app.told


def test_of_a_log_that_is_too_long_the_end_is_copied() -> None:
    text = "".join(f"step {at}\n" for at in range(20_000)) + "RuntimeError: no"
    taken = copied(text)
    assert len(taken.encode()) <= COPY_LIMIT
    assert taken.startswith("step ")
    assert taken.endswith("\nRuntimeError: no")


# --- words typed behind ":" that name where one is --------------------------------------------------------------------


async def test_a_log_is_told_of_another_run_while_it_is_open() -> None:
    app = Window(crossed())
    async with app.run_test(size=(120, 40)) as pilot:
        await on(pilot, "log")
        for name in ("e4", "e3"):
            await app._obey(f"log {name}")
            await pilot.pause()
            assert f"Log of {name}-" in str(app.screen.query_one(Reader).border_title)
        assert not any("already" in told for told in app.told)
        await app._obey("log")
        assert app.told == ["This is the log already."]
