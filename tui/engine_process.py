"""The engine as a process of its own: started, found, and left alone.

It runs `--no-ui` in its own session, so that neither a closed terminal nor Ctrl-C reaches it, and prints to
`.autoresearch/engine.log`. The lock on the session decides that there is never a second; who loses that race finds the
winner. What an engine does is known to `core.session`; what it has done, to the log of the session.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from core import log, settings, simulated
from core.errors import AutoresearchError, EngineRunning, NothingRuns, Refused, ResearcherFailed
from core.events import FleetSeen, SessionStarted
from core.workspace import Workspace
from tui import engine_log

OUTPUT = "engine.log"
START_WITHIN_S = 60.0
BEGIN_WITHIN_S = 5.0
FRESH_S = 3.0  # a sign of life is left every second
POLL_S = 0.02
ERRORS: dict[int, type[AutoresearchError]] = {
    each.exit_code: each for each in (Refused, AutoresearchError, NothingRuns, ResearcherFailed, EngineRunning)
}


class EngineProcess(msgspec.Struct, frozen=True):
    pid: int
    is_new: bool  # false: another engine held the session already
    exit_code: int | None = None  # 0 where it had nothing to do, such as a session whose limit is reached


def start(workspace: Path, flags: dict[str, Any], *, within_s: float = START_WITHIN_S) -> EngineProcess:
    """Starts an engine unless one holds the session, and returns when it works. `flags` as of the command line.

    Blocks for half a second or so; call it in a thread. Raises AutoresearchError with the engine's last sentence.
    """
    state = Workspace.open(workspace).ensure_state()
    file = state / log.FILE
    if is_alive(file):
        return _holder(file)
    output = state / OUTPUT
    descriptor = engine_log.opened(output)
    begin = os.fstat(descriptor).st_size
    try:
        process = subprocess.Popen(
            _command(workspace, _with_its_own(workspace, file, flags), output),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            env=environment(),
        )
    finally:
        os.close(descriptor)
    threading.Thread(target=process.wait, name="engine", daemon=True).start()  # takes note of its end
    return _awaited(process, file, output, begin, within_s)


def is_alive(file: Path) -> bool:
    """Whether an engine holds the session `file`; some microseconds."""
    return log.is_held(file)


def heartbeat_age_s(file: Path, now: float) -> float | None:
    """Since the last sign of life, of which there is one per second; None before the first. Raises LogError."""
    if not file.exists():
        return None
    beat = log.heartbeat(file)
    return None if beat is None else max(0.0, now - beat.beat)


# --- the parts --------------------------------------------------------------------------------------------------------


def _with_its_own(workspace: Path, file: Path, flags: dict[str, Any]) -> dict[str, Any]:
    """A simulated session goes on simulated and with its own GPUs, wherever nobody has said otherwise."""
    if not file.exists():
        return flags
    said = {name: flags.get(name) for name in ("executor", "fleet")}
    origins = settings.load(workspace, os.environ, said).origins
    began = log.first(file)
    if not (isinstance(began, SessionStarted) and began.simulated):
        return flags
    own = {"executor": simulated.EXECUTOR, "fleet": _fleet(file)}
    return {**flags, **{name: value for name, value in own.items() if value and origins[name] == "default"}}


def _fleet(file: Path) -> str:
    """The GPUs that the session began with, as the settings write them; "" if it has seen none."""
    with log.opened(file) as db:
        seen = (fact.gpus for fact in log.read_after(db, 0, chunk=500) if isinstance(fact, FleetSeen))
        counts = Counter(gpu.type for gpu in next(seen, ()))
    return ",".join(f"{kind}:{count}" for kind, count in counts.items())


def _command(workspace: Path, flags: dict[str, Any], output: Path) -> list[str]:
    """-P: a folder of the workspace that is named like a module of ours must not be taken for it."""
    given = [
        part
        for name, value in flags.items()
        if value is not None
        for part in (f"--{name.rstrip('_').replace('_', '-')}", str(value))
    ]
    folder = str(workspace.expanduser().resolve())
    return [sys.executable, "-P", "-m", "tui", "-C", folder, "--no-ui", "--log", str(output), *given]


def environment() -> dict[str, str]:
    """Ours; with the folder that this program was imported from, for one that is not installed."""
    root = Path(__file__).resolve().parents[1]
    path = os.environ.get("PYTHONPATH", "")
    needed = (root / "pyproject.toml").exists() and str(root) not in path.split(os.pathsep)
    added = {"PYTHONPATH": os.pathsep.join(filter(None, (str(root), path)))} if needed else {}
    return {**os.environ, "PYTHONIOENCODING": "utf-8", **added}


def _awaited(process: subprocess.Popen[bytes], file: Path, output: Path, begin: int, within_s: float) -> EngineProcess:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            return _ended(process.pid, code, file, output, begin)
        if is_alive(file) and (beat := log.heartbeat(file)) is not None and beat.pid == process.pid:
            return EngineProcess(process.pid, is_new=True)
        time.sleep(POLL_S)
    raise AutoresearchError(f"The engine (pid {process.pid}) has not begun within {within_s:g} s; see {output}.")


def _holder(file: Path) -> EngineProcess:
    """Who holds the session. One that has just begun gets time to say so; until then the sign is another's, or none."""
    deadline = time.monotonic() + BEGIN_WITHIN_S
    while is_alive(file) and time.monotonic() < deadline:
        age = heartbeat_age_s(file, time.time())
        if age is not None and age < FRESH_S:
            break
        time.sleep(POLL_S)
    beat = log.heartbeat(file)
    return EngineProcess(beat.pid if beat else 0, is_new=False)


def _ended(pid: int, code: int, file: Path, output: Path, begin: int) -> EngineProcess:
    if is_alive(file):  # another was faster
        return _holder(file)
    if code == 0:
        return EngineProcess(pid, is_new=True, exit_code=0)
    error = ERRORS.get(code, AutoresearchError)(_last_sentence(output, begin, code))
    error.exit_code = code if code > 0 else 128 - code
    raise error


def _last_sentence(output: Path, begin: int, code: int) -> str:
    with output.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").strip().splitlines()
    if not lines:
        return f"The engine ended at once, with {code}, and said nothing; see {output}."
    return lines[-1].removeprefix("autoresearch-tui: ")
