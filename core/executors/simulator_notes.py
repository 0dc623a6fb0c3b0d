"""What the simulator has to remember: a file with a line of JSON for each change of a run. The last line counts.

Knows no time and no fleet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from core.errors import LogError
from core.executors.fate import Fate
from core.ids import GpuId, RunId


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run: queued until it has started, over once it has ended. Times in seconds since the epoch."""

    run: RunId
    gpu_type: str
    fate: Fate
    launched_at: float
    gpu: GpuId = GpuId("")
    started_at: float | None = None
    ended_at: float | None = None
    cancelled: bool = False


class Notes:
    def __init__(self, file: Path) -> None:
        self.known: dict[RunId, Note] = {}
        self._file = file

    def open(self) -> None:
        """Reads what is there, in the order of launches. Raises LogError."""
        try:
            content = self._file.read_bytes() if self._file.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]  # a killed engine may have left half a line
            for note in _notes(whole):
                self.known[note.run] = note
            if whole != content:
                self._file.write_bytes(whole)
            self._out = self._file.open("ab")
        except (OSError, msgspec.DecodeError) as error:
            raise LogError(
                f"Cannot use {self._file}: {error}. Move it and the session away and start again."
            ) from error

    def keep(self, note: Note) -> None:
        self.known[note.run] = note
        self._out.write(msgspec.json.encode(note) + b"\n")
        self._out.flush()

    def forget(self, run: RunId) -> None:
        """As if it had never been launched."""
        del self.known[run]

    def close(self) -> None:
        with suppress(OSError):  # a full disk, which `keep` has told already
            self._out.close()


def _notes(content: bytes) -> Iterator[Note]:
    decoder = msgspec.json.Decoder(Note)
    for line in content.splitlines():
        yield decoder.decode(line)
