"""What is known of an experiment in numbers, as texts and spans that stand the same in every list. Pure and quick."""

from __future__ import annotations

from core.events import Evidence
from core.state import Experiment, State
from core.verdict import student_t
from tui import numbers
from tui.glyphs import Glyphs
from tui.paint import Line


def gpu_types(state: State, experiment: Experiment) -> tuple[str, ...]:
    """That it ran or runs on, the first first."""
    return tuple(dict.fromkeys(state.runs[run].gpu_type for run in experiment.runs))


def scores(state: State, experiment: Experiment) -> tuple[float, ...]:
    """val_bpb of its runs on the GPU type with most of them: what `views.estimate` takes the mean of."""
    best: tuple[float, ...] = ()
    runs, known = state.runs, state.scores
    for run in experiment.runs:
        found = known.get((experiment.id, runs[run].gpu_type), ())
        if len(found) > len(best):
            best = found
    return best


def mean_bpb(state: State, experiment: Experiment) -> float | None:
    found = scores(state, experiment)
    return sum(found) / len(found) if found else None


def half(evidence: Evidence) -> float:
    """Half the width of the 95 % interval of its delta."""
    return student_t(evidence.noise_df) * evidence.standard_error


def direction(evidence: Evidence) -> str:
    """The role of its delta: better, worse, or muted where the 95 % interval covers none."""
    if abs(evidence.delta) <= half(evidence):
        return "muted"
    return "better" if evidence.delta < 0 else "worse"


def delta(evidence: Evidence, glyphs: Glyphs) -> Line:
    """ "−0.0047 ± 0.0016 against e20, 5.8 standard errors" """
    strength = abs(evidence.delta) / evidence.standard_error if evidence.standard_error > 0 else 0.0
    return (
        (numbers.delta(evidence.delta), direction(evidence)),
        (f" {glyphs.plus_minus} {half(evidence):.4f}", "muted"),
        (f" against {evidence.against}, {strength:.1f} standard errors", "muted"),
    )
