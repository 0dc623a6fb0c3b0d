"""run.log followed while it grows, through one descriptor: the run cannot put another file in its place."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from core.executors import local_folder
from core.transcript import Progress, Reader

PIECE = 1 << 20  # bytes read at once, so that a chatty run does not hold up the others
LAST = 4 << 20  # of what is unread at the end, so much is read: the result is there
EVERY = 0.25  # s between two looks
REPORT_EVERY = 1.0  # s between two reports of progress


class Log:
    def __init__(self, path: Path) -> None:
        self.reader = Reader()
        self._path = path
        self._file: int | None = None
        self._offset = 0
        self._look_at = self._report_at = 0.0
        self._reported: Progress | None = None
        self._told = False

    def follow(self, now: float) -> Progress | None:
        """New progress, if it is time to tell; `now` in seconds of any clock that does not stand still."""
        if now >= self._look_at:
            self._look_at = now + EVERY
            self._take(PIECE)
        if now < self._report_at or (progress := self.reader.progress) in (None, self._reported):
            return None
        self._report_at = now + REPORT_EVERY
        self._reported = progress
        return progress

    def identity(self) -> Reader | None:
        """The reader, once: when the log says what is computed."""
        if self._told or not self.reader.is_identified:
            return None
        self._told = True
        return self.reader

    def finish(self) -> Reader:
        """Reads what is left, and closes."""
        if self._open() and self._file is not None:
            self._offset = max(self._offset, os.fstat(self._file).st_size - LAST)
            self._take(LAST)
            self.close()
        return self.reader

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self, limit: int) -> None:
        if self._open() and self._file is not None:
            data = os.pread(self._file, limit, self._offset)
            self._offset += len(data)
            self.reader.feed(data)

    def _open(self) -> bool:
        if self._file is None:
            with contextlib.suppress(OSError):
                self._file = local_folder.open_regular(self._path)
        return self._file is not None
