"""Prices, worst cases and caps."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import events as ev
from core.claude import budget
from core.claude.prices import PRICES, Price, cost, price_of, worst
from core.claude.settings import ClaudeSettings
from core.errors import SettingsError
from core.fold import fold
from core.state import State, Usage

NOON = 20_000 * 86_400.0 + 43_200  # of a day
TOKENS = st.integers(0, 10**7)


def called(at: float, usd: float) -> ev.ModelCalled:
    return ev.ModelCalled(at=at, call=1, model="claude-opus-5-5", usd=usd)


def caps(state: State, *, now: float = NOON, wave: float = 0.0, **limits: float | None) -> tuple[budget.Cap, ...]:
    none = {"max_usd": None, "max_usd_day": None, "max_usd_wave": None}
    return budget.caps(state, msgspec.structs.replace(ClaudeSettings(), **{**none, **limits}), now, wave)


def test_the_longest_name_that_fits_decides_the_price() -> None:
    assert price_of("claude-opus-5-5").input == 4
    assert price_of("claude-opus-5-5-20260901") == price_of("claude-opus-5-5")
    assert price_of("claude-opus-4-8").input == 5
    assert price_of("us.anthropic.claude-sonnet-4-6-v1:0") == PRICES["claude-sonnet-4"], "as Bedrock names it"


def test_a_price_of_the_settings_comes_first() -> None:
    mine = Price(1, 2, 3, 4)
    assert price_of("claude-opus-5-5", {"claude-opus": mine}) == mine


def test_a_model_without_a_price_is_refused_because_no_budget_could_hold() -> None:
    with pytest.raises(SettingsError, match="prices"):
        price_of("gpt-oss")


def test_tokens_cost_what_the_price_list_says() -> None:
    used = Usage(input_tokens=10**6, cache_read_tokens=2 * 10**6, cache_write_tokens=10**5, output_tokens=10**4)
    assert cost(Price(4, 20, 0.2, 5), used) == pytest.approx(4 + 0.4 + 0.5 + 0.2)


@given(plain=TOKENS, read=TOKENS, write=TOKENS, output=TOKENS, name=st.sampled_from(sorted(PRICES)))
def test_no_request_costs_more_than_its_worst_case(plain: int, read: int, write: int, output: int, name: str) -> None:
    used = Usage(input_tokens=plain, cache_read_tokens=read, cache_write_tokens=write, output_tokens=output)
    most = worst(PRICES[name], plain + read + write, output)
    assert cost(PRICES[name], used) <= most + 1e-9


def test_a_call_that_might_exceed_a_cap_names_it() -> None:
    state = fold(State(), [called(NOON, 9.5)])
    (cap,) = caps(state, max_usd=10.0)
    assert budget.exceeded((cap,), 0.5) is None
    assert budget.exceeded((cap,), 0.51) == cap
    assert cap.told() == "$9.50 of the $10.00 for the model in this session are spent, too much for one more call"
    assert cap.ends_at is None


def test_yesterdays_money_is_not_todays() -> None:
    state = fold(State(), [called(NOON - 86_400, 30.0), called(NOON, 2.0)])
    (cap,) = caps(state, max_usd_day=20.0)
    assert cap.left == pytest.approx(18.0)
    assert cap.ends_at == NOON + 43_200, "midnight, UTC"


def test_the_cap_with_least_left_is_the_one_that_is_told() -> None:
    state = fold(State(), [called(NOON, 9.0)])
    held = caps(state, max_usd=10.0, max_usd_wave=3.0, wave=2.5)
    found = budget.exceeded(held, 2.0)
    assert found is not None
    assert found.name == "the model per wave"
    assert budget.room(held) == pytest.approx(0.5)


def test_gpus_and_model_share_one_limit() -> None:
    facts: list[ev.Known] = [
        ev.LimitsSet(at=NOON, max_usd=10.0),
        ev.PricesSet(at=NOON, gpu_usd_hour={"H100": 2.0}),
        called(NOON, 4.0),
    ]
    state = msgspec.structs.replace(fold(State(), facts), held_s={"H100": 3600.0})
    (cap,) = caps(state)
    assert cap.spent == pytest.approx(6.0)
    assert cap.name == "GPUs and model together"


def test_the_model_is_told_when_money_is_short() -> None:
    state = fold(State(), [called(NOON, 9.0)])
    assert "is near" in budget.notice(caps(state, max_usd=10.0))
    assert budget.notice(caps(state, max_usd=100.0)) == "$91.00 of $100.00 left for the model in this session"
    assert budget.notice(caps(state)) == ""
