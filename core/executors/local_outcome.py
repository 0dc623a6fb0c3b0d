"""What a run came to: its process's end and its log, put into an `Ended`. Knows no files and no processes."""

from __future__ import annotations

from collections.abc import Mapping
from signal import Signals
from typing import Any

import msgspec

from core.events import Outcome
from core.executor import Ended
from core.ids import RunId
from core.transcript import Reader, clean

TAIL = 40  # lines of a failed run's log


class Limits(msgspec.Struct, frozen=True):
    timeout_s: float
    output_mb: float
    memory_mb: int  # 0: none


def ended(run: RunId, note: Mapping[str, Any], log: Reader, limits: Limits, *, is_void: bool) -> Ended:
    """`note` is what the supervisor says of the end: exit_code, signal, at, cause, reason."""
    outcome, reason = _judge(note, log, limits)
    if is_void and outcome != "cancelled":
        outcome, reason = "crashed", "prepare.py was changed during the run, so its result is void"
    finished = outcome == "finished"
    return Ended(
        run=run,
        at=float(note["at"]),
        outcome=outcome,
        summary=log.summary() if finished else None,
        fingerprint=log.fingerprint,
        corpus=log.corpus,
        exit_code=_exit_code(note),
        reason=clean(reason, 500),
        tail="" if finished else log.tail(TAIL),
    )


def _judge(note: Mapping[str, Any], log: Reader, limits: Limits) -> tuple[Outcome, str]:
    """A complete result counts even if the process then hung or crashed: interpreters with GPUs do that at their end."""
    cause = str(note.get("cause", ""))
    if cause == "stopped":
        return "cancelled", ""
    if log.summary() and cause in {"", "timeout"}:
        code = _exit_code(note)
        how = "did not end" if cause else "" if code == 0 else f"{_way(note)}"
        return "finished", f"{how} after its result" if how else ""
    return "crashed", _killed(cause, limits) or str(note.get("reason", "")) or log.failure() or _silent(note, log)


def _killed(cause: str, limits: Limits) -> str:
    match cause:
        case "timeout":
            return f"ran longer than {limits.timeout_s:g} s and was killed"
        case "output":
            return f"wrote more than {limits.output_mb:g} MB of output and was killed"
        case "memory":
            return f"used more than {limits.memory_mb} MB of memory and was killed"
    return ""


def _silent(note: Mapping[str, Any], log: Reader) -> str:
    if note.get("exit_code") == 127 and (last := log.tail(1)).startswith("cannot start"):
        return last
    if _exit_code(note) == 0:
        return "printed no result: train.py must end with the `---` block"
    return f"{_way(note)} without a result block" if note.get("exit_code") else _way(note)


def _way(note: Mapping[str, Any]) -> str:
    number = note.get("signal")
    if number is None:
        return f"exited with code {note.get('exit_code')}"
    if number == 9:
        return "killed by signal 9 (out of memory?)"
    name = Signals(number).name if number in {known.value for known in Signals} else "unknown"
    return f"killed by signal {number} ({name})"


def _exit_code(note: Mapping[str, Any]) -> int | None:
    """As the subprocess module has it: minus the signal's number."""
    number, code = note.get("signal"), note.get("exit_code")
    return -int(number) if number is not None else None if code is None else int(code)
