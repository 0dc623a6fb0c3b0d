"""Screens that list experiments say in which order, so that a screen opened from them can step through the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from core.ids import ExperimentId


@runtime_checkable
class Listing(Protocol):
    def order(self) -> Sequence[ExperimentId]: ...
