"""Two versions of a train.py compared line by line: which lines belong together, what changed in them, what is folded.

Lines come out safe to show; only a line feed ends one, as in patches. Comparisons are cached by content. Knows neither
colours nor widths; `tui.widgets.diff` paints what this finds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

import msgspec

from tui.safe import line

CONTEXT = 3  # equal lines shown around a change
SHORTEST_FOLD = 3  # lines; the fold takes one itself
MANY_LINES = 20_000  # beyond, difflib may ignore lines that are everywhere, or equal lines would cost minutes
MANY_PAIRS = 900  # of lines in one changed block, beyond which they are paired in order
LONG_LINE = 1000  # characters, beyond which words are not compared
ALIKE = 0.5  # share of words in common from which two lines are versions of one another
INVISIBLE = "(white space or line end)"  # all that differs in a pair of lines that look the same

Ranges = tuple[tuple[int, int], ...]  # from and to, in characters

_WORD = re.compile(r"\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\w+|\s+|[^\w\s]")
_SCOPE = re.compile(r"\s*(?:async )?(?:def|class) \w+")


class Row(NamedTuple):
    """A line of each side, by index; None where that side has none. Of a fold, the first of the equal lines hidden."""

    old: int | None
    new: int | None
    is_same: bool = False
    hidden: int = 0


class Comparison(msgspec.Struct, frozen=True, eq=False):  # one for a pair of texts: sameness is identity
    before: tuple[str, ...]  # safe lines
    after: tuple[str, ...]
    codes: tuple[tuple[str, int, int, int, int], ...]  # as difflib's opcodes
    mates: dict[int, int]  # changed lines that are versions of one another
    removed_words: dict[int, Ranges]  # by line of the side
    added_words: dict[int, Ranges]
    unseen: frozenset[int]  # lines after that look as they did before

    @property
    def hunks(self) -> int:
        return sum(tag != "equal" for tag, *_ in self.codes)

    @property
    def added(self) -> int:
        return sum(stop - start for tag, _, _, start, stop in self.codes if tag != "equal")

    @property
    def removed(self) -> int:
        return sum(stop - start for tag, start, stop, _, _ in self.codes if tag != "equal")


@lru_cache(maxsize=32)
def compare(before: str, after: str) -> Comparison:
    raw_before, raw_after = _lines(before), _lines(after)
    codes = tuple(_matcher(raw_before, raw_after).get_opcodes())
    old, new = _safe(raw_before), _safe(raw_after)
    mates = {a: b for code in codes if code[0] == "replace" for a, b in _mates(old, new, code)}
    removed, added = {}, {}
    for a, b in mates.items():
        removed[a], added[b] = words(old[a], new[b])
    unseen = frozenset(b for a, b in mates.items() if old[a] == new[b])
    return Comparison(old, new, codes, mates, removed, added, unseen)


def _lines(text: str) -> list[str]:
    """With their ends, so that a missing one at the end of the file is a difference."""
    *whole, last = text.split("\n")
    return [each + "\n" for each in whole] + ([last] if last else [])


def _safe(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line(each.removesuffix("\n")) for each in lines)


def _matcher(before: Sequence[str], after: Sequence[str]) -> SequenceMatcher[str]:
    return SequenceMatcher(None, before, after, autojunk=max(len(before), len(after)) > MANY_LINES)


# --- which changed lines belong together ------------------------------------------------------------------------------


def _mates(old: Sequence[str], new: Sequence[str], code: tuple[str, int, int, int, int]) -> list[tuple[int, int]]:
    """Pairs in order, alike in sum as much as can be (a longest common subsequence with weights)."""
    _, old_start, old_stop, new_start, new_stop = code
    rows, columns = old_stop - old_start, new_stop - new_start
    if rows * columns > MANY_PAIRS:
        pairs = zip(range(old_start, old_stop), range(new_start, new_stop), strict=False)
        return [(a, b) for a, b in pairs if _alike(old[a], new[b])]
    weights = [[_alike(old[old_start + a], new[new_start + b]) for b in range(columns)] for a in range(rows)]
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for a in reversed(range(rows)):
        for b in reversed(range(columns)):
            best[a][b] = max(best[a + 1][b], best[a][b + 1], weights[a][b] + best[a + 1][b + 1])
    return [(old_start + a, new_start + b) for a, b in _walk(best, weights)]


def _walk(best: list[list[float]], weights: list[list[float]]) -> Iterator[tuple[int, int]]:
    a = b = 0
    while a < len(weights) and b < len(weights[0]):
        if weights[a][b] and best[a][b] == weights[a][b] + best[a + 1][b + 1]:
            yield a, b
            a, b = a + 1, b + 1
        elif best[a][b] == best[a + 1][b]:
            a += 1
        else:
            b += 1


def _alike(old: str, new: str) -> float:
    """Share of words in common (Dice's coefficient); 0 below `ALIKE`."""
    if old == new:
        return 1.0
    if max(len(old), len(new)) > LONG_LINE:
        return 0.0
    first, second = _bag(old), _bag(new)
    share = 2 * (first & second).total() / max(1, first.total() + second.total())
    return share if share >= ALIKE else 0.0


@lru_cache(maxsize=4096)
def _bag(text: str) -> Counter[str]:
    return Counter(word for word in _WORD.findall(text) if not word.isspace())


def words(old: str, new: str) -> tuple[Ranges, Ranges]:
    """What differs within two versions of one line, as ranges of characters of each. Nothing of very long ones."""
    first, second = _WORD.findall(old), _WORD.findall(new)
    if len(first) + len(second) > LONG_LINE:
        return (), ()
    starts, others = _starts(first), _starts(second)
    codes = [code for code in SequenceMatcher(None, first, second, autojunk=False).get_opcodes() if code[0] != "equal"]
    removed = tuple(_trimmed(old, starts[a], starts[b]) for _, a, b, _, _ in codes if a < b)
    added = tuple(_trimmed(new, others[a], others[b]) for _, _, _, a, b in codes if a < b)
    return removed, added


def _trimmed(text: str, start: int, stop: int) -> tuple[int, int]:
    """Without the spaces at its ends, unless it is nothing else."""
    part = text[start:stop]
    if part.isspace():
        return start, stop
    return start + len(part) - len(part.lstrip()), stop - len(part) + len(part.rstrip())


def _starts(found: Sequence[str]) -> list[int]:
    total, starts = 0, [0]
    for word in found:
        total += len(word)
        starts.append(total)
    return starts


# --- what is shown ----------------------------------------------------------------------------------------------------


def rows(
    comparison: Comparison, context: int | None = CONTEXT, *, split: bool = False, opened: frozenset[int] = frozenset()
) -> list[Row]:
    """In order. `context`: equal lines around a change, None for all; `opened`: folds that are open, by old line.

    Unified, a changed line is of one side; `split`, both sides of it stand in one row.
    """
    found: list[Row] = []
    last = len(comparison.codes) - 1
    for at, (tag, old, old_stop, new, new_stop) in enumerate(comparison.codes):
        if tag == "equal":
            found += _equal(old, new, old_stop - old, context, opened, is_first=at == 0, is_last=at == last)
        elif split:
            found += _beside(comparison.mates, range(old, old_stop), range(new, new_stop))
        else:
            found += [Row(index, None) for index in range(old, old_stop)]
            found += [Row(None, index) for index in range(new, new_stop)]
    return found


def _equal(
    old: int, new: int, length: int, context: int | None, opened: frozenset[int], *, is_first: bool, is_last: bool
) -> list[Row]:
    head = 0 if is_first else context or 0
    tail = 0 if is_last else context or 0
    hidden = length - head - tail
    if context is None or hidden < SHORTEST_FOLD or old in opened:
        return [Row(old + i, new + i, True) for i in range(length)]
    return [
        *(Row(old + i, new + i, True) for i in range(head)),
        Row(old + head, new + head, True, hidden),
        *(Row(old + i, new + i, True) for i in range(length - tail, length)),
    ]


def fold_of(comparison: Comparison, row: Row) -> int:
    """What `opened` holds for the fold that this row is, or is in: the first old line of its run of equal lines."""
    at = row.old or 0
    return next((old for tag, old, stop, _, _ in comparison.codes if tag == "equal" and old <= at < stop), -1)


def _beside(mates: dict[int, int], old: range, new: range) -> Iterator[Row]:
    """A changed block with mates on one row; what has none stands before them, side by side where both have some."""
    a, b = old.start, new.start
    pairs = [(first, mates[first]) for first in old if first in mates]
    for first, second in [*pairs, (old.stop, new.stop)]:
        while a < first or b < second:
            yield Row(a if a < first else None, b if b < second else None)
            a, b = min(a + 1, first), min(b + 1, second)
        if first < old.stop:
            yield Row(first, second)
            a, b = first + 1, second + 1


def hunk_starts(shown: Sequence[Row]) -> list[int]:
    """Rows on which a change begins."""
    return [at for at, row in enumerate(shown) if not row.is_same and (at == 0 or shown[at - 1].is_same)]


def scope(lines: Sequence[str], index: int) -> str:
    """The function or class that a line is in, as far as indentation tells: "def forward"; "" outside."""
    indent = _indent(lines[index]) if index < len(lines) else 0
    for text in reversed(lines[: index + 1]):
        if text.strip() and _indent(text) < indent:
            indent = _indent(text)
            if found := _SCOPE.match(text):
                return found.group().strip()
    return ""


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
