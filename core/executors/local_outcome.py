"""What a run came to: its process's end and its log, put into an `Ended`. Knows no files and no processes."""

from __future__ import annotations

from signal import SIGKILL, Signals
from typing import Annotated, TypeVar

import msgspec

from core.events import Outcome
from core.executor import Ended
from core.ids import RunId
from core.transcript import Reader, clean

Note = TypeVar("Note")
TAIL = 40  # lines of a failed run's log


class Limits(msgspec.Struct, frozen=True):
    timeout_s: float
    output_mb: float
    memory_mb: int  # 0: none


Small = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]
Moment = Annotated[float, msgspec.Meta(ge=0, lt=1e11)]  # seconds since the epoch


class Begin(msgspec.Struct, frozen=True):
    """started.json, as far as an engine needs it. The run could have written it: nothing in it is taken on trust."""

    at: Moment
    gpu: str = ""


class Exit(msgspec.Struct, frozen=True):
    """exit.json, or the supervisor's message of the same form."""

    at: Moment
    exit_code: Small | None = None
    signal: Small | None = None
    cause: str = ""  # timeout, output, memory, stopped, disk, void; "": it ended by itself, or never began
    reason: str = ""

    @property
    def code(self) -> int | None:
        """As the subprocess module has it: minus the signal's number."""
        return self.exit_code if self.signal is None else -self.signal


def note(kind: type[Note], body: bytes) -> Note | None:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def ended(run: RunId, end: Exit, log: Reader, limits: Limits, *, is_void: bool) -> Ended:
    outcome, reason = _judge(end, log, limits)
    if is_void and outcome in ("finished", "crashed") and end.cause != "void":
        outcome, reason = "crashed", "prepare.py was changed or removed during the run, so its result is void"
    finished = outcome == "finished"
    return Ended(
        run=run,
        at=end.at,
        outcome=outcome,
        summary=log.summary() if finished else None,
        fingerprint=log.fingerprint,
        corpus=log.corpus,
        exit_code=end.code,
        reason=clean(reason, 500),
        tail="" if finished else log.tail(TAIL),
    )


def _judge(end: Exit, log: Reader, limits: Limits) -> tuple[Outcome, str]:
    """A complete result counts even if the process then hung or crashed, as interpreters with a GPU sometimes do."""
    if end.cause == "stopped":
        return "cancelled", ""
    if end.cause == "disk" or (not end.cause and end.code is None):
        return "lost", end.reason  # this machine's fault: it says nothing of the experiment
    if log.summary() and end.cause in {"", "timeout"}:
        how = "did not end" if end.cause else "" if end.code == 0 else _way(end)
        return "finished", f"{how} after its result" if how else ""
    return "crashed", _killed(end.cause, limits) or end.reason or log.failure() or _silent(end, log)


def _killed(cause: str, limits: Limits) -> str:
    match cause:
        case "timeout":
            return f"ran longer than {limits.timeout_s:g} s and was killed"
        case "output":
            return f"wrote more than {limits.output_mb:g} MB of output and was killed"
        case "memory":
            return f"used more than {limits.memory_mb} MB of memory and was killed"
    return ""


def _silent(end: Exit, log: Reader) -> str:
    if end.code == 127 and (last := log.tail(1)).startswith("cannot start"):
        return last
    if end.code == 0:
        return "printed no result: train.py must end with the `---` block"
    return _way(end) if end.signal else f"{_way(end)} without a result block"


def _way(end: Exit) -> str:
    if end.signal is None:
        return f"exited with code {end.exit_code}"
    if end.signal == SIGKILL:
        return "killed by signal 9 (out of memory?)"
    known = {number.value: number.name for number in Signals}
    return f"killed by signal {end.signal} ({known.get(end.signal, 'unknown')})"
