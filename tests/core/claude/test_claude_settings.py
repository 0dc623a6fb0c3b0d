"""The table [claude]: every refusal names the value and what it must be."""

from __future__ import annotations

from typing import Any

import pytest

from core.claude.settings import CLAUDE_SETTINGS, ClaudeSettings, checked
from core.errors import SettingsError


def test_an_empty_table_is_the_defaults() -> None:
    assert checked({}) == ClaudeSettings()


def test_every_setting_has_a_comment_and_says_what_it_expects() -> None:
    assert all(row.comment and row.expects for row in CLAUDE_SETTINGS.values())


def test_a_cap_may_be_lifted() -> None:
    assert checked({"max_usd": "none"}).max_usd is None
    assert checked({"max_usd": 7}).max_usd == 7


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"modle": "x"}, "did you mean claude.model?"),
        ({"api_key": "sk-ant-secret-secret"}, "ANTHROPIC_API_KEY"),
        ({"effort": "huge"}, '"xhigh"'),
        ({"max_usd_day": 0}, "dollars, above 0"),
        ({"max_usd_day": -1.0}, "dollars, above 0"),
        ({"max_usd_wave": float("nan")}, "dollars, above 0"),
        ({"max_usd": True}, "dollars, above 0"),
        ({"max_turns": 1}, "from 2 to 200"),
        ({"stand_in": "claude"}, '"designed" or "none"'),
        ({"provider": "openai"}, '"vertex"'),
        ({"model": "unheard-of"}, "prices"),
        ({"prices": {"x": {"input": 1}}}, "dollars per million tokens"),
        ({"allowed_modules": ["os; rm"]}, "modules of Python"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(table: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=r"autoresearch\.toml|table") as caught:
        checked(table)
    assert says in str(caught.value)
    assert "sk-ant" not in str(caught.value), "a key that was put there by mistake is not repeated"


def test_a_model_with_a_price_of_its_own_is_welcome() -> None:
    price = {"input": 1, "output": 2, "cache_read": 0.1, "cache_write": 1.25}
    table = {"model": "local-model", "repair_model": "", "fallback_model": "", "prices": {"local-model": price}}
    assert checked(table).models == ("local-model",)
