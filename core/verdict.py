"""Whether a result is better than the baseline, or only luck.

An experiment is compared with the baseline on the same GPU type, in units of the run-to-run noise measured there, by
the sequential test of `core.sequential`: kept, run again with another seed, or discarded. A change that passes on the
screening tier goes on to the validation tier and has to hold there too. Knows scores, not processes.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import NamedTuple

import msgspec

from core.events import Evidence, FinalVerdict
from core.ids import BASELINE, ExperimentId, RunId
from core.known import Known
from core.merging import is_free, rival
from core.sequential import information, log_evidence, sigmas_needed
from core.state import Experiment, Spread, State
from core.tiers import MIN_RUNS, Tiers, disagree, keeps_failing, tiers

PRIOR_SD = {"cpu": 0.015}  # the template's CPU profile; measured, see README
PRIOR_SD_GPU = 0.0007  # seed to seed, published for one H100 and 5 minutes
PRIOR_DF = 1.0  # the prior counts as one degree of freedom
KNOWN_DF = 2  # measured degrees of freedom from which on the noise counts as known
DIVERGED = 10.0  # sd: a replicate further off than this is another matter than noise
MAX_BPB = 1e6  # anything above is not a measurement
FEWEST_COMPARED = 10  # small waves share the chance of a false keep as if they were one of ten
VALIDATED = 0.1  # of those that do not hold on the validation tier, the share that may pass it
WIDER = 4.0  # times the screening level, while the tiers order experiments differently
CLEAR = 2.0  # standard errors beyond what was needed: selection flatters such a mean too little to matter
WITHIN = 2  # more runs that may still make a cell of a design pass
ONE_SIDED = 1.644854  # normal quantile of 95 %
MOST_KNOWN = 20_000  # answers kept at a time


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decisions depend on."""

    baseline_runs: int = 3  # replicates of a baseline before anything is compared with it
    false_keeps: float = 0.1  # chance per wave that it keeps a change that is no better
    worth: float = 2.5  # run-to-run sd: an improvement of this size should not be missed
    futility: float = 0.2  # evidence below which a change is not run again: about the share of `worth` ones missed
    max_retests: int = 6
    max_lost: int = 5  # runs of an experiment lost after they began, after which it is given up
    equivalence: float = 1.0  # run-to-run sd: a difference below this does not matter to a simplification
    memory_price: float = 0.0001  # val_bpb that every additional GB of GPU memory has to earn
    final_runs: int = 3  # of the best and of the start on fresh seeds, for the report at the end
    overlap: bool = True  # the next wave is asked for before the one before is done
    replicates: bool = True  # GPUs that wait for an answer repeat the baseline
    early_stop: bool = True  # hopeless runs are stopped


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


class Passed(msgspec.Struct, frozen=True):
    """On the screening tier, or against a baseline that is none any more: another test decides."""

    reason: str
    evidence: Evidence


class Final(msgspec.Struct, frozen=True):
    verdict: FinalVerdict
    reason: str
    evidence: Evidence | None = None
    sigmas: float = 0.0


Judgement = Wait | Retest | Passed | Final


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


# --- one experiment ---------------------------------------------------------------------------------------------------


def judge(state: State, experiment: Experiment, rules: Rules) -> Judgement:
    """What the runs of an open experiment say so far."""
    if any(run in state.active for run in experiment.runs):
        return Wait()
    failed = _failed(state, experiment, rules)
    if failed is not None:
        return failed
    against, gpu_type = rival(state, experiment), judged_on(state, experiment)
    if experiment.screened and against != state.baseline:
        return Wait()  # it has shown what it can where it came from; next it is merged
    scores, base = state.scores.get((experiment.id, gpu_type), ()), reference(state, against, gpu_type)
    if not scores:
        return _overtaken(state, experiment, rules) or Wait()
    if not _is_measured(state, experiment, against, gpu_type, base, rules):
        return Wait()
    evidence = _evidence(state, _Sides(experiment, against, gpu_type, scores, base), rules)
    return _weigh(state, experiment, evidence, rules, tiers(state))


def _overtaken(state: State, experiment: Experiment, rules: Rules) -> Final | None:
    """The end of a cell that passed the screening, where a baseline that came after proves no worse than it."""
    passed = experiment.screening
    if passed is None or passed.against == state.baseline or experiment.promoted or disagree(state):
        return None
    now = standing(state, experiment, rules)
    if now is None or now.baseline_runs < MIN_RUNS or is_free(state, experiment):
        return None
    if not _is_futile(experiment, now, rules):
        return None
    said = f"{describe(now)}: passed against {passed.against}, no better than the baseline since"
    return Final("discarded", said, now, sigmas(now))


def standing(state: State, experiment: Experiment, rules: Rules) -> Evidence | None:
    """How it compares now, also while it runs: where it is judged, else where it was measured. None before that."""
    against = rival(state, experiment)
    for gpu_type in dict.fromkeys((judged_on(state, experiment), measured_on(state, experiment.id))):
        scores, base = state.scores.get((experiment.id, gpu_type), ()), reference(state, against, gpu_type)
        if scores and base:
            return _evidence(state, _Sides(experiment, against, gpu_type, scores, base), rules)
    return None


def measured_on(state: State, name: ExperimentId) -> str:
    """The GPU type that its comparison stays on: of its first run that counts, if there are such GPUs now. Else ""."""
    levels = tiers(state)
    return _first_type(state, state.experiments[name], {*levels.screen, *levels.validate})


def judged_on(state: State, experiment: Experiment) -> str:
    """As `measured_on`, on the validation tier for what passed the screening or was promoted by an operator."""
    levels = tiers(state)
    if (experiment.screened or experiment.promoted) and levels.are_two:
        return _first_type(state, experiment, set(levels.validate))
    return measured_on(state, experiment.id)


def _first_type(state: State, experiment: Experiment, present: set[str]) -> str:
    types = (state.runs[run].gpu_type for run in experiment.runs if counts(state, run))
    return next((gpu_type for gpu_type in types if gpu_type in present), "")


def counts(state: State, run: RunId) -> bool:
    """Whether the run says, or will say, something about its experiment; a lost, cancelled or stopped one does not."""
    result, stopped = state.runs[run].result, state.runs[run].stopped
    return result is None or result.outcome == "finished" or (result.outcome == "crashed" and not stopped)


def _failed(state: State, experiment: Experiment, rules: Rules) -> Final | None:
    ended = [(state.runs[run], result) for run in experiment.runs if (result := state.runs[run].result) is not None]
    stopped = next((run.stopped for run, result in ended if run.stopped and result.outcome != "finished"), "")
    if stopped and not experiment.promoted:  # who promotes it wants to see its end
        return Final("discarded", f"stopped early: {stopped}")
    for run, result in reversed(ended):
        if result.outcome == "crashed" and not run.stopped:
            there = [other.outcome for where, other in ended if where.gpu_type == run.gpu_type]
            if there.count("crashed") > ("finished" in there):  # what has worked there may crash once
                return Final("crashed", result.reason or "crashed")
    lost = [result for run, result in ended if result.outcome == "lost" and run.started_at is not None]
    if len(lost) >= rules.max_lost:
        return Final("crashed", f"its run was lost {len(lost)} times ({lost[-1].reason})")
    return None


# --- the baseline -----------------------------------------------------------------------------------------------------


def reference(state: State, name: ExperimentId, gpu_type: str) -> tuple[float, ...]:
    """The val_bpb of a baseline on this type that changes are compared with.

    A baseline that only just passed looks better than it is on the runs it was kept for; then those do not count,
    unless no others are to be had.
    """
    chosen = _chosen_on(state.experiments[name], gpu_type)
    is_narrow = chosen is not None and sigmas(chosen) - chosen.needed < CLEAR
    if is_narrow and not keeps_failing(state, name, gpu_type):
        return fresh(state, name, gpu_type)
    return state.scores.get((name, gpu_type), ())


def fresh(state: State, name: ExperimentId, gpu_type: str) -> tuple[float, ...]:
    """Its val_bpb on this type without the runs that it was kept for."""
    chosen = _chosen_on(state.experiments[name], gpu_type)
    return state.scores.get((name, gpu_type), ())[chosen.runs if chosen else 0 :]


def fresh_start(state: State, gpu_type: str) -> tuple[float, ...]:
    """val_bpb of the train.py as found on this type, without the runs that a change had to beat to be kept."""
    kept = (_chosen_on(state.experiments[name], gpu_type) for name in state.lineage)
    used = max((each.baseline_runs for each in kept if each is not None and each.against == BASELINE), default=0)
    return state.scores.get((BASELINE, gpu_type), ())[used:]


def _chosen_on(experiment: Experiment, gpu_type: str) -> Evidence | None:
    both = (experiment.evidence, experiment.screening)
    return next((evidence for evidence in both if evidence is not None and evidence.gpu_type == gpu_type), None)


def _is_measured(
    state: State, experiment: Experiment, name: ExperimentId, gpu_type: str, base: tuple[float, ...], rules: Rules
) -> bool:
    """Enough replicates; or as many as there are going to be, because some of them failed."""
    going_on = any(state.runs[run].experiment == name for run in state.active)
    all_tried = keeps_failing(state, name, gpu_type) and not going_on
    enough = baseline_runs(state, name, gpu_type, rules, is_free(state, experiment))
    return len(base) >= enough or (len(base) >= MIN_RUNS and all_tried)


def baseline_runs(state: State, name: ExperimentId, gpu_type: str, rules: Rules, for_free: bool) -> int:
    """Replicates of a baseline before anything is compared with it.

    Once the noise is known, two do for cells of a design: a cell that is missed leaves what it says to the others.
    """
    is_known = name != BASELINE and noise(state, gpu_type).measured_df >= KNOWN_DF
    return MIN_RUNS if is_known and not for_free else max(MIN_RUNS, rules.baseline_runs)


# --- weighing ---------------------------------------------------------------------------------------------------------


class _Sides(NamedTuple):
    """What is compared with what, where, and their val_bpb."""

    experiment: Experiment
    against: ExperimentId
    gpu_type: str
    scores: tuple[float, ...]
    base: tuple[float, ...]


def _evidence(state: State, sides: _Sides, rules: Rules) -> Evidence:
    experiment, levels = sides.experiment, tiers(state)
    wave = state.waves.get(experiment.wave) if experiment.wave else None
    runs = (*experiment.runs, *state.experiments[sides.against].runs)
    where = (levels.screen, levels.validate, disagree(state), state.spread.get(sides.gpu_type))
    parts = (*sides, wave, rules, *where, *(state.runs[run].result for run in runs))
    return _weighed((experiment.id, sides.gpu_type), parts, lambda: _compared(state, sides, rules, levels))


_weighed = Known[Evidence](MOST_KNOWN)


def _compared(state: State, sides: _Sides, rules: Rules, levels: Tiers) -> Evidence:
    experiment, against, gpu_type, scores, base = sides
    measured, known = noise(state, gpu_type), information(len(scores), len(base))
    delta, error = fmean(scores) - fmean(base), measured.sd / math.sqrt(known)
    more_gb = _memory_gb(state, experiment.id, gpu_type) - _memory_gb(state, against, gpu_type)
    price = rules.memory_price * max(0.0, more_gb)
    needed = _log_needed(state, experiment, gpu_type, rules, levels)
    return Evidence(
        against=against,
        gpu_type=gpu_type,
        delta=delta,
        standard_error=error,
        runs=len(scores),
        baseline_runs=len(base),
        noise_sd=measured.sd,
        noise_df=measured.df,
        price=price,
        more_gb=more_gb,
        log_evidence=log_evidence(-(delta + price) / error, measured.df, known, rules.worth),
        needed=sigmas_needed(needed, measured.df, known, rules.worth),
    )


def _log_needed(state: State, experiment: Experiment, gpu_type: str, rules: Rules, levels: Tiers) -> float:
    """The log evidence at which it passes on this type: 1/α, α shared by the wave.

    What has passed once, on the screening tier or before it was merged, needs less, but no less than both together.
    """
    wave = state.waves.get(experiment.wave) if experiment.wave else None
    compared = max(FEWEST_COMPARED, len(wave.experiments) if wave else 0)
    level = math.log(compared / max(rules.false_keeps, 1e-9))
    if experiment.screening is not None:
        return max(level - experiment.screening.log_evidence, -math.log(VALIDATED))
    if levels.are_two and gpu_type not in levels.validate:
        return level - math.log(WIDER) if disagree(state) else level
    return level


def _memory_gb(state: State, name: ExperimentId, gpu_type: str) -> float:
    """Mean peak over its runs on this type; 0 where no run says."""
    results = [state.runs[run].result for run in state.experiments[name].runs if state.runs[run].gpu_type == gpu_type]
    used = [result.memory_mb / 1024 for result in results if result is not None and result.memory_mb is not None]
    return fmean(used) if used else 0.0


def _weigh(state: State, experiment: Experiment, evidence: Evidence, rules: Rules, levels: Tiers) -> Judgement:
    better = sigmas(evidence)
    tested = f"{describe(evidence)}: "
    needs = f"{better:.2f} of {evidence.needed:.2f} standard errors needed"
    if evidence.runs < experiment.wanted:
        return Retest(f"{tested}run again because it was promoted", evidence, better)
    passed = _passes(experiment, evidence, rules, better)
    if passed and evidence.against != state.baseline and evidence.runs >= MIN_RUNS:
        return Passed(f"{tested}{passed} ({needs}); to be put on top of {state.baseline}", evidence)
    if passed and levels.are_two and evidence.gpu_type not in levels.validate:  # where it is run twice again
        return Passed(f"{tested}{passed} ({needs}); {' or '.join(levels.validate)} must confirm it", evidence)
    if passed and evidence.runs >= MIN_RUNS and evidence.against == state.baseline:
        return Final("kept", f"{tested}{passed} ({needs})", evidence, better)
    if _is_futile(experiment, evidence, rules):
        return Final("discarded", f"{tested}not better than the baseline", evidence, better)
    if evidence.runs >= experiment.wanted + rules.max_retests:
        return Final("discarded", f"{tested}could still be noise ({needs})", evidence, better)
    if _is_out_of_reach(state, experiment, evidence):
        return Final("discarded", f"{tested}too small to tell from noise soon ({needs})", evidence, better)
    unsure = f"could be noise ({needs})"
    why = "looks better; a second seed must confirm it" if evidence.runs < MIN_RUNS else unsure
    return Retest(f"{tested}{why}", evidence, better)


def _passes(experiment: Experiment, evidence: Evidence, rules: Rules, better: float) -> str:
    """Why it is good enough; "" if it is not, or not yet."""
    if better >= evidence.needed:
        return "better than the noise"
    if experiment.lines < 0 and _worst(evidence) < rules.equivalence * evidence.noise_sd:
        fewer = -experiment.lines
        return f"no worse than what does not matter, with {fewer} line{'s' * (fewer != 1)} less"
    return ""


def _is_futile(experiment: Experiment, evidence: Evidence, rules: Rules) -> bool:
    if experiment.lines < 0:  # it need not be better: it is given up when it is clearly worse
        return _worst(evidence) - 2 * _half(evidence) > rules.equivalence * evidence.noise_sd
    return evidence.log_evidence <= math.log(max(rules.futility, 1e-9))


def _is_out_of_reach(state: State, experiment: Experiment, evidence: Evidence) -> bool:
    """Of a cell: its results are in the fitted effects, and other cells are a better use of further runs."""
    is_cell = not is_free(state, experiment) and experiment.lines >= 0 and not experiment.promoted
    return is_cell and evidence.runs >= MIN_RUNS and not is_within_reach(evidence)


def is_within_reach(evidence: Evidence) -> bool:
    """Whether it would pass after WITHIN more runs if its mean stays."""
    known = information(evidence.runs, evidence.baseline_runs)
    then = information(evidence.runs + WITHIN, evidence.baseline_runs)
    return sigmas(evidence) * math.sqrt(then / known) >= evidence.needed


def _worst(evidence: Evidence) -> float:
    """Upper end of the one-sided 95 % interval of delta, memory included."""
    return evidence.delta + evidence.price + _half(evidence)


def _half(evidence: Evidence) -> float:
    return student_t(evidence.noise_df, ONE_SIDED) * evidence.standard_error


def sigmas(evidence: Evidence) -> float:
    """How much better than the baseline it looks, in standard errors, after paying for its memory."""
    return -(evidence.delta + evidence.price) / evidence.standard_error


def describe(evidence: Evidence) -> str:
    """ "−0.1612 ± 0.0123 against e0 (2 runs, 3 of the baseline)" """
    runs = f"{evidence.runs} run{'s' * (evidence.runs != 1)}"
    sign = "−" if evidence.delta < 0 else "+"
    size = f"{sign}{abs(evidence.delta):.4f} ± {evidence.standard_error:.4f}"
    memory = f", {evidence.more_gb:.1f} GB more at {evidence.price:.4f}" if evidence.price >= 0.00005 else ""
    return f"{size} against {evidence.against} ({runs}, {evidence.baseline_runs} of the baseline{memory})"
