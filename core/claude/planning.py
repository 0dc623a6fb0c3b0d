"""What a researcher plans, checked: a design or a list of free edits becomes a plan, a crash becomes its repair.

Everything is checked against the baseline's train.py before it costs a GPU-second. Pure; it launches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core import factors, knobs, patch
from core.claude import integrity
from core.claude.fences import clean, fenced
from core.claude.schemas import Block, EditInput, FactorInput, IdeaInput, PlanWave, Repair, Setting
from core.claude.view import Unusable, Used, View
from core.design import WITH, Design, Factor, cells, change
from core.errors import DesignError, PatchError
from core.ids import ExperimentId
from core.patch import Change, Edit
from core.researcher import Idea, Plan
from core.state import Experiment, State
from core.views import source_of

MOST_IDEAS = 128  # of one list
MOST_CHARACTERS = 200_000  # of one change
TITLE, SENTENCE = 120, 1000  # characters
FEWEST_CELLS = 8  # a fraction for a small fleet is not smaller


def plan_wave(wave: PlanWave, view: View) -> Used:
    _of_the_baseline(wave.baseline, view)
    if not wave.hypothesis.strip():
        raise Unusable("A wave needs a hypothesis: say in `hypothesis` what it finds out.")
    plan, refused = _listed(wave, view) if wave.design == "list" else _designed(wave, view)
    what = _named(plan)
    told = f"{what} from {view.start}{f' ({plan.phase})' if plan.phase else ''}: {clean(wave.hypothesis, 160)}"
    return Used(answer="\n".join((f"Planned: {what}.", *refused)), told=told, plan=plan)


def _of_the_baseline(name: str, view: View) -> None:
    if name.strip() != view.start:
        raise Unusable(
            f"Waves start from the present baseline, which is {view.start}, not {clean(name, 20)!r}; "
            f"plan from {view.start} (read_file shows its train.py)."
        )


def _plan(wave: PlanWave, ideas: tuple[Idea, ...], design: Design | None) -> Plan:
    expected = f" Expected: {clean(wave.expected_effect, 200)}." if wave.expected_effect.strip() else ""
    return Plan(
        reason=f"{clean(wave.hypothesis, SENTENCE)}{expected}",
        ideas=ideas,
        design=design,
        phase=clean(wave.phase, 40),
    )


def _named(plan: Plan) -> str:
    number = sum(not idea.refused for idea in plan.ideas)
    count = f"{number} experiment{'s' * (number != 1)}"
    if plan.design is None:
        return count
    return f"a {plan.design.kind} of {' × '.join(factor.name for factor in plan.design.factors)}: {count}"


# --- designs ----------------------------------------------------------------------------------------------------------


def _designed(wave: PlanWave, view: View) -> tuple[Plan, list[str]]:
    if wave.experiments:
        raise Unusable('A design and a list do not go into one wave: leave `experiments` empty, or plan a "list".')
    if not wave.factors:
        raise Unusable(f"A {wave.design} needs factors: name constants with their levels, or edits as factors.")
    try:
        design = _design(wave, view)
        found = cells(design)
    except DesignError as error:
        raise Unusable(str(error)) from error
    base = {knob.name: knob.text for knob in knobs.find(view.source)}
    ideas = tuple(
        Idea(title=_title(design, cell, base), change=made, cell=cell, promoted=wave.tier == "validate")
        for cell in found
        if (made := change(design, cell, base)) != Change()  # the parent itself is measured anyway
    )
    if not ideas:
        raise Unusable("Every cell of this design is the baseline itself; give levels that differ from it.")
    return _plan(wave, ideas, design), []


def _design(wave: PlanWave, view: View) -> Design:
    chosen = [_factor(factor, view) for factor in wave.factors]
    match wave.design:
        case "fractional factorial" if wave.generators:
            return Design("fractional factorial", tuple(chosen), wave.generators)
        case "fractional factorial":
            return factors.fractional(chosen, max(wave.most_cells, 2) if wave.most_cells > 0 else _room(view))
        case "Plackett-Burman":
            return factors.plackett_burman(chosen)
        case "definitive screening":
            return factors.definitive(chosen)
        case "central composite":
            return factors.central_composite(chosen)
        case _:
            return Design("full factorial", tuple(chosen))


def _room(view: View) -> int:
    return max(view.slots, FEWEST_CELLS)


def _factor(given: FactorInput, view: View) -> Factor:
    name = clean(given.name, 60)
    if given.edits:
        made = Change(edits=_edits(given.edits))
        _accepted(made, view, f"The edits of the factor {name}")
        return factors.structural(name, made.edits)
    levels = tuple(level.strip() for level in given.levels)
    present = {knob.name: knob.text for knob in knobs.find(view.source)}
    for level in levels:
        if level != present.get(name):
            _accepted(Change(settings={name: level}), view, f"{name} = {clean(level, 60)}")
    return Factor(name, levels, given.scale)


def _title(design: Design, cell: dict[str, str], base: dict[str, str]) -> str:
    told = []
    for factor in design.factors:
        level = cell[factor.name]
        if factor.edits:
            told += [f"with {factor.name}"] if level == WITH else []
        elif level != base.get(factor.name):
            told.append(f"{factor.name} {base.get(factor.name, '')} → {level}")
    return clean(", ".join(told), 2 * TITLE)


# --- lists ------------------------------------------------------------------------------------------------------------


def _listed(wave: PlanWave, view: View) -> tuple[Plan, list[str]]:
    if wave.factors:
        raise Unusable('A "list" has no factors: name a design, or put the changes into `experiments`.')
    if not 0 < len(wave.experiments) <= MOST_IDEAS:
        raise Unusable(f"A list has 1 to {MOST_IDEAS} experiments; this one has {len(wave.experiments)}.")
    ideas = tuple(_idea(idea, wave, view) for idea in wave.experiments)
    refused = [f"Refused: {idea.title}: {idea.refused}" for idea in ideas if idea.refused]
    if 2 * len(refused) > len(ideas):
        raise Unusable("Most of this list cannot run, so nothing is planned; correct it.\n" + "\n".join(refused[:20]))
    return _plan(wave, ideas, None), refused


def _idea(idea: IdeaInput, wave: PlanWave, view: View) -> Idea:
    made = _change(idea.edits, idea.settings)
    return Idea(
        title=clean(idea.title, TITLE) or "untitled",
        change=made,
        hypothesis=clean(idea.hypothesis, SENTENCE),
        promoted=wave.tier == "validate",
        refused=_refusal(made, view.source, view) or "",
    )


# --- edits ------------------------------------------------------------------------------------------------------------


def _change(edits: Iterable[Block], settings: Iterable[Setting]) -> Change:
    return Change(settings={each.name.strip(): each.value.strip() for each in settings}, edits=_edits(edits))


def _edits(blocks: Iterable[Block]) -> tuple[Edit, ...]:
    return tuple(Edit(block.search, block.replace) for block in blocks)


def _accepted(made: Change, view: View, what: str) -> None:
    if reason := _refusal(made, view.source, view):
        raise Unusable(f"{what}: {reason}")


def _refusal(made: Change, source: str, view: View) -> str | None:
    """Why a change of a train.py must not run; None if it may."""
    if sum(len(edit.search) + len(edit.replace) for edit in made.edits) > MOST_CHARACTERS:
        return f"the edits are longer than {MOST_CHARACTERS:,} characters; make smaller ones."
    if made == Change():
        return "it changes nothing: give edits or settings."
    try:
        after = patch.apply(source, made)
    except PatchError as error:
        return str(error)
    return patch.check(after, source) or integrity.check(after, source, view.allowed)


def edit(given: EditInput, view: View) -> Used:
    source = source_named(given.experiment, view)
    made = Change(edits=_edits(given.edits))
    if reason := _refusal(made, source, view):
        raise Unusable(reason)
    after = patch.apply(source, made)
    twin = view.state.digests.get(patch.digest(after, like=source))
    known = f" It is the same train.py as {twin}." if twin else ""
    shown = fenced(patch.diff(source, after), view.state, "diff", 4000)
    return Used(answer=f"It applies and may run.{known}\n{shown}", told=f"tried an edit of {given.experiment}")


def source_named(name: str, view: View) -> str:
    """The train.py of an experiment by its name."""
    try:
        return source_of(view.state, known(name, view).id)
    except (KeyError, PatchError) as error:
        raise Unusable(f"The train.py of {clean(name, 20)} cannot be made: {error}.") from error


def known(name: str, view: View) -> Experiment:
    experiment = view.state.experiments.get(ExperimentId(name.strip()))
    if experiment is None:
        last = next(reversed(view.state.experiments), "none")
        raise Unusable(f"There is no experiment {clean(name, 20)!r}; they are named like e12, the latest is {last}.")
    return experiment


# --- repairs ----------------------------------------------------------------------------------------------------------


def repair(given: Repair, view: View) -> Used:
    """A new experiment that makes the crashed one's change and mends it, on the present baseline."""
    crashed = known(given.experiment, view)
    if no := unrepairable(view.state, crashed):
        raise Unusable(no)
    mended = _change(given.edits, given.settings)
    before = source_named(crashed.id, view)
    try:
        patch.apply(before, mended)
    except PatchError as error:
        raise Unusable(f"Against the train.py of {crashed.id}: {error}") from error
    made = _joined(crashed.change, mended)
    if reason := _refusal(made, view.source, view):
        raise Unusable(f"On top of {view.start}: {reason}")
    diagnosis = clean(given.diagnosis, SENTENCE)
    idea = Idea(
        title=clean(f"{crashed.title}, repaired", TITLE),
        change=made,
        hypothesis=f"{crashed.id} crashed: {diagnosis}",
        repairs=crashed.id,
        promoted=crashed.promoted,
    )
    plan = Plan(reason=f"{crashed.id} is repaired: {diagnosis}", ideas=(idea,), phase=_phase(crashed, view))
    return Used(
        answer=f"Planned: the repair of {crashed.id}.", told=f"{crashed.id} is repaired: {diagnosis}", plan=plan
    )


def unrepairable(state: State, crashed: Experiment) -> str:
    """Why it gets no repair, as a sentence; "" if it does."""
    if crashed.status != "crashed":
        return f"{crashed.id} is {crashed.status}, not crashed; only crashed experiments are repaired."
    if crashed.id in state.repairs:
        return f"{crashed.id} has had its one repair; leave it and try something else."
    if any(tried.by == crashed.id for tried in state.repairs.values()):
        return f"{crashed.id} is a repair itself and crashed again; leave it and try something else."
    return ""


def _joined(first: Change, then: Change) -> Change:
    return msgspec.structs.replace(
        first, edits=(*first.edits, *then.edits), settings={**first.settings, **then.settings}
    )


def _phase(crashed: Experiment, view: View) -> str:
    wave = view.state.waves.get(crashed.wave) if crashed.wave else None
    return wave.phase if wave else ""


# --- plans from elsewhere ---------------------------------------------------------------------------------------------


def rechecked(plan: Plan, source: str, allowed: frozenset[str]) -> Plan:
    """A plan of unknown origin: texts cleaned, and every idea looked at again against the baseline's train.py."""
    ideas = tuple(
        msgspec.structs.replace(
            idea,
            title=clean(idea.title, 2 * TITLE) or "untitled",
            hypothesis=clean(idea.hypothesis, SENTENCE),
            refused=clean(idea.refused) or _cheats(idea.change, source, allowed),
        )
        for idea in plan.ideas
    )
    return msgspec.structs.replace(
        plan, ideas=ideas, reason=clean(plan.reason, 2 * SENTENCE), phase=clean(plan.phase, 40)
    )


def _cheats(made: Change, source: str, allowed: frozenset[str]) -> str:
    """What the engine's own check does not see; what does not apply is left to it."""
    try:
        return integrity.check(patch.apply(source, made), source, allowed) or ""
    except PatchError:
        return ""
