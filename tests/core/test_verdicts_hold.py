"""Whole campaigns of ideas whose true effects are known: what is kept is better, and what is better is kept.

A smaller form of tests/bench_verdicts.py, with slack: the figures of that bench are what the README promises.
"""

from __future__ import annotations

import pytest
from bench_verdicts import Ideas, Outcome, ours, upstream

SEEDS, IDEAS = range(3), 100


@pytest.fixture(scope="module")
def known() -> list[Ideas]:
    return [Ideas(seed, IDEAS) for seed in SEEDS]


@pytest.fixture(scope="module")
def outcomes(known: list[Ideas]) -> list[Outcome]:
    return [ours(ideas, seed) for seed, ideas in enumerate(known)]


def false_keeps(outcomes: list[Outcome]) -> float:
    return sum(one.false for one in outcomes) / sum(one.kept for one in outcomes)


def test_hardly_anything_is_kept_that_is_truly_no_better(outcomes: list[Outcome]) -> None:
    assert sum(one.kept for one in outcomes) > 40, "keeping nothing is no art"
    assert false_keeps(outcomes) <= 0.04


def test_large_improvements_are_kept(outcomes: list[Outcome]) -> None:
    assert sum(one.large_kept for one in outcomes) / sum(one.large for one in outcomes) >= 0.85


def test_an_idea_costs_little_more_than_two_runs(outcomes: list[Outcome]) -> None:
    assert sum(one.runs for one in outcomes) / (len(SEEDS) * IDEAS) <= 2.4


def test_keeping_what_was_lower_once_is_often_wrong(known: list[Ideas]) -> None:
    assert false_keeps([upstream(ideas, seed) for seed, ideas in enumerate(known)]) >= 0.15


def test_the_campaign_ends_with_the_gain_of_what_it_kept(outcomes: list[Outcome]) -> None:
    assert all(one.gain > 0 for one in outcomes)
