"""Simulated sessions whose researcher is Claude, answered by the scripted server, in virtual time.

The real engine, log, git, client and network; only the model, the GPUs and the clock are imagined.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import imagined
import msgspec
from claude.server import KEY, Script, Server

from core import events as ev
from core import session
from core.engine import Engine, Stopped
from core.event import Event
from core.ledger import GROUPS, ledger
from core.state import State

Kind = TypeVar("Kind", bound=Event)
LATENCY_S = 60.0
QUICK = {"silence_s": 0.5, "answer_s": 5.0}  # of real time: a local server is silent only if it means to be


class Held(msgspec.Struct, frozen=True):
    """A session that was held, and what its model was asked."""

    stopped: Stopped
    state: State
    facts: list[ev.Fact]
    server: Server
    folder: Path

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def errors(self) -> list[str]:
        """Of calls to the model."""
        return [fact.error for fact in self.of(ev.ModelCalled) if fact.error]

    @property
    def waves_by(self) -> list[str]:
        return [wave.researcher for wave in self.state.waves.values()]

    @property
    def busy(self) -> float:
        """The share of GPU-seconds in which something ran."""
        return 1 - occupancy(self.state)["no run"]


def occupancy(state: State) -> dict[str, float]:
    """Shares of all GPU-seconds by group of the ledger: useful, overhead, waste, no run."""
    spent = ledger(state, state.at)
    total = sum(spent.values())
    return {group: sum(spent.get(name, 0.0) for name in names) / total for group, names in GROUPS.items()}


def settle(folder: Path, claude: Mapping[str, Any]) -> Path:
    """The folder with a `[claude]` table in its settings."""
    lines = [f"{name} = {_toml(value)}" for name, value in claude.items()]
    (folder / "autoresearch.toml").write_text("\n".join(["[claude]", *lines, ""]))
    return folder


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{name}" = {_toml(each)}' for name, each in value.items()) + " }"
    return '"none"' if value is None else json.dumps(value)


def held(
    folder: Path,
    script: Script,
    *,
    hours: float = 1.0,
    claude: Mapping[str, Any] = {},
    key: str = KEY,
    keep: int = 0,
    **settings: Any,
) -> Held:
    """A session of so many virtual hours; `folder` becomes its workspace if it is none."""
    if not folder.exists():
        imagined.workspace(folder)
    engines: list[Engine] = []

    class Watched(Engine):
        def __init__(self, **parts: Any) -> None:
            super().__init__(**parts)
            engines.append(self)
            server.cache.now = self._clock.now

    with Server(script, keep=keep) as server, patch.object(session, "Engine", Watched), _keyed(key):
        settle(folder, {"base_url": server.url, **QUICK, **claude})
        wanted = {"researcher": "claude", "max_hours": hours, "fleet": "H100:4", "answer_s": LATENCY_S, **settings}
        stopped = imagined.campaign(folder, **wanted)
    return Held(stopped, engines[0].state, imagined.facts_of(folder), server, folder)


def _keyed(key: str) -> Any:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    return patch.dict(os.environ, {**kept, **({"ANTHROPIC_API_KEY": key} if key else {})}, clear=True)
