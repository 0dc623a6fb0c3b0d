"""What an operator may wish for, and the one place that says no.

`decide(state, command)` answers with the facts that carry it out, or raises `Refused` with a sentence.
Pure: the time of the facts is the command's own.
"""

from __future__ import annotations

import re
from typing import Any, assert_never

import msgspec

from core import events as ev
from core.errors import Refused
from core.ideas import Plan
from core.ids import CommandId, ExperimentId, RunId, WaveId
from core.room import stepped
from core.state import Experiment, State
from core.thinking import NotebookWritten, WaveOffered
from core.undoing import limited
from core.undoing import undoable as undoable
from core.verdict import counts

MAX_TEXT = 4000  # characters of a note or reason
OUTSIDE = "mcp"  # the researcher whose waves come from a client outside
MOST_OFFERED = 4  # waves that wait at a time


class Wish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag=True):
    id: CommandId = CommandId("")
    at: float = 0.0
    by: str = "operator"


class Veto(Wish, frozen=True):
    experiment: ExperimentId
    reason: str = ""


class Promote(Wish, frozen=True):
    experiment: ExperimentId
    reason: str = ""


class Rerun(Wish, frozen=True):
    """One more run with another seed; what crashed, or had its run stopped, is open again."""

    experiment: ExperimentId


class StopRun(Wish, frozen=True):
    """Ends one run. An experiment that has no other is vetoed: it is not launched again until a rerun is asked for."""

    run: RunId
    reason: str = ""


class Gate(Wish, frozen=True):
    """While on, the experiments of a new wave wait for `Approve`; turned off, it approves what waits."""

    on: bool


class Approve(Wish, frozen=True):
    wave: WaveId


class Undo(Wish, frozen=True):
    """Takes back the last own command that can still be undone."""


class MaxGpus(Wish, frozen=True):
    """So many GPUs of a type at most, in use and waited for together. What runs beyond that finishes."""

    gpu_type: str
    limit: int | None = None  # None: no limit
    change: int = 0  # instead: so many more, or fewer, than at present


class Pause(Wish, frozen=True):
    reason: str = ""


class Resume(Wish, frozen=True):
    pass


class Note(Wish, frozen=True):
    text: str


class ProposeWave(Wish, frozen=True):
    """A wave planned by a client outside, in a session whose researcher is OUTSIDE."""

    plan: Plan


class WriteNotebook(Wish, frozen=True):
    """An entry of such a client in the lab notebook."""

    text: str
    starts_over: bool = False


class Stop(Wish, frozen=True):
    now: bool = False


Command = (
    Veto
    | Promote
    | Rerun
    | StopRun
    | Gate
    | Approve
    | Undo
    | MaxGpus
    | Pause
    | Resume
    | Note
    | ProposeWave
    | WriteNotebook
    | Stop
)

_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def encode(command: Command) -> bytes:
    return msgspec.json.encode(command)


def decode(body: bytes) -> Command:
    """Raises msgspec.DecodeError for anything that is not a command of this build."""
    return _decoder.decode(body)


def decide(state: State, command: Command) -> tuple[ev.Known, ...]:
    stamp: dict[str, Any] = {"at": command.at, "cause": command.id}
    match command:
        case Veto():
            _vetoable(state, command.experiment)
            return (ev.ExperimentVetoed(experiment=command.experiment, by=command.by, reason=command.reason, **stamp),)
        case Promote():
            _promotable(state, command.experiment)
            return (
                ev.ExperimentPromoted(experiment=command.experiment, by=command.by, reason=command.reason, **stamp),
            )
        case Rerun():
            _repeatable(state, command.experiment)
            return (ev.RerunRequested(experiment=command.experiment, by=command.by, **stamp),)
        case StopRun():
            return _stop_run(state, command, stamp)
        case Gate():
            if state.gate == command.on:
                raise Refused(f"The approval gate is {'on' if state.gate else 'off'} already.")
            return (ev.GateSet(on=command.on, by=command.by, **stamp),)
        case Approve():
            _approvable(state, command.wave)
            return (ev.WaveApproved(wave=command.wave, by=command.by, **stamp),)
        case Undo():
            return _undo(state, command, stamp)
        case MaxGpus():
            limits = limited(state.max_gpus, command.gpu_type, _limit(state, command))
            return (ev.MaxGpusSet(limits=limits, gpu_type=command.gpu_type, by=command.by, **stamp),)
        case Pause():
            if state.pause is not None:
                raise Refused(f"Research is paused already, by {state.pause.by}.")
            return (ev.ResearchPaused(by=command.by, reason=command.reason, **stamp),)
        case Resume():
            if state.pause is None:
                raise Refused("Research is not paused.")
            return (ev.ResearchResumed(by=command.by, **stamp),)
        case Note():
            return (ev.NoteAdded(by=command.by, text=_text(command.text), **stamp),)
        case ProposeWave():
            _offerable(state, command)
            return (WaveOffered(by=command.by, plan=command.plan, **stamp),)
        case WriteNotebook():
            _outside(state)
            return (NotebookWritten(text=_text(command.text), starts_over=command.starts_over, **stamp),)
        case Stop():
            return _stop(state, command, stamp)
        case _:
            assert_never(command)


def refusal(state: State, command: Command) -> str:
    """Why `decide` would refuse it, in a sentence; "" if it would not."""
    try:
        decide(state, command)
    except Refused as no:
        return str(no)
    return ""


def respond(
    state: State, number: int, body: bytes, at: float, *, since: float = 0.0
) -> tuple[tuple[ev.Known, ...], str]:
    """What row `number` of the command table leads to: facts, and the answer ("" for done, a sentence for no).

    `since`: when this engine started, by the clock that commands are stamped with; a simulated session has another.
    """
    try:
        command = decode(body)
    except (msgspec.DecodeError, TypeError) as error:
        return (), f"This is not a command that the engine knows: {error}."
    if isinstance(command, Stop) and 0 < command.at < since:
        return (), "The engine that was to be stopped has ended already."
    command = msgspec.structs.replace(command, at=at, id=command.id or CommandId(f"c{number}"))
    try:
        return decide(state, command), ""
    except Refused as no:
        kind = re.sub("(?<!^)(?=[A-Z])", " ", type(command).__name__).lower()  # "stop run"
        refused = ev.CommandRefused(at=at, by=command.by, command=kind, reason=str(no), cause=command.id)
        return (refused,), str(no)


def _stop(state: State, command: Stop, stamp: dict[str, Any]) -> tuple[ev.Known, ...]:
    if state.engine is None:
        raise Refused("No engine is running, so there is nothing to stop.")
    if state.stop is not None and (state.stop.now or not command.now):
        raise Refused("The engine is stopping already; `stop --now` does not wait for the running jobs.")
    return (ev.StopRequested(by=command.by, now=command.now, **stamp),)


def _stop_run(state: State, command: StopRun, stamp: dict[str, Any]) -> tuple[ev.Known, ...]:
    run = state.runs.get(command.run)
    if run is None:
        raise Refused(f"There is no run {command.run}; runs are named like e12-1.")
    if run.result is not None:
        raise Refused(f"{run.id} ended already: {run.result.outcome}.")
    experiment = state.experiments.get(run.experiment)
    if run.stopped or run.stopped_by or (experiment is not None and experiment.status == "vetoed"):
        raise Refused(f"{run.id} is being stopped already.")
    stop = ev.RunStopRequested(run=run.id, by=command.by, reason=command.reason, **stamp)
    if experiment is None or not experiment.is_open or _has_other(state, experiment, run.id):
        return (stop,)
    why = f"its run {run.id} was stopped by {command.by}{f': {command.reason}' if command.reason else ''}"
    return stop, ev.ExperimentVetoed(experiment=experiment.id, by=command.by, reason=why, run=run.id, **stamp)


def _has_other(state: State, experiment: Experiment, but: RunId) -> bool:
    """Whether another run says, or will say, something about it."""
    others = (state.runs[name] for name in experiment.runs if name != but)
    return any(counts(state, run.id) and not (run.stopped_by and run.result is None) for run in others)


def _undo(state: State, command: Undo, stamp: dict[str, Any]) -> tuple[ev.Known, ...]:
    found = undoable(state, command.by)
    if found is None:
        raise Refused(f"There is nothing of {command.by} that can still be undone.")
    return tuple(msgspec.structs.replace(fact, **stamp) for fact in found[1])


def _outside(state: State) -> None:
    if state.engine is None:
        raise Refused(f"No engine is running; start one with `autoresearch-tui --researcher {OUTSIDE}`.")
    if state.engine.researcher != OUTSIDE:
        raise Refused(
            f"The researcher of this session is {state.engine.researcher}; stop it and start it again "
            f"with --researcher {OUTSIDE} to plan from outside."
        )


def _offerable(state: State, command: ProposeWave) -> None:
    _outside(state)
    if not command.plan.ideas:
        raise Refused("The wave has no experiments; plan at least one.")
    if len(state.offered) >= MOST_OFFERED:
        raise Refused(f"{len(state.offered)} waves wait already; plan again when one of them has been taken.")


def _limit(state: State, command: MaxGpus) -> int | None:
    kind, now = command.gpu_type, state.max_gpus.get(command.gpu_type)
    kinds = dict.fromkeys(gpu.type for gpu in state.gpus)
    if not kinds and command.change:  # an engine that only begins
        raise Refused("Which GPUs there are is not known yet; say it again in a moment.")
    if kinds and kind not in kinds:
        raise Refused(f"There is no GPU of the type {kind!r}; there is {', '.join(kinds)}.")
    new = stepped(state, kind, command.change) if command.change else command.limit
    if new == now:
        raise Refused(f"{kind} has no limit." if now is None else f"The limit of {kind} is {now} already.")
    if new is not None and new < 0:
        raise Refused(f"A limit cannot be less than 0, with which nothing starts on {kind}.")
    return new


def _text(text: str) -> str:
    if not text.strip():
        raise Refused("An empty note says nothing; write some text.")
    if len(text) > MAX_TEXT:
        raise Refused(f"The note is {len(text):,} characters long; {MAX_TEXT:,} is the limit.")
    return text


def _known(state: State, name: ExperimentId) -> Experiment:
    experiment = state.experiments.get(name)
    if experiment is None:
        last = next(reversed(state.experiments), None)
        raise Refused(f"There is no experiment {name}; the latest is {last}." if last else f"There is no {name} yet.")
    return experiment


def _vetoable(state: State, name: ExperimentId) -> None:
    experiment = _known(state, name)
    if not experiment.is_open:
        raise Refused(f"{name} already finished: {experiment.status}.")


def _promotable(state: State, name: ExperimentId) -> None:
    experiment = _known(state, name)
    if experiment.is_open and experiment.promoted:
        raise Refused(f"{name} is promoted already.")
    if not experiment.is_open and experiment.status != "discarded":
        raise Refused(f"{name} is {experiment.status}; only open or discarded experiments can be promoted.")


def _repeatable(state: State, name: ExperimentId) -> None:
    experiment = _known(state, name)
    if experiment.status == "vetoed" and not experiment.stopped:
        raise Refused(f"{name} is vetoed: {experiment.reason or 'it runs no more'}.")
    if experiment.status in ("duplicate", "merged"):
        instead = f"rerun {experiment.twin}" if experiment.twin else "rerun what it was put into"
        raise Refused(f"{name} is {experiment.status}; {instead}.")
    if experiment.is_open and not any(counts(state, run) for run in experiment.runs):
        raise Refused(f"{name} has not run yet; promote it to run it next.")


def _approvable(state: State, name: WaveId) -> None:
    wave = state.waves.get(name)
    if wave is None:
        last = next(reversed(state.waves), None)
        raise Refused(f"There is no wave {name}; the latest is {last}." if last else f"There is no {name} yet.")
    if not wave.held:
        raise Refused(f"{name} does not wait for approval.")
