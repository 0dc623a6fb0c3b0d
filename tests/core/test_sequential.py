"""The sequential test: what it promises about errors, checked by simulation, and the approximation it rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.sequential import information, log_evidence, normal_equivalent, sigmas_needed, t_equivalent

WORTH = 2.5  # sd
MOST_RUNS, MOST_BASELINE = 8, 16
EXACT = [  # t, degrees of freedom, the normal deviate with the same upper tail probability
    *[(0.5, 2, 0.4307), (1.0, 2, 0.8018), (2.0, 2, 1.3300), (4.0, 2, 1.9018)],
    *[(0.5, 3, 0.4518), (1.0, 3, 0.8578), (2.0, 3, 1.4783), (4.0, 3, 2.1972)],
    *[(0.5, 5, 0.4701), (1.0, 5, 0.9093), (2.0, 5, 1.6355), (4.0, 5, 2.5648)],
    *[(0.5, 10, 0.4847), (1.0, 10, 0.9524), (2.0, 10, 1.7904), (4.0, 10, 3.0211)],
    *[(0.5, 30, 0.4948), (1.0, 30, 0.9836), (2.0, 30, 1.9218), (4.0, 30, 3.5523)],
]


@pytest.mark.parametrize(("t", "df", "exact"), EXACT)
def test_the_normal_equivalent_agrees_with_the_exact_one(t: float, df: float, exact: float) -> None:
    assert normal_equivalent(t, df) == pytest.approx(exact, abs=0.03)
    assert normal_equivalent(t, df) < exact + 0.005, "too large would keep too much"
    assert normal_equivalent(-t, df) == -normal_equivalent(t, df)


@given(st.floats(-30, 30), st.floats(1, 500))
def test_the_t_equivalent_undoes_the_normal_equivalent(t: float, df: float) -> None:
    assert t_equivalent(normal_equivalent(t, df), df) == pytest.approx(t, rel=1e-6, abs=1e-9)


@given(st.floats(-3, 8), st.floats(2, 100), st.integers(1, 8), st.integers(2, 12))
def test_the_standard_errors_needed_are_those_that_give_the_evidence(
    wanted: float, df: float, runs: int, baseline_runs: int
) -> None:
    known = information(runs, baseline_runs)
    needed = sigmas_needed(wanted, df, known, WORTH)
    if abs(needed) < 1e4:
        assert log_evidence(needed, df, known, WORTH) == pytest.approx(wanted, abs=1e-6)


def test_hopeless_evidence_needs_a_finite_number_of_standard_errors() -> None:
    assert math.isfinite(sigmas_needed(1e9, 2.0, 1.0, WORTH))


def test_more_runs_of_either_side_know_more_but_never_more_than_the_smaller_side() -> None:
    assert information(1, 1) == pytest.approx(0.5)
    assert information(2, 3) < information(2, 12) < information(3, 12) < 3
    assert information(2, 10**9) == pytest.approx(2)


def passed(
    effect: float, alpha: float, *, prior_df: float, futility: float = 0.0, campaigns: int = 20_000
) -> NDArray[np.bool_]:
    """Which of many changes, better by `effect` sd, ever pass, looked at after each of 8 runs.

    The baseline has twice as many runs, at least 3; the sd is estimated from all of them and the prior.
    """
    draw = np.random.default_rng(20261123)
    changed, base = draw.normal(-effect, 1, (campaigns, MOST_RUNS)), draw.normal(0, 1, (campaigns, MOST_BASELINE))
    kept, alive = np.zeros(campaigns, bool), np.ones(campaigns, bool)
    for runs in range(1, MOST_RUNS + 1):
        x, y = changed[:, :runs], base[:, : max(3, 2 * runs)]
        df = prior_df + x.shape[1] + y.shape[1] - 2
        squares = sum(((part - part.mean(1, keepdims=True)) ** 2).sum(1) for part in (x, y))
        known = information(x.shape[1], y.shape[1])
        t = (y.mean(1) - x.mean(1)) * math.sqrt(known) / np.sqrt((prior_df + squares) / df)
        kept |= alive & (t >= sigmas_needed(math.log(1 / alpha), df, known, WORTH))
        alive &= ~kept
        if futility:
            alive &= t > sigmas_needed(math.log(futility), df, known, WORTH)
    return kept


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("prior_df", [0.0, 1.0])
def test_no_better_passes_at_most_as_often_as_promised_however_often_one_looks(alpha: float, prior_df: float) -> None:
    share = passed(0.0, alpha, prior_df=prior_df).mean()
    assert 0 < share <= alpha
    assert passed(-1.0, alpha, prior_df=prior_df).mean() <= share, "worse passes less often"


@pytest.mark.parametrize(("effect", "least"), [(2.5, 0.8), (4.0, 0.97)])
def test_an_improvement_worth_having_is_rarely_missed(effect: float, least: float) -> None:
    assert passed(effect, 0.01, prior_df=1.0, futility=0.2).mean() >= least
