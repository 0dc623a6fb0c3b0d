"""Refuses changes after which a result would mean something else: a second look, beyond `core.patch`.

A change is compared with its parent: what the parent did already is allowed, what a change adds or takes away of the
evaluation, the seed, the clock, the data and the printed result is not. It reads syntax and runs nothing, so it is a
fence and no proof: a leak through the model's own arithmetic, say, is for the judge and for people to find.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from core import knobs
from core.claude import sensing
from core.claude.fences import clean
from core.claude.guarded import Guarded, guarded
from core.claude.sensing import Finding
from core.literals import has_text

# Of what must stay as it is: why a difference is refused.
KEPT: dict[str, str] = {
    "evaluation": "it changes how the evaluation is called; leave that call as it is",
    "result": "it changes the result or how it is printed; leave the closing block as it is",
    "seeding": "it changes the seed or seeds something else; draw random numbers from the seeded generator",
    "data": "it reads the corpus in another way; training data comes from make_dataloader alone",
    "clock": "it changes what decides when training ends; keep the lines that measure time",
    "loss": "it changes what the evaluator is given or looks at the targets; keep the return, and put terms for "
    "training alone under `if torch.is_grad_enabled():`",
    "path": "it puts something else between the model and the evaluator; change the class of the model instead",
}
# Of what may go but not come.
ADDED: dict[str, str] = {
    "untimed": "it works where the clock does not look; put it between the two readings of the clock",
    "work": "it takes gradients outside of the timed loop; train inside it",
    "attention": "it has attention that sees the future; pass is_causal=True or a causal mask",
}


@lru_cache(maxsize=4)  # one source is looked at in three ways; trees are large
def _tree(source: str) -> ast.Module:
    return knobs.parse(source)


@lru_cache(maxsize=64)
def _found(source: str, allowed: frozenset[str]) -> Mapping[Finding, int]:
    return Counter(sensing.findings(_tree(source), allowed))


@lru_cache(maxsize=64)
def _guarded(source: str) -> Guarded:
    return guarded(_tree(source))


@lru_cache(maxsize=64)
def _imports(source: str) -> tuple[tuple[str, str, str], ...]:
    return tuple(sensing.imported(_tree(source)))


def check(source: str, parent: str, allowed: frozenset[str] = frozenset()) -> str | None:
    """Why this train.py must not run, as one sentence for the researcher; None if it may.

    `allowed`: modules, such as "numpy", that a setting lets train.py import. A parent that does not parse, or a source
    that does not, is for `core.patch.check`.
    """
    try:
        if _sets_plain_constants(source, parent):
            return None
        return _imported(source, parent, allowed) or _kept(source, parent) or _added(source, parent, allowed)
    except knobs.UNPARSABLE:
        return None


def _sets_plain_constants(source: str, parent: str) -> bool:
    """Most changes do only this, and need no second look: numbers that neither seed nor end anything."""
    changed = knobs.variant(source, parent)
    if changed is None or any(has_text(knob.value) for knob in changed.values()):
        return False
    return not any("seed" in name.lower() or name in _guarded(parent).names for name in changed)


def _imported(source: str, parent: str, allowed: frozenset[str]) -> str | None:
    known = set(_imports(parent))
    bound = {local for _, _, local in known}
    for module, name, local in _imports(source):
        if (module, name, local) in known:
            continue
        top = module.partition(".")[0]
        if local in bound or local in sensing.NOT_BOUND:
            return (
                f"train.py imports {clean(module, 60)} as {clean(local, 40)}, which stands for something else already."
            )
        if top in allowed and not module.startswith("."):
            continue
        if name == "*":
            return f"train.py imports everything of {clean(module, 60)}; name what is needed."
        if top not in sensing.SAFE_MODULES:
            return (
                f"train.py imports {clean(module or name, 60)}, which no setting allows; do without it, "
                "or ask the operator to allow the module."
            )
        full = f"{module}.{name}" if name else module
        if full.startswith(sensing.TORCH_DOORS) or name in sensing.ATTRIBUTES:
            return f"train.py imports {clean(full, 80)}, which leads out of training; do without it."
    return None


def _kept(source: str, parent: str) -> str | None:
    new, old = _guarded(source), _guarded(parent)
    for name, reason in KEPT.items():
        after, before = getattr(new, name), getattr(old, name)
        if after != before:
            return f"train.py may not run: {reason}{_shown(after, before)}."
    for name, reason in ADDED.items():
        if more := Counter(getattr(new, name)) - Counter(getattr(old, name)):
            return f"train.py may not run: {reason} ({_line(next(iter(more)))})."
    return None


def _shown(after: Mapping[str, int], before: Mapping[str, int]) -> str:
    """The first line that came or went."""
    came, went = Counter(after) - Counter(before), Counter(before) - Counter(after)
    line = next(iter(came or went), "")
    return f" ({'new' if came else 'gone'}: {_line(line)})" if line else ""


def _line(text: str) -> str:
    return clean(text.partition("\n")[0], 100)


def _added(source: str, parent: str, allowed: frozenset[str]) -> str | None:
    more = Counter(_found(source, allowed)) - Counter(_found(parent, allowed))
    for found in more:
        return f"train.py may not run: {found.reason} ({_line(found.where)})."
    return None
