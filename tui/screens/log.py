"""The log of the selected experiment's run, full screen: it follows the end while the run lives, `/` searches in it.

Lines that are too long are broken. What is read, and that it is only read from plain files, stands in
`tui.widgets.logtail`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from core.ids import RunId
from core.state import Run
from tui.moment import Moment
from tui.numbers import duration
from tui.paint import Line, line, plain
from tui.remembered import Remembered
from tui.safe import line as safe
from tui.screens.ask import Prompt
from tui.screens.room import Room
from tui.widgets import logtail
from tui.widgets.reader import Reader

READ_EVERY_S = 0.5


class LogReader(Reader):
    FROM_END = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "find(1)", "Next hit", show=False),
        Binding("N", "find(-1)", "Previous hit", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="log", classes="pane")
        self.run: RunId | None = None  # the run that is shown; chosen when the screen opens
        self.wanted = ""  # what is searched for
        self._read: str | None = None  # what the file said
        self._kept: Remembered[list[Line]] = Remembered()

    def on_mount(self) -> None:
        self.set_interval(READ_EVERY_S, self._read_again, name="log")

    def open(self, run: RunId | None) -> None:
        if run != self.run:
            self.run, self._read = run, None
        self._read_again()
        self.show(self.moment)

    def copied(self) -> str:
        """The log itself, its lines unbroken; of a long one its end, where errors are."""
        run = self.moment.state.runs.get(self.run) if self.run else None
        return logtail.copied(self._text(run)) or super().copied()

    def _text(self, run: Run | None) -> str:
        """As read from the file, else as recorded."""
        return self._read or (run.result.tail if run is not None and run.result is not None else "")

    def text(self, moment: Moment, width: int) -> list[Line]:
        run = moment.state.runs.get(self.run) if self.run else None
        if run is None:
            return [line(("No run is selected.", "muted"))]
        self.border_title = heading(moment, run, self.wanted, following=self._is_at_end()).replace("[", "\\[")
        text = self._text(run)
        if not text:
            said = logtail.without_log(moment.state, run)
            return self._kept.get((said, width), lambda: [line((said, "muted"))])
        parts = (text, width, self.wanted)
        return self._kept.get(parts, lambda: marked(logtail.log_lines(text, width, wrapped=True), self.wanted))

    # --- reading ---

    def _read_again(self) -> None:
        file: Path | None = self.app.file  # type: ignore[attr-defined]
        is_over = self._read is not None and self.run not in self.moment.state.active
        if self.run is not None and not is_over and (path := logtail.log_file(file, self.run)) is not None:
            self.run_worker(self._load(path), name="log", group="log", exclusive=True)

    async def _load(self, path: Path) -> None:
        text = await asyncio.to_thread(logtail.read_end, path, logtail.PAGES)
        if text is not None and text != self._read:
            self._read = text
            self.show(self.moment)

    # --- searching ---

    def search(self, wanted: str) -> None:
        self.wanted = wanted
        self.show(self.moment)
        self.call_after_refresh(self.action_find, 1)  # after following the end, if it did

    def action_find(self, by: int) -> None:
        """To the next line with what is searched for, from the line at the top; over the end to the beginning."""
        hits = found(self._lines, self.wanted)
        if not hits:
            if self.wanted:
                self.notify(f"Not found: {safe(self.wanted, 60)}", timeout=3, markup=False)
            return
        top = self.scroll_offset.y
        beyond = [y for y in hits if (y > top if by > 0 else y < top)]
        y = (beyond or hits)[0 if by > 0 else -1]
        self.scroll_to(y=y, animate=False, immediate=True)

    def _is_at_end(self) -> bool:
        return self.scroll_offset.y >= len(self._lines) - self.size.height


class LogScreen(Room):
    def compose_body(self) -> ComposeResult:
        yield LogReader()

    def on_mount(self) -> None:
        reader = self.query_one(LogReader)
        reader.open(self.control.moment.run)
        reader.focus()

    def act(self, action: str) -> bool:
        if action == "filter":
            self.run_worker(self._ask(), name="search")
            return True
        if action == "log":  # of an experiment that was named
            self.query_one(LogReader).open(self.control.moment.run)
            return True
        return super().act(action)

    def copied(self) -> tuple[str, str]:
        reader = self.query_one(LogReader)
        return f"the log of {reader.run}", reader.copied()

    async def _ask(self) -> None:
        reader = self.query_one(LogReader)
        said = await self.app.push_screen_wait(
            Prompt(
                "Search in the log", hint="enter: search   n N: next, previous", value=reader.wanted, may_be_empty=True
            )
        )
        if said is not None:
            reader.search(said)


def heading(moment: Moment, run: Run, wanted: str, *, following: bool) -> str:
    """ "Log of e42-1 on H100, running for 3m10s · follows"."""
    ended = run.ended_at is not None
    since = run.started_at if run.started_at is not None else run.requested_at
    for_ = duration((run.ended_at or max(moment.now, since)) - since)
    word = run.result.outcome if run.result is not None else "running"
    said = f"Log of {run.id} on {safe(run.gpu_type, 16)}, {word} {'after' if ended else 'for'} {for_}"
    said += " · follows" if following and not ended else ""
    return said + (f" · /{safe(wanted, 30)}  n N" if wanted else "")


def found(lines: list[Line], wanted: str) -> list[int]:
    """Numbers of the lines that hold `wanted`, whatever its case."""
    wish = safe(wanted).casefold()
    return [y for y, each in enumerate(lines) if wish in plain(each).casefold()] if wish else []


def marked(lines: list[Line], wanted: str) -> list[Line]:
    """Hits stand on a ground of their own."""
    made = list(lines)
    for y in found(lines, wanted):
        made[y] = tuple((text, f"{role} on selection".strip()) for text, role in lines[y])
    return made
