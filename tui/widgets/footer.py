"""The footer: the keys that do something now on this screen, the most useful first, made from the action table.

Help and leave stand at the right and give way last. On a wide screen the keys that only look around join in. While a
wave waits for approval, its key is loud. Keys are shown as the person has mapped them; what the focused pane takes
for itself is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from textual import events
from textual.keys import key_to_character

from tui.actions import ACTIONS, BY_ID, Action, is_there, shown, why_not
from tui.here import FIRST, label_here
from tui.keys import Chosen, keys_of
from tui.moment import Moment
from tui.paint import Line, Span, width
from tui.pane import Pane

GAP = 2
WIDE = 140  # cells from which there is room for more than the most useful
ALWAYS = ("help", "leave")
MORE = ("wave_back", "wave_on", "axis", "log", "zoom", "lineage", "researcher", "fleet", "jump")
LOUD = ("approve", "start_engine")
TYPING = ("back", "palette", "jump")  # what is left while letters go into a line of input
FREE: frozenset[str] = frozenset()


NEXT = "app.do('next_pane')"  # how a screen hands its tab key to the table


class Placed(NamedTuple):
    action: Action
    left: int  # the column at which it begins
    spans: Line


class Footer(Pane):
    DEFAULT_CSS = "Footer { dock: bottom; height: 1; }"
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return [footer(moment, width, self._keys, self._taken)]

    @property
    def _keys(self) -> Chosen:
        found: Chosen = getattr(self.app, "keys", {})
        return found

    @property
    def _taken(self) -> frozenset[str]:
        """Keys that never come to the table, because what has the focus has them. Its "open" is the table's."""
        keys = {key for action in ACTIONS for key in keys_of(action, self._keys)}
        focused = self.screen.focused
        nodes = [node for node in (focused or self.screen).ancestors_with_self if node is not self.app]
        own = (node._bindings.key_to_bindings for node in nodes)  # noqa: SLF001  the public way makes copies of all
        held = {key for found in own for key in keys & found.keys() if found[key][0].action not in ("open", NEXT)}
        typed = {key for key in keys if focused is not None and focused.check_consume_key(key, key_to_character(key))}
        return frozenset(held | typed)

    async def on_click(self, event: events.Click) -> None:
        action = at(self.moment, self.size.width, event.x, self._keys, self._taken)
        if action is not None:
            await self.app.run_action(f"do('{action.id}')")


def offered(moment: Moment, cells: int, keys: Chosen, taken: frozenset[str] = FREE) -> list[Action]:
    """What is possible now, most useful first; what always stands at the right is not among it."""
    if not any(_key(BY_ID[name], keys, taken) for name in ALWAYS):
        return [BY_ID[name] for name in TYPING]
    rows = [action for action in ACTIONS if action.footer and action.id not in ALWAYS]
    more = [BY_ID[name] for name in MORE] if cells >= WIDE else []
    own = FIRST.get(moment.screen, ())
    rank = {action.id: (action.id not in LOUD, action.id not in own, action.footer) for action in rows}
    found = [*sorted(rows, key=lambda action: rank[action.id]), *more]
    return [action for action in found if is_there(action, moment) and not why_not(action, moment)]


def placed(moment: Moment, cells: int, keys: Chosen, taken: frozenset[str] = FREE) -> Iterator[Placed]:
    """Where each stands; one that does not fit is left out, and shorter ones after it may still."""
    ends = [(BY_ID[name], spans) for name in ALWAYS if (spans := _spans(BY_ID[name], moment, keys, taken))]
    right = sum(width(spans) + GAP for _, spans in ends)
    left, limit = 1, cells - right - 1
    for action in offered(moment, cells, keys, taken):
        spans = _spans(action, moment, keys, taken)
        if spans and left + width(spans) <= limit:
            yield Placed(action, left, spans)
            left += width(spans) + GAP
    left = max(left, cells - right + GAP - 1)
    for action, spans in ends:
        if left + width(spans) <= cells:
            yield Placed(action, left, spans)
            left += width(spans) + GAP


def _key(action: Action, keys: Chosen, taken: frozenset[str]) -> str:
    """The first that comes to the table here; "" for none."""
    return next((shown(key) for key in keys_of(action, keys) if key not in taken), "")


def _spans(action: Action, moment: Moment, keys: Chosen, taken: frozenset[str]) -> Line:
    """Key and label; nothing for an action that has lost its key."""
    key = _key(action, keys, taken)
    if not key:
        return ()
    label = label_here(action.id, action.label, moment.screen)
    label = "resume" if action.id == "pause" and moment.state.pause else label
    if action.id in LOUD:
        return ((f" {key} {label} ", "warning reverse bold"),)
    return ((key, "key bold"), (f" {label}", "muted"))


def footer(moment: Moment, cells: int, keys: Chosen | None = None, taken: frozenset[str] = FREE) -> Line:
    spans: list[Span] = []
    for each in placed(moment, cells, keys or {}, taken):
        spans += [(" " * (each.left - width(spans)), ""), *each.spans]
    return tuple(spans)


def at(moment: Moment, cells: int, x: int, keys: Chosen | None = None, taken: frozenset[str] = FREE) -> Action | None:
    """The action under column `x`."""
    found = (
        each for each in placed(moment, cells, keys or {}, taken) if each.left <= x < each.left + width(each.spans)
    )
    return next((each.action for each in found), None)
