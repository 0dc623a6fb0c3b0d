"""What the service says: who came and left, and each refusal once. Knows neither network nor files.

A flood fills no disk: beyond a few lines a minute, refusals of one address for one reason are counted and told in one
line. Every refusal is in exactly one line, alone or in a number.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from tui import numbers
from tui.safe import line

LINES = 5  # a minute of the same address and reason; the others are counted
MINUTE_S = 60.0
PAIRS = 1000  # of address and reason that are told apart within a minute


class Journal:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: Counter[tuple[str, str]] = Counter()
        self._more: Counter[tuple[str, str]] = Counter()
        self._since = time.monotonic()
        self.refusals = 0

    def note(self, sentence: str) -> None:
        self._say(f"{time.strftime('%H:%M:%S')}  {line(sentence, 300)}")

    def refused(self, address: str, reason: str, who: str = "") -> None:
        """`reason` is the rest of a sentence; `who` the name of the key, where there was one."""
        self.refusals += 1
        pair = (f"{who} ({address})" if who else address, reason)
        if len(self._told) >= PAIRS and pair not in self._told:
            pair = ("others", reason)
        self._told[pair] += 1
        if self._told[pair] <= LINES:
            self.note(f"refused {pair[0]}: {reason}")
        else:
            self._more[pair] += 1

    def tick(self, *, is_last: bool = False) -> None:
        """Call it now and then: tells what was only counted, once a minute."""
        if time.monotonic() - self._since < MINUTE_S and not is_last:
            return
        for (address, reason), count in self._more.items():
            self.note(f"refused {address} {numbers.count(count, 'more time')}: {reason}")
        self._told.clear()
        self._more.clear()
        self._since = time.monotonic()
