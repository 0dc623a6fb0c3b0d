"""Compares the designed researcher with greedy, random search and Optuna's TPE; a program, not a test.

    python -m tests.compare --surfaces --seeds 20
    python -m tests.compare --trainer --runs 48 --seeds 3 --out runs.jsonl
    python -m tests.compare --trainer --runs 48 --seeds 3 --only TPE --out runs.jsonl

On the hidden surfaces of the simulator the truth is known; on the real CPU trainer every choice is measured again with
fresh seeds. Every finished piece is a line of JSON in --out, and what is there already is not done again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from statistics import median

import msgspec

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of small matrices: threads would mostly wait for each other

import compare_trainer  # noqa: E402  a program finds its neighbours first
from compare_surfaces import GPUS, MARKS, METHODS, Outcome, outcome  # noqa: E402  a program finds its neighbours first

from core.surfaces import SURFACES  # noqa: E402  a program finds its neighbours first

NEVER = float("inf")
LABELS = {"designed": f"designed, {GPUS} GPUs", "random": f"random, {GPUS} GPUs", "TPE": f"TPE, {GPUS} GPUs"}
SLOW = {
    "greedy, 1 GPU": f"Upstream's greedy loop on 1 GPU against designed on {GPUS}, times faster in hours (goal 14)",
    "designed, 1 GPU": f"Like for like, designed on 1 GPU against designed on {GPUS}, times faster in hours",
}
COUNTED = "where one of both never arrived it counts as ∞ or 0, and pairs of which neither did are left out"
FASTER = f"| surface | all pairs | where both arrived | both arrived | not on {GPUS} | not on 1 |"
Pair = tuple[float | None, float | None]  # hours on one GPU and on the fleet, None if it never arrived


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--surfaces", action="store_true", help="on the simulator's hidden surfaces")
    kind.add_argument("--trainer", action="store_true", help="on the real CPU trainer")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=int, default=0, help="runs per method (600 on surfaces, 48 with the trainer)")
    parser.add_argument("--only", default="", help="methods, with ; between them")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--time-budget", type=float, default=None, help="seconds of training per run, for a quick try")
    parser.add_argument("--out", type=Path, default=None, help="lines of JSON: what is there is not done again")
    given = parser.parse_args(arguments)
    if given.trainer:
        compare_trainer.compare(
            range(given.first, given.first + given.seeds), given.runs or 48, given.out, given.time_budget, given.only
        )
    else:
        seeds = range(given.first, given.first + given.seeds)
        outcomes = surfaces(seeds, given.runs or 600, given.only, given.processes, given.out)
        print("\n".join(table(outcomes, given.runs or 600)))


# --- the surfaces -----------------------------------------------------------------------------------------------------


def surfaces(seeds: Sequence[int], runs: int, only: str, processes: int, out: Path | None) -> list[Outcome]:
    methods = [method for method in METHODS if not only or method in only.split(";")]
    found = _read(out)
    done = {(each.surface, each.method, each.seed) for each in found}
    ordered = ((name, method, seed) for seed, name, method in product(seeds, SURFACES, methods))  # whole seeds first
    wanted = [each for each in ordered if each not in done]
    with ProcessPoolExecutor(processes) as pool:
        for each in pool.map(outcome, *zip(*wanted, strict=True), [runs] * len(wanted)) if wanted else ():
            found.append(each)
            _write(out, each)
    return found


def _read(out: Path | None) -> list[Outcome]:
    if out is None or not out.exists():
        return []
    return [msgspec.json.decode(line, type=Outcome) for line in out.read_bytes().splitlines()]


def _write(out: Path | None, each: Outcome) -> None:
    if out is not None:
        with out.open("ab") as file:
            file.write(msgspec.json.encode(each) + b"\n")


def table(found: Sequence[Outcome], most: int) -> list[str]:
    """Markdown: medians over the seeds, and ranges; "never" for what did not get there within the runs."""
    marks = " | ".join(f"gain at {mark}" for mark in MARKS)
    lines = [f"| surface | method | reached | runs to 90 % | hours | {marks} |", "|" + "---|" * (5 + len(MARKS))]
    for name in SURFACES:
        for method in METHODS:
            group = [each for each in found if (each.surface, each.method) == (name, method)]
            if group:
                lines.append(_row(name, LABELS.get(method, method), group))
    return [
        *lines,
        "",
        f"At most {most} runs each; medians over seeds {_seeds(found)} (lowest–highest).",
        *_faster(found),
    ]


def _seeds(found: Sequence[Outcome]) -> str:
    """Those that every method and surface has; others are named, too."""
    have = {each.seed for each in found}
    groups = {(each.surface, each.method) for each in found}
    counted = Counter(each.seed for each in found)
    whole = sorted(seed for seed in have if counted[seed] == len(groups))
    told = f"{whole[0]} to {whole[-1]} ({len(whole)})" if whole else "that differ"
    return told if len(whole) == len(have) else f"{told}, and some of {', '.join(map(str, sorted(have - {*whole})))}"


def _row(name: str, method: str, group: Sequence[Outcome]) -> str:
    reached = sum(each.runs is not None for each in group)
    runs, hours = _span([each.runs for each in group], ".0f"), _span([each.hours for each in group], ".2f")
    gains = " | ".join(f"{median(each.gains[mark] for each in group):.0%}" for mark in MARKS)
    return f"| {name} | {method} | {reached}/{len(group)} | {runs} | {hours} | {gains} |"


def _span(values: Sequence[float | None], form: str, never: str = "never") -> str:
    known = sorted(NEVER if value is None else value for value in values)
    low, middle, high = (never if value == NEVER else format(value, form) for value in _three(known))
    return never if low == never else f"{middle} ({low}–{high})"


def _three(known: Sequence[float]) -> tuple[float, float, float]:
    return known[0], known[len(known) // 2] if NEVER in known else median(known), known[-1]


# --- how much faster the fleet is -------------------------------------------------------------------------------------


def _faster(found: Sequence[Outcome]) -> Iterator[str]:
    """Hours on one GPU over hours on the fleet, of the same surface and seed."""
    for slow, told in SLOW.items():
        rows = [(name, pairs) for name in (*SURFACES, "all") if (pairs := _pairs(found, slow, name))]
        if rows:
            yield from ("", f"{told};", f"{COUNTED}:", "", FASTER, "|" + "---|" * 6)
            yield from (_factor(name, pairs) for name, pairs in rows)


def _factor(name: str, pairs: Sequence[Pair]) -> str:
    told = [_ratio(a, b) for a, b in pairs if a is not None or b is not None]
    both = [a / b for a, b in pairs if a is not None and b is not None]
    counts = (sum(b is None for _, b in pairs), sum(a is None for a, _ in pairs))
    cells = [_span(ratios, ".1f", "∞") if ratios else "–" for ratios in (told, both)]
    return f"| {name} | {cells[0]} | {cells[1]} | {len(both)} of {len(pairs)} | {counts[0]} | {counts[1]} |"


def _ratio(slow: float | None, fast: float | None) -> float:
    if fast is None:
        return 0.0
    return NEVER if slow is None else slow / fast


def _pairs(found: Sequence[Outcome], slow: str, name: str) -> list[Pair]:
    hours = {(each.surface, each.method, each.seed): each.hours for each in found}
    keys = [(s, seed) for s, method, seed in hours if method == slow and name in (s, "all")]
    both = [(s, seed) for s, seed in keys if (s, "designed", seed) in hours]
    return [(hours[s, slow, seed], hours[s, "designed", seed]) for s, seed in both]


if __name__ == "__main__":
    main()
