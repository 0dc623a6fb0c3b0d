"""Two small windows on top of a screen: a question answered by y or n, and a line of text."""

from __future__ import annotations

from typing import TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

Answer = TypeVar("Answer")


class Confirm(ModalScreen[bool]):
    """True for y; False for n, escape or anything else that is a decision."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical {
        width: auto; max-width: 90%; height: auto; border: round $warning; background: $panel; padding: 1 2;
    }
    Confirm Static { width: auto; }
    Confirm .hint { color: $muted; margin-top: 1; }
    """
    BINDINGS = [  # noqa: RUF012  as Textual has it
        Binding("y,Y", "answer(True)", "Yes"),
        Binding("n,N,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str, yes: str = "yes") -> None:
        super().__init__()
        self._question, self._yes = question, yes

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._question, markup=False)
            yield Static(f"y {self._yes}   n no", classes="hint", markup=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class Ahead(ModalScreen[Answer]):
    """A modal screen with one Input, which also takes the keys that were typed before it was drawn.

    They were on their way to what had the focus then; a slow link brings them all at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[events.Key] = []

    def type_ahead(self, event: events.Key) -> bool:
        """Whether the key was meant for the Input, and is in it now or will be."""
        is_ready = self.focused is not None and not self._waiting
        if not event.is_printable and not (event.key == "enter" and not is_ready):
            return False
        if is_ready:
            self.query_one(Input).insert_text_at_cursor(event.character or "")
        else:
            self._waiting.append(event)
            self.call_after_refresh(self._put)
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
    Prompt Input { border: none; height: 1; padding: 0; background: $panel; }
    Prompt .hint { color: $muted; }
    """
    BINDINGS: list[BindingType] = [Binding("escape", "leave", "Leave")]  # noqa: RUF012

    def __init__(self, title: str, *, hint: str = "", value: str = "", may_be_empty: bool = False) -> None:
        super().__init__()
        self._heading, self._hint, self._value, self._may_be_empty = title, hint, value, may_be_empty

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._heading.replace("[", "\\[")
            yield Input(self._value, max_length=4000)
            yield Static(self._hint or "enter: done   esc: leave", classes="hint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip() or self._may_be_empty:
            self.dismiss(event.value.strip())

    def on_paste(self, event: events.Paste) -> None:
        event.stop()

    def action_leave(self) -> None:
        self.dismiss(None)
