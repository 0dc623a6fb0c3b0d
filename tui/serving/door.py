"""How many may come, and how fast: strangers, connections per address, windows per key and in all. Pure.

Time is given. Each answer is "" for yes or the rest of a sentence that says what is full.
"""

from __future__ import annotations

from collections import Counter

import msgspec

ADDRESSES = 4096  # that are remembered at most


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    windows: int = 20  # in all
    per_key: int = 4  # windows of one key
    strangers: int = 32  # connections that have not shown a key yet
    strangers_per_address: int = 16
    burst: int = 40  # connections at once of one address, then
    per_s: float = 1.0
    keys: int = 10  # that one connection may offer
    grace_s: float = 10.0  # to log in, and then to ask for a window
    idle_s: float = 12 * 3600.0  # without a key press or a move of the mouse


class Door:
    """Counts who is there. An address is what `origins.neighbourhood` makes of it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._strangers: Counter[str] = Counter()
        self._windows: Counter[str] = Counter()  # by fingerprint
        self._tokens: dict[str, tuple[float, float]] = {}  # by address: how many are left, and when that was

    def knock(self, address: str, now: float) -> str:
        """A connection is there; if it may stay it is a stranger until `known`."""
        if not self._has_token(address, now):
            return "too many connections from there in a short time"
        if self._strangers.total() >= self.limits.strangers:
            return "too many connections are logging in"
        if self._strangers[address] >= self.limits.strangers_per_address:
            return "too many connections from there are logging in"
        self._strangers[address] += 1
        return ""

    def known(self, address: str) -> None:
        """One stranger less: it has shown its key, or is gone."""
        _less(self._strangers, address)

    def opens(self, key: str) -> str:
        """The owner of `key` wants a window; it is counted until `closes`."""
        if self._windows.total() >= self.limits.windows:
            return f"all {self.limits.windows} windows are taken"
        if self._windows[key] >= self.limits.per_key:
            return f"{self.limits.per_key} windows are open with this key already"
        self._windows[key] += 1
        return ""

    def closes(self, key: str) -> None:
        _less(self._windows, key)

    def _has_token(self, address: str, now: float) -> bool:
        left, at = self._tokens.get(address, (float(self.limits.burst), now))
        left = min(float(self.limits.burst), left + (now - at) * self.limits.per_s)
        self._tokens[address] = (left - 1 if left >= 1 else left, now)
        if len(self._tokens) > ADDRESSES:
            self._forget(now)
        return left >= 1

    def _forget(self, now: float) -> None:
        """Those that have all their tokens again; if that is nobody, the oldest half."""
        full_s = self.limits.burst / self.limits.per_s
        kept = {name: (left, at) for name, (left, at) in self._tokens.items() if now - at < full_s}
        self._tokens = kept if len(kept) <= ADDRESSES // 2 else dict(list(kept.items())[-ADDRESSES // 2 :])


def _less(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if counter[name] <= 0:
        del counter[name]
