"""Experiments as lines of text for a model: few characters, one line each, numbers rounded in one place.

Text that people, models and runs wrote is cleaned and cut here. Pure; it knows states, not conversations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from statistics import fmean

import msgspec

from core import knobs
from core.claude.fences import clean
from core.design import Design
from core.duplicates import of_others
from core.effects import Effect
from core.ids import WaveId
from core.patch import Change
from core.state import Experiment, Run, State, Wave
from core.verdict import describe, noise

TITLE = 90  # characters
FACTORS = 8  # of a design, that are named
REASON = 140


class Measured(msgspec.Struct, frozen=True):
    """What an experiment measured: its mean on one GPU type, and how far that is from what it is compared with."""

    experiment: Experiment
    gpu_type: str = ""
    runs: int = 0
    val_bpb: float | None = None
    delta: float | None = None  # below 0 is better
    standard_error: float | None = None
    against: str = ""


def measured(state: State, experiment: Experiment, on: str = "") -> Measured:
    """On GPU type `on`, or where its verdict rests, or where it has most results."""
    evidence = experiment.evidence or experiment.screening
    name = experiment.twin or experiment.id
    wanted = on or (evidence.gpu_type if evidence else "") or _most_measured(state, experiment)
    scores = state.scores.get((name, wanted), ())
    if not scores:
        return Measured(experiment)
    found = Measured(experiment, wanted, len(scores), fmean(scores))
    if evidence is not None and evidence.gpu_type == wanted:
        delta: float | None = evidence.delta
        error: float | None = evidence.standard_error
        against = str(evidence.against)
    else:
        delta, error, against = _against_parent(state, experiment, scores, wanted)
    return msgspec.structs.replace(found, delta=delta, standard_error=error, against=against)


def _most_measured(state: State, experiment: Experiment) -> str:
    kinds = dict.fromkeys(state.runs[run].gpu_type for run in experiment.runs)
    name = experiment.twin or experiment.id
    return max(kinds, key=lambda kind: len(state.scores.get((name, kind), ())), default="")


def _against_parent(
    state: State, experiment: Experiment, scores: Sequence[float], gpu_type: str
) -> tuple[float | None, float | None, str]:
    base = state.scores.get((experiment.parent, gpu_type), ()) if experiment.parent else ()
    if not base:
        return None, None, ""
    error = noise(state, gpu_type).sd * math.sqrt(1 / len(scores) + 1 / len(base))
    return fmean(scores) - fmean(base), error, str(experiment.parent)


# --- lines ------------------------------------------------------------------------------------------------------------


def bpb(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def change_of(delta: float | None, error: float | None) -> str:
    """ "-0.0031±0.0004" """
    if delta is None:
        return "-"
    return f"{delta:+.4f}" + (f"±{error:.4f}" if error is not None else "")


def line(state: State, experiment: Experiment, *, reasons: bool = True) -> str:
    """ "e42 discarded 0.98120 +0.0004±0.0007 vs e12 (2 runs, H100) MATRIX_LR 0.04 → 0.08: no better" """
    found = measured(state, experiment)
    number = [bpb(found.val_bpb), change_of(found.delta, found.standard_error)] if found.runs else []
    against = [f"vs {found.against}"] if found.against else []
    runs = [f"({found.runs} run{'s' * (found.runs != 1)}{of_others(state, experiment)}, {found.gpu_type})"]
    runs = runs if found.runs else []
    words = [experiment.id, status_of(experiment), *number, *against, *runs, clean(experiment.title, TITLE)]
    reason = clean(_beyond_numbers(experiment), REASON) if reasons else ""
    return " ".join(words) + (f": {reason}" if reason and experiment.status != "duplicate" else "")


def _beyond_numbers(experiment: Experiment) -> str:
    """The reason of a verdict without the evidence that it begins with."""
    evidence = experiment.evidence
    numbers = f"{describe(evidence)}: " if evidence is not None else ""
    return experiment.reason.removeprefix(numbers)


def status_of(experiment: Experiment) -> str:
    if experiment.status == "duplicate":
        return f"same as {experiment.twin}"
    return "screened" if experiment.is_open and experiment.screened else experiment.status


def short(state: State, experiment: Experiment) -> str:
    """ "e42 +0.0004 swiglu" """
    found = measured(state, experiment)
    delta = f" {found.delta:+.4f}" if found.delta is not None else f" {experiment.status}"
    return f"{experiment.id}{delta} {clean(experiment.title, 48)}"


def grid(rows: Iterable[Sequence[str]], columns: Sequence[str]) -> str:
    """A table with bars between its cells: few tokens, and read well by models."""
    return "\n".join(" | ".join(row) for row in (columns, *rows))


def changed(change: Change) -> str:
    parts = [f"{name} = {clean(text, 40)}" for name, text in change.settings.items()]
    if change.edits:
        parts.append(f"{len(change.edits)} edit{'s' * (len(change.edits) != 1)} of the code")
    return ", ".join(parts) or "-"


def touched(change: Change) -> str:
    """What it changes, without any text of whoever proposed it."""
    code = [f"{len(change.edits)} edit{'s' * (len(change.edits) != 1)} of the code"] if change.edits else []
    return ", ".join((*change.settings, *code)) or "-"


def cell_of(experiment: Experiment) -> str:
    return ", ".join(f"{clean(name, 40)}={clean(level, 30)}" for name, level in experiment.cell.items()) or "-"


def last_run(state: State, experiment: Experiment) -> Run | None:
    """The latest that has ended, or else the latest."""
    runs = [state.runs[name] for name in experiment.runs]
    ended = [run for run in runs if run.result is not None]
    return next(reversed(ended or runs), None)


# --- waves ------------------------------------------------------------------------------------------------------------


def design_of(design: Design) -> str:
    """ "full factorial of MATRIX_LR (0.02, 0.04) × DEPTH (4, 6)" """
    factors = _times(f"{clean(f.name, 40)} ({clean(', '.join(f.levels), 80)})" for f in design.factors)
    generators = f", generators {', '.join(design.generators)}" if design.generators else ""
    return f"{design.kind} of {factors}{generators}"


def wave_line(state: State, wave: Wave) -> str:
    """A wave that is over, in one line."""
    members = [state.experiments[name] for name in wave.experiments]
    kept = [member.id for member in members if member.status == "kept"]
    best = min(
        (found for member in members if (found := measured(state, member)).delta is not None),
        key=lambda found: found.delta or 0.0,
        default=None,
    )
    names = [clean(factor.name, 40) for factor in wave.design.factors] if wave.design else []
    what = f"{wave.design.kind} of {_times(names)}" if wave.design and names else "list"
    parts = [
        f"{wave.id} from {wave.parent}{f' [{clean(wave.phase, 30)}]' if wave.phase else ''}",
        f"{what}, {_span(members)}",
        f"kept {', '.join(kept)}" if kept else "nothing kept",
        *([f"best {best.experiment.id} {change_of(best.delta, best.standard_error)}"] if best else []),
        *([f"{crashed} crashed"] if (crashed := sum(m.status == "crashed" for m in members)) else []),
    ]
    return "; ".join(parts)


def _times(names: Iterable[str]) -> str:
    """ "A × B × 9 more" """
    every = [*names]
    return " × ".join(every if len(every) <= FACTORS else [*every[: FACTORS - 1], f"{len(every) - FACTORS + 1} more"])


def _span(members: Sequence[Experiment]) -> str:
    if not members:
        return "no experiments"
    return f"{len(members)} experiments {members[0].id} to {members[-1].id}" if len(members) > 1 else members[0].id


def wave_head(state: State, name: WaveId) -> str:
    """What it was and wanted, for a wave that is shown in full."""
    wave = state.waves[name]
    phase = f" [{clean(wave.phase, 30)}]" if wave.phase else ""
    what = design_of(wave.design) if wave.design and wave.design.factors else "list of free edits"
    return f"{wave.id} from {wave.parent}{phase}, {what}. Why: {clean(wave.reason, 500)}"


def effect_line(effect: Effect) -> str:
    """ "MATRIX_LR -0.0031±0.0004 (sure); shares its column with DEPTH × MLP_RATIO" """
    name = " × ".join(clean(factor, 40) for factor in effect.factors)
    if len(effect.factors) == 2 and effect.factors[0] == effect.factors[1]:
        name = f"{clean(effect.factors[0], 40)} bend"
    at = f" at {', '.join(clean(level, 30) for level in effect.levels if level)}" if any(effect.levels) else ""
    weight = " sure" if effect.is_sure else " clear" if effect.is_clear else " unclear"
    others = [("-" if alias.sign < 0 else "") + clean(" × ".join(alias.factors), 80) for alias in effect.aliases]
    also = f"; shares its column with {', '.join(others)}" if others else ""
    return f"{name}{at} {change_of(effect.size, effect.standard_error)}{weight}{also}"


# --- constants --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def texts_of(source: str) -> dict[str, str]:
    """The constants of a train.py with their source texts."""
    return {knob.name: knob.text for knob in knobs.find(source)}
