"""The command palette: every action with its key or why it is impossible, experiments, waves and themes, by name.

Textual's palette with one provider. Titles come from models and are never parsed as markup. A theme is shown while the
cursor is on it, and kept only if it is chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from textual import on
from textual.command import Command, CommandPalette, DiscoveryHit, Hit, Hits, Provider, SearchIcon
from textual.content import Content
from textual.widgets import OptionList

from tui.actions import ACTIONS, Action, is_there, why_not
from tui.keys import key_of
from tui.moment import Moment
from tui.obedience import choose_theme, obey
from tui.safe import line
from tui.signs import word

if TYPE_CHECKING:
    from tui.app import ControlRoom

FOUND = 40  # experiments that are offered
AT_ONCE = 500  # experiments looked at before others may work
THEME = "theme: "
KEY = 9  # cells
NAME = 19  # cells at least
WORTH = 0.1  # matches below are left out


class Entry(NamedTuple):
    """A line of the palette. `name` is what is searched; both texts are safe."""

    name: str
    note: str
    run: Callable[[], Any]
    key: str = ""
    dimmed: bool = False


def actions(room: ControlRoom) -> Iterable[Entry]:
    moment = room.moment
    for action in ACTIONS:
        if is_there(action, moment) and action.id != "palette":
            yield _action(action, moment, room)


def _action(action: Action, moment: Moment, room: ControlRoom) -> Entry:
    reason = why_not(action, moment)
    name = action.id.replace("_", " ")
    run = partial(room.action_do, action.id)  # says why not, where that is so
    return Entry(name, line(reason) or action.help, run, key_of(action, room.keys), dimmed=bool(reason))


def themes(room: ControlRoom) -> Iterable[Entry]:
    for name, looks in room.all_looks.items():
        yield Entry(THEME + name, line(looks.theme.title, 60), partial(choose_theme, room, name))


def waves(room: ControlRoom) -> Iterable[Entry]:
    """Shown where it is in view, as after ":w3"."""
    for name, wave in reversed(room.moment.state.waves.items()):
        yield Entry(f"go to {name}", line(wave.reason, 200), partial(obey, room, name))


def experiments(room: ControlRoom) -> Iterable[Entry]:
    """The latest first."""
    for name, experiment in reversed(room.moment.state.experiments.items()):
        run = partial(obey, room, name)
        yield Entry(f"go to {name} {line(experiment.title, 80)}", word(room.moment.state, experiment), run)


class Everything(Provider):
    @property
    def room(self) -> ControlRoom:
        return cast("ControlRoom", self.app)

    async def discover(self) -> Hits:
        for entry in (*actions(self.room), *themes(self.room)):
            yield DiscoveryHit(display(entry), entry.run, text=entry.name)

    async def search(self, query: str) -> Hits:
        for entry in (*actions(self.room), *themes(self.room)):
            if hit := found(entry, query, also=entry.note):
                yield hit
        async for hit in self._many(query):
            yield hit

    async def _many(self, query: str) -> AsyncIterator[Hit]:
        left = FOUND
        for source in (islice(waves(self.room), FOUND), experiments(self.room)):
            for place, entry in enumerate(source, start=1):
                if place % AT_ONCE == 0:
                    await asyncio.sleep(0)
                if hit := found(entry, query):
                    yield hit
                    left -= 1
                    if left <= 0:
                        return


def match(query: str, text: str) -> tuple[float, Sequence[int]]:
    """How well, 0 to 1, and where: a whole word, the beginning of one, a part, or the letters in their order."""
    wanted, low = query.strip().lower(), text.lower()
    at = low.find(wanted)
    if not wanted or at < 0:
        places = _in_order(wanted.replace(" ", ""), low)
        return (0.3 * len(places) / (places[-1] - places[0] + 1), places) if places else (0.0, ())
    end = at + len(wanted)
    begins, ends = at == 0 or not low[at - 1].isalnum(), end == len(low) or not low[end].isalnum()
    return 1.0 if begins and ends else 0.9 if begins else 0.7, range(at, end)


def _in_order(letters: str, text: str) -> list[int]:
    """Where each letter comes after the one before; [] if one does not."""
    places, at = [], -1
    for letter in letters:
        at = text.find(letter, at + 1)
        if at < 0:
            return []
        places.append(at)
    return places


def found(entry: Entry, query: str, also: str = "") -> Hit | None:
    """`also`: searched for whole words too, worth less."""
    score, offsets = match(query, entry.name)
    if also and (other := match(query, also)[0] / 2) > max(score, 0.4):
        score, offsets = other, ()
    return Hit(score, display(entry, offsets), entry.run, text=entry.name) if score > WORTH else None


def display(entry: Entry, offsets: Iterable[int] = ()) -> Content:
    made = Content.assemble(
        (f"{entry.key:>{KEY}}  ", "$text-muted" if entry.dimmed else "bold $key"),
        (f"{entry.name:<{NAME}}", "$text-muted" if entry.dimmed else ""),
        (f"  {entry.note}", "$text-muted"),
    )
    start = KEY + 2
    for offset in offsets:
        made = made.stylize("underline $accent", start + offset, start + offset + 1)
    return made


class Palette(CommandPalette):
    DEFAULT_CSS = """
    Palette CommandList { text-wrap: nowrap; text-overflow: ellipsis; }
    Palette CommandList > .option-list--option { text-style: none; }
    Palette CommandList > .option-list--option-highlighted { text-style: none; }
    """

    def __init__(self) -> None:
        super().__init__(providers=[Everything], placeholder="Action, experiment, wave or theme…")
        self._theme = ""

    def on_mount(self) -> None:
        self._theme = self.app.theme
        self.query_one(SearchIcon).icon = ">"  # theirs is two cells wide, and not in every font

    @on(OptionList.OptionHighlighted)
    def preview(self, event: OptionList.OptionHighlighted) -> None:
        text = str(event.option.hit.text) if isinstance(event.option, Command) else ""
        wanted = text.removeprefix(THEME) if text.startswith(THEME) else self._theme
        if wanted in self.app.available_themes and wanted != self.app.theme:
            self.app.theme = wanted

    def on_unmount(self) -> None:
        self.app.theme = self._theme  # what was chosen is set after this
