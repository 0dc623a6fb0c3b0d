"""Two small windows on top of a screen: a question answered by y or n, and a line of text."""

from __future__ import annotations

import time
from typing import ClassVar, Literal, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.keys import _character_to_key
from textual.widgets import Input, Static

from tui.screens.once import Once

Answer = Literal["yes", "no", "why"]
Given = TypeVar("Given")
LONGEST = 4000  # characters of a line: as long as a note may be
QUIET_S = 1.0  # what goes on being too much is not said again


class Confirm(Once[Answer]):
    """ "yes" for y; "no" for n and escape; "why" for w, where a reason may be given."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical {
        width: auto; max-width: 90%; height: auto; border: round $warning; background: $panel; padding: 1 2;
    }
    Confirm Static { width: auto; }
    Confirm .hint { color: $muted; margin-top: 1; }
    """
    BINDINGS = [  # noqa: RUF012  as Textual has it
        Binding("y,Y", "answer('yes')", "Yes"),
        Binding("n,N,escape,q", "answer('no')", "No"),
        Binding("w,W", "answer('why')", "Why"),
    ]

    def __init__(self, question: str, yes: str = "yes", *, may_say_why: bool = False) -> None:
        super().__init__()
        self._question, self._yes, self._may_say_why = question, yes, may_say_why

    def compose(self) -> ComposeResult:
        why = f"   w {self._yes}, and say why" if self._may_say_why else ""
        with Vertical():
            yield Static(self._question, markup=False)
            yield Static(f"y {self._yes}{why}   n no", classes="hint", markup=False)

    def action_answer(self, answer: Answer) -> None:
        if answer != "why" or self._may_say_why:
            self.dismiss(answer)


class Field(Input):
    """A line of text up to `LONGEST`. What is too much is dropped at once, and said."""

    def __init__(self, value: str = "") -> None:
        super().__init__(value, max_length=LONGEST, compact=True)
        self._said_at = -QUIET_S

    @property
    def is_full(self) -> bool:
        return len(self.value) >= LONGEST

    def restricted(self) -> None:
        self._say(f"A line holds {LONGEST:,} characters; the rest is left out.")

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if time.monotonic() - self._said_at < QUIET_S:
            return  # the rest of what was too much
        lines = event.text.strip("\r\n").splitlines()
        room = max(0, LONGEST - len(self.value) + len(self.selected_text))
        if lines:
            self.replace(lines[0][:room], *self.selection)
        if lines and len(lines[0]) > room:
            self.restricted()
        elif len(lines) > 1:
            self._say(f"Only the first of {len(lines):,} lines was taken.")

    def _say(self, sentence: str) -> None:
        before, self._said_at = self._said_at, time.monotonic()
        if self._said_at - before > QUIET_S:
            self.app.notify(sentence, severity="warning", markup=False)


class Ahead(Once[Given]):
    """A modal screen with one Input, which also takes the keys that were typed before it was drawn.

    They were on their way to what had the focus then; a slow link brings them all at once. So it hands on the keys
    that were typed behind the line, before the screen was gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[events.Key] = []
        self._submitted: str | None = None
        self._field: Input | None = None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._submitted, self._field = event.value, event.input

    def on_unmount(self) -> None:
        if self._field is None or self._submitted is None or not self._field.value.startswith(self._submitted):
            return
        for character in self._field.value[len(self._submitted) :]:
            self.app.post_message(events.Key(_character_to_key(character), character))

    def type_ahead(self, event: events.Key) -> bool:
        """Whether the key was meant for the Input, and is in it now or will be."""
        is_ready = self.focused is not None and not self._waiting
        if not event.is_printable and not (event.key == "enter" and not is_ready):
            return False
        if is_ready:
            self.query_one(Input).insert_text_at_cursor(event.character or "")
            return True
        if not self._waiting:
            self.call_after_refresh(self._put)
        if len(self._waiting) < LONGEST:
            self._waiting.append(event)
        return True

    async def _put(self) -> None:
        waiting, self._waiting = self._waiting, []
        field = self.query_one(Input)
        for event in waiting:
            if event.key == "enter":
                await field.action_submit()
            else:
                field.insert_text_at_cursor(event.character or "")


class Prompt(Ahead[str | None]):
    """A line of text; None if it was left with escape."""

    DEFAULT_CSS = """
    Prompt { align: center bottom; }
    Prompt > Vertical {
        width: 100%; height: auto; border: round $focus; background: $panel; padding: 0 1; margin-bottom: 1;
    }
    Prompt Input { background: $panel; }
    Prompt .hint { color: $muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, title: str, *, hint: str = "", value: str = "", may_be_empty: bool = False) -> None:
        super().__init__()
        self._heading, self._hint, self._value, self._may_be_empty = title, hint, value, may_be_empty

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._heading.replace("[", "\\[")
            yield Field(self._value)
            yield Static(self._hint or "enter: done   esc: leave", classes="hint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip() or self._may_be_empty:
            self.dismiss(event.value.strip())

    def on_paste(self, event: events.Paste) -> None:
        event.stop()

    def action_leave(self) -> None:
        self.dismiss(None)
