"""What a train.py does, apart from how it is written: a digest of its syntax tree.

Comments, layout, docstrings and `2**4` for `16` do not count. The same on every Python version.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

from core import knobs

_HEAD, _TAIL = ("(Module", "body=", "["), ("]", ")")  # around the statements of a module that has some


@lru_cache(maxsize=128)  # a wave's experiments share their parent
def digest(source: str, like: str = "") -> str:
    """16 hex digits that are equal for sources that do the same. A source that does not parse is told by its text.

    `like`: a source that this one may differ from in constants alone; it changes the time that is needed, not the
    digest.
    """
    changed = knobs.variant(source, like) if like else None
    if changed is None:
        try:
            return _hashed([_bytes(_shape(knobs.parse(source)))])
        except knobs.UNPARSABLE:
            return _hashed([_bytes([source])])
    lines = source.split("\n")
    new = {knob.line: _bytes(_shape(knobs.parse(lines[knob.line - 1]).body[0])) for knob in changed.values()}
    return _hashed([_bytes(_HEAD), *(new.get(line, piece) for line, piece in _pieces(like)), _bytes(_TAIL)])


@lru_cache(maxsize=8)
def _pieces(source: str) -> tuple[tuple[int, bytes], ...]:
    """The shape of each statement of the module, with the line that it begins in."""
    return tuple((statement.lineno, _bytes(_shape(statement))) for statement in knobs.parse(source).body)


def _bytes(shape: Iterable[str]) -> bytes:
    return b"".join(part.encode("utf-8", "surrogatepass") + b"\0" for part in shape)


def _hashed(pieces: Iterable[bytes]) -> str:
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(piece)
    return sha.hexdigest()[:16]


def _shape(tree: ast.AST) -> Iterator[str]:
    """The tree as a flat text, without positions, bare strings and empty fields; arithmetic on numbers is done."""
    waiting: list[object] = [tree]
    while waiting:
        item = waiting.pop()
        match item:
            case ast.Expr(value=ast.Constant()):
                continue  # a docstring, or a literal that does nothing
            case ast.Constant(value=value):
                yield _token(value)
            case ast.BinOp() | ast.UnaryOp() if (number := _number(item)) is not None:
                yield number
            case ast.AST():
                fields = [(name, value) for name, value in ast.iter_fields(item) if value not in (None, [])]
                waiting.append(")")
                waiting.extend(part for name, value in reversed(fields) for part in (value, f"{name}="))
                yield f"({type(item).__name__}"
            case list():
                waiting.extend(["]", *reversed(item), "["])
            case _:
                yield str(item)


def _number(node: ast.expr) -> str | None:
    try:
        return _token(knobs.literal(node))
    except knobs.NotLiteral:
        return None


def _token(value: object) -> str:
    return hex(value) if type(value) is int else repr(value)  # repr refuses integers of more than 4,300 digits
