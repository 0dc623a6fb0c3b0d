"""What a researcher may wish for beyond waves: promote, retest, veto, note, wait. Each may be refused with a sentence.

Wishes are carried out by the engine as an operator's are; here they are only checked. Pure.
"""

from __future__ import annotations

from core import commands
from core.claude.fences import clean, plain
from core.claude.planning import known
from core.claude.schemas import NoteInput, OfExperiment, WaitInput
from core.claude.view import Unusable, Used, View
from core.ledger import vacancy
from core.researcher import Plan
from core.views import queued

MOST_NOTE = 2000  # characters of one entry
MOST_NOTEBOOK = 24_000  # characters of all entries: it stands in every question
SHORTEST_S, LONGEST_S = 10.0, 1800.0  # of a wait


def promote(given: OfExperiment, view: View) -> Used:
    name = known(given.experiment, view).id
    wish = commands.Promote(experiment=name, reason=clean(given.reason), at=view.now, by=view.by)
    return _wished(wish, f"promotes {name}: {clean(given.reason, 160)}", view)


def retest(given: OfExperiment, view: View) -> Used:
    name = known(given.experiment, view).id
    return _wished(
        commands.Rerun(experiment=name, at=view.now, by=view.by), f"retests {name}: {clean(given.reason, 160)}", view
    )


def veto(given: OfExperiment, view: View) -> Used:
    experiment = known(given.experiment, view)
    wave = view.state.waves.get(experiment.wave) if experiment.wave else None
    if wave is None or wave.researcher != view.by or experiment.of:
        raise Unusable(f"{experiment.id} is not your own proposal, so it is not yours to veto; say why in a note.")
    wish = commands.Veto(experiment=experiment.id, reason=clean(given.reason), at=view.now, by=view.by)
    return _wished(wish, f"withdraws {experiment.id}: {clean(given.reason, 160)}", view)


def _wished(wish: commands.Command, told: str, view: View) -> Used:
    if refusal := commands.refusal(view.state, wish):
        raise Unusable(refusal)
    return Used(answer="Done.", told=told, commands=(wish,))


def note(given: NoteInput, view: View) -> Used:
    text = plain(given.text).strip()
    if not text:
        raise Unusable("An empty note says nothing; write a finding with its experiments and numbers.")
    if len(text) > MOST_NOTE:
        raise Unusable(f"The note is {len(text):,} characters long; {MOST_NOTE:,} is the limit: shorten it.")
    if any(entry.text == text for entry in view.state.notebook):
        raise Unusable("The notebook says exactly this already; go on.")
    full = len(text) + sum(len(entry.text) for entry in view.state.notebook) > MOST_NOTEBOOK
    if full and not given.starts_over:
        raise Unusable(
            f"The notebook is full: {MOST_NOTEBOOK:,} characters. Write one note with starts_over that sums up what "
            "still matters."
        )
    told = f"{'begins the notebook anew' if given.starts_over else 'notes'}: {clean(text, 200)}"
    return Used(answer="Written.", told=told, notes=(text,), starts_over=given.starts_over)


def wait(given: WaitInput, view: View) -> Used:
    state = view.state
    if not state.open:  # repeats of the baseline, which fill GPUs that have nothing to do, bring no news
        raise Unusable("No experiment runs or is queued, so there is nothing to wait for; plan a wave.")
    free = vacancy(state.holders.values()).free - len(queued(state))
    if free > 0 and state.pause is None:
        raise Unusable(
            f"{free} GPU{'s' * (free != 1)} would stand still; plan a wave that does not depend on the rest."
        )
    seconds = min(LONGEST_S, max(SHORTEST_S, given.seconds)) if given.seconds == given.seconds else SHORTEST_S
    reason = clean(given.reason, 300) or "it wants to see more results"
    plan = Plan(reason=reason, ideas=(), wait_s=seconds)
    return Used(answer="Waiting.", told=f"waits up to {seconds:.0f} s: {reason}", plan=plan)
