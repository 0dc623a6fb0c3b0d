"""A scripted researcher that knows its job: it reads the question, plans waves by tool calls, and takes notes.

Deterministic: the same questions get the same answers. It knows the tools' names and inputs, and of the question only
what its text says: the constants of train.py, the baseline, the GPUs that will be free, and what has crashed.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from claude.replies import Reply, answer, text, thought, tool
from claude.server import Asked

CONSTANT = re.compile(
    r"^[^\S\n]*(?:\d+[^\S\n]*[|:]?[^\S\n])?([A-Z][A-Z0-9_]{2,}) = ([^#\n]+?)[^\S\n]*(?:#.*)?$", re.MULTILINE
)
CRASHED = re.compile(r"not repaired yet: (e[^\n]+)")
POWER = re.compile(r"2 ?\*\* ?(\d+)")
NOT_VARIED = ("HEAD_DIM", "DEVICE", "SEED", "TIME", "STEPS", "EVAL", "VOCAB", "SECONDS")
STEPS = (2.0, 1.7, 1.45, 1.3, 1.2)  # factors between levels, smaller as the campaign goes on
PHASES = ("broad sweep", "architecture", "fine-tuning", "optimizer", "consolidation")
QUESTIONS_PER_STEP = 12
FEWEST = 12  # experiments per wave


class Competent:
    """A script for the server. `edits`: free edits of code by title, tried one per wave of a list."""

    def __init__(self, seed: int = 0, edits: dict[str, tuple[str, str]] | None = None) -> None:
        self.seed, self.edits = seed, dict(edits or {})
        self.questions = 0

    def __call__(self, asked: Asked) -> Reply:
        if crashed := CRASHED.search(asked.question):
            return self._mended(asked, crashed[1].split(", "))
        if asked.turns == 0:
            self.questions += 1
            if self.questions % 5 == 3:
                return answer(text("First, what has come of the latest wave."), *self._looks())
        if failed := re.search(r"which is (e\d+)", asked.latest):
            return answer(text("The baseline has moved on."), tool("plan_wave", self._list(asked, failed[1])))
        if asked.failed:
            return answer(text("A plain list, then."), tool("plan_wave", self._list(asked, baseline(asked))))
        return self._wave(asked)

    def _looks(self) -> list[dict[str, Any]]:
        return [
            tool("results", {"status": "any", "top": 12, "sort": "delta"}),
            tool("effects", {"wave": ""}, id="toolu_effects"),
        ]

    def _mended(self, asked: Asked, names: list[str]) -> Reply:
        """The first of them with less memory, or a lower rate; the others are left."""
        if asked.failed:
            return answer(text("It is not worth more."))
        rate = re.search(r"\((\w+) is too high\)", asked.question)
        now = _number(constants(asked).get(rate[1], "")) if rate else None
        name, value = (rate[1], f"{now / 2:.4g}") if rate and now else ("DEVICE_BATCH_SIZE", "64")
        setting = {"name": name, "value": value}
        wanted = {"experiment": names[0], "diagnosis": "Too much at once.", "edits": [], "settings": [setting]}
        return answer(text(f"{names[0]} deserves one more look."), tool("repair", wanted))

    # --- waves ---

    def _wave(self, asked: Asked) -> Reply:
        kind, start = self.questions % 4, baseline(asked)
        chosen = self._dice().sample(self._factors(asked), k=len(self._factors(asked)))
        if kind == 1 and len(chosen) >= 5:
            wave = _design("fractional factorial", start, [self._levels(asked, name, 2) for name in chosen[:6]])
            wave["most_cells"] = 16
        elif kind == 2 and len(chosen) >= 3:
            wave = _design("central composite", start, [self._levels(asked, name, 3) for name in chosen[:3]])
        elif kind == 3 and len(chosen) >= 2:
            wave = _design("full factorial", start, [self._levels(asked, name, 4) for name in chosen[:2]])
        else:
            wave = self._list(asked, start)
        thinking = thought("Which constants have I not varied near this baseline? " * 12)
        said = text(f"Wave {self.questions}: {wave['hypothesis']}")
        notes = [tool("note", {"text": f"After {self.questions} waves: steps of {self._step()} now."}, id="toolu_note")]
        return answer(
            thinking, said, *(notes if self.questions % 6 == 0 else []), tool("plan_wave", {**wave, **self._phase()})
        )

    def _list(self, asked: Asked, start: str) -> dict[str, Any]:
        dice, names = self._dice(), self._factors(asked)
        ideas = []
        for _ in range(max(FEWEST, slots(asked))):
            picked = dice.sample(names, k=min(len(names), dice.randint(1, 3)))
            moved = [{"name": name, "value": dice.choice(self._levels(asked, name, 4)["levels"])} for name in picked]
            title = ", ".join(f"{each['name']} {each['value']}" for each in moved)
            ideas.append({"title": title, "hypothesis": "Near a good place.", "settings": moved, "edits": []})
        if self.edits:
            title, (search, replace) = self.edits.popitem()
            block = {"search": search, "replace": replace}
            ideas.insert(0, {"title": title, "hypothesis": title, "settings": [], "edits": [block]})
        wave = _design("list", start, [])
        return {**wave, "experiments": ideas, "hypothesis": "What lies around the baseline in several directions?"}

    def _levels(self, asked: Asked, name: str, count: int) -> dict[str, Any]:
        source = constants(asked)[name]
        levels = [
            moved(source, name, direction * self._dice(name).uniform(0.8, 1.2), self._step()) for direction in (-1, 1)
        ]
        if count == 3:
            levels.insert(1, source)
        if count == 4:
            levels += [moved(source, name, direction * 0.4, self._step()) for direction in (-1, 1)]
        distinct = list(dict.fromkeys(levels))
        return {"name": name, "levels": distinct if len(distinct) > 1 else [source, *distinct], "edits": []}

    def _factors(self, asked: Asked) -> list[str]:
        found = constants(asked)
        return [
            name for name, source in found.items() if not name.startswith(NOT_VARIED) and _number(source) is not None
        ]

    def _step(self) -> float:
        return STEPS[min(len(STEPS) - 1, self.questions // QUESTIONS_PER_STEP)]

    def _phase(self) -> dict[str, str]:
        return {"phase": PHASES[min(len(PHASES) - 1, self.questions // QUESTIONS_PER_STEP)]}

    def _dice(self, *what: str) -> Random:
        return Random("/".join((str(self.seed), str(self.questions), *what)))


def _design(kind: str, start: str, factors: list[dict[str, Any]]) -> dict[str, Any]:
    names = " and ".join(factor["name"] for factor in factors)
    hypothesis = f"Do {names} matter here, and together?"
    return {"hypothesis": hypothesis, "baseline": start, "design": kind, "factors": factors, "tier": "screen"}


# --- reading the question ---------------------------------------------------------------------------------------------


def constants(asked: Asked) -> dict[str, str]:
    """By name, as source texts; the last that the question tells of each."""
    return {name: source.strip() for name, source in CONSTANT.findall(asked.question)}


def baseline(asked: Asked) -> str:
    found = re.findall(r"baseline[^.\n]{0,60}?\b(e\d+)\b", asked.question)
    return found[-1] if found else "e0"


def slots(asked: Asked) -> int:
    found = re.findall(r"(\d+)[^.\n]{0,30}(?:slots|GPUs|experiments)[^.\n]{0,40}(?:free|fill)", asked.question)
    return min(64, max(map(int, found))) if found else FEWEST


def _number(source: str) -> float | None:
    if power := POWER.fullmatch(source):
        return float(2 ** int(power[1]))
    try:
        return float(source.replace("_", ""))
    except ValueError:
        return None


def moved(source: str, name: str, steps: float, factor: float) -> str:
    """A level so many steps away, as source text."""
    if power := POWER.fullmatch(source):
        return f"2**{max(1, int(power[1]) + (1 if steps > 0 else -1))}"
    value = _number(source)
    assert value is not None
    if "." not in source and "e" not in source:
        return str(max(1, round(value + steps * max(1.0, value * (factor - 1) / 4))))
    if value == 0:
        return f"{0.05 + 0.03 * steps:.3g}"
    near = value * factor**steps
    return f"{min(near, 1.0) if 'RATIO' in name or 'FRAC' in name else near:.4g}"
