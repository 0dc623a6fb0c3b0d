"""Runs that were given up because their host was gone: found again, and what came of them kept, uncounted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.executors import local_folder
from core.hosts.run import Pin, Run, pinned, run_in

LATE = "late.json"


def lost_runs(runs: Path) -> Iterator[tuple[Run, Pin]]:
    """Those whose end their host has not told yet."""
    for folder in sorted(runs.iterdir()):
        where = pinned(folder) if folder.is_dir() and not (folder / LATE).exists() else None
        if where is not None and where.lost:
            yield run_in(folder), where


def keep_late(run: Run, sight: Mapping[str, Any]) -> None:
    """A note beside its log, once it is over. Raises OSError."""
    if sight["state"] == "alive" or sight.get("more"):
        return
    summary = run.log.finish().summary()
    told = {"state": sight["state"], "exit": sight.get("exit"), "val_bpb": summary.val_bpb if summary else None}
    local_folder.write_json(run.folder / LATE, told)
