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
import operator
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from core.errors import PatchError

Scalar = bool | int | float | str | None
Value = Scalar | tuple[object, ...] | list[object]

MAX_BITS = 4096  # of an integer; keeps 9**9**9 from being computed
MAX_DEPTH = 60  # of a nested expression
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


class NotLiteral(ValueError):  # noqa: N818  reads as the sentence it is
    """The expression is not made of literals alone, or its value is absurd (too large, not finite)."""


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
        return tuple(place.knob for place in _places(source, parse(source)))
    except UNPARSABLE:
        return ()


def settings(source: str, values: Mapping[str, str]) -> str:
    """The source with the knobs named in `values` set to new texts, every other byte kept.

    Only the spaces before a trailing comment may change, where the comment is aligned with a neighbour's. Raises
    PatchError for a name that is no knob and for a text that is not a literal.
    """
    tree = _parsed(source)
    places = {place.knob.name: place for place in _places(source, tree)}
    for name in values:
        if name not in places:
            raise PatchError(_why_absent(name, tree, places))
    wanted = {name: _literal_text(name, text) for name, text in values.items()}
    result, marks = source, {place.comment for place in places.values()}
    for name in sorted(wanted, key=lambda name: places[name].start, reverse=True):
        result = _set(result, places[name], wanted[name], marks)
    before = {name: place.knob.text for name, place in places.items()}
    if {knob.name: knob.text for knob in find(result)} != before | wanted:
        raise PatchError(f"Setting {', '.join(wanted)} would change more of train.py than that; use an edit instead.")
    return result


def value_of(text: str) -> Value:
    """The value of a literal expression such as `2**19`; raises PatchError for anything else."""
    try:
        return literal(_statement(text).value)
    except (*UNPARSABLE, NotLiteral) as error:
        raise PatchError(f"{_short(text)} is not a literal such as 8, 2**19 or (0.8, 0.95).") from error


def literal(node: ast.expr, depth: int = 0) -> Value:
    """The value of a syntax tree made of literals and arithmetic; raises NotLiteral."""
    if depth > MAX_DEPTH:
        raise NotLiteral("nested too deeply")
    match node:
        case ast.Constant(value=value):
            return _sane(value)
        case ast.Tuple(elts=elements):
            return tuple(literal(element, depth + 1) for element in elements)
        case ast.List(elts=elements):
            return [literal(element, depth + 1) for element in elements]
        case ast.UnaryOp(op=op, operand=operand):
            return _compute(_UNARY.get(type(op)), literal(operand, depth + 1))
        case ast.BinOp(left=left, op=op, right=right):
            return _compute(_BINARY.get(type(op)), literal(left, depth + 1), literal(right, depth + 1))
    raise NotLiteral(type(node).__name__)


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


def _parsed(source: str) -> ast.Module:
    try:
        return parse(source)
    except UNPARSABLE as error:
        raise PatchError(f"train.py does not parse ({error}), so no constant can be set; mend it first.") from error


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


# -- values ----------------------------------------------------------------------------------------------------------


def _sane(value: object) -> Scalar:
    match value:
        case bool() | None | str():
            return value
        case int() if value.bit_length() <= MAX_BITS:
            return value
        case float() if math.isfinite(value):
            return value
    raise NotLiteral("not a number, a string, True, False or None")


def _compute(function: Callable[..., object] | None, *operands: Value) -> Scalar:
    if function is None or not all(isinstance(operand, int | float) for operand in operands):
        raise NotLiteral("not arithmetic on numbers")
    try:
        return _sane(function(*operands))
    except ArithmeticError as error:
        raise NotLiteral("no value") from error


def _power(base: float, exponent: float) -> object:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_BITS:
        raise NotLiteral("too large")
    return base**exponent


def _shift(value: float, places: float) -> object:
    if not (isinstance(value, int) and isinstance(places, int) and 0 <= places <= MAX_BITS):
        raise NotLiteral("not a shift")
    return value << places


_UNARY: dict[type[ast.unaryop], Callable[..., object]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_BINARY: dict[type[ast.operator], Callable[..., object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.LShift: _shift,
}


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
