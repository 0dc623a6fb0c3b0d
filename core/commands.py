"""What an operator may wish for, and the one place that says no.

`decide(state, command)` answers with the facts that carry it out, or raises `Refused` with a sentence.
Pure: the time of the facts is the command's own.
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from core import events as ev
from core.errors import Refused
from core.ids import CommandId, ExperimentId
from core.state import Experiment, State

MAX_TEXT = 4000  # characters of a note or reason


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


class Pause(Wish, frozen=True):
    reason: str = ""


class Resume(Wish, frozen=True):
    pass


class Note(Wish, frozen=True):
    text: str


class Stop(Wish, frozen=True):
    now: bool = False


Command = Veto | Promote | Pause | Resume | Note | Stop

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
        case Stop():
            return _stop(state, command, stamp)
        case _:
            assert_never(command)


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
        kind = type(command).__name__.lower()
        refused = ev.CommandRefused(at=at, by=command.by, command=kind, reason=str(no), cause=command.id)
        return (refused,), str(no)


def _stop(state: State, command: Stop, stamp: dict[str, Any]) -> tuple[ev.Known, ...]:
    if state.engine is None:
        raise Refused("No engine is running, so there is nothing to stop.")
    if state.stop is not None and (state.stop.now or not command.now):
        raise Refused("The engine is stopping already; `stop --now` does not wait for the running jobs.")
    return (ev.StopRequested(by=command.by, now=command.now, **stamp),)


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
