"""What a session has cost: GPU-seconds at the prices of their types."""

from __future__ import annotations

import math

import pytest
from story import E0, Story

from core import events as ev
from core.ids import RunId
from core.looks import AFTER_S, next_look
from core.money import experiment_usd, run_usd
from core.policy import Finish, plan
from core.verdict import Rules
from core.views import spent_usd


def priced(**prices: float) -> Story:
    return Story().tell(ev.PricesSet, gpu_usd_hour=prices)


def test_without_prices_nobody_knows() -> None:
    story = Story().score(E0, 2.5)
    assert spent_usd(story.state, story.at) is None


def test_ended_and_running_seconds_count_at_the_price_of_their_type() -> None:
    story = priced(cpu=3600.0).fleet(cpu=1, H100=1).tell(ev.PricesSet, gpu_usd_hour={"cpu": 3600.0, "H100": 7200.0})
    story.score(E0, 2.5).score(E0, 2.5, on="H100")
    assert spent_usd(story.state, story.at) == pytest.approx(10 + 20)
    story.start(E0, on="H100")
    assert spent_usd(story.state, story.at + 5) == pytest.approx(10 + 20 + 10)


def test_a_run_costs_what_it_held_its_gpu_for_and_an_experiment_what_its_runs_cost() -> None:
    story = (
        priced(cpu=3600.0).fleet(cpu=1, H100=1, L4=1).tell(ev.PricesSet, gpu_usd_hour={"cpu": 3600.0, "H100": 7200.0})
    )
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.5).crash(story.start(name, on="H100")).start(name)
    story.start(name, on="L4")
    story.tell(ev.RunRequested, run=RunId("e1-5"), experiment=name, gpu_type="cpu", seed=1)
    state, later = story.state, story.at + 5
    costs = [run_usd(state, state.runs[run], later) for run in state.experiments[name].runs]
    assert costs == [pytest.approx(10), pytest.approx(2), pytest.approx(5), None, 0], "waiting costs nothing"
    assert experiment_usd(state, state.experiments[name], later) == pytest.approx(17)
    assert experiment_usd(state, state.experiments[E0], later) is None
    assert spent_usd(state, later) == pytest.approx(17)


def test_a_type_without_a_price_costs_nothing() -> None:
    story = priced(H100=9.0).score(E0, 2.5)
    assert spent_usd(story.state, story.at) == 0


def test_the_session_ends_when_the_budget_is_used_and_its_runs_have_ended() -> None:
    story = priced(cpu=3600.0).tell(ev.LimitsSet, max_usd=25.0).score(E0, 2.5, 2.5)
    story.start(E0)
    assert plan(story.state, Rules(), story.at + 4) != ()
    assert plan(story.state, Rules(), story.at + 6) == (), "the run that goes on may finish"
    story.finish("e0-3", 2.5)  # type: ignore[arg-type]
    (move,) = plan(story.state, Rules(), story.at)
    assert move == Finish("the budget of $25.00 is used")


def test_the_moment_when_the_budget_is_used_is_looked_for() -> None:
    story = priced(cpu=3600.0).tell(ev.LimitsSet, max_usd=25.0)
    assert next_look(story.state, story.at) == math.inf, "nothing is spent while nothing runs"
    story.start(E0)
    story.start(E0, gpu=1)
    assert next_look(story.state, story.at + 2) == pytest.approx((25 - 4) / 2 + AFTER_S)
