"""What must never be lost, however long a session: kept changes, values tried, dead ends, the operator, the notebook.

Each is a list of lines of at most about `width` characters where it may be shortened. Pure and deterministic.
"""

from __future__ import annotations

from collections import defaultdict

from core.claude import tables
from core.claude.fences import clean, plain
from core.claude.tables import change_of, measured
from core.state import Experiment, State

VALUES = 16  # of a constant that are listed one by one
FULL = 100  # characters from which on a line has its reason too
RESEARCHERS = frozenset({"", "claude", "mcp"})  # what is done in their name is no word of an operator


def kept_changes(state: State, width: int) -> list[str]:
    """The lineage: what every baseline changed and what that gained."""
    return [_kept(state, state.experiments[name], width) for name in state.lineage if name in state.experiments]


def _kept(state: State, experiment: Experiment, width: int) -> str:
    found = measured(state, experiment)
    gain = change_of(found.delta, found.standard_error) if found.delta is not None else ""
    where = f"vs {found.against} on {found.gpu_type}" if found.against else ""
    of = f"of {', '.join(experiment.of)}" if experiment.of else ""
    words = [experiment.id, tables.bpb(found.val_bpb), gain, where, clean(experiment.title, max(100, width)), of]
    why = clean(experiment.hypothesis, width)
    return " ".join(filter(None, words)) + (f" (why: {why})" if why and width >= FULL else "")


# --- constants --------------------------------------------------------------------------------------------------------


def constants_tried(state: State, width: int) -> list[str]:
    """By constant: its present value, then each value tried with the best change in val_bpb that an experiment had."""
    tried: dict[str, dict[str, tuple[int, float | None]]] = defaultdict(dict)
    for experiment in state.experiments.values():
        if not experiment.change.settings or experiment.of:
            continue
        delta = measured(state, experiment).delta
        for name, text in experiment.change.settings.items():
            runs, best = tried[name].get(text, (0, None))
            both = [value for value in (best, delta) if value is not None]
            tried[name][text] = (runs + 1, min(both) if both else None)
    present = tables.texts_of(state.sources.get(state.baseline, ""))
    values = max(4, VALUES * width // 160)
    return [_constant(name, present.get(name, "?"), tried[name], values) for name in sorted(tried)]


def _constant(name: str, present: str, tried: dict[str, tuple[int, float | None]], most: int) -> str:
    ranked = sorted(tried.items(), key=lambda item: (item[1][1] is None, item[1][1] or 0.0, item[0]))
    shown = [
        f"{clean(text, 24)} {'' if best is None else f'{best:+.4f} '}×{count}"
        for text, (count, best) in (ranked if len(ranked) <= most else [*ranked[: most - 2], *ranked[-2:]])
    ]
    left = f"; {len(ranked) - most} more values" if len(ranked) > most else ""
    return f"{clean(name, 40)} (now {clean(present, 24)}): {', '.join(shown)}{left}"


# --- dead ends --------------------------------------------------------------------------------------------------------


def dead_ends(state: State, width: int) -> list[str]:
    """Changes of the code that came to nothing, each with its number and why; those of a design by their factor."""
    lines, factors = [], dict[str, list[float]]()
    for experiment in state.experiments.values():
        if not experiment.change.edits or experiment.status not in ("discarded", "crashed", "vetoed"):
            continue
        if experiment.cell and experiment.status == "discarded":
            delta = measured(state, experiment).delta
            for name, level in experiment.cell.items():
                if level == "with":
                    factors.setdefault(name, []).extend([delta] if delta is not None else [])
            continue
        lines.append(_dead(state, experiment, width))
    return [_factor(name, deltas) for name, deltas in factors.items()] + lines


def _dead(state: State, experiment: Experiment, width: int) -> str:
    if width >= FULL:
        return clean(tables.line(state, experiment), 2 * width)
    return clean(tables.short(state, experiment), max(28, width))


def _factor(name: str, deltas: list[float]) -> str:
    best = f", best {min(deltas):+.4f}" if deltas else ""
    return f"with {clean(name, 40)}: {len(deltas)} cells discarded{best}"


# --- people and the notebook ------------------------------------------------------------------------------------------


def steered(state: State) -> list[str]:
    """What operators said and vetoed with a reason, in order; never shortened below what they wrote."""
    notes = [f"{clean(note.by, 40)}: {plain(note.text).strip()}" for note in state.notes]
    vetoes = [
        f"{clean(each.vetoed_by, 40)} vetoed {each.id} ({tables.touched(each.change)}): {clean(each.reason, 400)}"
        for each in state.experiments.values()
        if each.status == "vetoed" and each.reason and each.vetoed_by not in RESEARCHERS
    ]
    return [*notes, *vetoes]


def written(state: State) -> list[str]:
    return [plain(entry.text).strip() for entry in state.notebook]
