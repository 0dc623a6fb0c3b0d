"""A screen on top that is answered once: the second answer of a hasty or slow keyboard goes nowhere."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, ScreenResultType


class Once(ModalScreen[ScreenResultType]):
    _is_answered = False

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """A screen takes keys until it is gone; Textual would end the program at the second answer."""
        if self._is_answered:
            return AwaitComplete()
        self._is_answered = True
        return super().dismiss(result)
