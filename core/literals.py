"""Literals and arithmetic on them, evaluated from the syntax tree. Nothing is executed, nothing absurd computed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

Scalar = bool | int | float | str | None
Value = Scalar | tuple[object, ...] | list[object]

MAX_BITS = 4096  # of an integer; keeps 9**9**9 from being computed
MAX_DEPTH = 60  # of a nested expression


class NotLiteral(ValueError):  # noqa: N818  reads as the sentence it is
    """The expression is not made of literals alone, or its value is absurd (too large, not finite)."""


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


def has_text(value: object) -> bool:
    """Whether a string is in it."""
    return isinstance(value, str) or (isinstance(value, tuple | list) and any(has_text(part) for part in value))


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
