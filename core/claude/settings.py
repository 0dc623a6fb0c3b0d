"""The `[claude]` table of autoresearch.toml: which model, by which way, how long it may take, and what it may cost.

`ClaudeSettings` is the one table, as in core.settings: names, types, ranges and comments stand there. Reads no file and
knows no key: keys are in the environment, where the client finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core.claude.prices import Price, price_of
from core.errors import SettingsError
from core.setting_tables import converted, rows_of, wrong

# What a value must be. The description completes the sentence "claude.model must be …".
Name = Annotated[str, Meta(min_length=1, description="a name")]
Text = Annotated[str, Meta(description="a text")]
Provider = Annotated[Literal["anthropic", "bedrock", "vertex"], Meta(description='"anthropic", "bedrock" or "vertex"')]
Effort = Annotated[
    Literal["", "low", "medium", "high", "xhigh", "max"],
    Meta(description='"low", "medium", "high", "xhigh", "max", or empty'),
]
Thought = Annotated[Literal["", "adaptive", "disabled"], Meta(description='"adaptive", "disabled", or empty')]
Cache = Annotated[Literal["5m", "1h"], Meta(description='"5m" or "1h"')]
StandIn = Annotated[Literal["designed", "none"], Meta(description='"designed" or "none"')]
Seconds = Annotated[float, Meta(gt=0, le=1e6, description="seconds, above 0")]
Tokens = Annotated[int, Meta(ge=1024, le=128_000, description="a whole number from 1024 to 128000")]
History = Annotated[int, Meta(ge=2000, le=900_000, description="a whole number from 2000 to 900000")]
Turns = Annotated[int, Meta(ge=2, le=200, description="a whole number from 2 to 200")]
Usd = Annotated[float | None, Meta(description='dollars, above 0, or "none"')]
_Module = Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*$")]
Modules = Annotated[tuple[_Module, ...], Meta(description='a list of modules of Python, like ["os"]')]
Prices = Annotated[
    dict[Annotated[str, Meta(min_length=1)], Price],
    Meta(
        description="models with dollars per million tokens, like "
        '{ "claude-opus-5-5" = { input = 4, output = 20, cache_read = 0.2, cache_write = 5 } }'
    ),
]


class ClaudeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of the researcher claude. Money is of its model alone; `max_usd` of the settings counts GPUs too."""

    model: Annotated[Name, "plans the waves"] = "claude-opus-5-5"
    repair_model: Annotated[Text, "mends crashed experiments; empty: the same"] = "claude-sonnet-5-5"
    fallback_model: Annotated[Text, "asked once where the other refuses; empty: none"] = "claude-sonnet-5-5"
    effort: Annotated[Effort, "how much it thinks; empty: the model's own"] = "medium"
    thinking: Annotated[Thought, "whether it thinks before it answers; empty: the model's own"] = "adaptive"
    max_usd: Annotated[Usd, "its model may cost so many dollars in a session"] = 100.0
    max_usd_day: Annotated[Usd, "and so many in a day (UTC)"] = 50.0
    max_usd_wave: Annotated[Usd, "and so many for one wave"] = 3.0
    max_tokens: Annotated[Tokens, "written per answer, thinking included"] = 32_000
    history_tokens: Annotated[History, "of the session's history per question; older waves are folded"] = 40_000
    cache: Annotated[Cache, "how long its instructions stay in the provider's cache"] = "1h"
    max_turns: Annotated[Turns, "answers of the model until a wave must be planned"] = 16
    silence_s: Annotated[Seconds, "an answer is given up after so long without a sign of life"] = 120.0
    answer_s: Annotated[Seconds, "an answer is given up after so long"] = 900.0
    stand_in: Annotated[StandIn, "who plans while Claude cannot"] = "designed"
    stand_in_after_s: Annotated[Seconds, "after so long without a plan"] = 300.0
    allowed_modules: Annotated[Modules, "modules that its edits may import although they are refused"] = ()
    provider: Annotated[Provider, "where the model is asked"] = "anthropic"
    base_url: Annotated[Text, "another address of the API; empty: the provider's own"] = ""
    region: Annotated[Text, "of Bedrock or Vertex; empty: as the environment says"] = ""
    project: Annotated[Text, "of Vertex; empty: as the environment says"] = ""
    prices: Annotated[Prices, "instead of the built-in price list"] = {}

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (self.model, self.repair_model, self.fallback_model))))


CLAUDE_SETTINGS = rows_of(ClaudeSettings)
_CAPS = ("max_usd", "max_usd_day", "max_usd_wave")


def checked(table: Mapping[str, Any], where: str = "autoresearch.toml") -> ClaudeSettings:
    """The settings in a raw `[claude]` table. Raises SettingsError, which names the value and what it must be."""
    good = {name: _value(name, value, where) for name, value in table.items()}
    settings = msgspec.structs.replace(ClaudeSettings(), **good)
    for model in settings.models:
        price_of(model, settings.prices)
    return settings


def _value(name: str, value: object, where: str) -> object:
    if name not in CLAUDE_SETTINGS and "key" in name:
        raise SettingsError(
            f"{where}: there is no setting 'claude.{name}'; a key belongs in the environment, as ANTHROPIC_API_KEY."
        )
    if name in _CAPS and value == "none":
        return None
    good = converted(CLAUDE_SETTINGS, "claude", name, value, where)
    if name in _CAPS and not (isinstance(good, float) and 0 < good < float("inf")):
        raise wrong(CLAUDE_SETTINGS[name], "claude", value, where)
    return good
