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
from core.ids import ExperimentId, RunId
from core.state import Experiment, Spread, State

PRIOR_SD = {"cpu": 0.015}  # the template's CPU profile; measured, see README
PRIOR_SD_GPU = 0.0007  # seed to seed, published for one H100 and 5 minutes
PRIOR_DF = 1.0  # the prior counts as one degree of freedom
FUTILE = 1.0  # standard errors: less than this better is not worth another run
MIN_RUNS = 2  # nothing is kept on one run
DIVERGED = 10.0  # sd: a replicate further off than this is another matter than noise
MAX_LOST = 3
MAX_FAILED = 2  # runs of the baseline that are repeated because they failed
MAX_BPB = 1e6  # anything above is not a measurement


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decisions depend on."""

    baseline_runs: int = 3  # replicates of the baseline before the first verdict
    keep_sigmas: float = 3.0  # standard errors better than the baseline, more while the noise is little known: kept
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
    """Run to run, on one GPU type, as measured so far in this session."""
    return pooled(state.spread.get(gpu_type, Spread()), gpu_type)


def pooled(spread: Spread, gpu_type: str) -> Noise:
    """Over every replicated configuration, with a weak prior: sd² = (d₀s₀² + Σ(x − x̄)²) / (d₀ + df)."""
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
    if not scores or not _baseline_is_measured(state, gpu_type, rules):
        return Wait()
    base = state.scores[state.baseline, gpu_type]
    return _weigh(experiment, _evidence(state, gpu_type, scores, base), rules)


def measured_on(state: State, name: ExperimentId) -> str:
    """The GPU type that its comparison stays on: of its first run that counts, if there are such GPUs now. Else ""."""
    present = {gpu.type for gpu in state.gpus}
    types = (state.runs[run].gpu_type for run in state.experiments[name].runs if counts(state, run))
    return next((gpu_type for gpu_type in types if gpu_type in present), "")


def counts(state: State, run: RunId) -> bool:
    """Whether the run says, or will say, something about its experiment; a lost or cancelled one does not."""
    result = state.runs[run].result
    return result is None or result.outcome in ("finished", "crashed")


def attempts(state: State, name: ExperimentId, gpu_type: str) -> int:
    """Runs of it on this type that finished or go on, and those that failed under the present engine.

    A failure is not repeated for ever; an engine that is started again tries again.
    """
    since = state.engine.at if state.engine is not None else 0.0
    runs = (state.runs[run] for run in state.experiments[name].runs)
    return sum(
        run.gpu_type == gpu_type
        and (
            run.result is None
            or run.result.outcome == "finished"
            or (run.result.outcome != "cancelled" and run.requested_at >= since)
        )
        for run in runs
    )


def _baseline_is_measured(state: State, gpu_type: str, rules: Rules) -> bool:
    """Enough replicates; or as many as there are going to be, because some of them failed."""
    finished = len(state.scores.get((state.baseline, gpu_type), ()))
    going_on = any(state.runs[run].experiment == state.baseline for run in state.active)
    all_tried = attempts(state, state.baseline, gpu_type) >= most_attempts(rules) and not going_on
    return finished >= baseline_runs(rules) or (finished >= MIN_RUNS and all_tried)


def baseline_runs(rules: Rules) -> int:
    """Replicates of the baseline before anything is compared with it."""
    return max(MIN_RUNS, rules.baseline_runs)


def most_attempts(rules: Rules) -> int:
    """Runs of the baseline under one engine, failed ones included, before it does without the rest."""
    return baseline_runs(rules) + MAX_FAILED


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
    better = sigmas(evidence)
    needed = student_t(evidence.noise_df, rules.keep_sigmas)  # few degrees of freedom: the noise itself is uncertain
    tested = f"{describe(evidence)}: "
    needs = f"{better:.2f} of {needed:.2f} standard errors needed"
    if evidence.runs < experiment.wanted:
        return Retest(f"{tested}run again because it was promoted", evidence, better)
    if better < FUTILE:
        return Final("discarded", f"{tested}not better than the baseline", evidence, better)
    if evidence.runs >= MIN_RUNS and better >= needed:
        return Final("kept", f"{tested}better than the noise ({needs})", evidence, better)
    if evidence.runs >= experiment.wanted + rules.max_retests:
        return Final("discarded", f"{tested}could still be noise ({needs})", evidence, better)
    unsure = f"could be noise ({needs})"
    why = "looks better; a second seed must confirm it" if evidence.runs < MIN_RUNS else unsure
    return Retest(f"{tested}{why}", evidence, better)


def sigmas(evidence: Evidence) -> float:
    """How much better than the baseline it looks, in standard errors."""
    return -evidence.delta / evidence.standard_error


def describe(evidence: Evidence) -> str:
    """ "−0.1612 ± 0.0123 against e0 (2 runs, 3 of the baseline)" """
    runs = f"{evidence.runs} run{'s' * (evidence.runs != 1)}"
    sign = "−" if evidence.delta < 0 else "+"
    size = f"{sign}{abs(evidence.delta):.4f} ± {evidence.standard_error:.4f}"
    return f"{size} against {evidence.against} ({runs}, {evidence.baseline_runs} of the baseline)"
