"""The control room: a full-screen window on a session. It follows a feed, shows moments, and sends commands.

It owns no state of the session: closing it, or killing it, never stops the research. What keys do stands in
`tui.actions`; what a screen shows, in `tui.screens`. The engine is another process (`tui.engine_process`).
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from rich.text import Text
from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.timer import Timer
from textual.widgets import Input

from core import events as ev
from core import log
from core.collector import set_apart
from core.errors import AutoresearchError
from core.feed import Feed, Update
from core.player import Player
from core.state import State
from tui.actions import ACTIONS, BY_ID, is_left_out, is_there, why_not
from tui.deeds import Group
from tui.here import PANES
from tui.keys import key_of, rebind
from tui.looking import Eye, beside
from tui.looking import tape as tape_of
from tui.looks import Looks, textual_theme
from tui.memory import Memory
from tui.messages import GpuChosen, Marked, Opened, Selected, WaveChosen
from tui.moment import Mode, Moment
from tui.obedience import obey
from tui.palette import Palette
from tui.playing import press, seek
from tui.safe import line
from tui.screens import ROOMS
from tui.screens.ask import Ahead, Prompt
from tui.screens.command import CommandLine
from tui.screens.dashboard import Dashboard
from tui.screens.experiments import ExperimentsScreen
from tui.screens.jump import Jump, targets
from tui.screens.room import Room
from tui.sending import ask
from tui.terminal import COPY_LIMIT, copy_sequence, terminal
from tui.widgets.ticker import is_worth_a_line

FRAME_S = 0.1  # between two looks at what changed
AT_ONCE_S = 0.05  # what is more than progress is shown at once, at most twenty times a second
BELOW_S = 0.5  # between two looks at what changed below a question or a line of input
NEWS = 200  # facts that the ticker remembers
BEFORE = 500  # facts that are looked at for them
NOTICE = 300  # cells of a notice; more would cover what it is about


class ControlRoom(App[int]):
    TITLE = "autoresearch-tui"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    ENABLE_COMMAND_PALETTE = False  # ours is an action of the table
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(",".join(action.keys), f"do('{action.id}')", action.label, id=action.id, show=False)
        for action in ACTIONS
    ]

    def __init__(
        self,
        feed: Feed,
        looks: dict[str, Looks],
        *,
        theme: str = "night",
        keys: Mapping[str, str] | None = None,
        vim: bool = False,
        reduced_motion: bool = False,
        complaints: Sequence[str] = (),
        workspace: str = "",
        file: Path | None = None,
        operator: str = "operator",
        read_only: bool = False,
        **app: Any,
    ) -> None:
        """`looks` by theme name; `keys` by action id; `complaints` are shown once.

        `file`: the session's database, to see whether an engine holds it.
        """
        super().__init__(**app)
        if reduced_motion:
            self.animation_level = "none"
        self.feed, self.file, self.all_looks = feed, file, looks
        for each in looks.values():
            self.register_theme(textual_theme(each.theme))
        self.theme = theme if theme in looks else next(iter(looks))
        self._complaints = complaints
        self.keys = dict(keys or {})  # remapped ones, by action id
        rebind(self._bindings, self.keys, vim=vim)
        self._bindings.key_to_bindings.pop("ctrl+q", None)  # Textual's: one key to leave is enough
        self.typed: list[str] = []  # behind ":"
        self.guest = ""  # who looks from elsewhere, through `serve`
        self.farewell = ""  # said on the terminal after the screen is given back
        self.memory = Memory()
        self._news: deque[ev.Fact] = deque(maxlen=NEWS)
        self.eye = Eye()
        self.groups: list[Group] = []  # of commands, one per key press on several experiments
        self._alive = file is not None and log.is_held(file)
        self._starting = False
        self._dirty = True
        self._shown_at = 0
        self._drawn_at = 0.0
        self._soon: Timer | None = None  # what came too close behind a frame
        tape = tape_of(feed) if isinstance(feed, Player) else None
        self.moment = Moment(
            workspace=line(workspace), operator=operator, read_only=read_only, tape=tape,
            mode="playback" if tape else "loading",
        )  # fmt: skip

    @property
    def looks(self) -> Looks:
        return self.all_looks.get(self.theme) or next(iter(self.all_looks.values()))

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self.looks.line_filters()]

    def on_mount(self) -> None:
        self.set_class(self.looks.no_color, "-no-color")
        self.push_screen(Dashboard())
        for complaint in self._complaints:
            self.complain(complaint)
        self.run_worker(self._follow(), name="feed", exit_on_error=True)
        self.set_interval(FRAME_S, self._show_changes, name="frames")
        self.set_interval(1.0, self._check_engine, name="engine")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """A cursor that blinks is motion too."""
        if self.animation_level == "none" and isinstance(event.widget, Input):
            event.widget.cursor_blink = False

    # --- following ---

    async def _follow(self) -> None:
        try:
            async for update in self.feed.updates():
                self._take(update)
        except AutoresearchError as error:
            self.exit(error.exit_code, message=str(error))

    def _take(self, update: Update) -> None:
        facts = remembered = update.facts
        if update.jumped:
            self._news.clear()
            self.memory.forget()
            if isinstance(self.feed, Player):
                facts, remembered = self.feed.lately(BEFORE), self.feed.remembered()
        self.memory.take(remembered)
        for fact in facts[-BEFORE:]:
            if is_worth_a_line(fact):
                self._news.append(fact)
                if isinstance(fact, ev.CommandRefused) and fact.by == self.moment.operator and not update.loading:
                    self.notify(line(fact.reason), severity="warning", markup=False)
        if is_read := update.loading is None and self.moment.loading is not None:
            set_apart()
        self.moment = msgspec.structs.replace(self.moment, state=update.state, loading=update.loading)
        self._dirty = True
        if update.jumped or is_read:
            self.show_now()
        elif update.loading is None and any(not isinstance(fact, ev.RunProgressed) for fact in update.facts):
            self._show_soon()

    def _show_soon(self) -> None:
        """A veto elsewhere is not to wait for a frame."""
        left = self._drawn_at + AT_ONCE_S - time.monotonic()
        if left <= 0:
            self.show_now()
        elif self._soon is None:
            self._soon = self.set_timer(left, self._show_what_came, name="soon")

    def _show_what_came(self) -> None:
        self._soon = None
        if self._dirty and self.moment.loading is None:
            self._show_soon()

    def _show_changes(self) -> None:
        """Ten times a second: shows what changed, and the clock while something lives."""
        second = int(time.time())
        ticking = self.moment.mode in ("live", "paused", "starting") and second != self._shown_at
        if self._dirty or ticking or (isinstance(self.feed, Player) and self.feed.playing):
            self._shown_at = second
            self.show_now(is_whole=self.moment.loading is None)

    def show_now(self, *, is_whole: bool = True) -> None:
        """`is_whole` false: only how far the reading is, which every pane would slow down."""
        room = self._room
        if room is not None and room is not self.screen and time.monotonic() - self._drawn_at < BELOW_S:
            self._dirty = True  # a frame will come
            return
        self._dirty, self._drawn_at = False, time.monotonic()
        self.moment = self._look()
        if room is not None:  # none is left while it ends
            (room.show if is_whole else room.show_progress)(self.moment)

    @property
    def _room(self) -> Room | None:
        """The screen that is shown, under questions and lines of input."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, Room)), None)

    def _look(self) -> Moment:
        state = self.moment.state
        mode = self._mode(state)
        wave, selected = self.eye.at(self.moment)
        return msgspec.structs.replace(
            self.moment,
            mode=mode,
            now=time.time() if mode in ("live", "paused", "starting") and not state.simulated else state.at,
            wave=wave,
            selected=selected,
            screen=room.place if (room := self._room) is not None else "",
            news=tuple(self._news),
            tape=tape_of(self.feed) if isinstance(self.feed, Player) else None,
        )

    def _mode(self, state: State) -> Mode:
        if isinstance(self.feed, Player):
            return "playback"
        if self.moment.loading is not None:
            return "loading"
        if self._starting:
            return "starting"
        if self._alive:
            return "paused" if state.pause else "live"
        return "down" if state.engine is not None or (state.last_stop and state.last_stop.exit_code) else "finished"

    def _check_engine(self) -> None:
        alive = self.file is not None and log.is_held(self.file)
        if alive != self._alive:
            self._alive, self._dirty = alive, True

    # --- where the operator looks ---

    def on_selected(self, message: Selected) -> None:
        if message.experiment != self.eye.experiment:
            self.eye.choose(message.experiment, self.moment)
        self.show_now()

    def on_gpu_chosen(self, message: GpuChosen) -> None:
        self.moment = msgspec.structs.replace(self.moment, gpu_type=message.gpu_type)
        self._dirty = True

    def on_marked(self, message: Marked) -> None:
        self.moment = msgspec.structs.replace(self.moment, marked=message.experiments)
        self.show_now()

    def on_wave_chosen(self, message: WaveChosen) -> None:
        self.eye.turn(message.wave, self.moment.state)
        self.moment = msgspec.structs.replace(self.moment, wave=message.wave, selected=None)
        self.show_now()

    def on_opened(self, message: Opened) -> None:
        self.eye.choose(message.experiment, self.moment)
        self.show_now()
        self.call_later(self.action_do, "diff")

    # --- actions ---

    def on_key(self, event: events.Key) -> None:
        """Keys typed right behind the one that opened a line of input belong to that line."""
        if isinstance(self.screen, Ahead) and self.screen.type_ahead(event):
            event.prevent_default()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "do" and isinstance(self.screen, Room):
            found = BY_ID[str(parameters[0])]
            return is_there(found, self.moment) or is_left_out(found, self.moment)
        return action != "do"

    async def action_do(self, name: str) -> None:
        action = BY_ID[name]
        self.moment = self._look()
        if name not in ("wave_back", "wave_on"):
            self.eye.touch()
        if reason := why_not(action, self.moment):
            self.notify(line(reason), severity="warning", timeout=4, markup=False)
        elif action.commands:
            self.command(name, self.moment)
        elif isinstance(self.feed, Player) and press(self.feed, name):
            self.show_now()
        elif not (isinstance(self.screen, Room) and self.screen.act(name)):
            self._go(name)

    def _go(self, name: str) -> None:
        match name:
            case "leave":
                self.farewell = self.goodbye()
                self.exit(0)
            case "palette":
                self.push_screen(Palette())
            case "command":
                self.push_screen(CommandLine(self.moment, list(self.all_looks), self.typed), self._obey)
            case "jump":
                self.push_screen(Jump(targets(self.screen)), lambda chosen: chosen.focus() if chosen else None)
            case "seek":
                hint = '"50%", "1h30m" since the beginning, "e42" or "w3"'
                self.push_screen(Prompt("Go to", hint=hint), self.seek)
            case "back" | "dashboard":
                while len(self.screen_stack) > 2:
                    self.pop_screen()
                    if name == "back":
                        break
            case _ if name in PANES:
                self._go("dashboard")
                self.screen.act(name)  # type: ignore[attr-defined]
            case "wave_back" | "wave_on":
                if chosen := beside(self.moment, 1 if name == "wave_on" else -1):
                    self.on_wave_chosen(chosen)
            case "filter":
                self._enter(ExperimentsScreen, filtering=True)
            case "suspend":
                self.action_suspend_process()
            case _ if name in ROOMS and not isinstance(self.screen, ROOMS[name]):
                self._enter(ROOMS[name])
            case _:
                self.notify(f"{BY_ID[name].label}: nothing to do here.", timeout=2, markup=False)

    def _enter(self, kind: type[Room], **given: Any) -> None:
        """Back to the screen of that kind if one lies below, so that going to and fro piles up nothing."""
        if not any(isinstance(screen, kind) for screen in self.screen_stack):
            self.push_screen(kind(**given))
            return
        while not isinstance(self.screen, kind):
            self.pop_screen()
        if given:
            self.screen.act("filter")

    async def _obey(self, said: str | None) -> None:
        if said:
            self.typed.append(said)
            await obey(self, said)

    def seek(self, said: str | None) -> None:
        if said and isinstance(self.feed, Player) and (sentence := seek(self.feed, said)):
            self.notify(sentence, severity="warning", markup=False)

    def command(self, name: str, moment: Moment, text: str = "") -> None:
        ask(self, name, moment, text)

    def copy_to_clipboard(self, text: str) -> None:
        sequence, whole = copy_sequence(text, terminal(os.environ, "utf-8"))
        self._clipboard = text
        if self._driver is not None:
            self._driver.write(sequence)
        if not whole:
            self.notify(
                f"Only the first {COPY_LIMIT:,} bytes: terminals take no more.", severity="warning", markup=False
            )

    def _fatal_error(self) -> None:
        """A short account of our mistake; Textual's own prints all locals, which may be a whole session."""
        told = "".join(traceback.format_exc(limit=-6))
        self._exit_renderables.append(Text(f"{told}\nThe control room failed; research goes on. Open it again."))
        self._close_messages_no_wait()

    @property
    def is_alive(self) -> bool:
        """Whether an engine holds the session."""
        return self._alive

    def goodbye(self) -> str:
        """What is said on the terminal when it is left; overridden by who knows the workspace."""
        return ""

    def action_help_quit(self) -> None:
        """ctrl+c where nothing is selected to copy."""
        leave, stop = (key_of(BY_ID[name], self.keys) for name in ("leave", "stop_engine"))
        goes_on = "" if self.moment.tape else "; research goes on"
        ends = "" if self.moment.read_only else f" {stop} stops the engine."
        self.notify(f"{leave} leaves{goes_on}.{ends}", timeout=4)

    def start_engine(self) -> None:
        """Overridden by who knows how (`tui.window`)."""

    def is_starting(self, starting: bool) -> None:
        self._starting = starting
        self._check_engine()
        self.show_now()

    def notify(self, message: str, **how: Any) -> None:
        super().notify(line(message, NOTICE), **{**how, "markup": False})

    def complain(self, sentence: str) -> None:
        self.notify(sentence, severity="error", timeout=10)
