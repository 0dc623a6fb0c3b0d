"""What a model's tokens cost: US dollars per million, from a table that settings may replace. Pure.

The figures are those that Anthropic published for its own API in November 2026; whoever pays through a cloud puts that
price list into the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from core.errors import SettingsError
from core.state import Usage

MILLION = 1e6
_Usd = Annotated[float, Meta(ge=0, le=1e5)]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens. Writing to the cache costs more than plain input, for an hour still more."""

    input: _Usd
    output: _Usd
    cache_read: _Usd
    cache_write: _Usd  # for five minutes
    cache_write_hour: _Usd | None = None  # None: twice the plain input

    @property
    def hour(self) -> float:
        return 2 * self.input if self.cache_write_hour is None else self.cache_write_hour


def _price(usd_in: float, usd_out: float, *, read: float = 0.1) -> Price:
    return Price(usd_in, usd_out, cache_read=usd_in * read, cache_write=usd_in * 1.25)


# By the beginning of a model's name; the longest that fits holds. Where long prompts cost more, that is the price here.
PRICES: dict[str, Price] = {
    "claude-fable-5": _price(10, 50),
    "claude-mythos": _price(10, 50),
    "claude-opus-5-5": _price(4, 20, read=0.05),
    "claude-opus": _price(5, 25),
    "claude-sonnet-5-5": _price(2, 10, read=0.05),
    "claude-sonnet-5": _price(2, 10),
    "claude-sonnet-4": _price(3, 15),
    "claude-haiku-5-5": _price(0.5, 2.5),
    "claude-haiku-4": _price(1, 5),
}


def price_of(model: str, own: Mapping[str, Price] = {}) -> Price:
    """Of `own` first. Names of clouds ("us.anthropic.claude-…") count from "claude". Raises SettingsError."""
    bare = model[max(0, model.find("claude")) :]
    for table, name in ((own, model), (own, bare), (PRICES, bare)):
        fitting = [start for start in table if name.startswith(start)]
        if fitting:
            return table[max(fitting, key=len)]
    example = "{ input = 4, output = 20, cache_read = 0.2, cache_write = 5 }"
    raise SettingsError(
        f"The price of {model} is not known, so no budget could hold; "
        f'set it in the table [claude]: prices = {{ "{model}" = {example} }}.'
    )


def cost(price: Price, usage: Usage, hour_tokens: int = 0) -> float:
    """US dollars. `hour_tokens`: of those written to the cache, the ones written for an hour."""
    return (
        hour_tokens * (price.hour - price.cache_write)
        + usage.input_tokens * price.input
        + usage.cache_read_tokens * price.cache_read
        + usage.cache_write_tokens * price.cache_write
        + usage.output_tokens * price.output
    ) / MILLION


def worst(price: Price, input_tokens: int, output_tokens: int) -> float:
    """The most that a request can cost: nothing is cached yet, all of it is written to the cache."""
    dearest = max(price.input, price.cache_write, price.cache_read, price.hour)
    return (input_tokens * dearest + output_tokens * price.output) / MILLION
