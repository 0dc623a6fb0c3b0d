"""Source code as spans with roles: one Pygments pass over a whole version, so that long texts come out right.

A version that differs from one already seen is coloured where it differs only. Cached by content. Lines must be safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tui.diffing import Comparison
from tui.paint import Line

Lines = tuple[str, ...]
Coloured = tuple[tuple[Line, ...], tuple[bool, ...]]  # spans by line; whether the line ends inside a text

_LARGEST = 20_000  # lines; more is shown without colours


@lru_cache(maxsize=16)
def coloured(lines: Lines) -> Coloured:
    """Of a whole version. About 80 ms for 1,000 lines."""
    return _lexed(lines)


def _lexed(lines: Lines) -> Coloured:
    if len(lines) > _LARGEST:
        return tuple(((text, ""),) for text in lines), (False,) * len(lines)
    from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]  # 60 ms, and only when code is shown

    found: list[list[tuple[str, str]]] = [[]]
    inside: list[bool] = []
    for _, kind, text in PythonLexer().get_tokens_unprocessed("\n".join(lines) + "\n"):
        role = _role(kind)
        first, *more = text.split("\n")
        if first:
            found[-1].append((first, role))
        for part in more:
            inside.append(role == "syntax-string")
            found.append([(part, role)] if part else [])
    return tuple(map(_joined, found[: len(lines)])), tuple(inside[: len(lines)])


@lru_cache(maxsize=32)
def both(comparison: Comparison) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """Spans by line, before and after."""
    before, after = comparison.before, comparison.after
    spans, inside = coloured(before)
    found: list[Line] = []
    for tag, old, old_stop, new, new_stop in comparison.codes:
        if tag == "equal":
            found += spans[old:old_stop]
            continue
        begins = bool(old) and inside[old - 1]
        ends = inside[old_stop - 1] if old_stop else False
        made = _changed(after[new:new_stop], begins, ends)
        if made is None:
            return spans, coloured(after)[0]
        found += made
    return spans, tuple(found)


def _changed(lines: Lines, begins: bool, ends: bool) -> tuple[Line, ...] | None:
    """Of lines in place of others that began and ended inside a text of many lines or not; None if only the whole
    version tells."""
    if not lines:
        return () if begins == ends else None
    if begins:
        has_quotes = any(quotes in text for text in lines for quotes in ('"""', "'''"))
        return tuple(((text, "syntax-string"),) for text in lines) if ends and not has_quotes else None
    spans, inside = _lexed(lines)
    return spans if inside[-1] == ends else None


def _joined(spans: Sequence[tuple[str, str]]) -> Line:
    """Neighbours of one role as one span: fewer cells to style."""
    made: list[tuple[str, str]] = []
    for text, role in spans:
        if made and (made[-1][1] == role or not text.strip()):
            made[-1] = (made[-1][0] + text, made[-1][1])
        else:
            made.append((text, role))
    return tuple(made)


@lru_cache(maxsize=256)
def _role(kind: object) -> str:
    """Of a Pygments token; "" for what stands in the normal colour."""
    name = str(kind).removeprefix("Token.")
    for start, role in _ROLES:
        if name.startswith(start):
            return role
    return ""


_ROLES = (
    ("Keyword", "syntax-keyword"),
    ("Operator.Word", "syntax-keyword"),
    ("Comment", "syntax-comment"),
    ("Literal.String", "syntax-string"),
    ("Literal.Number", "syntax-number"),
    ("Name.Function", "syntax-function"),
    ("Name.Class", "syntax-function"),
    ("Name.Decorator", "syntax-function"),
    ("Name.Builtin", "syntax-function"),
    ("Name", "syntax-name"),
)
