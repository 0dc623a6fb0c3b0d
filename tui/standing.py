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


def main_type(state: State, experiment: Experiment) -> str:
    """The GPU type with most of its results, "" before the first one: what `views.estimate` takes."""
    best, most = "", 0
    runs, known = state.runs, state.scores
    for run in experiment.runs:
        kind = runs[run].gpu_type
        found = len(known.get((experiment.id, kind), ()))
        if found > most:
            best, most = kind, found
    return best


def scores(state: State, experiment: Experiment) -> tuple[float, ...]:
    """val_bpb of its runs on that type."""
    return state.scores.get((experiment.id, main_type(state, experiment)), ())


def mean_bpb(state: State, experiment: Experiment) -> float | None:
    found = scores(state, experiment)
    return sum(found) / len(found) if found else None


def direction(evidence: Evidence) -> str:
    """The role of its delta."""
    return leaning(evidence.delta, evidence.standard_error, evidence.noise_df)


def leaning(delta: float, standard_error: float, df: float) -> str:
    """Better, worse, or muted where the 95 % interval covers none."""
    if abs(delta) <= student_t(df) * standard_error:
        return "muted"
    return "better" if delta < 0 else "worse"


def error(standard_error: float, glyphs: Glyphs) -> str:
    """What stands behind a difference: "± 0.0016"."""
    return f"{glyphs.plus_minus}{standard_error:.4f}"


def delta(evidence: Evidence, glyphs: Glyphs) -> Line:
    """ "−0.0047 ± 0.0016 against e20, 5.8 standard errors" """
    strength = abs(evidence.delta) / evidence.standard_error if evidence.standard_error > 0 else 0.0
    return (
        (numbers.delta(evidence.delta), direction(evidence)),
        (f" {error(evidence.standard_error, glyphs)}", "muted"),
        (f" against {evidence.against}, {strength:.1f} standard errors", "muted"),
    )
