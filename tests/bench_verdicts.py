"""What verdicts are worth: campaigns of ideas whose true effects are known, under our rule and under "lower = keep".

Seven ideas of ten are dead or harmful; the others are better by 0.5 to 5 standard deviations of a run. Both rules see
the same ideas in the same order, with the published noise, while the baseline moves. Then what the designed
researcher's campaigns kept on surfaces whose truth is known, which takes the longest. Prints tables; asserts nothing.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import kept
from campaign import UPSTREAM, Campaign, config
from kept import spread

from core.executors.fate import Physics
from core.ids import RunId
from core.knobs import Value
from core.patch import Change
from core.researcher import Idea, Plan
from core.state import State
from core.surfaces import SURFACES, Truth, surface
from core.verdict import Rules

IDEAS = 200
DEAD, HARMFUL = 0.35, 0.35
WORSE, BETTER = (0.0, 3.0), (0.5, 5.0)  # sd of a run
LARGE = 2.0  # sd: what must not be missed
PHYSICS = Physics(crash_rate=0.0)
SD = math.hypot(PHYSICS.seed_sd, PHYSICS.gpu_sd)  # of one run
START = 1.003


class Ideas:
    """A surface made of independent changes: each constant IDEA_n set to 1 adds its true effect."""

    name, start = "ideas", START

    def __init__(self, seed: int, ideas: int = IDEAS) -> None:
        draw = random.Random(seed)
        self.effects = [self._effect(draw) for _ in range(ideas)]
        self.optimum = START + sum(effect for effect in self.effects if effect < 0)
        self.best: Mapping[str, Value] = {}
        names = "".join(f"IDEA_{n} = 0\n" for n in range(ideas))
        self.source = f"from prepare import evaluate_bpb\n\n{names}\nprint(evaluate_bpb(0))\n"

    def _effect(self, draw: random.Random) -> float:
        kind = draw.random()
        if kind < DEAD:
            return 0.0
        return draw.uniform(*WORSE) * SD if kind < DEAD + HARMFUL else -draw.uniform(*BETTER) * SD

    def truth(self, config: Mapping[str, Value]) -> Truth:
        made = sum(effect for n, effect in enumerate(self.effects) if config.get(f"IDEA_{n}"))
        return Truth(START + made, 45_000.0)


class Outcome(msgspec.Struct, frozen=True):
    kept: int
    false: int  # kept although truly no better
    large: int  # truly better by LARGE sd or more
    large_kept: int
    runs: int  # of ideas
    all_runs: int  # with the baseline's
    gain: float  # true, from start to end

    @property
    def gain_per_run(self) -> float:
        """In thousandths of val_bpb."""
        return 1000 * self.gain / self.all_runs


def ours(ideas: Ideas, seed: int, *, wave: int = 16, rules: Rules | None = None) -> Outcome:
    """The real policy and verdicts, waves of free ideas on 16 GPUs."""
    asked = iter(range(0, len(ideas.effects), wave))

    def propose(state: State, slots: int) -> Plan:
        first = next(asked, None)
        numbers = range(first, min(first + wave, len(ideas.effects))) if first is not None else ()
        made = tuple(Idea(title=f"idea {n}", change=Change(settings={f"IDEA_{n}": "1"})) for n in numbers)
        return Plan(reason="the next ideas" if made else "no more ideas", ideas=made)

    campaign = Campaign(ideas, propose, source=ideas.source, seed=seed, physics=PHYSICS, rules=rules)
    state = campaign.run()
    changed = {key for name in state.lineage[1:] for key in state.experiments[name].change.settings}
    numbers = [int(key.removeprefix("IDEA_")) for key in changed]
    return _outcome(
        ideas,
        numbers,
        runs=sum(run.experiment != "e0" and run.purpose != "replicate" for run in state.runs.values()),
        all_runs=len(state.runs),
    )


def upstream(ideas: Ideas, seed: int) -> Outcome:
    """One run each, one after the other; lower than the best run so far: kept."""
    draw = random.Random(f"upstream {seed}")
    best, made, kept = START + draw.gauss(0, SD), 0.0, list[int]()
    for n, effect in enumerate(ideas.effects):
        measured = START + made + effect + draw.gauss(0, SD)
        if measured < best:
            best, made = measured, made + effect
            kept.append(n)
    return _outcome(ideas, kept, runs=len(ideas.effects), all_runs=len(ideas.effects) + 1)


def _outcome(ideas: Ideas, kept: list[int], *, runs: int, all_runs: int) -> Outcome:
    large = {n for n, effect in enumerate(ideas.effects) if effect <= -LARGE * SD}
    return Outcome(
        kept=len(kept),
        false=sum(ideas.effects[n] >= 0 for n in kept),
        large=len(large),
        large_kept=len(large & set(kept)),
        runs=runs,
        all_runs=all_runs,
        gain=-sum(ideas.effects[n] for n in kept),
    )


def row(name: str, outcomes: list[Outcome], ideas: int = IDEAS) -> str:
    """Shares of all campaigns together, and below them medians over campaigns and ranges."""
    kept, large = sum(o.kept for o in outcomes), sum(o.large for o in outcomes)
    false, found = sum(o.false for o in outcomes) / max(1, kept), sum(o.large_kept for o in outcomes) / large
    each = (
        f"{spread([o.false / max(1, o.kept) for o in outcomes], '.1%'):<22}",
        f"{spread([o.large_kept / max(1, o.large) for o in outcomes], '.1%'):<22}",
        f"{spread([o.runs / ideas for o in outcomes], '.2f'):<17}",
        f"{spread([o.gain for o in outcomes], '.4f'):<22}",
        spread([o.gain_per_run for o in outcomes], ".3f"),
    )
    pooled = f"{f'{false:.1%} of {kept}':<22} {f'{found:.1%} of {large}':<22}"
    return f"{name:<20} {' '.join(each)}\n{'  all together':<20} {pooled}".rstrip()


RATIOS = ("48", "64", "72", "80", "90", "96")  # at depth 8 with heads of 128: four different widths


def duplicates(seed: int) -> tuple[int, float]:
    """A wave over aspect ratios: how many of its runs went to their end, and the GPU-seconds of those that did not."""
    asked = iter([RATIOS])

    def propose(state: State, slots: int) -> Plan:
        ratios = [ratio for ratio in next(asked, ()) if ratio != "64"]
        made = [Idea(title=ratio, change=Change(settings={"ASPECT_RATIO": ratio})) for ratio in ratios]
        return Plan(reason="ratios", ideas=tuple(made))

    hidden = surface("bowl", config(UPSTREAM), seed)
    campaign = Campaign(hidden, propose, seed=seed, physics=PHYSICS)
    state = campaign.run()
    wave = [state.experiments[name] for name in next(iter(state.waves.values())).experiments]
    paid = sum(any(ended(state, run) == "finished" for run in experiment.runs) for experiment in wave)
    return 1 + paid, sum(state.booked.get(name, 0.0) for name in ("duplicate",))  # 64 is the baseline itself


def ended(state: State, run: RunId) -> str:
    result = state.runs[run].result
    return result.outcome if result is not None else ""


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{seeds} campaigns of {IDEAS} ideas, {DEAD:.0%} dead, {HARMFUL:.0%} harmful; sd of a run {SD:.5f};")
    print("medians over campaigns (lowest–highest)\n")
    print(f"{'rule':<20} {'false keeps':<22} {'≥ 2 sd kept':<22} {'runs/idea':<17} {'gain':<22} gain/run ×1000")
    known = [Ideas(seed) for seed in range(seeds)]
    print(row("lower once = keep", [upstream(ideas, seed) for seed, ideas in enumerate(known)]), flush=True)
    print(row("sequential test", [ours(ideas, seed) for seed, ideas in enumerate(known)]), flush=True)
    _ratios(seeds)
    _designed(seeds)


def _ratios(seeds: int) -> None:
    found = [duplicates(seed) for seed in range(seeds)]
    print(f"\naspect ratios {', '.join(RATIOS)} at depth 8: {len(RATIOS)} proposed, the baseline's among them")
    paid = sorted({models for models, _ in found})
    lost = max(seconds for _, seconds in found)
    print(f"models paid for: {', '.join(map(str, paid))}; GPU-seconds on duplicates: {lost:.1f} at most")


def _designed(seeds: int) -> None:
    print(f"\ncampaigns of the designed researcher, {kept.HOURS:g} h on 13 H100 and 3 H200, seeds 0 to {seeds - 1};")
    print("a false keep is truly no better than what it replaced; upstream's loop: as many experiments at most\n")
    print(kept.HEAD)
    ours_all, theirs_all = list[kept.Kept](), list[kept.Kept]()
    for name in SURFACES:
        ours = [kept.designed(name, seed) for seed in range(seeds)]
        theirs = [kept.upstream(name, seed, each.experiments) for seed, each in enumerate(ours)]
        print(kept.row(name, ours), flush=True)
        print(kept.row(f"{name}, lower once = keep", theirs), flush=True)
        ours_all, theirs_all = ours_all + ours, theirs_all + theirs
    print(kept.row("all", ours_all))
    print(kept.row("all, lower once = keep", theirs_all))


if __name__ == "__main__":
    main()
