"""How far the terminal is behind: frames sent, frames it has answered for. Pure; knows neither terminal nor loop.

A terminal draws in order and answers a cursor report in order. A report asked for behind each frame says, when the
answer comes, that the frame is on the screen. While too much is on its way, no frame should be made: what a slow line
shows then is late by one frame and not by all those in its buffers.
"""

from __future__ import annotations

from collections import deque

FREE = 8192  # characters on their way that do not hold up the next frame: small changes flow
FRAMES = 8  # on their way at most, however small
TRIES = 4  # questions without any answer after which the terminal is taken to give none
PATIENCE_S = 2.0  # for an answer; doubled each time it fails to come
LONGEST_S = 10.0


class Pace:
    """Counts. `is_full`: wait with the next frame. A terminal that never answers is never waited for."""

    def __init__(self) -> None:
        self.answers = False  # this terminal has answered at least once
        self._asked = 0
        self._unanswered: deque[int] = deque()  # characters of each frame that has not been answered for
        self._on_the_way = 0
        self._misses = 0

    @property
    def asks(self) -> bool:
        """Whether to ask behind the next frame."""
        return self.answers or self._asked < TRIES

    @property
    def waiting(self) -> int:
        """Frames without their answer."""
        return len(self._unanswered)

    @property
    def is_full(self) -> bool:
        return self.answers and (self._on_the_way > FREE or len(self._unanswered) >= FRAMES)

    @property
    def patience_s(self) -> float:
        """How long to wait for an answer before going on without."""
        return float(min(PATIENCE_S * 2**self._misses, LONGEST_S))

    def asked(self, size: int) -> None:
        """A frame of `size` characters went out with a question behind it."""
        self._asked += 1
        self._unanswered.append(size)
        self._on_the_way += size

    def answered(self) -> None:
        """One more frame is on the screen."""
        self.answers, self._misses = True, 0
        if self._unanswered:
            self._on_the_way -= self._unanswered.popleft()

    def missed(self) -> None:
        """The answer did not come in time: one frame may go. Answers that come late count for later frames."""
        self._misses += 1
        self.forget()

    def forget(self) -> None:
        """Nothing is on its way any more."""
        self._unanswered.clear()
        self._on_the_way = 0
