"""The constants of train.py, found and set as text.

A knob is an UPPER_CASE name that the module assigns exactly once, at its top level, to a literal or to arithmetic on
literals. A name bound a second time anywhere in the module's scope (another assignment, `+=`, inside an `if`, by an
import or through `global`) is no knob: no single literal would decide its value. Nothing is ever executed. This module
does not know what a constant means or which values of it are sensible.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec

from core.errors import PatchError
from core.literals import MAX_BITS
from core.literals import NotLiteral as NotLiteral
from core.literals import Value as Value
from core.literals import literal as literal

UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # what parsing raises (ValueError: NUL, surrogates)

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_NEWLINE = re.compile(r"\r\n|\r|\n")  # what Python's tokenizer calls a line end; str.splitlines knows more of them
_BLANK = re.compile(r"[ \t\f]*(?:\\(?:\r\n|\r|\n)[ \t\f]*)*")
_COMMENT = re.compile(r"[ \t\f]*;?[ \t\f]*#[ \t]*([^\r\n]*)")
_POWER = re.compile(r"(\d+)(\s*\*\*\s*)\d+")
_SHIFT = re.compile(r"1(\s*<<\s*)\d+")


class Knob(msgspec.Struct, frozen=True):
    """One constant: `text` is the exact source of its value, `comment` the trailing comment without its `#`."""

    name: str
    text: str
    value: Value
    line: int  # 1-based
    comment: str


class _Place(msgspec.Struct, frozen=True):
    knob: Knob
    start: int  # of the value, in characters
    end: int
    comment: tuple[int, int]  # line and column of the trailing comment's #; (0, 0) without one


def parse(source: str) -> ast.Module:
    """The syntax tree of a train.py, with or without a byte-order mark. Raises one of `UNPARSABLE`; never warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in the user's strings are the user's business
        return ast.parse(source.removeprefix("\ufeff"))


def find(source: str) -> tuple[Knob, ...]:
    """The knobs in the order of the source; none if the source does not parse."""
    try:
        return tuple(place.knob for place in _located(source))
    except UNPARSABLE:
        return ()


def variant(source: str, parent: str) -> dict[str, Knob] | None:
    """The constants that a source sets differently, by name, if it differs from its parent in nothing else.

    None if it does or may. Compares line by line and parses only lines that differ: a line that is a whole assignment
    of a literal in both, to the same constant, leaves the meaning of every other line as it was.
    """
    places = {knob.line: knob.name for knob in find(parent)}
    new, old = source.split("\n"), parent.split("\n")
    if len(new) != len(old):
        return None
    changed: dict[str, Knob] = {}
    for number, (after, before) in enumerate(zip(new, old, strict=True), 1):
        if after != before:
            knob = _alone(after)
            if knob is None or _alone(before) is None or places.get(number) != knob.name:
                return None
            changed[knob.name] = msgspec.structs.replace(knob, line=number)
    return changed


def _alone(line: str) -> Knob | None:
    """The knob of a line that holds one plain assignment and nothing else."""
    try:
        found, body = find(line), parse(line).body
    except UNPARSABLE:
        return None
    return found[0] if len(found) == len(body) == 1 and isinstance(body[0], ast.Assign) else None


def settings(source: str, values: Mapping[str, str]) -> str:
    """The source with the knobs named in `values` set to new texts, every other byte kept.

    Only the spaces before a trailing comment may change, where the comment is aligned with a neighbour's. Raises
    PatchError for a name that is no knob and for a text that is not a literal.
    """
    try:
        places = {place.knob.name: place for place in _located(source)}
    except UNPARSABLE as error:
        raise PatchError(f"train.py does not parse ({error}), so no constant can be set; mend it first.") from error
    for name in values:
        if name not in places:
            raise PatchError(_why_absent(name, parse(source), places))
    wanted = {name: _literal_text(name, text) for name, text in values.items()}
    result, marks = source, {place.comment for place in places.values()}
    for name in sorted(wanted, key=lambda name: places[name].start, reverse=True):
        result = _set(result, places[name], wanted[name], marks)
    before = {name: place.knob.text for name, place in places.items()}
    known = variant(result, source)
    after = {knob.name: knob.text for knob in (find(result) if known is None else known.values())}
    if (before if known is not None else {}) | after != before | wanted:
        raise PatchError(f"Setting {', '.join(wanted)} would change more of train.py than that; use an edit instead.")
    return result


def value_of(text: str) -> Value:
    """The value of a literal expression such as `2**19`; raises PatchError for anything else."""
    try:
        return literal(_statement(text).value)
    except (*UNPARSABLE, NotLiteral) as error:
        raise PatchError(f"{_short(text)} is not a literal such as 8, 2**19 or (0.8, 0.95).") from error


def render(value: object, like: str = "") -> str:
    """A value as source text in the style of the text it replaces: `2**18` for `2**19`, `1.0` for `0.5`.

    Floats are short: noise in the last places (up to 4 units) is rounded away. Raises PatchError for what a constant
    cannot hold (inf, nan, objects).
    """
    match value:
        case bool() | None:
            return repr(value)
        case int() | float():
            return _render_number(value, like.strip())
        case str():
            return _render_string(value, like.strip())
        case tuple() | list():
            return _render_sequence(value, like.strip())
    raise PatchError(f"{_short(repr(value))} cannot be a constant; use a number, a string, a tuple or a list.")


# -- finding ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=128)  # a wave's experiments share their parent, and each source is looked at more than once
def _located(source: str) -> tuple[_Place, ...]:
    return tuple(_places(source, parse(source)))


def _places(source: str, tree: ast.Module) -> Iterator[_Place]:
    bound = _bound(tree)
    offset = _offsets(source)
    for name, left, statement, value in _assignments(tree.body):
        if bound[name] != 1 or not _NAME.fullmatch(name):
            continue
        try:
            evaluated = literal(value)
        except NotLiteral:
            continue
        start = _skip_blank(source, source.index("=", offset(left.end_lineno, left.end_col_offset)) + 1)
        end = offset(statement.end_lineno, statement.end_col_offset)
        comment = _COMMENT.match(source, end)
        text = comment[1].rstrip() if comment else ""
        line = statement.end_lineno or 0
        mark = (line, source.index("#", end) - offset(line, 0)) if comment else (0, 0)
        yield _Place(Knob(name, source[start:end], evaluated, statement.lineno, text), start, end, mark)


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr, ast.stmt, ast.expr]]:
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name) as target], value=value):
                yield name, target, statement, value
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                yield name, annotation, statement, value


def _bound(tree: ast.Module) -> Counter[str]:
    """How often each name is bound in the module's own scope; `global` in a function counts as once more."""
    count: Counter[str] = Counter()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                count[name] += 1
                count.update(name for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names)
                continue
            case ast.AnnAssign(value=None):  # `X: int` alone binds nothing
                continue
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                count[name] += 1
            case ast.alias(name=name, asname=alias):
                count[alias or name.partition(".")[0]] += 1
        waiting.extend(ast.iter_child_nodes(node))
    return count


def _offsets(source: str) -> Callable[[int | None, int | None], int]:
    """A function from Python's positions (1-based line, column in UTF-8 bytes) to an index into the source."""
    mark = len(source) - len(source.removeprefix("\ufeff"))
    starts = [mark, *(match.end() for match in _NEWLINE.finditer(source))]

    def offset(line: int | None, column: int | None) -> int:
        start = starts[(line or 1) - 1]
        piece = source[start : start + (column or 0)]
        return start + (len(piece) if piece.isascii() else len(piece.encode()[: column or 0].decode()))

    return offset


def _skip_blank(source: str, start: int) -> int:
    match = _BLANK.match(source, start)
    return match.end() if match else start


# -- setting ---------------------------------------------------------------------------------------------------------


def _statement(text: str) -> ast.Assign:
    """The single statement `X = text`, whose whole right side is the text: no comment, no second statement."""
    source = f"X = {text}"
    tree = parse(source)
    match tree.body:
        case [ast.Assign(targets=[ast.Name()]) as statement]:
            end = _offsets(source)(statement.end_lineno, statement.end_col_offset)
            if end == len(source) and text == text.strip():
                return statement
    raise NotLiteral("more than one expression")


def _literal_text(name: str, text: str) -> str:
    text = text.strip()
    try:
        literal(_statement(text).value)
    except (*UNPARSABLE, NotLiteral) as error:
        hint = 'give a literal such as 8, 2**19, "SSSL" or (0.8, 0.95)'
        raise PatchError(f"{name} cannot be set to {_short(text)}: {hint}.") from error
    return text


def _set(source: str, place: _Place, text: str, marks: set[tuple[int, int]]) -> str:
    tail = source[place.end :]
    gap = len(tail) - len(tail.lstrip(" "))
    line, column = place.comment
    if gap and tail[gap : gap + 1] == "#" and marks & {(line - 1, column), (line + 1, column)}:
        grown = len(text) - (place.end - place.start)
        tail = " " * max(1, gap - grown) + tail[gap:]
    return source[: place.start] + text + tail


def _why_absent(name: str, tree: ast.Module, known: Iterable[str]) -> str:
    times = _bound(tree)[name]
    if times > 1:
        return f"{name} is assigned in more than one place, so no single literal decides it; change it with an edit."
    if times:
        return f"{name} is not an UPPER_CASE constant with a literal value; change it with an edit."
    near = difflib.get_close_matches(name.upper(), list(known), 1, 0.5)
    hint = f"the nearest is {near[0]}" if near else f"it has {', '.join(sorted(known)[:12]) or 'none'}"
    return f"train.py has no constant {_short(name)}; {hint}."


def _short(text: str) -> str:
    flat = text.strip()
    return repr(flat if len(flat) <= 60 else flat[:59] + "…")


# -- rendering -------------------------------------------------------------------------------------------------------


def _render_number(value: float, like: str) -> str:
    old = _value_or_none(like)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PatchError(f"{value} cannot be written as a constant; use a finite number.")
        if type(old) is int and value.is_integer() and abs(value) < 2**53:
            return _render_integer(int(value), like)
        short = float(f"{value:.12g}")
        return repr(short if abs(short - value) <= 4 * math.ulp(value) else value)
    if isinstance(old, float) and abs(value) < 2**53:
        return repr(float(value))
    if value.bit_length() > MAX_BITS:
        raise PatchError(f"An integer of {value.bit_length()} bits is too large for a constant.")
    return _render_integer(value, like)


def _render_integer(value: int, like: str) -> str:
    if match := _POWER.fullmatch(like):
        base, exponent = int(match[1]), _exponent(value, int(match[1]))
        if exponent:
            return f"{base}{match[2]}{exponent}"
    if (match := _SHIFT.fullmatch(like)) and (exponent := _exponent(value, 2)):
        return f"1{match[1]}{exponent}"
    return f"{value:_}" if "_" in like else str(value)


def _exponent(value: int, base: int) -> int:
    """n >= 1 with base**n == value, else 0."""
    if base < 2 or value < base:
        return 0
    exponent = round(math.log(value, base))
    return exponent if base**exponent == value else 0


def _render_string(value: str, like: str) -> str:
    text = repr(value)
    if text.startswith("'") and '"' not in value and not like.startswith("'"):
        return f'"{text[1:-1]}"'
    return text


def _render_sequence(value: tuple[object, ...] | list[object], like: str) -> str:
    old = _value_or_none(like)
    texts = _elements(like) if isinstance(old, tuple | list) else []
    padded = [*texts, *[""] * len(value)]
    inner = ", ".join(render(element, near) for element, near in zip(value, padded, strict=False))
    if isinstance(old if isinstance(old, tuple | list) else value, list):
        return f"[{inner}]"
    return f"({inner},)" if len(value) == 1 else f"({inner})"


def _value_or_none(text: str) -> Value:
    try:
        return value_of(text)
    except PatchError:
        return None


def _elements(text: str) -> list[str]:
    node = ast.parse(text, mode="eval").body
    return [ast.get_source_segment(text, element) or "" for element in getattr(node, "elts", [])]
