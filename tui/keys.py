"""Which keys carry out which action: the table's own, with what the person remapped on top.

A person's choice wins over the table; what loses its key by that is told in a sentence. Pure but for `rebind`, which
puts the result into Textual's bindings: its own keymap takes keys away from actions that share one by design.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import msgspec
from textual.binding import Binding, BindingError, BindingsMap
from textual.keys import Keys

from tui.actions import ACTIONS, BY_ID, Action, shown

Chosen = Mapping[str, str]  # action id -> keys as Textual names them, with commas between; "" for none

VIM: Chosen = {"stop_run": "ctrl+k", "log": "ctrl+l"}  # frees k and l, so that hjkl move everywhere
_ARROWS = {"h": "left", "j": "down", "k": "up", "l": "right"}
_MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})
_NAMED = frozenset(key.value for key in Keys) | frozenset({"space", "delete", "insert"})
_BY_TURNS = frozenset({"pause", "start_engine"})  # not there in playback, so that playback has their keys


class Keymap(msgspec.Struct, frozen=True):
    keys: dict[str, str] = {}  # as `Chosen`: only what differs from the table
    complaints: tuple[str, ...] = ()


def keys_of(action: Action, chosen: Chosen) -> tuple[str, ...]:
    """As Textual names them; () for an action that has lost its key."""
    found = chosen.get(action.id)
    return action.keys if found is None else tuple(key for key in found.split(",") if key)


def key_of(action: Action, chosen: Chosen) -> str:
    """The key that is shown for it: "V", "ctrl+p", "" for none."""
    keys = keys_of(action, chosen)
    return shown(keys[0]) if keys else ""


def keymap(wishes: Mapping[str, object], *, vim: bool = False) -> Keymap:
    """What holds, from a person's table (action id -> "V", or a list of keys), and a sentence for each mistake."""
    complaints: list[str] = []
    chosen: dict[str, str] = dict(VIM) if vim else {}
    for name, wish in wishes.items():
        if name not in BY_ID:
            near = difflib.get_close_matches(name, BY_ID, n=1)
            complaints.append(
                f"keys: there is no action {name[:40]!r}" + (f"; did you mean {near[0]}?" if near else ".")
            )
            continue
        keys, wrong = _read(wish)
        complaints += [f"keys: {key} is no key for {name}; write it like V, ctrl+v, f2 or space." for key in wrong]
        if keys:
            chosen[name] = ",".join(keys)
    settled = _settled(chosen, set(wishes), complaints)
    return Keymap(settled, tuple(complaints))


def _read(wish: object) -> tuple[list[str], list[str]]:
    """Keys as Textual names them, and what is none."""
    given = [wish] if isinstance(wish, str) else wish if isinstance(wish, list) else [None]
    keys: list[str] = []
    wrong: list[str] = []
    for each in given:
        key = _named(each) if isinstance(each, str) else ""
        if key:
            keys.append(key)
        else:
            wrong.append(repr(wish if each is None else each)[:40])
    return keys, wrong


def _named(key: str) -> str:
    """The name Textual has for a key, "" for what is none."""
    *modifiers, last = key.strip().split("+") if key.strip() != "+" else ["+"]
    if not last.isprintable() or not last or not set(modifiers) <= _MODIFIERS:
        return ""
    try:
        name = next(iter(Binding.make_bindings([Binding("comma" if last == "," else last, "")]))).key
    except BindingError:
        return ""
    if len(last) > 1 and last not in _NAMED and last not in _table_keys():
        return ""
    return "+".join([*modifiers, name])


def _table_keys() -> set[str]:
    return {key for action in ACTIONS for key in action.keys}


def _settled(chosen: Mapping[str, str], own: set[str], complaints: list[str]) -> dict[str, str]:
    """Every key does one thing: of two choices the first has it, and a choice wins over the table."""
    result: dict[str, str] = {}
    for name, keys in chosen.items():
        kept = []
        for key in keys.split(","):
            if other := _holder(key, name, result):
                complaints.append(
                    f"keys: {shown(key)} is {_label(other)} and {_label(name)}; {_label(other)} keeps it."
                )
            else:
                kept.append(key)
        if kept:
            result[name] = ",".join(kept)
    taken = [(key, name) for name, keys in result.items() for key in keys.split(",")]
    for action in ACTIONS:
        if action.id not in result:
            _yield(action, taken, own, result, complaints)
    return result


def _yield(
    action: Action, taken: Iterable[tuple[str, str]], own: set[str], result: dict[str, str], complaints: list[str]
) -> None:
    """The table's keys of an action, without those that a choice took."""
    lost = {key: name for key, name in taken if key in action.keys and not _apart(action.id, name)}
    if not lost:
        return
    left = [key for key in action.keys if key not in lost]
    result[action.id] = ",".join(left)
    if not left and action.id not in own:
        key, name = next(iter(lost.items()))
        complaints.append(f"keys: {shown(key)} is {_label(name)} now, so {_label(action.id)} has no key; give it one.")


def _holder(key: str, name: str, result: Mapping[str, str]) -> str:
    return next((each for each, keys in result.items() if key in keys.split(",") and not _apart(each, name)), "")


def _apart(one: str, other: str) -> bool:
    """Whether two actions are never in the same window, so that they may share a key."""
    return any(BY_ID[a].only == "playback" and b in _BY_TURNS for a, b in ((one, other), (other, one)))


def _label(name: str) -> str:
    return name.replace("_", " ")


def rebind(bindings: BindingsMap, chosen: Chosen, *, vim: bool = False) -> None:
    """Puts the keys of all actions into an app's bindings, in place; its other bindings stay.

    `vim`: of h, j, k and l those that no action has move like arrows.
    """
    for key, found in list(bindings.key_to_bindings.items()):
        rest = [binding for binding in found if binding.id not in BY_ID]
        bindings.key_to_bindings[key] = rest
        if not rest or key in _ARROWS:
            del bindings.key_to_bindings[key]
    for action in ACTIONS:
        for key in keys_of(action, chosen):
            made = Binding(key, f"do('{action.id}')", action.label, id=action.id, show=False)
            bindings.key_to_bindings.setdefault(key, []).append(made)
    for key, arrow in _ARROWS.items() if vim else ():
        bindings.key_to_bindings.setdefault(key, [Binding(key, f"simulate_key('{arrow}')", show=False)])
