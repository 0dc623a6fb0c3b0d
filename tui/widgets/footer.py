"""The footer: the keys that do something now, the most useful first, made from the action table.

Help and leave stand at the right and give way last. On a wide screen the keys that only look around join in. While a
wave waits for approval, its key is loud. Keys are shown as the person has mapped them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from textual import events

from tui.actions import ACTIONS, BY_ID, Action, is_there, why_not
from tui.keys import Chosen, key_of
from tui.moment import Moment
from tui.paint import Line, Span, width
from tui.pane import Pane

GAP = 2
WIDE = 140  # cells from which there is room for more than the most useful
ALWAYS = ("help", "leave")
MORE = ("wave_back", "wave_on", "axis", "log", "zoom", "lineage", "researcher", "fleet", "jump")
LOUD = ("approve", "start_engine")


class Placed(NamedTuple):
    action: Action
    left: int  # the column at which it begins
    spans: Line


class Footer(Pane):
    DEFAULT_CSS = "Footer { dock: bottom; height: 1; }"
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return [footer(moment, width, self._keys)]

    @property
    def _keys(self) -> Chosen:
        found: Chosen = getattr(self.app, "keys", {})
        return found

    async def on_click(self, event: events.Click) -> None:
        action = at(self.moment, self.size.width, event.x, self._keys)
        if action is not None:
            await self.app.run_action(f"do('{action.id}')")


def shown(moment: Moment, cells: int) -> list[Action]:
    """What is possible now, most useful first; what always stands at the right is not among it."""
    rows = [action for action in ACTIONS if action.footer and action.id not in ALWAYS]
    more = [BY_ID[name] for name in MORE] if cells >= WIDE else []
    found = [*sorted(rows, key=lambda action: action.footer), *more]
    return [action for action in found if is_there(action, moment) and not why_not(action, moment)]


def placed(moment: Moment, cells: int, keys: Chosen) -> Iterator[Placed]:
    """Where each stands; one that does not fit is left out, and shorter ones after it may still."""
    ends = [(BY_ID[name], spans) for name in ALWAYS if (spans := _spans(BY_ID[name], moment, keys))]
    right = sum(width(spans) + GAP for _, spans in ends)
    left, limit = 1, cells - right - 1
    for action in shown(moment, cells):
        spans = _spans(action, moment, keys)
        if spans and left + width(spans) <= limit:
            yield Placed(action, left, spans)
            left += width(spans) + GAP
    left = max(left, cells - right + GAP - 1)
    for action, spans in ends:
        if left + width(spans) <= cells:
            yield Placed(action, left, spans)
            left += width(spans) + GAP


def _spans(action: Action, moment: Moment, keys: Chosen) -> Line:
    """Key and label; nothing for an action that has lost its key."""
    key = key_of(action, keys)
    if not key:
        return ()
    label = "resume" if action.id == "pause" and moment.state.pause else action.label
    if action.id in LOUD:
        return ((f" {key} {label} ", "warning reverse bold"),)
    return ((key, "key bold"), (f" {label}", "muted"))


def footer(moment: Moment, cells: int, keys: Chosen | None = None) -> Line:
    spans: list[Span] = []
    for each in placed(moment, cells, keys or {}):
        spans += [(" " * (each.left - width(spans)), ""), *each.spans]
    return tuple(spans)


def at(moment: Moment, cells: int, x: int, keys: Chosen | None = None) -> Action | None:
    """The action under column `x`."""
    found = (each for each in placed(moment, cells, keys or {}) if each.left <= x < each.left + width(each.spans))
    return next((each.action for each in found), None)
