"""Which command of the core an action stands for, given what is selected. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from core import commands as c
from core import views
from core.ids import ExperimentId
from tui.deeds import sort_out
from tui.moment import Moment

NOTHING_SELECTED = "No experiment is selected."
NO_TYPE = "No GPU is selected: go to the fleet (F), and to one of the type that is meant."


def wish(action: str, moment: Moment, text: str = "") -> tuple[c.Command, ...] | str:
    """The commands, one per marked experiment; or a sentence why there is none. `text`: a reason or a note."""
    by: dict[str, Any] = {"by": moment.operator, "at": moment.now}
    match action:
        case "veto" | "veto_because":
            return _each(moment, lambda name: c.Veto(experiment=name, reason=text, **by))
        case "promote":
            return _each(moment, lambda name: c.Promote(experiment=name, reason=text, **by))
        case "rerun":
            return _each(moment, lambda name: c.Rerun(experiment=name, **by))
        case "stop_run":
            run = moment.run
            if run is None or run not in moment.state.active:
                return f"{moment.selected} is not running." if moment.selected else NOTHING_SELECTED
            return (c.StopRun(run=run, reason=text, **by),)
        case "pause":
            return (c.Resume(**by),) if moment.state.pause else (c.Pause(reason=text, **by),)
        case "steer":
            return (c.Note(text=text, **by),)
        case "gate":
            return (c.Gate(on=not moment.state.gate, **by),)
        case "approve":
            held = views.held(moment.state)
            return (c.Approve(wave=held[0], **by),) if held else "No wave waits for approval."
        case "more_gpus" | "fewer_gpus":
            kinds = list(dict.fromkeys(gpu.type for gpu in moment.state.gpus))
            kind = moment.gpu_type or (kinds[0] if len(kinds) == 1 else "")
            change = 1 if action == "more_gpus" else -1
            return (c.MaxGpus(gpu_type=kind, change=change, **by),) if kind else NO_TYPE
        case "undo":
            return (c.Undo(**by),)
        case "stop_engine":
            return (c.Stop(**by),)
    raise KeyError(action)


def _each(moment: Moment, make: Any) -> tuple[c.Command, ...] | str:
    names: tuple[ExperimentId, ...] = tuple(sorted(moment.marked)) or ((moment.selected,) if moment.selected else ())
    return tuple(make(name) for name in names) if names else NOTHING_SELECTED


def question(action: str, moment: Moment) -> str:
    """What is asked before it is done; "" where nothing would be lost. "Veto e42? 3m10s on an H100 spent." """
    if action == "stop_engine":
        running = len(moment.state.active)
        return (
            f"Stop the engine? {running} running job{'s' * (running != 1)} finish first."
            if running
            else "Stop the engine?"
        )
    if action not in ("veto", "stop_run"):
        return ""
    if action == "veto" and len(moment.marked) == 1:  # it is what is vetoed, wherever the cursor is by now
        moment = msgspec.structs.replace(moment, selected=next(iter(moment.marked)))
    if len(moment.marked) > 1:
        return _about_many(moment) if action == "veto" else ""
    spent = _spent(moment)
    verb = "Veto" if action == "veto" else "Stop the run of"
    return f"{verb} {moment.selected}? {spent}" if spent else ""


def why_question(action: str, moment: Moment) -> str:
    """Above the line for a reason: "Veto e42? 3m10s on an H100 spent. Why?" """
    name = next(iter(moment.marked), moment.selected)
    return f"{question(action, moment) or f'Veto {name}?'} Why?"


def _about_many(moment: Moment) -> str:
    """ "Veto 3 of 5 experiments? 2 cannot be: e1 is already kept." """
    made = wish("veto", moment)
    possible, reasons = sort_out(moment.state, () if isinstance(made, str) else made)
    if not reasons:
        return f"Veto {len(possible):,} experiments?"
    whole = len(possible) + len(reasons)
    return f"Veto {len(possible):,} of {whole:,} experiments? {len(reasons):,} cannot be: {reasons[0]}"


def _spent(moment: Moment) -> str:
    from tui.numbers import duration

    run = moment.state.runs.get(moment.run) if moment.run else None
    if run is None or run.id not in moment.state.active or run.started_at is None:
        return ""
    return f"{duration(moment.now - run.started_at)} on {run.gpu_type} spent."
