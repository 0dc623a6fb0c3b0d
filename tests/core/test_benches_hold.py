"""What the benches measure at full size, at a small one with slack: search on a hidden surface, and no idle GPUs."""

from __future__ import annotations

from statistics import fmean

import bench_campaign
from compare_surfaces import outcome


def test_the_designed_researcher_finds_more_of_the_gain_than_random_search() -> None:
    designed = [outcome("bowl", "designed", seed, 200).gains[200] for seed in (0, 1)]
    drawn = [outcome("bowl", "random", seed, 200).gains[200] for seed in (0, 1)]
    assert fmean(designed) > 0.6
    assert fmean(designed) > fmean(drawn)


def test_overlapping_waves_finish_more_runs_than_barrier_waves_and_the_ledger_says_why() -> None:
    ours, barrier = (
        bench_campaign.campaign(0, 2.0, **bench_campaign.WAYS[name]) for name in ("overlapping waves", "barrier waves")
    )
    assert ours.finished_per_hour > 160
    assert ours.finished_per_hour > 1.4 * barrier.finished_per_hour
    assert ours.replays
    assert barrier.shares["idle"] > 0.2 > 0.05 > ours.shares["idle"] + ours.shares["waiting for ideas"]
