"""Names of things of one kind, such as GPU types, in the cells that there are: shortened so that they stay different.

Pure. It does not know what is named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import takewhile

from rich.cells import cell_len

from tui.safe import fit, line

_ELLIPSIS = "…"
_WORD = re.compile(r"[\s\-_/]+")  # between words


def longest(names: tuple[str, ...]) -> int:
    """Cells of the longest."""
    return max((cell_len(line(name)) for name in names), default=0)


@lru_cache(maxsize=64)
def told_apart(names: tuple[str, ...], cells: int) -> Mapping[str, str]:
    """Each name in at most `cells`: whole, else its beginning; where beginnings are the same, what differs."""
    whole = {name: line(name) for name in names}
    shown = {name: fit(text, cells).rstrip() for name, text in whole.items()}
    count = Counter(shown.values())
    alike = {name: whole[name] for name, short in shown.items() if count[short] > 1 and short != whole[name]}
    if not alike:
        return shown
    found = [{**shown, **form} for form in _forms(alike, tuple(whole.values()), cells)]
    return max(found, key=lambda form: len(set(form.values())))  # the first of the best


def _forms(names: Mapping[str, str], all_names: tuple[str, ...], cells: int) -> Iterator[dict[str, str]]:
    """Ways to shorten: whole words of the end; from where it differs on; a beginning and an end."""
    yield {name: _end(text, cells) for name, text in names.items()}
    yield {name: fit(_ELLIPSIS + text[_differs(text, all_names) :], cells).rstrip() for name, text in names.items()}
    for start in range(1, cells - 1):
        yield {name: _middle_left_out(text, start, cells) for name, text in names.items()}


def _end(text: str, cells: int) -> str:
    """As many words of the end as fit; of one that is too long, its beginning."""
    starts = [match.end() for match in _WORD.finditer(text)] or [0]
    fitting = next((start for start in starts if cell_len(text[start:]) < cells), starts[-1])
    return fit(_ELLIPSIS + text[fitting:], cells).rstrip()


def _differs(text: str, names: tuple[str, ...]) -> int:
    """Where the first word begins that no other name shares."""
    same = max((_same(text, other) for other in names if other != text), default=0)
    starts = [match.end() for match in _WORD.finditer(text) if match.end() <= min(same, len(text) - 1)]
    return starts[-1] if starts else 0


def _same(one: str, other: str) -> int:
    """Characters that both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _middle_left_out(text: str, start: int, cells: int) -> str:
    end = len(text)
    while end > 0 and cell_len(text[end - 1 :]) <= cells - start - 1:
        end -= 1
    return fit(text, start, ellipsis="").rstrip() + _ELLIPSIS + text[end:]
