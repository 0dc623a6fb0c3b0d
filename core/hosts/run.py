"""A run on a host as the engine knows it, and the note on this machine that says which host has it.

The note is on the disk before the host hears of the run, so an engine that comes back asks there and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from core.executors import local_folder
from core.executors.local_log import Log
from core.executors.local_outcome import note
from core.ids import GpuId, RunId

PIN = "host.json"


class Pin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a run was sent. `lost`: why it was given up; what comes of it later does not count."""

    host: str
    gpu: GpuId
    at: float
    started_at: float | None = None
    lost: str = ""


def pinned(folder: Path) -> Pin | None:
    return note(Pin, local_folder.read(folder / PIN, local_folder.NOTE))


def pin(folder: Path, where: Pin) -> None:
    local_folder.write_json(folder / PIN, msgspec.to_builtins(where))


def unpin(folder: Path) -> None:
    (folder / PIN).unlink(missing_ok=True)


@dataclass
class Run:
    """One that has not ended. Without a `pin` it waits for a place."""

    id: RunId
    folder: Path
    log: Log
    order: dict[str, Any] | None = field(default=None, repr=False)  # what the host is told; None: it was before
    files: tuple[bytes, ...] = field(default=(), repr=False)
    gpu_type: str = ""
    pin: Pin | None = None
    slot: dict[str, Any] | None = None
    is_sent: bool = False  # the host may have heard of it
    begun_at: float | None = None  # the host said that it has it
    started_at: float | None = None  # set once it was reported
    cancelled_at: float | None = None
    is_stop_sent: bool = False
    waits: str = ""  # why, as it was told
    offset: int = 0  # bytes of its log that are here
    seen: asyncio.Event = field(default_factory=asyncio.Event)  # its host told of it

    def take(self, data: bytes) -> None:
        """Appends to its log on this machine. Raises OSError."""
        if data:
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
            fd = os.open(self.folder / "run.log", flags, 0o644)
            try:
                local_folder.write_all(fd, data)
                self.offset += len(data)
            finally:
                os.close(fd)


def run_in(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "run.log"
    return Run(RunId(folder.name), folder, Log(log), offset=log.stat().st_size if log.exists() else 0)
