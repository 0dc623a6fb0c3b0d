"""What campaigns of the designed researcher kept, and what each of it is truly worth: the surfaces know.

A whole campaign on 16 simulated GPUs goes through the real policy, tiers and verdicts: cells of designs, baseline runs,
candidates side by side. Beside it upstream's loop on the same surface and noise, with as many experiments at
most. Prints nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import msgspec
from campaign import Campaign, config
from compare_surfaces import ANSWER_S, FLEET, Ground, greedy

from core.executors.fate import Physics
from core.ids import BASELINE
from core.researcher import Plan
from core.researchers.designed import DesignedResearcher
from core.state import State

HOURS = 8.0
SD = math.hypot(Physics().seed_sd, Physics().gpu_sd)  # of one run
SMALL = 0.5  # sd: a false keep that costs less is called small


class Kept(msgspec.Struct, frozen=True):
    """Of one campaign."""

    gains: tuple[float, ...]  # true, of each kept change over what it replaced, in val_bpb; worse is negative
    experiments: int  # that ran
    runs: int  # of them, first runs and retests
    all_runs: int  # with the baseline's and replicates

    @property
    def false(self) -> int:
        """Truly no better than the baseline that they replaced."""
        return sum(gain <= 0 for gain in self.gains)

    @property
    def share(self) -> float:
        return self.false / max(1, len(self.gains))


def designed(name: str, seed: int, hours: float = HOURS) -> Kept:
    ground, researcher = Ground(name, seed), DesignedResearcher()

    def propose(state: State, slots: int) -> Plan:
        return researcher.plan(state, slots)

    campaign = Campaign(ground.surface, propose, seed=seed, fleet=FLEET, answer_s=ANSWER_S)
    state = campaign.run(hours=hours)
    truths = [ground.surface.truth(config(state.sources[each])).val_bpb for each in state.lineage]
    ran = [run for run in state.runs.values() if run.experiment != BASELINE and run.purpose != "replicate"]
    return Kept(
        gains=tuple(before - after for before, after in pairwise(truths)),
        experiments=len({run.experiment for run in ran}),
        runs=len(ran),
        all_runs=len(state.runs),
    )


def upstream(name: str, seed: int, experiments: int) -> Kept:
    """Lower once = keep, one change at a time; it may run out of changes before so many experiments."""
    ground = Ground(name, seed)
    steps = list(greedy(ground, experiments + 1))
    gains = [before.truth - after.truth for before, after in pairwise(steps) if after.kept > before.kept]
    return Kept(gains=tuple(gains), experiments=len(steps) - 1, runs=len(steps) - 1, all_runs=len(steps))


HEAD = (
    f"{'campaigns':<26} {'false keeps':>15}  {'per campaign':<14} {'kept':<12} {'truly better':<12} "
    f"{f'< {SMALL:g} sd':<10} {'worst':>6}  {'runs/experiment':<17} {'with baseline and replicates'}"
)


def row(name: str, group: Sequence[Kept]) -> str:
    """Of what was kept in all, then medians over campaigns and ranges; `worst` is the dearest false keep, in sd."""
    gains = [gain for each in group for gain in each.gains]
    false = [max(0.0, -gain) / SD for gain in gains if gain <= 0]
    cells = (
        f"{len(false) / max(1, len(gains)):>6.1%} of {len(gains):<5}",
        f"{spread([each.share for each in group], '.0%'):<14}",
        f"{spread([len(each.gains) for each in group], 'g'):<12}",
        f"{spread([len(each.gains) - each.false for each in group], 'g'):<12}",
        f"{f'{sum(size < SMALL for size in false)} of {len(false)}':<10}",
        f"{max(false, default=0.0):>6.1f} ",
        f"{spread([each.runs / max(1, each.experiments) for each in group], '.2f'):<17}",
        spread([each.all_runs / max(1, each.experiments) for each in group], ".2f"),
    )
    return " ".join((f"{name:<26}", *cells))


def spread(values: Sequence[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"
