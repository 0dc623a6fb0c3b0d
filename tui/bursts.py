"""Tells text that a terminal pastes without saying so from keys that somebody types.

Hundreds of characters in one read are no typing. As keys they would be hundreds of commands, and a megabyte of them
would hold up the window for minutes. Knows no terminal: it is given what was read.
"""

from __future__ import annotations

BURST = 256  # characters in one read; no hand and no key that repeats comes near
_BEGIN, _END = "\x1b[200~", "\x1b[201~"
_SEQUENCE = 16  # characters after which an escape sequence is surely over


class Bursts:
    """Remembers whether a paste that the terminal announced is under way, or a sequence."""

    def __init__(self) -> None:
        self._announced = False
        self._tail = ""  # of what was read, as long as a marker may be

    def is_paste(self, text: str) -> bool:
        """Whether `text`, read in one go, is an unannounced paste. Wants to be asked of all that is read, in order."""
        plain = "\x1b" not in self._tail and not self._announced
        seen, self._tail = self._tail + text, (self._tail + text)[-_SEQUENCE:]
        begin, end = seen.rfind(_BEGIN), seen.rfind(_END)
        self._announced = begin > end if max(begin, end) >= 0 else self._announced
        return plain and len(text) >= BURST and "\x1b" not in text
