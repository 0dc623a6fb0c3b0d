"""What operators undid, stopped or let through, and what became of the executor: one sentence per fact. Pure.

And how long runs train, in the words that stand wherever noise is told.
"""

from __future__ import annotations

from core import events as ev
from core.state import State


def sentence(fact: ev.Fact) -> str:
    """ "" for other facts. Names and reasons are as they were given: whoever shows them cleans them."""
    match fact:
        case ev.RerunRequested(experiment=name, by=by):
            return f"{name} is run once more for {by}"
        case ev.RerunWithdrawn(experiment=name, by=by):
            return f"{name} is not run once more: undone by {by}"
        case ev.RunStopRequested(run=run, by=by, reason=reason):
            return f"{run} is stopped for {by}{f': {reason}' if reason else ''}"
        case ev.VetoWithdrawn(experiment=name, by=by):
            return f"{name} is open again: {by} took the veto back"
        case ev.PromotionWithdrawn(experiment=name, by=by):
            return f"{name} waits its turn: {by} took the promotion back"
        case ev.NoteWithdrawn(by=by, text=text):
            return f"note taken back by {by}: {text}"
        case ev.GateSet(on=on, by=by):
            return f"new waves {'wait for approval' if on else 'need no approval'} from now on ({by})"
        case ev.WaveApproved(wave=wave, by=by):
            return f"{wave} approved by {by}"
        case ev.ApprovalWithdrawn(wave=wave, by=by):
            return f"{wave} waits again: {by} took the approval back"
        case ev.MaxGpusSet():
            return _limits(fact)
        case ev.ReadySet(gpus_each=each):
            return f"one run waits ready for every {each} GPUs of a type, at least one" if each else ""
        case ev.RunWaiting(run=run, reason=reason, needs_a_person=True):
            return f"{run} waits: {reason}"
        case ev.ExecutorLost(reason=reason):
            return f"the executor cannot be reached: {reason}; nothing is decided until it can"
        case ev.ExecutorFound():
            return "the executor can be reached again"
        case ev.PricesSet(gpu_usd_hour=prices):
            shown = ", ".join(f"{kind} ${price:g}/h" for kind, price in prices.items())
            return f"prices: {shown or 'none'}"
    return ""


def at_budget(state: State, before: str = " at ") -> str:
    """ " at 8 s per run": what noise and results are measured at; "" where that was not told."""
    return f"{before}{state.budget_s:g} s per run" if state.budget_s else ""


def _limits(fact: ev.MaxGpusSet) -> str:
    if not fact.by:
        shown = ", ".join(f"{most} × {kind}" for kind, most in fact.limits.items())
        return f"at most {shown} in use or waited for" if shown else "no limit of GPUs"
    most = fact.limits.get(fact.gpu_type)
    if most is None:
        return f"{fact.gpu_type} has no limit any more ({fact.by})"
    return f"at most {most} × {fact.gpu_type} from now on ({fact.by}); what runs beyond that finishes"
