"""Whether a result is better than the baseline, or only luck.

An experiment is compared with the baseline on the same GPU type, in units of the run-to-run noise measured there.
Clearly better after at least two runs: kept. Clearly not: discarded. In between: another run with another seed.
Knows scores, not processes.
"""

from __future__ import annotations

import math
from statistics import fmean

import msgspec

from core.events import Evidence, FinalVerdict
from core.ids import ExperimentId
from core.state import Experiment, Spread, State

PRIOR_SD = {"cpu": 0.015}  # the template's CPU profile; measured, see README
PRIOR_SD_GPU = 0.0007  # seed to seed, published for one H100 and 5 minutes
PRIOR_DF = 1.0  # the prior counts as one degree of freedom
FUTILE = 1.0  # standard errors: less than this better is not worth another run
MIN_RUNS = 2  # nothing is kept on one run
MAX_LOST = 3


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decisions depend on."""

    baseline_runs: int = 3  # replicates of the baseline before the first verdict
    keep_sigmas: float = 3.0  # standard errors better than the baseline: kept
    max_retests: int = 3


class Noise(msgspec.Struct, frozen=True):
    """Run-to-run standard deviation of val_bpb on one GPU type. df counts the prior; measured_df does not."""

    sd: float
    df: float
    measured_df: int


class Wait(msgspec.Struct, frozen=True):
    """Nothing to say yet: a run is still to come, or the baseline is not measured."""


class Retest(msgspec.Struct, frozen=True):
    reason: str
    evidence: Evidence | None
    sigmas: float  # how much better than the baseline it looks, in standard errors


class Final(msgspec.Struct, frozen=True):
    verdict: FinalVerdict
    reason: str
    evidence: Evidence | None = None
    sigmas: float = 0.0


Judgement = Wait | Retest | Final


def noise(state: State, gpu_type: str) -> Noise:
    """Pooled over every replicated configuration, with a weak prior: sd² = (d₀s₀² + Σ(x − x̄)²) / (d₀ + df)."""
    spread = state.spread.get(gpu_type, Spread())
    prior = PRIOR_SD.get(gpu_type, PRIOR_SD_GPU)
    df = PRIOR_DF + spread.df
    return Noise(math.sqrt((PRIOR_DF * prior**2 + spread.squares) / df), df, spread.df)


def student_t(df: float, z: float = 1.959964) -> float:
    """Quantile of Student's t for the normal quantile z (default: two-sided 95 %).

    Cornish-Fisher expansion, Abramowitz & Stegun 26.7.5; within 1 % for df ≥ 3.
    """
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / df + g2 / df**2 + g3 / df**3


def judge(state: State, experiment: Experiment, rules: Rules) -> Judgement:
    """What the runs of an open experiment say so far."""
    if any(run in state.active for run in experiment.runs):
        return Wait()
    failed = _failed(state, experiment)
    if failed:
        return Final("crashed", failed)
    gpu_type = measured_on(state, experiment.id)
    scores = state.scores.get((experiment.id, gpu_type), ())
    base = state.scores.get((state.baseline, gpu_type), ())
    if not scores or len(base) < min(MIN_RUNS, rules.baseline_runs):
        return Wait()
    return _weigh(experiment, _evidence(state, gpu_type, scores, base), rules)


def measured_on(state: State, name: ExperimentId) -> str:
    """The GPU type of its first run; comparisons stay on it. "" before the first."""
    runs = state.experiments[name].runs
    return state.runs[runs[0]].gpu_type if runs else ""


def _failed(state: State, experiment: Experiment) -> str:
    results = [result for run in experiment.runs if (result := state.runs[run].result) is not None]
    crashed = [result for result in results if result.outcome == "crashed"]
    if crashed:
        return crashed[-1].reason or "crashed"
    lost = [result for result in results if result.outcome == "lost"]
    if len(lost) >= MAX_LOST:
        return f"its run was lost {len(lost)} times ({lost[-1].reason})"
    return ""


def _evidence(state: State, gpu_type: str, scores: tuple[float, ...], base: tuple[float, ...]) -> Evidence:
    measured = noise(state, gpu_type)
    return Evidence(
        against=state.baseline,
        gpu_type=gpu_type,
        delta=fmean(scores) - fmean(base),
        standard_error=measured.sd * math.sqrt(1 / len(scores) + 1 / len(base)),
        runs=len(scores),
        baseline_runs=len(base),
        noise_sd=measured.sd,
        noise_df=measured.df,
    )


def _weigh(experiment: Experiment, evidence: Evidence, rules: Rules) -> Judgement:
    sigmas = -evidence.delta / evidence.standard_error
    tested = f"{describe(evidence)}: "
    wanted = MIN_RUNS * experiment.reopened + 1
    if evidence.runs < wanted:
        return Retest(f"{tested}run again because it was promoted", evidence, sigmas)
    if sigmas < FUTILE:
        return Final("discarded", f"{tested}not better than the baseline", evidence, sigmas)
    if evidence.runs >= MIN_RUNS and sigmas >= rules.keep_sigmas:
        return Final("kept", f"{tested}better than the noise", evidence, sigmas)
    if evidence.runs >= wanted + rules.max_retests:
        return Final("discarded", f"{tested}could still be noise after {evidence.runs} runs", evidence, sigmas)
    why = "looks better; a second seed must confirm it" if evidence.runs < MIN_RUNS else "could be noise"
    return Retest(f"{tested}{why}", evidence, sigmas)


def describe(evidence: Evidence) -> str:
    """ "−0.1612 ± 0.0123 against e0 (2 runs, 3 of the baseline)" """
    runs = f"{evidence.runs} run{'s' * (evidence.runs != 1)}"
    sign = "−" if evidence.delta < 0 else "+"
    size = f"{sign}{abs(evidence.delta):.4f} ± {evidence.standard_error:.4f}"
    return f"{size} against {evidence.against} ({runs}, {evidence.baseline_runs} of the baseline)"
