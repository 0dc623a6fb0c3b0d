"""What a run came to, kept in its folder before anything of it is deleted from the cluster.

An engine that died before it recorded the end of a run finds it here. Knows no cluster.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from core.executor import Ended
from core.executors import local_folder
from core.ids import RunId

FILE = "ended.json"
LIMIT = 1 << 22


def keep(runs: Path, end: Ended) -> None:
    """All or nothing. Raises OSError."""
    (runs / end.run).mkdir(parents=True, exist_ok=True)
    local_folder.write_json(runs / end.run / FILE, msgspec.to_builtins(end))


def kept(runs: Path, run: RunId) -> Ended | None:
    try:
        return msgspec.json.decode(local_folder.read(runs / run / FILE, LIMIT), type=Ended)
    except (msgspec.DecodeError, ValueError):
        return None
